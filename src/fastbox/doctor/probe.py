"""Runs fastbox-probe, which tries what Python has no words for, and holds what it needs."""

from __future__ import annotations

import os
import select
import signal
import time

from fastbox import _native
from fastbox.errors import EngineUnavailable, FastboxError
from fastbox.store.lease import Work
from fastbox.store.root import Root, file_system
from fastbox.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

PROGRAM = "fastbox-probe"
_SECONDS = 20.0  # each of its probes ends after 2


class Scratch:
    """A directory on the store's file system for the `with` block.

    Attributes:
        path: Where it is; "" when none can be made: the program then takes a tmpfs.
        file_system: The type of its file system, "" without one.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._work: Work | None = None
        self._parent = ""
        self.path = self.file_system = ""

    def __enter__(self) -> Self:
        if os.geteuid() != 0:
            return self  # the store is root's
        try:
            self._make()
            self.file_system = file_system(self.path)
        except (OSError, FastboxError):
            pass  # the check of the store says why
        return self

    def _make(self) -> None:
        if os.path.isdir(self._root.path("tmp")):
            self._work = Work(self._root)
            self.path = self._work.path
            return
        parent = existing(self._root.store)
        path = os.path.join(parent, f".fastbox-doctor-{os.getpid()}")
        os.mkdir(path, 0o700)
        self._parent, self.path = parent, path

    def __exit__(self, *_: object) -> None:
        if self._work is not None:
            self._work.__exit__()
        elif self._parent:
            fd = os.open(self._parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _native.remove_tree(fd, os.path.basename(self.path))
            finally:
                os.close(fd)


def existing(path: str) -> str:
    """The nearest directory on the way up that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def run(scratch: str, group: str) -> dict[str, int]:
    """Each probe's errno, 0 for what works.

    Args:
        scratch: A directory on the store's file system, or "".
        group: An empty group of the v2 hierarchy, or "".

    Raises:
        EngineUnavailable: The program is not there, or it hangs.
    """
    program = paths.libexec(PROGRAM)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = _start(program, [PROGRAM, scratch, group], writing)
    except OSError as error:
        os.close(reading)
        raise EngineUnavailable(
            f"cannot run it: {(error.strerror or '').lower()}",
            where=program,
            hint="install fastbox again",
        ) from error
    finally:
        os.close(writing)
    try:
        return parse(_read_all(reading, time.monotonic() + _SECONDS))
    finally:
        os.close(reading)
        _end(pid)


def _start(program: str, argv: list[str], output: int) -> int:
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    try:
        return os.posix_spawn(program, argv, {}, file_actions=actions)
    except PermissionError:
        if not os.access(program, os.X_OK):
            raise
    # An old filter answers EPERM to clone3, which the C library takes for the last word.
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(output, 1)
            os.execve(program, argv, {})
        finally:
            os._exit(127)
    return pid


def _end(pid: int) -> None:
    """It has closed its output, so it ends now; or it hangs, and all of its own end with it."""
    deadline = time.monotonic() + 1.0
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.001)


def _read_all(fd: int, deadline: float) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    text = b""
    while poll.poll(max(deadline - time.monotonic(), 0) * 1000):
        data = os.read(fd, 65536)
        if not data:
            return text
        text += data
    raise EngineUnavailable("the kernel's features could not be tried in time", where=PROGRAM)


def parse(text: bytes) -> dict[str, int]:
    """The lines "<name> <errno>"."""
    rows = (line.split() for line in text.decode("ascii", "replace").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}
