"""`system check`, of the volumes."""

from __future__ import annotations

import os

from fastbox.errors import FastboxError
from fastbox.store.volumes import AWAY, VolumeStore, check_name
from fastbox.volumes.users import users_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastbox.store.root import Root


def check_volumes(root: Root) -> Iterator[tuple[str, str, str]]:
    """What is wrong, where, and what to do: volumes without a record or without files, and what
    removals and copies that were killed have left.
    """
    store = VolumeStore(root)
    try:
        entries = sorted(os.listdir(root.path("volumes")))
    except FileNotFoundError:
        return
    for entry in entries:
        path = store.directory(entry)
        if entry.startswith(AWAY):
            if _is_still(path):
                yield "a volume that a removal left half-way", path, "`fastbox volume prune`"
        else:
            yield from _volume(root, store, entry, path)


def _volume(root: Root, store: VolumeStore, name: str, path: str) -> Iterator[tuple[str, str, str]]:
    remove = f"remove it with `fastbox volume rm {name}`"
    try:
        check_name(name)
        record = store.read(name)
    except (ValueError, FastboxError) as error:
        yield f"a volume's record is damaged: {error}", path, remove
        return
    if not os.path.isdir(path):
        return  # removed just now
    if record is None:
        yield "a volume has no record", path, remove
    elif not os.path.isdir(store.data(name)):
        yield "a volume has no files", path, remove
    elif record.anonymous and not os.path.isdir(path + "/users") and not users_of(root, name):
        yield "an anonymous volume whose last container is gone", path, remove
    for left in ("copying", "copied"):
        if _is_still(f"{path}/{left}"):
            hint = "the next container that starts with it mends that"
            yield "files of an image that were not copied to the end", f"{path}/{left}", hint


def _is_still(path: str) -> bool:
    """Whether it is there, and nobody holds the lock on the directory that it is in."""
    import fcntl

    try:
        fd = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.lexists(path)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
