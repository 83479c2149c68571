"""What builds keep for the next ones: steps/<key hex>/record.json says what came of a step, and
mounts/<name>/ is the directory of a cache mount.

A step's directory is its lock, too: whoever makes the step holds it, so two builds that need the
same step make it once. A directory without a record that nobody locks is garbage. Records are
written when their layers are durable, but are not synced themselves: one that a crash has damaged
counts as absent.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time

from fastbox import _native
from fastbox.errors import FastboxError, os_error
from fastbox.store.content import is_hex64
from fastbox.store.root import read_record, write_record
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Self

    from fastbox.store.root import Root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_TRIES = 100  # against others that forget the step as often


class Step(Record):
    """What came of a step, or (`same`) the key under which that is known."""

    chain: str = ""  # of its layer; "" when it changed nothing
    parent: str = ""  # the chain id that it was made over; "" for none
    diff_id: str = ""
    digest: str = ""  # of the packed layer
    size: int = 0  # bytes of the files in it
    packed_size: int = 0
    media_type: str = ""  # of the packed layer; "" for a tar packed by gzip
    created: str = ""  # RFC 3339
    name: str = ""  # the instruction, for people
    same: str = ""


class Claim:
    """The right to make a step, for a `with` block; it ends with this process."""

    __slots__ = ("_fd", "directory")

    def __init__(self, directory: str, fd: int) -> None:
        self.directory, self._fd = directory, fd

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give it up; of a step that failed nothing is left."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        try:
            os.rmdir(self.directory)
        except OSError:  # it is known
            pass
        finally:
            os.close(fd)


class BuildCache:
    """The steps and cache mounts of one store."""

    __slots__ = ("_mounts", "_steps")

    def __init__(self, root: Root) -> None:
        self._steps, self._mounts = root.path("build", "steps"), root.path("build", "mounts")

    def get(self, key: str) -> Step | None:
        """What is known of a step; None when it is absent, or damaged and so as good as absent."""
        try:
            record: dict[str, Any] | None = read_record(f"{self._steps}/{key}/record.json")
            if record is None:
                return None
            record.pop("schema")
            return Step(**record)
        except (ValueError, TypeError, NotADirectoryError):
            return None

    def put(self, key: str, step: Step) -> None:
        """Remember what came of a step.

        Raises:
            FastboxError: The kernel said no.
        """
        kept = {name: value for name, value in step.as_dict().items() if value}
        for _ in range(_TRIES):
            directory = self._directory(key)
            try:
                write_record(directory + "/record.json", kept)
                return
            except FastboxError as error:  # pruned just now
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
                last = error
        raise last

    def touch(self, key: str) -> None:
        """It was used now."""
        try:
            os.utime(f"{self._steps}/{key}/record.json")
        except FileNotFoundError:
            pass

    def used(self, key: str) -> float:
        """When it was used last: seconds since 1970, 0 when it is gone."""
        try:
            return os.stat(f"{self._steps}/{key}/record.json").st_mtime
        except FileNotFoundError:
            return 0.0

    def _directory(self, key: str) -> str:
        assert is_hex64(key)
        directory = f"{self._steps}/{key}"
        try:
            _make(directory, 0o700)
        except OSError as error:
            raise os_error(error, "cannot write the build cache", directory) from error
        return directory

    def try_claim(self, key: str) -> Claim | None:
        """The right to make a step; None while somebody else makes it."""
        while True:
            directory = self._directory(key)
            try:
                fd = os.open(directory, _DIRECTORY)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(directory)):
                    return Claim(directory, fd)
            except BlockingIOError:
                os.close(fd)
                return None
            except FileNotFoundError:  # pruned meanwhile
                pass
            os.close(fd)

    def keys(self) -> list[str]:
        """Every step that has a directory."""
        try:
            return [name for name in os.listdir(self._steps) if is_hex64(name)]
        except FileNotFoundError:
            return []

    def steps(self) -> Iterator[tuple[str, Step]]:
        """Every step that is known."""
        for key in self.keys():
            step = self.get(key)
            if step is not None:
                yield key, step

    def drop(self, key: str) -> bool:
        """Forget a step, unless somebody is making it."""
        claim = self.try_claim(key)
        if claim is None:
            return False
        with claim:
            try:
                for name in os.listdir(claim.directory):
                    os.unlink(f"{claim.directory}/{name}")
                os.rmdir(claim.directory)
            except FileNotFoundError:  # what was there was put in place
                return False
            except OSError as error:
                if error.errno == errno.ENOTEMPTY:  # somebody has just remembered it
                    return False
                raise os_error(error, "cannot forget a step", claim.directory) from error
        return True

    def tidy(self, is_usable: Callable[[Step], bool] = lambda _: True) -> None:
        """Forget steps that were never finished, that can't be read or used, and other names of
        steps that are not known.
        """
        for key in self.keys():
            step = self.get(key)
            known = self.get(step.same) if step is not None and step.same else step
            if step is None or known is None or not is_usable(known):
                self.drop(key)

    # Cache mounts

    def mount(self, name: str) -> str:
        """The directory of a cache mount (a hex digest), made when missing."""
        assert is_hex64(name)
        path = f"{self._mounts}/{name}/data"
        try:
            _make(path, 0o755)
            os.utime(f"{self._mounts}/{name}")
        except FileNotFoundError:  # pruned just now: whoever needs it holds it
            pass
        except OSError as error:
            raise os_error(error, "cannot make the cache mount", path) from error
        return path

    def mounts(self) -> list[str]:
        """The names of all cache mounts."""
        try:
            return [name for name in os.listdir(self._mounts) if is_hex64(name)]
        except FileNotFoundError:
            return []

    def hold_mount(self, name: str, *, alone: bool, wait: float | None = None) -> int:
        """A descriptor, to be closed, that keeps others away: those who want it alone, or all.

        Args:
            name: Of the cache mount, made when it is missing.
            alone: Nobody else has it.
            wait: Seconds until -1 is returned; None: for ever.
        """
        deadline = None if wait is None else time.monotonic() + wait
        while True:
            self.mount(name)
            fd = self._locked_mount(name, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            if fd >= 0:
                return fd
            if deadline is not None and time.monotonic() >= deadline:
                return -1
            time.sleep(0.005)

    def _locked_mount(self, name: str, kind: int) -> int:
        """A descriptor with a lock on a cache mount; -1: it is locked, or gone."""
        path = f"{self._mounts}/{name}"
        try:
            fd = os.open(path, _DIRECTORY)
        except FileNotFoundError:
            return -1
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(fd)
        return -1

    def mount_used(self, name: str) -> float:
        """When a cache mount was used last: seconds since 1970."""
        return os.stat(f"{self._mounts}/{name}").st_mtime

    def drop_mount(self, name: str) -> bool:
        """Delete a cache mount, unless a step has it."""
        fd = self._locked_mount(name, fcntl.LOCK_EX)
        if fd < 0:
            return False
        try:
            parent = os.open(self._mounts, _DIRECTORY)
            try:
                _native.remove_tree(parent, name)
            finally:
                os.close(parent)
        finally:
            os.close(fd)
        return True


def _make(directory: str, mode: int) -> None:
    """Make a directory with those above it, however often others remove it meanwhile."""
    for tries in range(_TRIES):
        try:
            os.makedirs(directory, mode=mode, exist_ok=True)
            return
        except (FileExistsError, FileNotFoundError):  # it was there, and is gone
            if tries == _TRIES - 1:
                raise
