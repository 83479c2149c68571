"""Small files of a tree that somebody else made, read whole."""

from __future__ import annotations

import errno
import os
import stat

from fastbox import _native
from fastbox.errors import InvalidArgument, ResourceExhausted, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TEXT = 16 << 20  # of a Dockerfile or an ignore file
_PLACE = os.O_PATH | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR)


def read_in_root(root: int, path: str, limit: int = MAX_TEXT) -> bytes | None:
    """A regular file below a root, links followed within it; None when there is none.

    Raises:
        InvalidArgument: No regular file.
        ResourceExhausted: More than `limit` bytes.
        FastboxError: The kernel said no.
    """
    try:
        held = _native.open_in_root(root, path, _PLACE)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise os_error(error, "cannot read", path) from error
    return _read_held(held, path, limit)


def read_path(path: str, limit: int = MAX_TEXT) -> bytes | None:
    """A regular file of the host; None when there is none.

    Raises:
        InvalidArgument: No regular file.
        ResourceExhausted: More than `limit` bytes.
        FastboxError: The kernel said no.
    """
    try:
        held = os.open(path, _PLACE)
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise os_error(error, "cannot read", path) from error
    return _read_held(held, path, limit)


def _read_held(held: int, path: str, limit: int) -> bytes:
    try:
        mode = os.fstat(held).st_mode
        if not stat.S_ISREG(mode):  # told before it is opened: a pipe would never end
            kind = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise InvalidArgument(kind, where=path)
        with open(f"/proc/self/fd/{held}", "rb", buffering=0) as file:
            return read_limited(file.read, path, limit)
    except OSError as error:
        raise os_error(error, "cannot read", path) from error
    finally:
        os.close(held)


def read_limited(
    read: Callable[[int], bytes | None], path: str, limit: int = MAX_TEXT, head: bytes = b""
) -> bytes:
    """All that a stream's `read` gives, after what was read already.

    Raises:
        ResourceExhausted: More than `limit` bytes.
    """
    pieces, size = [head], len(head)
    while size <= limit and (more := read(min(1 << 20, limit + 1 - size))):
        pieces.append(more)
        size += len(more)
    if size > limit:
        raise ResourceExhausted(f"more than {limit} bytes", where=path)
    return b"".join(pieces)
