"""What a container changed of its image's files: its upper directory compared with the layers below
it, in the terms of `docker diff`.

Docker compares two whole trees; only what is in the upper can differ, so only that is looked at. A
file differs in type, mode, owner, size, time or capability; a directory in mode or owner, and it
counts as changed when something in it did. Every name is reached by descriptors, and no link is
followed: the container may rename under our eyes.
"""

from __future__ import annotations

import errno
import os
import stat

from fastbox.errors import ResourceExhausted
from fastbox.types import Change

MAX_DEPTH = 400  # directories; two descriptors each
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_ABSENT = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT, errno.EACCES)


def compare(upper: int, lower: int) -> tuple[Change, ...]:
    """The differences, each directory before what is in it, names in bytewise order.

    Args:
        upper: Descriptor of an overlay's upper directory.
        lower: Descriptor of what lies below it.

    Raises:
        ResourceExhausted: Directories nested too deep.
        OSError: The kernel said no.
    """
    found: list[Change] = []
    levels = [_Level(os.dup(upper), os.dup(lower), "", listed=True)]
    try:
        while levels:
            _step(found, levels)
    finally:
        for level in levels:
            level.close()
    return tuple(found)


class _Level:
    """One directory under way; `lower` is -1 where the layers below have none."""

    __slots__ = ("at", "listed", "lower", "names", "path", "upper")

    def __init__(
        self, upper: int, lower: int, path: str, *, at: int = 0, listed: bool = False
    ) -> None:
        self.upper, self.lower, self.path = upper, lower, path
        self.at, self.listed = at, listed  # where in the list it is, or would be
        names = set(os.listdir(upper))
        if lower >= 0 and _mark(f"/proc/self/fd/{upper}", "opaque") == b"y":
            names.update(os.listdir(lower))
        self.names = iter(sorted(names, key=os.fsencode))

    def close(self) -> None:
        os.close(self.upper)
        if self.lower >= 0:
            os.close(self.lower)


def _step(found: list[Change], levels: list[_Level]) -> None:
    """The next name of the innermost directory, or its end."""
    level = levels[-1]
    name = next(level.names, None)
    if name is None:
        levels.pop().close()
        if not level.listed and len(found) > level.at:
            found.insert(level.at, Change(kind="C", path=level.path))
        return
    inner = _compare_entry(found, level, name)
    if inner is None:
        return
    levels.append(inner)
    if len(levels) > MAX_DEPTH:
        raise ResourceExhausted(
            f"directories nested more than {MAX_DEPTH} deep", where=level.path[:200]
        )


def _compare_entry(found: list[Change], level: _Level, name: str) -> _Level | None:
    """One name; a directory to look into, if it is one."""
    upper, lower, path = level.upper, level.lower, f"{level.path}/{name}"
    below = None if lower < 0 else _stat(name, lower)
    now = _stat(name, upper)
    if now is None or _is_whiteout(now, upper, name):
        if below is not None:
            found.append(Change(kind="D", path=path))
        return None
    at = len(found)
    if below is None:
        found.append(Change(kind="A", path=path))
    elif _differs(now, below) or _capability(upper, name) != _capability(lower, name):
        found.append(Change(kind="C", path=path))
    if not stat.S_ISDIR(now.st_mode):
        return None
    both = below is not None and stat.S_ISDIR(below.st_mode)
    return _descend(level, name, both=both, at=at, listed=len(found) > at)


def _descend(level: _Level, name: str, *, both: bool, at: int, listed: bool) -> _Level | None:
    try:
        inner = os.open(name, _DIRECTORY, dir_fd=level.upper)
    except (FileNotFoundError, NotADirectoryError):  # changed since we looked
        return None
    below = -1
    try:
        if both:
            below = os.open(name, _DIRECTORY, dir_fd=level.lower)
        return _Level(inner, below, f"{level.path}/{name}", at=at, listed=listed)
    except BaseException:
        os.close(inner)
        if below >= 0:
            os.close(below)
        raise


def _stat(name: str, directory: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _mark(path: str, attribute: str) -> bytes | None:
    return _attribute(path, "trusted.overlay." + attribute, follow=True)


def _attribute(path: str, name: str, *, follow: bool) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=follow)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise


def _is_whiteout(there: os.stat_result, directory: int, name: str) -> bool:
    if stat.S_ISCHR(there.st_mode):
        return there.st_rdev == 0
    if there.st_size or not stat.S_ISREG(there.st_mode):
        return False
    path = f"/proc/self/fd/{directory}/{name}"
    return _attribute(path, "trusted.overlay.whiteout", follow=False) is not None


def _capability(directory: int, name: str) -> bytes | None:
    return _attribute(f"/proc/self/fd/{directory}/{name}", "security.capability", follow=False)


def _differs(one: os.stat_result, other: os.stat_result) -> bool:
    if (one.st_mode, one.st_uid, one.st_gid) != (other.st_mode, other.st_uid, other.st_gid):
        return True
    if stat.S_ISDIR(one.st_mode):
        return False
    if one.st_rdev != other.st_rdev or one.st_size != other.st_size:
        return True
    return not _same_time(one.st_mtime_ns, other.st_mtime_ns)


def _same_time(one: int, other: int) -> bool:
    """A time without a fraction came from an archive that had none."""
    billion = 1_000_000_000
    if one == other:
        return True
    whole = one % billion == 0 or other % billion == 0
    return whole and one // billion == other // billion
