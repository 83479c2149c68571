"""Who is at work in the store: locks that die with their holder, and what the dead have left
behind.

A `Work` is a directory below tmp/ on which its maker holds a flock; whatever in tmp/ nobody locks
is garbage. A `Hold` keeps the sweeper away while content is there that no reference names yet.
Locks are taken on directories, never on files that are replaced.
"""

from __future__ import annotations

import fcntl
import os
import time

from fastbox import _native
from fastbox.errors import os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from fastbox.store.root import Root

_ANY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Lock:
    """A flock on a directory, for a `with` block; free when this process ends, however it ends."""

    __slots__ = ("_fd",)

    def __init__(self, path: str, *, shared: bool = False) -> None:
        self._fd = os.open(path, _DIRECTORY)
        fcntl.flock(self._fd, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._fd)


def hold(root: Root) -> Lock:
    """Keep the sweeper away: for whoever adds content first and its reference last."""
    return Lock(root.path("blobs"), shared=True)


def try_sweep_lock(root: Root) -> int:
    """The sweeper's own lock: a descriptor to close, or -1 when somebody is adding content.

    Another sweeper is waited for: it may have looked before the caller made its garbage.
    """
    fd = os.open(root.path("blobs"), _DIRECTORY)
    while not _try_lock(fd, fcntl.LOCK_EX):
        if _try_lock(fd, fcntl.LOCK_SH):
            if _try_lock(fd, fcntl.LOCK_EX):  # the other sweeper was done just now
                return fd
            os.close(fd)
            return -1
        time.sleep(0.002)
    return fd


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Work:
    """A private directory below tmp/, locked while in use, removed with all in it at block's end.

    Attributes:
        fd: The directory, open and locked.
        path: Its absolute path.
    """

    __slots__ = ("_name", "_tmp", "fd", "path")

    def __init__(self, root: Root) -> None:
        self._tmp = root.path("tmp")
        try:
            self._name, self.fd = locked_directory(self._tmp)
        except OSError as error:
            raise os_error(error, "cannot make a work directory", self._tmp) from error
        self.path = os.path.join(self._tmp, self._name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            remove(self._tmp, self._name)
        finally:
            os.close(self.fd)

    def directory(self, name: str) -> str:
        """The path of a directory within, made when missing."""
        path = os.path.join(self.path, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path


def locked_directory(tmp: str) -> tuple[str, int]:
    """Make and lock a directory: its name, and a descriptor that holds the lock. Whoever removes
    what nobody locks may take it in between, so look again under the lock.
    """
    for _ in range(16):
        name = os.urandom(8).hex()
        path = os.path.join(tmp, name)
        os.mkdir(path, 0o700)
        try:
            fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            there = os.stat(path, follow_symlinks=False)
        except FileNotFoundError:
            os.close(fd)
            continue
        if there.st_ino == os.fstat(fd).st_ino:
            return name, fd
        os.close(fd)
    raise OSError(11, "work directories vanish as they are made")


def dead_work(root: Root) -> Iterator[tuple[str, int]]:
    """The directories in tmp/ whose makers are gone: path, and a descriptor that holds the lock,
    which the caller closes.
    """
    tmp = root.path("tmp")
    for name in os.listdir(tmp):
        path = os.path.join(tmp, name)
        try:
            fd = os.open(path, _DIRECTORY)
        except OSError:  # gone, or no directory
            continue
        if _try_lock(fd, fcntl.LOCK_EX):
            yield path, fd
        else:
            os.close(fd)


def any_dead(root: Root) -> bool:
    """Whether processes that are gone have left anything in tmp/."""
    for _, fd in dead_work(root):
        os.close(fd)
        return True
    return False


def heal(directory: str) -> None:
    """Remove what processes that are gone have left in a directory of locked ones.

    Raises:
        FastboxError: The kernel said no.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in names:
        try:
            fd = os.open(os.path.join(directory, name), _ANY)
        except FileNotFoundError:
            continue
        except OSError:  # a link or a socket: nobody can hold a lock on it
            remove(directory, name)
            continue
        if _try_lock(fd, fcntl.LOCK_EX):
            try:
                remove(directory, name)
            finally:
                os.close(fd)
        else:
            os.close(fd)


def remove(directory: str, name: str) -> None:
    """Remove one of them, with all in it; one that is gone already is as good.

    Raises:
        FastboxError: The kernel said no.
    """
    fd = os.open(directory, _DIRECTORY)
    try:
        _native.remove_tree(fd, name)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise os_error(error, "cannot remove", os.path.join(directory, name)) from error
    finally:
        os.close(fd)
