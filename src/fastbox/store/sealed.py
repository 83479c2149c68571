"""Sealed layers: what containers had written when they were forked or snapshotted, read-only ever
since.

`sealed/<id>/` is `tree/`, a directory that was an overlay's upper, and `record.json`, which names
the sealed layers below it. Containers' records name those that they need; what none names is
garbage. Whoever makes one, or records a container over one, holds a shared lock on `sealed/`
meanwhile; who looks for garbage holds it alone, so one look is enough.
"""

from __future__ import annotations

import fcntl
import os

from fastbox import _native
from fastbox.errors import FastboxError, os_error
from fastbox.store.root import read_record, write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from fastbox.store.root import Root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_HEX = frozenset("0123456789abcdef")


class Sealed:
    """The sealed layers of one store."""

    __slots__ = ("_directory", "_root")

    def __init__(self, root: Root) -> None:
        self._root, self._directory = root, root.path("sealed")

    def hold(self, *, alone: bool = False) -> int:
        """A descriptor, to be closed, that keeps sweepers away; `alone`: makers, too."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        fd = os.open(self._directory, _DIRECTORY)
        fcntl.flock(fd, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return fd

    def tree(self, sealed: str) -> str:
        """Its files."""
        return f"{self._directory}/{sealed}/tree"

    def ids(self) -> list[str]:
        """All that are there."""
        try:
            return [name for name in os.listdir(self._directory) if _is_id(name)]
        except FileNotFoundError:
            return []

    def make(self, beside: str, below: Sequence[str]) -> str:
        """A new one with an empty tree, on the file system of the directory `beside`; its id.

        When that is not the store's (writable layers are in memory), a link leads there.

        Raises:
            FastboxError: No space, or the kernel said no.
        """
        sealed = os.urandom(16).hex()
        path = f"{self._directory}/{sealed}"
        try:
            if os.stat(beside).st_dev != os.stat(self._directory).st_dev:
                os.symlink(_elsewhere(beside, sealed), path)
                os.mkdir(_elsewhere(beside, sealed), 0o700)
            else:
                os.mkdir(path, 0o700)
            write_record(path + "/record.json", {"below": list(below)})
            os.mkdir(path + "/tree", 0o755)
        except OSError as error:
            raise os_error(error, "cannot make a sealed layer", path) from error
        return sealed

    def chain(self, sealed: str) -> tuple[str, ...]:
        """It and those below it, topmost first; () for "".

        Raises:
            ValueError: Its record is missing or damaged.
        """
        if not sealed:
            return ()
        record = read_record(f"{self._directory}/{sealed}/record.json")
        below: Any = record.get("below") if record else None
        if not isinstance(below, list) or not all(isinstance(x, str) and _is_id(x) for x in below):
            raise ValueError(f"the record of sealed layer {sealed} is missing or damaged")
        return (sealed, *below)

    def split(self, lower: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """An overlay's lower directories as ids of sealed layers and the rest, both topmost
        first.
        """
        start, count = self._directory + "/", 0
        while count < len(lower) and lower[count].startswith(start):
            count += 1
        ids = tuple(path[len(start) :].partition("/")[0] for path in lower[:count])
        return ids, tuple(lower[count:])

    def is_needed(self, sealed: Iterable[str]) -> bool:
        """Whether containers' records name each of them: then nothing below is garbage. So it
        counts, too, when a record can't be read.
        """
        wanted = set(sealed)
        try:
            for names in self._named():
                wanted.difference_update(names)
                if not wanted:
                    break
        except (ValueError, FastboxError):
            return True
        return not wanted

    def unneeded(self) -> list[str]:
        """Those that no container needs, as of now; none while a record can't be read."""
        try:
            needed: set[str] = set()
            for names in self._named():
                for sealed in names:
                    if sealed not in needed:
                        needed.update(self.chain(sealed))
        except (ValueError, FastboxError):
            return []
        return [sealed for sealed in self.ids() if sealed not in needed]

    def missing(self, names: Iterable[str]) -> list[str]:
        """Of those that a record names, and of those below them, the ones that are not there.

        Raises:
            ValueError: The record of one can't be read.
        """
        found = {each for name in names for each in self.chain(name)}
        return sorted(each for each in found if not os.path.isdir(self.tree(each)))

    def _named(self) -> Iterator[set[str]]:
        for container in os.listdir(self._root.path("containers")):
            try:
                record = read_record(self._root.path("containers", container, "record.json"))
            except NotADirectoryError:
                continue
            if record is not None:
                yield named(record.get("sealed"), record.get("snapshots"))

    def sweep(self, *, wait: bool = True) -> None:
        """Delete what no container needs; without `wait` not while somebody makes one.

        Raises:
            FastboxError: The kernel said no.
        """
        if not self.ids():
            return
        from fastbox.store.lease import Work

        fd = os.open(self._directory, _DIRECTORY)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            garbage = self.unneeded()
            if not garbage:
                return
            trash = Work(self._root)
            try:
                self._move(garbage, trash.path)
            except BaseException:
                with trash:
                    raise
        except OSError as error:
            raise os_error(error, "cannot sweep sealed layers", self._directory) from error
        finally:
            os.close(fd)  # deleting takes long, and nobody waits for it
        with trash:
            pass

    def _move(self, garbage: Sequence[str], trash: str) -> None:
        for sealed in garbage:
            path = f"{self._directory}/{sealed}"
            if os.path.islink(path):
                _remove_elsewhere(os.readlink(path), sealed)
            os.rename(path, f"{trash}/{sealed}")


def named(sealed: Any, snapshots: Any) -> set[str]:
    """What the two members of a container's record name.

    Raises:
        ValueError: They are damaged.
    """
    found = [*(sealed or ()), *dict(snapshots or {}).values()]
    if not all(isinstance(each, str) for each in found):
        raise ValueError("a record names sealed layers that are no texts")
    return {each for each in found if each}


def _elsewhere(beside: str, sealed: str) -> str:
    # Beside the scratch directory, <tmpfs>/fastbox-<id>, that `beside` lies in.
    return os.path.dirname(os.path.dirname(beside)) + "/fastbox-sealed-" + sealed


def _remove_elsewhere(path: str, sealed: str) -> None:
    parent, _, name = path.rpartition("/")
    if name != "fastbox-sealed-" + sealed or not os.path.isdir(parent):
        return
    fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _native.remove_tree(fd, name)
    finally:
        os.close(fd)


def _is_id(name: str) -> bool:
    return len(name) == 32 and _HEX.issuperset(name)
