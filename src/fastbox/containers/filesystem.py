"""A container's files, to be read: what it changed (`diff`), all of them (`export`), and its
changes as a layer (`commit.py`).

A container that does not run is locked meanwhile, so that nobody starts or removes it. One that
runs may be removed under our eyes (its supervisor does that): its directory is moved away before
anything in it is deleted, so whoever finds it in place afterwards has read it whole.
"""

from __future__ import annotations

import os

from fastbox import _bytes
from fastbox.containers import changes, heal
from fastbox.containers.exec import read_bundle
from fastbox.errors import FastboxError, StateConflict, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO, Self

    from fastbox.store.containers import ContainerStore, Held
    from fastbox.store.lease import Work
    from fastbox.store.root import Root
    from fastbox.types import Change

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# The skeleton's place for --init: no image has an empty one, and docker shows it with --init only.
_STUB = b"sbin/docker-init"


class FileSystem:
    """The files of one container, for a `with` block.

    Attributes:
        bundle: Its bundle.
        view: How the container was found.
    """

    __slots__ = (
        "_directory", "_fds", "_held", "_overlay", "_path", "_store", "_work", "bundle", "view",
    )  # fmt: skip

    def __init__(self, store: ContainerStore, run: str, reference: str) -> None:
        container = store.find(reference)
        self._held: Held | None = None
        self._store = store
        self._work: Work | None = None
        self._fds: list[int] = []
        self._path = store.directory(container)
        try:
            self.view = heal.view(store, run, container)
            if not self.view.up:
                self._held = store.lock(container)
                self.view = heal.view(store, run, container, self._held)
            self._directory = self._open(self._path)
            self.bundle, self._overlay = self._read_bundle(container)
        except BaseException:
            self.close()
            raise

    @property
    def runs(self) -> bool:
        """Whether it has processes, that may stand still."""
        return self.view.state in ("running", "paused")

    def _read_bundle(self, container: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            bundle = read_bundle(self._path)
            overlay: dict[str, Any] = bundle["fastbox"]["overlay"]
        except (OSError, ValueError, KeyError) as error:
            raise StateConflict(
                f"container {container[:12]} is damaged: {error}", hint="remove it"
            ) from None
        return bundle, overlay

    def upper(self) -> int:
        """The directory of its changes; -1 when it can't make any. Closed with the block.

        What was sealed by forks and snapshots counts: several are merged, by links to their files.
        """
        sealed, _ = self._store.sealed().split(self._overlay["lower"])
        uppers = [self._store.sealed().tree(each) for each in sealed]
        if self._overlay.get("upper"):
            uppers.insert(0, self._overlay["upper"])
        filled = [path for path in uppers if os.listdir(path)] or uppers[:1]
        if len(filled) > 1:
            return self._open(self._merged(filled))
        return self._open(filled[0]) if filled else -1

    def _merged(self, uppers: list[str]) -> str:
        from fastbox.store.merge import merge

        self._work = self._store.work()
        path = self._work.directory("merged")
        elsewhere = os.stat(path).st_dev != os.stat(uppers[0]).st_dev
        merge(uppers, path, copy=elsewhere)
        return path

    def lower(self) -> int:
        """What it was made of. Closed with the block."""
        return self._stack(list(self._store.sealed().split(self._overlay["lower"])[1]))

    def root(self) -> int:
        """All that it shows, without what is mounted in it. Closed with the block."""
        if self.runs and self.view.live is not None:
            return self._root_of(self.view.live.pid, self.view.live.start_time)
        upper = self._overlay.get("upper")
        return self._stack([*([upper] if upper else []), *self._overlay["lower"]])

    def check(self) -> None:
        """After reading: whether there was a container all the time.

        Raises:
            StateConflict: It was removed.
        """
        ours = os.fstat(self._directory)
        try:
            there = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            there = None
        if there is None or (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            raise StateConflict(f"container {self.view.id[:12]} was removed meanwhile")

    def _stack(self, layers: list[str]) -> int:
        if len(layers) == 1:
            return self._open(layers[0])
        fd = _bytes.view_layers([os.fsencode(layer) for layer in layers])
        self._fds.append(fd)
        return self._open(f"/proc/self/fd/{fd}/.")

    def _root_of(self, pid: int, start_time: int, *, below: bool = False) -> int:
        """Held by its directory in /proc, so that the number can't come to mean another process."""
        process = self._open(f"/proc/{pid}")
        with open(f"/proc/self/fd/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        if int(fields[19]) != start_time:
            raise StateConflict(f"container {self.view.id[:12]} has ended meanwhile")
        try:
            fd = _bytes.view_process(process, below=below)
        except OSError:  # before 5.2: what is mounted there is then seen as what it is
            fd = os.open(f"/proc/self/fd/{process}/root", _DIRECTORY & ~os.O_NOFOLLOW)
        self._fds.append(fd)
        return self._open(f"/proc/self/fd/{fd}/.")

    def _open(self, path: str) -> int:
        fd = os.open(path, _DIRECTORY)
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Let go of everything."""
        while self._fds:
            os.close(self._fds.pop())
        if self._work is not None:
            with self._work:
                self._work = None
        if self._held is not None:
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def diff(store: ContainerStore, run: str, reference: str) -> tuple[Change, ...]:
    """What a container changed; see `Containers.diff`."""
    with FileSystem(store, run, reference) as files:
        try:
            upper = files.upper()
            found = changes.compare(upper, files.lower()) if upper >= 0 else ()
        except FastboxError:
            raise
        except OSError as error:
            files.check()
            raise os_error(error, "cannot read the container's changes") from error
        files.check()
        return found


def export(root: Root, store: ContainerStore, reference: str, output: str | int | BinaryIO) -> None:
    """Write a container's files as a tar; see `Containers.export`."""
    with FileSystem(store, root.run, reference) as files:
        try:
            if isinstance(output, str):
                _export_file(files, output)
            elif isinstance(output, int):
                _write(files, output)
            else:
                _export_stream(root, files, output)
        except FastboxError:
            raise
        except OSError as error:
            files.check()
            where = output if isinstance(output, str) else ""
            raise os_error(error, "cannot export the container", where) from error


def _write(files: FileSystem, fd: int) -> None:
    _bytes.write_tree(files.root(), fd, stub=_STUB)
    files.check()


def _export_file(files: FileSystem, path: str) -> None:
    """The file is there once it is whole, in place of whatever was there."""
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a named pipe
        with open(path, "wb", buffering=0) as device:
            _write(files, device.fileno())
        return
    temporary = f"{path}.{os.urandom(4).hex()}.tmp"
    with open(temporary, "xb", buffering=0) as file:
        try:
            os.fchmod(file.fileno(), 0o600)
            _write(files, file.fileno())
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


def _export_stream(root: Root, files: FileSystem, output: BinaryIO) -> None:
    """A stream that is no file of the kernel's gets the tar in pieces, once it is whole."""
    import shutil

    from fastbox.store.lease import Work

    try:
        fd = output.fileno()
    except OSError:
        fd = -1
    if fd >= 0:
        output.flush()
        _write(files, fd)
        return
    with Work(root) as work, open(work.path + "/export", "x+b") as file:
        _write(files, file.fileno())
        file.seek(0)
        shutil.copyfileobj(file, output, 1 << 20)
