"""Upper directories of one chain as one, with overlayfs's marks: what a new sealed layer is made of
when the chain grows long, and what `diff` and `commit` read.

Sealed layers never change, so their files become hard links and no data is copied; of a container
that runs, files are copied (`copy`), sharing blocks where the file system can. Every name is
reached by descriptors and no link is followed.
"""

from __future__ import annotations

import errno
import os
import stat

from fastbox.errors import ResourceExhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_DEPTH = 400
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_MARKS = "trusted.overlay."
_OPAQUE = _MARKS + "opaque"


def merge(uppers: Sequence[str], target: str, *, copy: bool = False) -> None:
    """Make the empty directory `target` hold what the upper directories, topmost first, do
    together.

    Args:
        uppers: Paths of upper directories.
        target: Path of an empty directory of the same file system.
        copy: Copy files instead of linking them.

    Raises:
        ResourceExhausted: Directories nested too deep.
        OSError: The kernel said no.
    """
    opened: list[int] = []
    try:
        # One by one, so that a failure closes those before it.
        opened.extend(os.open(path, _DIRECTORY) for path in (target, *uppers))
        _Merger(opened[0], copy).directory(opened[1:], opened[0], "", 0)
    finally:
        for fd in opened:
            os.close(fd)


def take_attributes(source: int, target: int) -> None:
    """Owner, mode, extended attributes and times of a directory, but for overlayfs's own marks."""
    there = os.fstat(source)
    os.fchown(target, there.st_uid, there.st_gid)
    os.fchmod(target, stat.S_IMODE(there.st_mode))
    _take_xattrs(f"/proc/self/fd/{source}", f"/proc/self/fd/{target}", True, marks=False)
    os.utime(target, ns=(there.st_atime_ns, there.st_mtime_ns))


class _Merger:
    __slots__ = ("_copy", "_links", "_root")

    def __init__(self, root: int, copy: bool) -> None:
        self._root, self._copy = root, copy
        self._links: dict[tuple[int, int], str] = {}  # of what is copied: its first name

    def directory(self, sources: Sequence[int], target: int, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ResourceExhausted(f"directories nested more than {MAX_DEPTH} deep")
        opaque = next((at for at, source in enumerate(sources) if _is_opaque(source)), None)
        if opaque is not None:
            sources = sources[: opaque + 1]
            os.setxattr(target, _OPAQUE, b"y")
        seen: set[str] = set()
        for at, source in enumerate(sources):
            for name in os.listdir(source):
                if name not in seen:
                    seen.add(name)
                    self._entry(sources[at:], target, path + name, depth)
        # Last: what is made in it changes its time.
        take_attributes(sources[0], target)

    def _entry(self, sources: Sequence[int], target: int, path: str, depth: int) -> None:
        name = path.rpartition("/")[2]
        there = _stat(name, sources[0])
        if there is None:  # of one that runs: removed meanwhile
            return
        if not stat.S_ISDIR(there.st_mode):
            self._leaf(sources[0], target, path, there)
            return
        opened: list[int] = []
        try:
            hidden = _open_each(opened, sources, name)
            if not opened:
                return
            os.mkdir(name, 0o700, dir_fd=target)
            opened.append(os.open(name, _DIRECTORY, dir_fd=target))
            self.directory(opened[:-1], opened[-1], path + "/", depth + 1)
            if hidden:
                os.setxattr(opened[-1], _OPAQUE, b"y")
        finally:
            for fd in opened:
                os.close(fd)

    def _leaf(self, source: int, target: int, path: str, there: os.stat_result) -> None:
        name = path.rpartition("/")[2]
        if not self._copy:
            try:
                os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
                return
            except OSError as error:
                if error.errno != errno.EMLINK:
                    raise
        key = (there.st_dev, there.st_ino)
        if key in self._links:
            os.link(
                self._links[key], name, src_dir_fd=self._root, dst_dir_fd=target,
                follow_symlinks=False,
            )  # fmt: skip
        elif _copy_leaf(source, target, name, there) and there.st_nlink > 1:
            self._links[key] = path


def _open_each(opened: list[int], sources: Sequence[int], name: str) -> bool:
    """Open the directories of that name; whether one of another kind ends them."""
    for source in sources:
        there = _stat(name, source)
        if there is None:
            continue
        if not stat.S_ISDIR(there.st_mode):
            return True
        try:
            opened.append(os.open(name, _DIRECTORY, dir_fd=source))
        except (FileNotFoundError, NotADirectoryError):  # of one that runs
            return False
    return False


def _copy_leaf(source: int, target: int, name: str, there: os.stat_result) -> bool:
    """Copy what is no directory; whether it still was what it had been."""
    kind = stat.S_IFMT(there.st_mode)
    if kind == stat.S_IFSOCK:
        return False
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
    elif kind != stat.S_IFREG:
        os.mknod(name, stat.S_IFMT(there.st_mode) | 0o600, there.st_rdev, dir_fd=target)
    elif not _copy_file(source, target, name):
        return False
    os.chown(name, there.st_uid, there.st_gid, dir_fd=target, follow_symlinks=False)
    if kind != stat.S_IFLNK:
        os.chmod(name, stat.S_IMODE(there.st_mode), dir_fd=target)
    _take_xattrs(
        f"/proc/self/fd/{source}/{name}", f"/proc/self/fd/{target}/{name}", False, marks=True
    )
    times = (there.st_atime_ns, there.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)
    return True


def _copy_file(source: int, target: int, name: str) -> bool:
    from fastbox import _bytes

    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        origin = os.open(name, os.O_RDONLY | flags, dir_fd=source)
    except (FileNotFoundError, OSError) as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return False
        raise
    try:
        if not stat.S_ISREG(os.fstat(origin).st_mode):
            return False
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
        try:
            _bytes.copy_data(origin, made)
        finally:
            os.close(made)
    finally:
        os.close(origin)
    return True


def _stat(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, _OPAQUE) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise


def _take_xattrs(source: str, target: str, follow: bool, *, marks: bool) -> None:
    """`marks`: overlayfs's too, but for those that tell of a file where it lies."""
    for name, value in _xattrs(source, follow):
        if name.startswith(_MARKS) and not (marks and name == _MARKS + "whiteout"):
            continue
        os.setxattr(target, name, value, follow_symlinks=follow)


def _xattrs(path: str, follow: bool) -> Iterator[tuple[str, bytes]]:
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return
        raise
    for name in names:
        try:
            yield name, os.getxattr(path, name, follow_symlinks=follow)
        except OSError as error:
            if error.errno != errno.ENODATA:  # a new layer loses overlayfs's marks meanwhile
                raise
