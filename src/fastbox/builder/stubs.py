"""What the mounts of a RUN leave in its layer, so that it can be taken out: the mount points that
weren't there, and the directories that overlayfs copied up only because one was made in them.
"""

from __future__ import annotations

import os
import posixpath
import stat
from contextlib import suppress

from fastbox import _files, _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.types import Mount

_PATH = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_OVERLAY = ("trusted.overlay.", "user.overlay.")
_GONE = (FileNotFoundError, NotADirectoryError)

# Mode, owner, group, and extended attributes.
_Attributes = tuple[int, int, int, dict[str, bytes]]


class Stubs:
    """The traces of some mounts in a layer that is about to be made."""

    __slots__ = ("_parents", "_points")

    def __init__(self, view: int, mounts: Sequence[Mount]) -> None:
        """
        Args:
            view: The files so far, open; -1: none.
            mounts: What will be mounted over them.
        """
        self._points: list[tuple[bytes, int]] = []
        self._parents: dict[str, _Attributes] = {}
        for mount in mounts:
            is_file = mount.kind == "bind" and not os.path.isdir(mount.source)
            self._add(view, mount.target, stat.S_IFREG if is_file else stat.S_IFDIR)

    def _add(self, view: int, target: str, kind: int) -> None:
        there, missing = "", [part for part in target.split("/") if part]
        while view >= 0 and missing:
            found = _resolved(view, posixpath.join(there, missing[0]))
            if found is None:
                break
            there, missing = found, missing[1:]
        if not missing:
            return  # nothing has to be made
        path = there
        for count, name in enumerate(missing, 1):
            path = posixpath.join(path, name)
            self._points.append(
                (os.fsencode(path), kind if count == len(missing) else stat.S_IFDIR)
            )
        while there:
            with suppress(*_GONE):  # a file: the start will say so
                self._parents[there] = _attributes(view, there)
            there = posixpath.dirname(there)

    def remove(self, tree: str) -> None:
        """Take them out of a layer's tree, unless something is in them."""
        if not self._points:
            return
        fd = os.open(tree, _DIRECTORY)
        try:
            _files.remove_stubs(fd, self._points)
            for path in sorted(self._parents, key=lambda path: path.count("/"), reverse=True):
                _remove_copied(fd, path, self._parents[path])
        finally:
            os.close(fd)


def _resolved(view: int, path: str) -> str | None:
    """Where a path leads to, links followed: relative to the root; None: nowhere."""
    try:
        fd = _native.open_in_root(view, path, _PATH)
    except _GONE:
        return None
    try:
        root = os.readlink(f"/proc/self/fd/{view}")
        found = os.path.relpath(os.readlink(f"/proc/self/fd/{fd}"), root)
        return "" if found == "." else found
    finally:
        os.close(fd)


def _attributes(root: int, path: str) -> _Attributes:
    fd = _native.open_in_root(root, path, _DIRECTORY)
    try:
        found = os.fstat(fd)
        names = [name for name in os.listxattr(fd) if not name.startswith(_OVERLAY)]
        xattrs = {name: os.getxattr(fd, name) for name in names}
        return found.st_mode, found.st_uid, found.st_gid, xattrs
    finally:
        os.close(fd)


def _remove_copied(root: int, path: str, below: _Attributes) -> None:
    """Remove a directory that is as it is below, with nothing in it: the command did not change it
    (that it has made something and removed it again shows in no file).
    """
    try:
        if _attributes(root, path) != below:
            return
        parent = _native.open_in_root(root, posixpath.dirname(path) or ".", _DIRECTORY)
    except _GONE:
        return
    try:
        if not _is_opaque(parent, posixpath.basename(path)):
            os.rmdir(posixpath.basename(path), dir_fd=parent)
    except OSError:
        pass  # something is in it
    finally:
        os.close(parent)


def _is_opaque(parent: int, name: str) -> bool:
    """Whether it hides what is below: the command has removed that and made it anew."""
    fd = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        return any(each.endswith(".overlay.opaque") for each in os.listxattr(fd))
    finally:
        os.close(fd)
