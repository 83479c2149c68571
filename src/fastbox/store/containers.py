"""Containers on disk: directory, record, exit, lock. What is true in the kernel is not known here.

A directory without `record.json` is one that is being made, or was when its maker died; a lock
tells which. Whoever changes a container holds its directory's flock, and looks again after getting
it: the path may lead elsewhere by then.
"""

from __future__ import annotations

import fcntl
import os

from fastbox import _native
from fastbox.errors import ContainerNotFound, InvalidArgument, os_error
from fastbox.store import names
from fastbox.store.root import read_record, write_record
from fastbox.support import forks
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Self

    from fastbox.store.lease import Work
    from fastbox.store.networks import NetworkStore
    from fastbox.store.root import Root
    from fastbox.store.sealed import Sealed

_HEX = frozenset("0123456789abcdef")


class ContainerRecord(Record):
    """record.json: what was asked for and decided. `session` names the supervisor of the engine
    session it is tied to.
    """

    id: str
    name: str
    image: str
    image_id: str
    created: str
    start: bool
    remove: bool
    argv: tuple[str, ...]  # entry point and arguments
    entrypoint: tuple[str, ...]  # how `argv` begins
    labels: Mapping[str, str]
    stop_signal: str
    stop_timeout: float
    tty: bool
    open_stdin: bool
    options: Mapping[str, object]
    session: str = ""
    scratch: str = ""
    exposed: tuple[str, ...] = ()  # ports: the image's, and what was asked for
    mounts: tuple[Mapping[str, Any], ...] = ()  # what became of each: types.Mount's fields
    sealed: tuple[str, ...] = ()  # sealed layers that it keeps, each with those below it
    snapshots: Mapping[str, str] | None = None  # name -> sealed layer, "" for none; oldest first


_TYPES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "image": str,
    "image_id": str,
    "created": str,
    "start": bool,
    "remove": bool,
    "argv": list,
    "entrypoint": list,
    "labels": dict,
    "stop_signal": str,
    "stop_timeout": (int, float),
    "tty": bool,
    "open_stdin": bool,
    "options": dict,
    "session": str,
    "scratch": str,
    "exposed": list,
    "mounts": list,
    "sealed": list,
    "snapshots": dict,
}


class ExitRecord(Record):
    """exit: how it ended."""

    code: int
    signal: int = 0
    oom: bool = False
    started: str = ""
    finished: str = ""
    error: str = ""
    restarts: int = 0  # how often its policy has started it again
    stopped: bool = False  # a client wanted its end: only `always` starts it again after a boot


