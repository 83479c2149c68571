"""What ADD takes beyond COPY: files of web addresses, git repositories, and archives of the
context, which are unpacked.
"""

from __future__ import annotations

import os
import posixpath
import stat

from fastbox import _files, _native
from fastbox.builder.giturl import is_url, parse_git
from fastbox.builder.placing import Digests, copy_list
from fastbox.builder.scan import Tree
from fastbox.builder.selection import follow, resolve, select
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.builder.build import Build
    from fastbox.builder.giturl import Repository
    from fastbox.builder.place import Place
    from fastbox.builder.remote import Download
    from fastbox.builder.sources import Source
    from fastbox.dockerfile.instructions import Copy

_READ = os.O_RDONLY | os.O_CLOEXEC
_DIRECTORY = _READ | os.O_DIRECTORY | os.O_NOFOLLOW


class Added:
    """The sources of one ADD that are more than files of the context.

    Attributes:
        plain: The others, as written.
    """

    __slots__ = ("_archives", "_build", "_commits", "_copy", "_downloads", "_repositories", "plain")

    def __init__(self, build: Build, copy: Copy) -> None:
        self._build, self._copy = build, copy
        self._repositories: list[Repository] = []
        self._downloads: list[str] = []
        self._commits: list[str] = []
        self._archives: list[str] = []
        self.plain: tuple[str, ...] = copy.sources
        if copy.add and not copy.from_:
            self._sort()

    def _sort(self) -> None:
        plain = []
        for text in self._copy.sources:
            repository = parse_git(text)
            if repository is not None:
                self._repositories.append(repository)
            elif is_url(text):
                self._downloads.append(text)
            else:
                plain.append(text)
        self.plain = tuple(plain)
        if self._copy.checksum and (self.plain or len(self._copy.sources) > 1):
            raise InvalidArgument("ADD --checksum is for one file of an address")

    def keys(self) -> list[object]:
        """What decides about them: commits, and content."""
        if not self._downloads and not self._repositories:
            return [self._copy.unpack]
        from fastbox.builder import git, remote

        self._commits = [
            git.resolve(repository, self._build.work, self._stopped)
            for repository in self._repositories
        ]
        found: list[object] = [
            [commit, repository.subdir, self._copy.keep_git_dir]
            for commit, repository in zip(self._commits, self._repositories, strict=True)
        ]
        for url in self._downloads:
            digest = self._copy.checksum or self._download(url).digest
            found.append([digest, remote.name_of(url)])
        return [*found, self._copy.unpack]

    def _stopped(self) -> bool:
        return self._build.stop.stopped

    def _download(self, url: str) -> Download:
        """Once a build."""
        from fastbox.builder import remote

        build = self._build
        with build.source_lock:
            known = build.downloads.get(url)
        if known is None:
            known = remote.download(
                url, build.work, checksum=self._copy.checksum, tell=lambda *_: build.stop.check()
            )
            build.downloads[url] = known
        return known

    def take_archives(self, source: Source) -> tuple[str, ...]:
        """The plain sources that are no archives; those that are come with `put`."""
        if not self._copy.add or self._copy.unpack is False:
            return self.plain
        plain = []
        for text in self.plain:
            paths = resolve(source.tree, posixpath.normpath("/" + text).lstrip("/"))
            archives = [path for path, _ in paths if _is_archive(source, path)]
            self._archives += archives
            if len(archives) == len(paths):
                continue
            if archives:
                plain += [path for path, _ in paths if path not in archives]
            else:
                plain.append(text)
        return tuple(plain)

    def put(
        self,
        place: Place,
        source: Source | None,
        target: str,
        owner: tuple[int, int],
        mode: Callable[[int, int], int] | None,
    ) -> None:
        """Bring them to a target, an absolute path without links."""
        for path in self._archives:
            assert source is not None
            fd = _native.open_in_root(source.root, path, _READ)
            try:
                self._unpack(place, fd, target, owner)
            finally:
                os.close(fd)
        for url in self._downloads:
            self._put_download(place, self._download(url), target, owner, mode)
        for commit, repository in zip(self._commits, self._repositories, strict=True):
            self._put_repository(place, repository, commit, target, owner, mode)

    def _unpack(self, place: Place, fd: int, target: str, owner: tuple[int, int]) -> None:
        from fastbox.builder import unpacking

        directory = place.directory(target, *owner, bring=True)
        place.changed = True
        root = _native.open_in_root(place.tree, directory or ".", _DIRECTORY)
        try:
            unpacking.unpack(fd, root, merge=True)
        finally:
            os.close(root)

    def _put_download(
        self,
        place: Place,
        download: Download,
        target: str,
        owner: tuple[int, int],
        mode: Callable[[int, int], int] | None,
    ) -> None:
        from fastbox.builder import unpacking

        fd = os.open(download.path, _READ)
        try:
            if self._copy.unpack and unpacking.is_packed_tar(fd):
                self._unpack(place, fd, target, owner)
                return
        finally:
            os.close(fd)
        path = target.strip("/")
        if target.endswith("/") or place.is_directory(path):
            path = posixpath.join(path, download.name)
        place.directory(posixpath.dirname(path), *owner, bring=True)
        place.changed = True
        os.utime(download.path, (download.mtime, download.mtime))
        wanted = 0o600 if mode is None else mode(stat.S_IFREG, 0o600)
        parent, name = os.path.split(download.path)
        self._copy_in(
            place, parent,
            [(os.fsencode(name), os.fsencode(path), stat.S_IFREG, wanted, *owner, 0)],
        )  # fmt: skip

    def _copy_in(
        self, place: Place, parent: str, entries: list[tuple[bytes, bytes, int, int, int, int, int]]
    ) -> None:
        root = os.open(parent, _DIRECTORY)
        try:
            _files.copy_entries(root, place.tree, entries)
        finally:
            os.close(root)

    def _put_repository(
        self,
        place: Place,
        repository: Repository,
        commit: str,
        target: str,
        owner: tuple[int, int],
        mode: Callable[[int, int], int] | None,
    ) -> None:
        from fastbox.builder import git

        root = git.checkout(
            repository, commit, self._build.work,
            keep_git_dir=self._copy.keep_git_dir, stop=self._stopped,
        )  # fmt: skip
        try:
            chosen = select(
                Tree(root), (".",), target.rstrip("/") + "/", is_directory=lambda _: True,
                exclude=self._copy.exclude,
            )  # fmt: skip
            for directory in chosen.directories:
                place.directory(directory, *owner, bring=True)
            place.changed = True
            _files.copy_entries(
                root, place.tree, copy_list(chosen, Digests(root), owner=owner, mode=mode)
            )
        finally:
            os.close(root)


def _is_archive(source: Source, path: str) -> bool:
    from fastbox.builder import unpacking

    found = follow(source.tree, path)
    if found.kind != stat.S_IFREG or not found.size:
        return False
    fd = _native.open_in_root(source.root, found.path, _READ | os.O_NONBLOCK)
    try:
        return unpacking.is_packed_tar(fd)
    finally:
        os.close(fd)
