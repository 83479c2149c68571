"""A layer's new tree, over the files so far: where a path leads to in them, and the directories on
the way to it, which the tree needs as they are below.

Nothing is mounted writable: what the layer shows is written into its own directory, so that data
can be shared with its source where the file system can.
"""

from __future__ import annotations

import os
import stat

from fastbox import _bytes, _native
from fastbox.errors import Conflict, InvalidArgument, os_error
from fastbox.store.merge import take_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fastbox.builder.build import Build
    from fastbox.builder.state import State

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_PATH = os.O_PATH | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel's


def open_view(build: Build, state: State) -> int:
    """A descriptor of all files of a state, read-only; -1 when there are none. The caller closes
    it.

    Raises:
        OSError: The kernel said no.
    """
    with build.layers.still():
        trees = build.layers.trees(state.top)
        if not trees:
            return -1
        if len(trees) == 1:
            return os.open(trees[0], _DIRECTORY)
        return _bytes.view_layers([os.fsencode(tree) for tree in trees])


class Place:
    """The tree of one new layer, for a `with` block.

    Attributes:
        tree: It, open.
        changed: Whether there is anything in it.
        view: The files so far, open; -1: none.
    """

    __slots__ = ("_home", "changed", "tree", "view")

    def __init__(self, build: Build, state: State | None, home: str) -> None:
        """`state` None: nothing below counts."""
        self._home, self.changed = home, False
        try:
            os.mkdir(home + "/tree", 0o755)
            os.chmod(home + "/tree", 0o755)
            self.tree = os.open(home + "/tree", _DIRECTORY)
            self.view = open_view(build, state) if state is not None else -1
        except OSError as error:
            raise os_error(error, "cannot make a layer", home) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self.tree, self.view):
            if fd >= 0:
                os.close(fd)

    def resolve(self, path: str) -> str:
        """Where an absolute path leads to, without links: relative to the root, "" for itself.

        What is missing is taken as written; a link that leads nowhere is followed, too.

        Raises:
            InvalidArgument: Links in a circle, or a file where a directory has to be.
        """
        waiting = _parts(path)[::-1]
        found: list[str] = []
        links = 0
        while waiting:
            name = waiting.pop()
            if name == "..":
                if found:
                    found.pop()
                continue
            here = "/".join([*found, name])
            target = self._link(here)
            if target is None:
                found.append(name)
                continue
            links += 1
            if links > _MOST_LINKS:
                raise InvalidArgument("too many links", where=path)
            if target.startswith("/"):
                found = []
            waiting.extend(_parts(target)[::-1])
        return "/".join(found)

    def _link(self, path: str) -> str | None:
        """The target of what is a link; None when it is something else, or nothing."""
        mode = self.mode(path)
        if mode is None or not stat.S_ISLNK(mode):
            return None
        fd = self._held(path)
        try:
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)

    def mode(self, path: str) -> int | None:
        """The st_mode of what is there so far, in this tree or below; None for nothing."""
        try:
            fd = self._held(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.fstat(fd).st_mode
        finally:
            os.close(fd)

    def _held(self, path: str) -> int:
        """By O_PATH; the last part is not followed. The tree's own come first."""
        name = path or "."
        try:
            return _native.open_in_root(self.tree, name, _PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            if self.view < 0:
                raise
            return _native.open_in_root(self.view, name, _PATH | os.O_NOFOLLOW)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory, links followed."""
        mode = self.mode(self.resolve(path))
        return mode is not None and stat.S_ISDIR(mode)

    def directory(self, path: str, uid: int = 0, gid: int = 0, *, bring: bool = False) -> str:
        """Make sure that there is a directory; its path without links.

        Args:
            path: Absolute, or relative to the root.
            uid: The owner of those that are made.
            gid: Their group.
            bring: The tree has it, too, when it is there below: something is to be put into it.

        Raises:
            Conflict: Something else is there.
            FastboxError: The kernel said no.
        """
        place = self.resolve(path)
        mode = self.mode(place)
        if mode is not None and not stat.S_ISDIR(mode):
            raise Conflict("not a directory", where="/" + place)
        if mode is None or bring:
            self._make(place, uid, gid)
        return place

    def _make(self, path: str, uid: int, gid: int) -> None:
        fd = os.dup(self.tree)
        try:
            done = ""
            for name in _parts(path):
                done = f"{done}/{name}" if done else name
                try:
                    below = os.open(name, _DIRECTORY, dir_fd=fd)
                except FileNotFoundError:
                    below = self._new(fd, name, done, uid, gid)
                os.close(fd)
                fd = below
        except OSError as error:
            raise os_error(error, "cannot make the directory", "/" + path) from error
        finally:
            os.close(fd)

    def _new(self, directory: int, name: str, path: str, uid: int, gid: int) -> int:
        source, before = self._below(path), os.fstat(directory)
        os.mkdir(name, 0o755, dir_fd=directory)
        fd = os.open(name, _DIRECTORY, dir_fd=directory)
        try:
            if source < 0:
                self.changed = True
                os.fchmod(fd, 0o755)
                os.fchown(fd, uid, gid)
            else:
                take_attributes(source, fd)
                # Nothing new in the directory above, as far as the image is concerned.
                os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
        except BaseException:
            os.close(fd)
            raise
        finally:
            if source >= 0:
                os.close(source)
        return fd

    def _below(self, path: str) -> int:
        if self.view < 0:
            return -1
        try:
            return _native.open_in_root(self.view, path, _DIRECTORY)
        except FileNotFoundError:
            return -1
        except NotADirectoryError:
            raise Conflict("not a directory", where="/" + path) from None


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
