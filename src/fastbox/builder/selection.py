"""What COPY and ADD take from a tree, and where it lands, by docker's rules.

A source that is a directory gives its content; a file keeps its name in a target that is a
directory. Links on the way to a source, and the source itself when it is one, are followed within
the root; links below a directory are copied as links. Nothing here reads a file.
"""

from __future__ import annotations

import posixpath
import stat

from fastbox.builder.scan import filtered, without_empty
from fastbox.errors import Conflict, InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox._files import Found
    from fastbox.builder.scan import Ignoring, Tree
    from fastbox.dockerfile.ignore import Ignore

_MAX_LINKS = 40
_MAX_NAMES = 200  # those that a missing one is compared with


class Selection:
    """What goes where.

    Attributes:
        entries: (source, target, what is at the source), both paths relative to their roots;
            each target once, directories before what is in them.
        directories: Directories of the target that are made when they are missing, each with those
            above it, before anything is copied; "" is the root.
    """

    __slots__ = ("directories", "entries")

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, Found]] = []
        self.directories: list[str] = []


def target_path(workdir: str, target: str) -> str:
    """The absolute path of an instruction's target, with a slash at its end when it says that it
    is a directory.
    """
    path = posixpath.normpath("/" + posixpath.join("/" + workdir, target or "."))
    path = "/" + path.lstrip("/")
    slash = target in ("", ".", "..") or target.endswith(("/", "/.", "/.."))
    return path + "/" if slash and path != "/" else path


def select(
    tree: Tree,
    sources: Sequence[str],
    target: str,
    *,
    is_directory: Callable[[str], bool],
    exclude: Sequence[str] = (),
    parents: bool = False,
) -> Selection:
    """The entries that an instruction copies.

    Args:
        tree: What it copies from.
        sources: Paths and patterns, as written.
        target: An absolute path, as `target_path` makes it.
        is_directory: Whether a path without slashes around it is a directory of the target
            already; asked once at most.
        exclude: Patterns of `--exclude`, for paths below a source.
        parents: Whether the directories that lead to a source come along.

    Raises:
        NotFound: A source does not exist, or is excluded.
        InvalidArgument: A pattern is malformed; several sources with a file as their target.
        Conflict: One source has a directory where another has none.
        FastboxError: The kernel said no.
    """
    excluded = _patterns(exclude) if exclude else None
    picking = _Picking(tree, _Target(target, is_directory), excluded)
    for source in sources:
        if parents:
            picking.add_with_parents(source)
        else:
            picking.add(source)
    if len(sources) > 1 or any(has_wildcard(source) for source in sources):
        picking.selection.entries = _settled(picking.selection.entries)
    return picking.selection


def follow(tree: Tree, path: str) -> Found:
    """What a path leads to, through any links, which never lead out of the tree.

    Raises:
        NotFound: Nothing.
        InvalidArgument: Links in a circle.
    """
    at, links = "", 0
    rest = path.split("/")[::-1]
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = posixpath.dirname(at)
            continue
        here = f"{at}/{name}" if at else name
        found = tree.get(here)
        if found is None or (any(rest) and found.kind not in (stat.S_IFDIR, stat.S_IFLNK)):
            raise _missing(tree, path, here)
        if found.kind == stat.S_IFLNK:
            links += 1
            if links > _MAX_LINKS:
                raise InvalidArgument("too many links", where=f"/{path}")
            at = "" if found.link.startswith("/") else at
            rest += found.link.split("/")[::-1]
        else:
            at = here
    found = tree.get(at)
    if found is None:
        raise _missing(tree, path, at)
    return found


class _Target:
    """Where files land: it becomes a directory when the instruction makes it one."""

    __slots__ = ("_ask", "_directory", "_taken", "path")

    def __init__(self, path: str, is_directory: Callable[[str], bool]) -> None:
        self.path = path.strip("/")
        self._directory = True if path.endswith("/") else None
        self._ask = is_directory
        self._taken = False

    def take_directory(self) -> str:
        """Where the content of a directory goes."""
        self._refuse_second()
        self._directory = True
        return self.path

    def take_file(self, name: str) -> str:
        """Where a file of that name goes."""
        self._refuse_second()
        if self._directory is None:
            self._directory = self._ask(self.path)
        if self._directory:
            return f"{self.path}/{name}" if self.path else name
        self._taken = True
        return self.path

    def _refuse_second(self) -> None:
        if self._taken:
            raise InvalidArgument(
                "when using COPY or ADD with more than one source file, the destination must be a"
                " directory and end with a /",
                where=f"/{self.path}",
                hint=f'write "/{self.path}/"',
            )