class Held:
    """A container whose lock we hold, until closed."""

    __slots__ = ("__weakref__", "directory", "fd", "id")

    def __init__(self, container: str, directory: str, fd: int) -> None:
        self.id, self.directory, self.fd = container, directory, fd
        forks.own(self)

    def close(self) -> None:
        """Let the lock go."""
        forks.disown(self)
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ContainerStore:
    """The containers below one root."""

    __slots__ = ("_containers", "_names", "_root")

    def __init__(self, root: Root) -> None:
        self._root = root
        self._containers = root.path("containers")
        self._names = root.path("names")

    def directory(self, container: str) -> str:
        """Its directory; the id is one that we made or listed."""
        return f"{self._containers}/{container}"

    def ids(self) -> list[str]:
        """All directories, also of containers that are being made."""
        return [name for name in os.listdir(self._containers) if _is_id(name)]

    def make(self, container: str, name: str) -> tuple[Held, str]:
        """A new locked directory that owns its name, which is returned: the one given, or a random
        one.

        Raises:
            NameInUse: Another container has the name.
            DiskFull: No space or inode.
        """
        held = self._make_directory(container)
        try:
            if name:
                names.claim(self._names, name, container)
            else:
                name = names.claim_random(self._names, container)
        except BaseException:
            os.rmdir(held.directory)
            held.close()
            raise
        return held, name

    def _make_directory(self, container: str) -> Held:
        directory = self.directory(container)
        try:
            for _ in range(100):
                os.mkdir(directory, 0o700)
                held = self.lock(container, missing_ok=True)
                if held:
                    return held
                # A healer took the empty directory for what a killed maker left: it is gone, so
                # make it again.
        except OSError as error:
            raise os_error(error, "cannot make the container", directory) from error
        raise ContainerNotFound("the directory of the container vanishes", where=directory)

    def hold(self, container: str) -> Held:
        """Lock a container, however long that takes.

        Raises:
            ContainerNotFound: It does not exist (any more).
        """
        held = self.lock(container)
        assert held is not None  # it waits
        return held

    def lock(self, container: str, *, wait: bool = True, missing_ok: bool = False) -> Held | None:
        """Lock a container: None when it is locked by another and `wait` is false, or gone and
        `missing_ok`.

        Raises:
            ContainerNotFound: It does not exist (any more).
        """
        directory = self.directory(container)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            if missing_ok:
                return None
            raise not_found(container) from None
        held = Held(container, directory, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            ours, there = os.fstat(fd), os.stat(directory, follow_symlinks=False)
            if (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino):
                return held
        except BlockingIOError:
            held.close()
            return None
        except FileNotFoundError:
            pass
        except BaseException:
            held.close()
            raise
        held.close()
        if missing_ok:
            return None
        raise not_found(container)

    def read(self, container: str) -> ContainerRecord | None:
        """Its record, or None when there is none (yet, or any more).

        Raises:
            ValueError: It is damaged.
        """
        found = read_record(self.directory(container) + "/record.json")
        if found is None:
            return None
        values = _checked(found, _TYPES, required=15)
        if values["id"] != container:
            raise ValueError("the record is of another container")
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return ContainerRecord(**values | lists)

    def write(self, record: ContainerRecord) -> None:
        """Put the record in place."""
        write_record(self.directory(record.id) + "/record.json", record.as_dict())

    def tidy(self, held: Held) -> None:
        """Remove what killed writers have left: who writes has the lock, which is ours."""
        for name in os.listdir(held.directory):
            if name.endswith(".tmp") and name.startswith(("record.json.", "config.json.")):
                os.unlink(f"{held.directory}/{name}")

    def read_exit(self, container: str) -> ExitRecord | None:
        """How it ended, or None.

        Raises:
            ValueError: The record is damaged.
        """
        found = read_record(self.directory(container) + "/exit")
        if found is None:
            return None
        return exit_record(found)

    def write_exit(self, container: str, end: ExitRecord) -> None:
        """Write how it ended."""
        write_record(self.directory(container) + "/exit", end.as_dict())

    def clear_exit(self, container: str) -> None:
        """Forget how it ended: it starts again."""
        try:
            os.unlink(self.directory(container) + "/exit")
        except FileNotFoundError:
            pass

    def discard(self, held: Held, name: str) -> None:
        """Remove a locked container: out of sight by one rename, then its name, then its files."""
        trash = f"{self._root.path('tmp')}/rm-{held.id}"
        try:
            os.rename(held.directory, trash)
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_error(error, "cannot remove the container", held.directory) from error
        if name:
            names.release(self._names, name, held.id)
        self.empty_trash(held.id)

    def leave_volumes(self, record: ContainerRecord) -> None:
        """A removed container is no user of anonymous volumes any more (store/volumes.py)."""
        for mount in record.mounts:
            if mount.get("anonymous"):
                try:
                    os.unlink(self._root.path("volumes", mount["name"], "users", record.id))
                except OSError:  # it ended with the container
                    pass

    def leave_networks(self, container: str) -> None:
        """A container that does not run has no address (store/networks.py)."""
        from fastbox.store.networks import NetworkStore

        NetworkStore(self._root).leave(container)

    def empty_trash(self, container: str) -> None:
        """Delete what a removed container left in tmp/, and the volumes that end with it."""
        fd = os.open(self._root.path("tmp"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _native.empty_trash(fd, container)
        finally:
            os.close(fd)

    def sealed(self) -> Sealed:
        """The sealed layers of the same store."""
        from fastbox.store.sealed import Sealed

        return Sealed(self._root)

    def networks(self) -> NetworkStore:
        """The networks of the same store."""
        from fastbox.store.networks import NetworkStore

        return NetworkStore(self._root)

    def work(self) -> Work:
        """A directory for something that is done in a moment."""
        from fastbox.store.lease import Work

        return Work(self._root)

    def sweep_sealed(self, removed: ContainerRecord | None = None) -> None:
        """Delete the sealed layers that no container needs: of one that was removed, or of those
        that supervisors have removed.
        """
        if not os.path.isdir(self._root.path("sealed")):
            return
        from fastbox.store.sealed import named

        sealed = self.sealed()
        if removed is None:
            sealed.sweep(wait=False)
        elif not sealed.is_needed(named(removed.sealed, removed.snapshots)):
            sealed.sweep()

    def trashed(self) -> list[str]:
        """Ids of removed containers whose files are still there."""
        return [
            name[3:]
            for name in os.listdir(self._root.path("tmp"))
            if name.startswith("rm-") and _is_id(name[3:])
        ]

    def rename(self, record: ContainerRecord, name: str) -> ContainerRecord:
        """Give a locked container another name."""
        names.claim(self._names, name, record.id)
        changed = record.replace(name=name)
        try:
            self.write(changed)
        except BaseException:
            names.release(self._names, name, record.id)
            raise
        names.release(self._names, record.name, record.id)
        return changed

    def name_of(self, container: str) -> str:
        """The name that points to a container whose record can't be read; "" without one."""
        found = (
            name for name in os.listdir(self._names) if names.holder(self._names, name) == container
        )
        return next(found, "")

    def find(self, reference: str) -> str:
        """The id of a container named by id, name or unique beginning of an id: docker's order.

        Raises:
            ContainerNotFound: None has it.
            InvalidArgument: More than one id begins with it.
        """
        if _is_id(reference) and os.path.isdir(self.directory(reference)):
            return reference
        plain = reference.removeprefix("/")
        if plain and "/" not in plain and plain not in (".", ".."):
            held = names.holder(self._names, plain)
            if held and os.path.isdir(self.directory(held)):
                return held
        if not reference or not _HEX.issuperset(reference):
            raise not_found(reference)
        found = [name for name in self.ids() if name.startswith(reference)]
        if len(found) > 1:
            raise InvalidArgument(
                f'"{reference}" is the beginning of {len(found)} containers',
                hint="give more of the id",
            )
        if not found:
            raise not_found(reference)
        return found[0]


def exit_record(found: Mapping[str, Any]) -> ExitRecord:
    """What an exit record, or the live state of a container that starts again, says.

    Raises:
        ValueError: It is damaged.
    """
    types: dict[str, type | tuple[type, ...]] = {
        "code": int,
        "signal": int,
        "oom": bool,
        "started": str,
        "finished": str,
        "error": str,
        "restarts": int,
        "stopped": bool,
    }
    return ExitRecord(**_checked(found, types, required=1))


def not_found(reference: str) -> ContainerNotFound:
    """The error for a reference that nothing has."""
    return ContainerNotFound(f'no such container "{reference}"', hint="`fastbox ps -a` lists them")


def new_id() -> str:
    """An id for `make`: 64 random hex digits."""
    return os.urandom(32).hex()


def _is_id(name: str) -> bool:
    return len(name) == 64 and _HEX.issuperset(name)


def _checked(
    found: Mapping[str, Any], types: Mapping[str, type | tuple[type, ...]], *, required: int
) -> dict[str, Any]:
    """The known members, each of its type; the first `required` must be there. Others are a later
    version's.
    """
    values: dict[str, Any] = {}
    for index, (key, kind) in enumerate(types.items()):
        value = found.get(key)
        if value is None and index >= required:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f'the member "{key}" is missing or of a wrong type')
        values[key] = value
    return values
