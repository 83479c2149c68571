"""A container's root for `cp`: with what is mounted in it, to be read and written, also while its
own processes do the same.

Every path of the container's is resolved below a descriptor of its root (openat2 with
RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS), also while it swaps directories and links: it can lead
us to any place of its own, never out (CVE-2018-15664, CVE-2019-14271).
"""

from __future__ import annotations

import errno
import fcntl
import os
import posixpath

from fastbox import _bytes, _native
from fastbox.containers.filesystem import FileSystem
from fastbox.errors import InvalidArgument, NotFound, PermissionDenied, StateConflict, os_error
from fastbox.store import accounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.containers import ContainerStore

_LINKS_MAX = 40
_LARGEST = (1 << 32) - 2  # id
_PATH = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Reached(FileSystem):
    """A container's files with its mounts, for a `with` block.

    Attributes:
        tree: A descriptor of its root.
    """

    __slots__ = ("_reference", "_scratch_work", "tree")

    def __init__(
        self, store: ContainerStore, run: str, reference: str, *, write: bool = False
    ) -> None:
        self._scratch_work = ""
        self._reference = reference
        super().__init__(store, run, reference)
        try:
            self.tree = self._reach(write)
        except OSError as error:
            self.close()
            raise os_error(error, "cannot reach the container's files") from error
        except BaseException:
            self.close()
            raise

    def _reach(self, write: bool) -> int:
        upper = self._overlay.get("upper")
        live = self.view.live
        if self.view.state == "restarting":  # its supervisor may mount its upper at any instant
            raise StateConflict(
                f"container {self.view.id[:12]} is about to start again",
                hint="try again, or stop it",
            )
        if not self.runs or live is None:
            return self._mounted(upper)
        if write and upper:
            # So that nobody makes a layer of it while we write, if the container ends meanwhile.
            fcntl.flock(self._open(upper), fcntl.LOCK_SH)
        return self._root_of(live.pid, live.start_time, below=True)

    def _mounted(self, upper: str | None) -> int:
        binds = [
            (mount["source"], mount["destination"], "ro" in mount.get("options", ()))
            for mount in self.bundle.get("mounts", ())
            if mount.get("type") == "bind" and os.path.exists(mount["source"])
        ]
        work = None
        if upper:
            # One of our own: that of the last mount may say that it was volatile.
            work = self._scratch_work = f"{os.path.dirname(upper)}/work-{os.urandom(4).hex()}"
            os.mkdir(work, 0o700)
        fd = _bytes.view_mounted(
            [os.fsencode(path) for path in self._overlay["lower"]],
            upper=os.fsencode(upper) if upper else None,
            work=os.fsencode(work) if work else None,
            read_only=bool(self.bundle.get("root", {}).get("readonly")),
            binds=[(os.fsencode(s), os.fsencode(t), fixed) for s, t, fixed in binds],
        )
        self._fds.append(fd)
        return self._open(f"/proc/self/fd/{fd}/.")

    def close(self) -> None:
        """Let go of everything, the mount first."""
        held, self._held = self._held, None
        super().close()
        if self._scratch_work:
            parent, _, name = self._scratch_work.rpartition("/")
            self._scratch_work = ""
            fd = os.open(parent, _DIRECTORY)
            try:
                _native.remove_tree(fd, name)
            finally:
                os.close(fd)
        if held is not None:
            held.close()

    # Paths of the container's

    def hold(self, path: str, *, follow: bool) -> int:
        """What a path leads to, held; closed with the block.

        Raises:
            NotFound: Nothing, in docker's words.
        """
        try:
            flags = _PATH if follow else _PATH | os.O_NOFOLLOW
            fd = _native.open_in_root(self.tree, path, flags)
        except OSError as error:
            raise self._failure(error, path) from error
        self._fds.append(fd)
        return fd

    def directory(self, path: str) -> int:
        """A directory that can be worked in, held; closed with the block."""
        try:
            fd = _native.open_in_root(self.tree, path, _DIRECTORY)
        except OSError as error:
            raise self._failure(error, path) from error
        self._fds.append(fd)
        return fd

    def target(self, path: str) -> tuple[str, int]:
        """Where a path leads to that may not exist, its last links followed; and what is there,
        or -1.
        """
        for _ in range(_LINKS_MAX):
            try:
                fd = _native.open_in_root(self.tree, path, _PATH | os.O_NOFOLLOW)
            except OSError as error:
                if error.errno == errno.ENOENT:
                    return path, -1
                raise self._failure(error, path) from error
            self._fds.append(fd)
            try:
                link = os.readlink("", dir_fd=fd)
            except OSError:
                return path, fd
            path = posixpath.join(posixpath.dirname(path.rstrip("/")), link)
        raise self._failure(OSError(errno.ELOOP, os.strerror(errno.ELOOP)), path)

    def user(self) -> tuple[int, int] | None:
        """The ids of the user that it was made for, and of the group; None if nobody was named.

        Raises:
            InvalidArgument: It has no such user or group.
        """
        options = self.view.record.options if self.view.record else {}
        named = str(self.bundle["fastbox"].get("user", "0"))
        if named == "0" and not options.get("user"):  # what a bundle without a user has, too
            return None
        user, _, group = named.partition(":")
        found = self._account(b"etc/passwd", user) or ["", "", user, "0"]
        gid = found[3]
        if group:
            gid = (self._account(b"etc/group", group) or ["", "", group])[2]
        return _id(found[2], user), _id(gid, group or user)

    def _account(self, path: bytes, name: str) -> list[str] | None:
        """The line of this name, or of this number."""
        found = accounts.entry(self.tree, path, name) or accounts.entry(self.tree, path, name, 2)
        return found if found and len(found) > 3 else None

    def refused(self, error: OSError, where: int) -> Exception:
        """A failure of writing below the directory `where`, in docker's words."""
        if error.errno == errno.EROFS:
            rootfs = os.fstat(where).st_dev == os.fstat(self.tree).st_dev
            what = "container rootfs" if rootfs else "mounted volume"
            return PermissionDenied(f"{what} is marked read-only")
        detail = getattr(error, "detail", "")
        if error.errno in (errno.EISDIR, errno.ENOTDIR) and detail:
            return StateConflict(detail, where=getattr(error, "path", ""))
        return os_error(error, "cannot copy", getattr(error, "path", ""))

    def _failure(self, error: OSError, path: str) -> Exception:
        if error.errno == errno.ENOENT:
            return NotFound(f"Could not find the file {path} in container {self._reference}")
        if error.errno == errno.ENOTDIR:
            return StateConflict("not a directory", where=path)
        return os_error(error, "cannot reach the container's file", path)


def _id(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _LARGEST):
        raise InvalidArgument(f'the container has no user or group "{name}"')
    return int(text)
