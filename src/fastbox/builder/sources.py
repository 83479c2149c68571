"""Where instructions take files from: the context, a named one, an earlier stage, an image."""

from __future__ import annotations

import os
import stat

from fastbox import _files
from fastbox.builder.place import open_view
from fastbox.builder.placing import Digests, copy_list, digest_of_selection
from fastbox.builder.scan import Tree
from fastbox.builder.selection import follow, select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.builder.state import State

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Source:
    """A tree that files are taken from. Its build closes it.

    Attributes:
        root: Its root, open.
        tree: What is in it.
        digests: Of its files.
        state: Whose files it has; None: it is a context, whose files belong to nobody.
    """

    __slots__ = ("_build", "_ignores", "digests", "root", "state", "tree")

    def __init__(
        self,
        build: Build,
        root: int,
        tree: Tree,
        digests: Digests,
        state: State | None,
        ignores: bool,
    ) -> None:
        self._build, self.root, self.tree, self.digests = build, root, tree, digests
        self.state, self._ignores = state, ignores

    def key_of_tree(self, path: str) -> str:
        """What depends on all that is at a path."""
        if self.state is not None:
            return self.state.key + ":" + path
        chosen = select(self.tree, (path,), "/", is_directory=lambda _: True)
        return digest_of_selection(chosen, self.digests, owners=False)

    def directory(self, path: str, *, writable: bool) -> str:
        """A path of the host with what is at a path of the tree: there, when nobody writes to it
        and nothing of it is hidden; else a copy, for this build.
        """
        found = follow(self.tree, path)
        if self.state is None and not self._ignores and not writable:
            return os.path.join(os.readlink(f"/proc/self/fd/{self.root}"), found.path)
        home = self._build.layers.new_home()
        os.mkdir(home + "/copy", 0o755)
        target = os.open(home + "/copy", _DIRECTORY)
        try:
            chosen = select(self.tree, (path,), "/", is_directory=lambda _: True)
            owner = None if self.state is not None else (0, 0)
            _files.copy_entries(
                self.root, target, copy_list(chosen, self.digests, owner=owner)
            )
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
        return _of_context(build, build.context)
    named = build.named.get(name.lower())
    if named is not None and named.context is not None:
        return _of_context(build, named.context)
    number = None if named is not None else build.graph.source(name, course.number)
    with build.source_lock:
        known = build.sources.get(name if number is None else number)
        if known is None:
            state = course.result(number) if number is not None else _image(build, name)
            view = open_view(build, state)
            if view < 0:
                view = os.open(build.work.directory("empty"), _DIRECTORY)
            known = Source(build, view, Tree(view), Digests(view), state, False)
            build.sources[name if number is None else number] = known
    return known


def _image(build: Build, name: str) -> State:
    from fastbox.builder.course import image_state

    return image_state(build, name, "")


def _of_context(build: Build, context: object) -> Source:
    return Source(
        build, context.root, context.tree, context.digests, None, context.ignores  # type: ignore
    )
