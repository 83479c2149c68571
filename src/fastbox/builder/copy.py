"""COPY and ADD: files become a layer, each read once for the cache's key and copied once."""

from __future__ import annotations

import os
import posixpath
import stat

from fastbox import _files, _native
from fastbox.builder import sources
from fastbox.builder.add import Added
from fastbox.builder.placing import check_target, copy_list, digest_of_selection
from fastbox.builder.selection import select, target_path
from fastbox.builder.state import key_of
from fastbox.errors import FastboxError, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.builder.place import Place
    from fastbox.builder.selection import Selection
    from fastbox.builder.sources import Source
    from fastbox.builder.state import State
    from fastbox.builder.telling import Vertex
    from fastbox.dockerfile.instructions import Copy

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def step(build: Build, course: Course, state: State, copy: Copy) -> None:
    """Copy, as a step of its own.

    Raises:
        NotFound: A source is not there.
        InvalidArgument: A target, an owner or a mode that can't be.
    """
    _Copying(build, course, state, copy).step()


class _Copying:
    __slots__ = (
        "_added", "_build", "_copy", "_course", "_mode", "_source", "_state", "_target",
    )  # fmt: skip

    def __init__(self, build: Build, course: Course, state: State, copy: Copy) -> None:
        self._build, self._course, self._state, self._copy = build, course, state, copy
        self._mode = _mode(copy.chmod) if copy.chmod else None
        self._target = target_path(state.workdir, copy.target)
        self._source: Source | None = None
        self._added = Added(build, copy)

    def step(self) -> None:
        text = self._copy.where.text
        self._course.layer(self._state, self._copy, text, self._keys, self._make)

    def _from(self) -> Source:
        if self._source is None:
            self._source = sources.source(self._build, self._course, self._copy.from_)
        return self._source

    def _keys(self) -> list[str]:
        copy, state = self._copy, self._state
        how = [
            self._target, copy.chown, copy.chmod, copy.link, self._build.epoch,
            [(each.name, each.content) for each in copy.heredocs],
        ]  # fmt: skip
        found = []
        source = self._from() if self._added.plain else None
        top = source.state.top if source is not None and source.state is not None else None
        if top is not None and top.settled:
            # What its files are is known without looking at them. Not by what they depend on:
            # steps that are made again may come out otherwise.
            found.append(
                key_of("copy of", state.key, top.wait().chain, copy.sources, copy.exclude,
                       copy.parents, how)
            )  # fmt: skip
            if not self._is_wanted(found[0]):
                return found
        digest = self._digest(source) if source is not None else ""
        more = self._added.keys() if copy.add else []
        return [*found, key_of("add" if copy.add else "copy", state.key, digest, how, more)]

    def _is_wanted(self, key: str) -> bool:
        """Whether files have to be looked at."""
        return self._build.options.no_cache or self._build.cache.get(key) is None

    def _digest(self, source: Source) -> str:
        """Of what is copied; whether the target is a directory is known by what is below."""
        # Several files need a directory, whose slash is checked when they are copied.
        chosen = self._chosen(source, self._added.plain, self._target, lambda _: True)
        return digest_of_selection(chosen, source.digests, owners=source.state is not None)

    def _chosen(
        self,
        source: Source,
        sources: tuple[str, ...],
        target: str,
        is_directory: Callable[[str], bool],
    ) -> Selection:
        copy = self._copy
        return select(
            source.tree, sources, target,
            is_directory=is_directory, exclude=copy.exclude, parents=copy.parents,
        )  # fmt: skip

    def _make(self, _vertex: Vertex, home: str) -> bool:
        from fastbox.builder.place import Place

        copy = self._copy
        with Place(self._build, None if copy.link else self._state, home) as place:
            owner = self._owner(place)
            resolved = place.resolve(self._target)
            target = "/" + resolved + ("/" if self._target.endswith("/") and resolved else "")
            try:
                source = self._from() if self._added.plain else None
                if source is not None:
                    self._files(place, source, target, owner)
                self._added.put(place, source, target, owner or (0, 0), self._mode)
                for heredoc in copy.heredocs:
                    self._inline(place, target, heredoc.name, heredoc.content, owner or (0, 0))
            except FastboxError:
                raise
            except OSError as error:
                raise os_error(error, "cannot copy", str(getattr(error, "path", ""))) from error
            return place.changed

    def _files(
        self, place: Place, source: Source, target: str, owner: tuple[int, int] | None
    ) -> None:
        plain = self._added.take_archives(source)
        if not plain:
            return
        chosen = self._chosen(source, plain, target, place.is_directory)
        uid, gid = owner or (0, 0)
        for directory in chosen.directories:
            place.directory(directory, uid, gid, bring=True)
        check_target(chosen, lambda path: stat.S_IFMT(place.mode(path) or 0))
        if chosen.entries:
            place.changed = True
        if source.state is None and owner is None:
            owner = (0, 0)
        _files.copy_entries(
            source.root,
            place.tree,
            copy_list(chosen, source.digests, owner=owner, mode=self._mode),
        )

    def _owner(self, place: Place) -> tuple[int, int] | None:
        if not self._copy.chown:
            return None
        from fastbox.builder import owners
        from fastbox.builder.place import open_view

        view, own = place.view, -1
        if view < 0 and self._copy.link:
            view = own = open_view(self._build, self._state)
        try:
            return owners.owner(self._copy.chown, view)
        finally:
            if own >= 0:
                os.close(own)

    def _inline(
        self, place: Place, target: str, name: str, content: str, owner: tuple[int, int]
    ) -> None:
        """A file whose content is in the Dockerfile."""
        path = target.strip("/")
        many = len(self._copy.heredocs) + len(self._copy.sources) > 1
        if target.endswith("/") or many or place.is_directory(path):
            path = posixpath.join(path, posixpath.basename(name))
        place.directory(posixpath.dirname(path), *owner, bring=True)
        parent = _native.open_in_root(place.tree, posixpath.dirname(path) or ".", _DIRECTORY)
        try:
            mode = 0o644 if self._mode is None else self._mode(stat.S_IFREG, 0o644)
            fd = os.open(
                posixpath.basename(path),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=parent,
            )
            with open(fd, "wb") as file:
                file.write(content.encode("utf-8", "surrogateescape"))
                os.fchown(fd, *owner)
                os.fchmod(fd, mode)
        finally:
            os.close(parent)
        place.changed = True


def _mode(text: str) -> Callable[[int, int], int]:
    from fastbox.builder import owners

    return owners.mode(text)