class _Picking:
    __slots__ = ("_exclude", "_made", "_target", "_tree", "selection")

    def __init__(self, tree: Tree, target: _Target, exclude: Ignoring | None) -> None:
        self._tree, self._target, self._exclude = tree, target, exclude
        self._made: set[str] = set()
        self.selection = Selection()

    def add(self, source: str) -> None:
        for path, by_pattern in resolve(self._tree, _clean(source)):
            found = follow(self._tree, path)
            name = posixpath.basename(path)
            if found.kind == stat.S_IFDIR:
                self._add_content(found.path, self._tree.below(found.path))
            # Docker's reference says that files which match a source's pattern are excluded too.
            elif not (by_pattern and self._exclude and self._exclude.matches(name)):
                where = self._target.take_file(name)
                self._make(posixpath.dirname(where))
                self.selection.entries.append((found.path, where, found))

    def add_with_parents(self, source: str) -> None:
        before, pivot, after = source.partition("/./")
        start, pattern = (_clean(before), _clean(after)) if pivot else ("", _clean(source))
        self._make(self._target.take_directory())
        some = False
        for path, _ in resolve(self._tree, start):
            root = follow(self._tree, path)
            entries = _matching(self._tree, root.path, pattern)
            some = some or bool(entries)
            self._add_content(root.path, entries)
        if not some and pattern and not has_wildcard(start) and not has_wildcard(pattern):
            path = posixpath.join(start, pattern)
            raise _missing(self._tree, path, path)

    def _add_content(self, root: str, entries: list[Found]) -> None:
        where = self._target.take_directory()
        self._make(where)
        if self._exclude:
            entries = filtered(entries, root, self._exclude)
        start = len(root) + 1 if root else 0
        prefix = where + "/" if where else ""
        self.selection.entries += [
            (found.path, prefix + found.path[start:], found) for found in entries
        ]

    def _make(self, directory: str) -> None:
        if directory not in self._made:
            self._made.add(directory)
            self.selection.directories.append(directory)


def _settled(entries: list[tuple[str, str, Found]]) -> list[tuple[str, str, Found]]:
    """Of several sources' entries for one place the last, where the first one was."""
    places: dict[str, tuple[str, str, Found]] = {}
    for entry in entries:
        before = places.get(entry[1])
        if before and (before[2].kind == stat.S_IFDIR) != (entry[2].kind == stat.S_IFDIR):
            directory = entry[2].kind == stat.S_IFDIR
            what = "cannot copy to non-directory" if directory else "cannot replace to directory"
            raise Conflict(f"{what}: two sources differ", where=f"/{entry[1]}")
        places[entry[1]] = entry
    return list(places.values())


def has_wildcard(name: str) -> bool:
    """Whether a source is a pattern; a backslash protects the next character."""
    at = 0
    while at < len(name):
        if name[at] == "\\":
            at += 1
        elif name[at] in "*?[":
            return True
        at += 1
    return False


def _clean(source: str) -> str:
    """A path in the root: ".." at the top stays there."""
    return posixpath.normpath("/" + source).lstrip("/")


def resolve(tree: Tree, source: str) -> list[tuple[str, bool]]:
    """The paths that a source means, each with whether a pattern found it."""
    names = source.split("/") if source else []
    first = next((at for at, name in enumerate(names) if has_wildcard(name)), len(names))
    if first == len(names):
        return [(source, False)]
    paths = [follow(tree, "/".join(names[:first])).path]
    for at in range(first, len(names)):
        matches = _matcher(names[at])
        found = [
            entry
            for path in paths
            for entry in tree.children(path)
            if matches(posixpath.basename(entry.path))
        ]
        last = at == len(names) - 1
        paths = [entry.path for entry in found if last or entry.kind == stat.S_IFDIR]
    return [(path, True) for path in paths]


def _matching(tree: Tree, root: str, pattern: str) -> list[Found]:
    """What a pattern of `--parents` takes below a directory, with the directories that lead there.

    A link on the way is no directory: it is copied when the pattern names it.
    """
    if not pattern:
        return tree.below(root)
    ways: list[Found] = []
    at = root
    for name in pattern.split("/"):
        if has_wildcard(name):
            break
        at = f"{at}/{name}" if at else name
        found = tree.get(at)
        if found is None:
            return []
        ways.append(found)
        if found.kind != stat.S_IFDIR:
            return ways if at == posixpath.join(root, pattern) else []
    below = tree.below(at)
    if at == posixpath.join(root, pattern):
        return ways + below
    wanted = _patterns((pattern,))
    start = len(root) + 1 if root else 0
    taken = {found.path for found in below if wanted.matches(found.path[start:])}
    hidden = {found.path for found in [*ways, *below] if found.path not in taken}
    entries = [found for found in below if found.kind == stat.S_IFDIR or found.path in taken]
    return without_empty(ways + entries, hidden)


def _patterns(patterns: Sequence[str]) -> Ignore:
    from fastbox.dockerfile.ignore import Ignore

    return Ignore.of(patterns)


def _matcher(pattern: str) -> Callable[[str], bool]:
    from fastbox.dockerfile.glob import Automaton, tokens

    try:
        return Automaton(tokens(pattern, deep=False)).matches
    except ValueError as error:
        raise InvalidArgument(f"syntax error in pattern: {error}", where=pattern) from None


def _missing(tree: Tree, path: str, at: str) -> NotFound:
    """The error for a source, which ends at `at`, with the reason when there is one to tell."""
    return NotFound(f'"/{path}": not found', hint=_why(tree, path, at))


def _why(tree: Tree, path: str, at: str) -> str:
    if tree.excluded(at):
        return f'the .dockerignore file excludes "{at}"'
    if at != path:
        there = tree.get(at)
        if there is not None:
            return f'"{at}" is not a directory'
    from fastbox.support.nearest import nearest

    directory, name = posixpath.split(at)
    names = [posixpath.basename(found.path) for found in tree.children(directory)[:_MAX_NAMES]]
    near = next((other for other in names if other.lower() == name.lower()), nearest(name, names))
    if near:
        return f'did you mean "/{posixpath.join(directory, near)}"?'
    return "" if at == path else f'"/{at}" does not exist'
