"""`commit`: a container's changes and options, for `images` to make an image of."""

from __future__ import annotations

import errno
from contextlib import contextmanager

from fastbox import _bytes
from fastbox.containers.filesystem import FileSystem
from fastbox.errors import FastboxError, StateConflict, Unsupported, os_error
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import clock
from fastbox.types import Committed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypedDict

    from fastbox.containers.heal import View
    from fastbox.containers.needs import ImageService
    from fastbox.store.containers import ContainerRecord, ContainerStore
    from fastbox.types import Written

    class CommitKeywords(TypedDict, total=False):
        """How an image of a container may differ from it."""

        author: str
        message: str  # the comment in its history
        changes: Sequence[str]  # Dockerfile instructions, such as "CMD echo hi"
        pause: bool  # stop its processes while its files are read; True by default


_OPTIONS = {"User": "user", "WorkingDir": "workdir", "StopSignal": "stop_signal"}


def commit(
    store: ContainerStore,
    run: str,
    reference: str,
    images: ImageService,
    name: str,
    wishes: CommitKeywords,
) -> str:
    """Make an image of a container; see `Containers.commit`.

    Raises:
        InvalidArgument: A change or the name is malformed.
        StateConflict: It is damaged, or was removed meanwhile.
        Unsupported: It was made of a directory of the host, or a layer can't hold what it holds.
    """
    pause = wishes.get("pause", True)
    with FileSystem(store, run, reference) as files:
        record = files.view.record
        if record is None:
            raise StateConflict(f"container {files.view.id[:12]} is damaged", hint="remove it")
        if not record.image_id:
            raise Unsupported(
                "a container without an image can't be committed",
                where=record.image,
                hint=f"fastbox export {files.view.id[:12]} | fastbox import -",
            )

        def write(fd: int) -> Written | None:
            if pause and files.view.state == "running":  # paused ones stand still
                with paused(run, files.view):
                    return _write(files, fd)
            return _write(files, fd)

        return images.commit(
            _committed(record, write),
            name,
            changes=wishes.get("changes", ()),
            author=wishes.get("author", ""),
            message=wishes.get("message", ""),
        )


def _write(files: FileSystem, fd: int) -> Written | None:
    try:
        upper = files.upper()
        if upper < 0:
            return None
        written = _bytes.write_changes(upper, fd, max_mtime=clock.source_date())
    except OSError as error:
        files.check()
        raise _failure(error) from error
    files.check()
    return written


def _failure(error: OSError) -> FastboxError:
    path = getattr(error, "path", "")
    if error.errno in (errno.EINVAL, errno.ENAMETOOLONG, errno.EFBIG, errno.ENOTSUP):
        why = getattr(error, "detail", "") or str(error.strerror).lower()
        return Unsupported(f"a layer can't hold it: {why}", where=path)
    return os_error(error, "cannot write the layer", path)


def _committed(record: ContainerRecord, write: Callable[[int], Written | None]) -> Committed:
    """What the container's options say in place of the image's."""
    options = record.options
    run: dict[str, object] = {
        "Env": options.get("env") or [],
        "Entrypoint": list(record.entrypoint),
        "Cmd": list(record.argv[len(record.entrypoint) :]),
        "Labels": dict(record.labels),
    }
    for member, option in _OPTIONS.items():
        if options.get(option):
            run[member] = options[option]
    return Committed(image_id=record.image_id, run=run, write=write)


@contextmanager
def paused(run: str, view: View) -> Iterator[None]:
    """While the block runs, the container's processes don't. Its supervisor lets them go on when
    the conversation ends, however it ends.
    """
    assert view.live is not None
    try:
        conversation = Conversation(run, view.live.supervisor)
    except SupervisorGone:  # it has ended meanwhile: nothing runs
        yield
        return
    with conversation:
        try:
            conversation.ask({"op": "freeze", "id": view.id, "frozen": True})
        except (StateConflict, SupervisorGone):
            pass  # it has ended, or another commit has stopped it
        except FastboxError as error:
            hint = "fastbox commit --pause=false reads it as it runs"
            raise Unsupported(str(error), hint=hint) from error
        yield
