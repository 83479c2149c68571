"""What `docker build -` reads: a tar, packed or not, which is the context, or else a Dockerfile."""

from __future__ import annotations

import os

from fastbox.builder import unpacking
from fastbox.builder.reading import read_limited
from fastbox.errors import InvalidArgument, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from fastbox.store.lease import Work

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_context(
    stream: BinaryIO | None, work: Work, stop: Callable[[], bool] | None = None
) -> tuple[int, bytes | None]:
    """(the context's root, which the caller closes; the Dockerfile, when that was what came).

    Raises:
        InvalidArgument: Nothing came.
        IntegrityError: A tar that is damaged, or reaches outside itself.
        ResourceExhausted: More than a context, or a Dockerfile, may have.
    """
    source = needed(stream)
    head = unpacking.read_head(source)
    if not head.strip():
        raise InvalidArgument("nothing came", where="stdin", hint="pipe a Dockerfile or a tar in")
    root = empty_root(work)
    try:
        if not unpacking.is_archive(head):
            return root, read_limited(source.read, "stdin", head=head)
        unpacking.unpack_stream(source, head, root, stop=stop)
    except BaseException:
        os.close(root)
        raise
    return root, None


def read_dockerfile(stream: BinaryIO | None) -> bytes:
    """The Dockerfile of `-f -`.

    Raises:
        ResourceExhausted: It is too large.
    """
    return read_limited(needed(stream).read, "stdin")


def needed(stream: BinaryIO | None) -> BinaryIO:
    """The stream, when there is one.

    Raises:
        InvalidArgument: There is none.
    """
    if stream is None:
        raise InvalidArgument("no stream was given to read the build from", where="stdin")
    return stream


def empty_root(work: Work) -> int:
    """A new directory in the work directory, which the caller closes."""
    path = work.directory("context-" + os.urandom(8).hex())
    try:
        os.chmod(path, 0o755)
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise os_error(error, "cannot make a directory", path) from error
