"""Where instructions take files from: the context, a named one, an earlier stage, an image."""

from __future__ import annotations

import os
import stat

from fastbox import _files
from fastbox.builder.placing import Digests, copy_list, digest_of_selection
from fastbox.builder.scan import Tree
from fastbox.builder.selection import follow, select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builder.build import Build
    from fastbox.builder.context import Context
    from fastbox.builder.course import Course
    from fastbox.builder.named import NamedContext
    from fastbox.builder.state import State

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Source:
    """A tree that files are taken from.

    Attributes:
        root: Its root, open.
        tree: What is in it.
        digests: Of its files.
        state: Whose files it has; None: it is a context, whose files belong to nobody.
    """

    __slots__ = ("_build", "_context", "digests", "root", "state", "tree")

    def __init__(
        self, build: Build, root: int, state: State | None, context: Context | None
    ) -> None:
        self._build, self.root, self.state, self._context = build, root, state, context
        self.tree = context.tree if context else Tree(root)
        self.digests = context.digests if context else Digests(root)

    def close(self) -> None:
        """Let go of the root."""
        if self._context is not None:
            self._context.close()
        else:
            os.close(self.root)

    def key_of_tree(self, path: str) -> str:
        """What depends on all that is at a path."""
        if self.state is not None:
            # What the files are, not what they depend on: made again, they may be others.
            return (self.state.top.wait().chain if self.state.top else "") + ":" + path
        chosen = select(self.tree, (path,), "/", is_directory=lambda _: True)
        return digest_of_selection(chosen, self.digests, owners=False)

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at a path of the tree.

        Raises:
            NotFound: There is nothing.
        """
        return follow(self.tree, path or "/").kind == stat.S_IFDIR

    def directory(self, path: str, *, writable: bool) -> str:
        """A path of the host with what is at a path of the tree: there, when nobody writes to it
        and nothing of it is hidden; else a copy, for this build.
        """
        found = follow(self.tree, path)
        if self._context is not None and not self._context.ignores and not writable:
            return os.path.join(os.readlink(f"/proc/self/fd/{self.root}"), found.path)
        home = self._build.layers.new_home()
        os.mkdir(home + "/copy", 0o755)
        target = os.open(home + "/copy", _DIRECTORY)
        try:
            chosen = select(self.tree, (path,), "/", is_directory=lambda _: True)
            owner = None if self.state is not None else (0, 0)
            _files.copy_entries(self.root, target, copy_list(chosen, self.digests, owner=owner))
        finally:
            os.close(target)
        if found.kind == stat.S_IFDIR:
            return home + "/copy"
        return home + "/copy/" + os.path.basename(found.path)


def source(build: Build, course: Course, name: str) -> Source:
    """What `--from=name` means in a stage; "" is the context.

    Raises:
        ImageNotFound: Neither a stage, nor a context, nor an image.
    """
    if not name:
        context = build.context
        assert context is not None
        return Source(build, context.root, None, context)
    named = build.named.get(name.lower())
    number = None if named is not None else build.graph.source(name)
    key = name.lower() if number is None else number
    with build.source_lock:
        known = build.sources.get(key)
        if known is None:
            known = build.sources[key] = _opened(build, course, name, named, number)
    return known


def _opened(
    build: Build, course: Course, name: str, named: NamedContext | None, number: int | None
) -> Source:
    if named is not None and named.kind not in ("image", "layout"):
        from fastbox.builder.named import open_named

        context = open_named(named, build.work, lambda: build.stop.stopped)
        if named.kind == "directory":
            context.keep_digests(build.root, anew=build.options.no_cache)
        return Source(build, context.root, None, context)
    if number is None:
        from fastbox.builder.course import image_state

        state = image_state(build, name, "")
    else:
        state = course.result(number)
    from fastbox.builder.place import open_view

    view = open_view(build, state)
    if view < 0:
        view = os.open(build.work.directory("empty"), _DIRECTORY)
    return Source(build, view, state, None)
