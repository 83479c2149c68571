"""A tree of files as a build sees it: looked at below a held descriptor, as far as it is asked for.

Nothing leaves the root: every directory is opened by its path in it (`open_in_root`), and a link is
an entry like others. What an ignore file excludes is not there, and is not walked. The depth of a
tree is the length of a list here, never one of calls.
"""

from __future__ import annotations

import _thread
import errno
import os
import stat

from fastbox import _native
from fastbox._files import Found, list_tree
from fastbox.errors import FastboxError, ResourceExhausted, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    class Ignoring(Protocol):
        """Patterns that exclude paths, with docker's rules."""

        def matches(self, path: str) -> bool:
            """Whether the path, or a directory that it is in, is excluded."""

        def may_hold(self, directory: str) -> bool:
            """Whether something below an excluded directory may be not excluded."""


MAX_ENTRIES = 2_000_000
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Tree:
    """The entries below a root, remembered once they were seen. For several threads."""

    __slots__ = ("_ignore", "_known", "_lock", "_walked", "root")

    def __init__(self, root: int, ignore: Ignoring | None = None) -> None:
        """A tree below a descriptor (O_PATH will do), which stays the caller's."""
        self.root, self._ignore = root, ignore
        self._known: dict[str, Found | None] = {}
        self._walked: dict[str, list[Found]] = {}
        self._lock = _thread.allocate_lock()

    def get(self, path: str) -> Found | None:
        """The entry of a path, links not followed; None when there is none, or it is excluded.

        Raises:
            FastboxError: The kernel said no.
        """
        if path in self._known:
            return self._known[path]
        if any(_is_below(path, walked) for walked in tuple(self._walked)):
            return None
        found = self._look(path)
        if found and path and self._ignore and self._ignore.matches(path):
            keeps = found.kind == stat.S_IFDIR and self._ignore.may_hold(path) and self.below(path)
            found = found if keeps else None
        self._known[path] = found
        return found

    def below(self, path: str, most: int = 0) -> list[Found]:
        """Everything below a directory: each directory before what is in it, names in order.

        Args:
            path: The directory.
            most: How many entries it may have; 0: as many as a build may.

        Raises:
            ResourceExhausted: More entries than a build may have.
            FastboxError: The kernel said no.
        """
        with self._lock:
            for walked, entries in self._walked.items():
                if walked == path:
                    return entries
                if _is_below(path, walked):
                    prefix = path + "/"
                    return [found for found in entries if found.path.startswith(prefix)]
            entries = _walk(self.root, path, self._ignore, most or MAX_ENTRIES)
            self._known.update([(found.path, found) for found in entries])
            self._walked[path] = entries
            return entries

    def children(self, path: str) -> list[Found]:
        """What is in a directory itself, in order; nothing when it is none.

        Raises:
            FastboxError: The kernel said no.
        """
        with self._lock:
            for walked, entries in self._walked.items():
                if walked == path or _is_below(path, walked):
                    start = len(path) + 1 if path else 0
                    prefix = path + "/" if path else ""
                    return [
                        found
                        for found in entries
                        if found.path.startswith(prefix) and "/" not in found.path[start:]
                    ]
        return [found for found in _list(self.root, path) if self.get(found.path)]

    def excluded(self, path: str) -> bool:
        """Whether there is something of that path, which only the ignore file hides."""
        return bool(self._ignore and self._ignore.matches(path) and self._look(path))

    def _look(self, path: str) -> Found | None:
        try:
            fd = _native.open_in_root(self.root, path or ".", _PLACE)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise _failure(error, path) from error
        try:
            status = os.fstat(fd)
            link = os.readlink("", dir_fd=fd) if stat.S_ISLNK(status.st_mode) else ""
        finally:
            os.close(fd)
        if stat.S_ISSOCK(status.st_mode):
            return None
        is_device = stat.S_IFMT(status.st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
        size = status.st_rdev if is_device else status.st_size
        return Found(
            path, status.st_mode, status.st_uid, status.st_gid, size,
            status.st_mtime_ns, status.st_ctime_ns, link, status.st_dev, status.st_ino,
        )  # fmt: skip


def without_empty(entries: list[Found], hidden: set[str]) -> list[Found]:
    """The entries without those directories of `hidden` that have nothing below them: an excluded
    directory is there for the sake of what is not excluded in it.
    """
    if not hidden:
        return entries
    kept: list[Found] = []
    for found in reversed(entries):
        if found.path not in hidden or (kept and kept[-1].path.startswith(found.path + "/")):
            kept.append(found)
    kept.reverse()
    return kept


def filtered(entries: Iterable[Found], prefix: str, ignore: Ignoring) -> list[Found]:
    """The entries that patterns don't exclude, which are for paths below `prefix`."""
    start = len(prefix) + 1 if prefix else 0
    kept: list[Found] = []
    hidden: set[str] = set()
    skipped = "\0"  # no path begins with it
    for found in entries:
        if found.path.startswith(skipped):
            continue
        path = found.path[start:]
        if ignore.matches(path):
            if found.kind != stat.S_IFDIR:
                continue
            if not ignore.may_hold(path):
                skipped = found.path + "/"
                continue
            hidden.add(found.path)
        kept.append(found)
    return without_empty(kept, hidden)


def _walk(root: int, start: str, ignore: Ignoring | None, most: int) -> list[Found]:
    if ignore is None:
        return _list(root, start, most, deep=True)
    entries: list[Found] = []
    hidden: set[str] = set()
    pending = _list(root, start)[::-1]
    while pending:
        found = pending.pop()
        directory = found.kind == stat.S_IFDIR
        if ignore.matches(found.path):
            if not directory or not ignore.may_hold(found.path):
                continue
            hidden.add(found.path)
        entries.append(found)
        if len(entries) > most:
            raise _too_many(most, start)
        if directory:
            below = _list(root, found.path)
            below.reverse()
            pending += below
    return without_empty(entries, hidden)


def _list(root: int, directory: str, most: int = MAX_ENTRIES, *, deep: bool = False) -> list[Found]:
    """The entries of one directory, or all below it; sockets, which nothing can copy, are none."""
    try:
        return list_tree(root, os.fsencode(directory), deep=deep, most=most)
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise _too_many(most, directory) from None
        raise _failure(error, str(getattr(error, "path", "")) or directory) from error


def _too_many(most: int, start: str) -> ResourceExhausted:
    return ResourceExhausted(
        f"more than {most} files", where=start or ".", hint="list what is not needed"
        " in .dockerignore"
    )  # fmt: skip


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(directory + "/") if directory else path != ""


def _failure(error: OSError, path: str) -> FastboxError:
    return os_error(error, "cannot read", path or ".")
