"""The files that a build may copy from, and the Dockerfile beside them.

A context is a directory, a tar or nothing at all from a stream, a git repository, or what an http
address has. Whatever it is, it ends as a directory's descriptor: the builder reads nothing by a
path of the host afterwards. The Dockerfile and the ignore file are read whether the latter excludes
them or not.
"""

from __future__ import annotations

import _thread
import os
import posixpath
import stat

from fastbox.builder.placing import Digests
from fastbox.builder.reading import read_in_root, read_path
from fastbox.builder.scan import Tree
from fastbox.builder.selection import follow
from fastbox.errors import Conflict, FastboxError, InvalidArgument, NotFound, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from fastbox.builder.giturl import Repository
    from fastbox.builds import BuildOptions
    from fastbox.dockerfile.ignore import Ignore
    from fastbox.store.filedigests import FileDigests
    from fastbox.store.lease import Work
    from fastbox.store.root import Root

    Stop = Callable[[], bool]

DOCKERFILE = "Dockerfile"
_IGNORE = ".dockerignore"
# What is looked at before anybody asks for it, and perhaps in vain: entries at once, bytes in all.
_AHEAD, _AHEAD_BYTES = 20_000, 64 << 20
_LIKE = ("dockerfile", "containerfile")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Context:
    """A tree to copy from, for a `with` block.

    Attributes:
        name: What it is, for people.
        root: Its descriptor, closed at the block's end.
        tree: Its entries, without what is ignored.
        digests: Those of its files, each read once.
        commit: The commit that it is, when it is of a git repository.
    """

    __slots__ = (
        "_ahead", "_ignore", "_kept", "_reading", "commit", "digests", "name", "root", "tree",
    )  # fmt: skip

    def __init__(
        self, name: str, root: int, ignore: Ignore | None = None, *, commit: str = ""
    ) -> None:
        """A context of a descriptor, which is its own from now on."""
        self.name, self.root, self.commit = name, root, commit
        self._ignore = ignore
        self._kept: FileDigests | None = None
        self.tree = Tree(root, ignore)
        self.digests = Digests(root)
        self._ahead = False  # something was read ahead, and counts
        self._reading = _thread.allocate_lock()

    @property
    def ignores(self) -> bool:
        """Whether an ignore file may hide something of it."""
        return self._ignore is not None

    def hides(self, source: str) -> bool:
        """Whether its ignore file hides a source of COPY."""
        return self._ignore is not None and self._ignore.hides(source)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the root."""
        with self._reading:
            fd, self.root = self.root, -1
            if fd >= 0:
                os.close(fd)
            if self._kept is not None:
                self._kept.save()

    def keep_digests(self, root: Root, *, anew: bool) -> None:
        """Of a directory of the host, before anything was read: its files are read again only when
        they have changed since the last build, or all `anew`.
        """
        from fastbox.store.filedigests import FileDigests

        self._kept = FileDigests(root, self.root, anew=anew)
        self.digests = Digests(self.root, self._kept)

    def read_ahead(self, sources: Sequence[str]) -> None:
        """Look for these paths and read their files, while the caller does something else: whoever
        asks for them then waits for that, or finds them known. Once.
        """
        self._ahead = True
        self._reading.acquire()
        try:
            _thread.start_new_thread(self._read, (self.tree, self.digests, sources))
        except BaseException:
            self._reading.release()
            raise

    def _read(self, tree: Tree, digests: Digests, sources: Sequence[str]) -> None:
        left = _AHEAD_BYTES
        try:
            for source in sources:
                at = follow(tree, source)
                entries = tree.below(at.path, _AHEAD) if at.kind == stat.S_IFDIR else [at]
                files = [found for found in entries if found.kind == stat.S_IFREG]
                left -= sum(found.size for found in files)
                if left >= 0:
                    digests.read(files)
        except (FastboxError, OSError):
            pass  # whoever needs it is told
        finally:
            self._reading.release()

    def time_passed(self) -> None:
        """A step was made, or waited for: files may be others now than those read ahead."""
        if self._ahead:
            self._ahead = False
            self.tree = Tree(self.root, self._ignore)
            self.digests = Digests(self.root, self._kept)


def open_context(
    options: BuildOptions, work: Work, stop: Stop | None = None
) -> tuple[Context, bytes, str]:
    """The context of a build, its Dockerfile, and the Dockerfile's name for messages.

    Args:
        options: What is built.
        work: Where a context that is no directory of the host is put.
        stop: Asked some times a second while something is fetched; true ends it.

    Raises:
        NotFound: There is no such directory, or no Dockerfile in it.
        InvalidArgument: No context; a Dockerfile that can't be one.
        IntegrityError: An archive that is damaged, or not what a checksum says.
        FastboxError: The kernel, git or a server said no.
    """
    if options.context == options.file == "-":
        raise InvalidArgument("can't use stdin for both build context and dockerfile")
    here = is_directory(options.context)
    root, data, commit = (
        (open_directory(options.context), None, "")
        if here
        else _fetched(options.context, options, work, stop)
    )
    try:
        if data is not None and options.file:
            raise Conflict(
                "ambiguous Dockerfile source: the context is one, and --file names another"
            )
        name = options.file or DOCKERFILE
        ignored = None
        if data is None:
            data, ignored = _dockerfile(root, options, here)
        where = _IGNORE if ignored is None else name + _IGNORE
        if ignored is None:
            ignored = read_in_root(root, _IGNORE)
        ignore = _ignore(ignored, where) if ignored else None
        shown = options.context if here else _shown(options.context)
        return Context(shown, root, ignore, commit=commit), data, name
    except BaseException:
        os.close(root)
        raise


def _shown(address: str) -> str:
    from fastbox.builder.giturl import redacted

    return redacted(address)


def _ignore(text: bytes, where: str) -> Ignore:
    from fastbox.dockerfile.ignore import Ignore

    return Ignore.parse(text, where)


def fetch_context(text: str, work: Work, stop: Stop | None = None) -> tuple[int, bytes | None, str]:
    """(root, the Dockerfile when the address is one of such, commit) of an address.

    Raises:
        NotFound: The text is no address, and no directory either.
        FastboxError: It can't be fetched.
    """
    from fastbox.builder.giturl import is_url, parse_git

    repository = parse_git(text, short=True)
    if repository:
        root, commit = fetch_repository(repository, work, stop)
        return root, None, commit
    if is_url(text):
        return *_downloaded(text, work, stop), ""
    if os.path.exists(text):
        raise InvalidArgument("not a directory", where=text)
    raise NotFound(
        f'unable to prepare context: path "{text}" not found',
        hint="the context is a directory, - for stdin, or an address of http or git",
    )


def fetch_repository(
    repository: Repository, work: Work, stop: Stop | None = None, *, keep_git_dir: bool = False
) -> tuple[int, str]:
    """(root, which the caller closes; the commit) of a repository.

    Raises:
        FastboxError: It can't be fetched.
    """
    from fastbox.builder import git

    keep = repository.keep_git_dir if repository.keep_git_dir is not None else keep_git_dir
    commit = git.resolve(repository, work, stop)
    return git.checkout(repository, commit, work, keep_git_dir=keep, stop=stop), commit


def is_directory(text: str) -> bool:
    """Whether a context's text is a directory of the host, rather than an address."""
    return "://" not in text and os.path.isdir(text)


def open_directory(path: str) -> int:
    """A directory of the host, held.

    Raises:
        FastboxError: The kernel said no.
    """
    try:
        return os.open(path, _DIRECTORY)
    except OSError as error:
        raise os_error(error, "cannot open the context", path) from error


def _fetched(
    text: str, options: BuildOptions, work: Work, stop: Stop | None
) -> tuple[int, bytes | None, str]:
    if text == "-":
        from fastbox.builder import stdin

        return *stdin.read_context(options.stdin, work, stop), ""
    return fetch_context(text, work, stop)


def _downloaded(url: str, work: Work, stop: Stop | None) -> tuple[int, bytes | None]:
    """An archive is unpacked; anything else is a Dockerfile, whose context is empty."""

    def tell(_done: int, _total: int) -> None:
        if stop and stop():
            raise FastboxError("canceled", where=_shown(url))

    from fastbox.builder import remote, stdin, unpacking

    download = remote.download(url, work, tell=tell)
    root = stdin.empty_root(work)
    try:
        fd = os.open(download.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if unpacking.is_archive(os.pread(fd, unpacking.HEAD, 0)):
                unpacking.unpack(fd, root, stop=stop)
                return root, None
        finally:
            os.close(fd)
        return root, read_path(download.path)
    except BaseException:
        os.close(root)
        raise


def _dockerfile(root: int, options: BuildOptions, here: bool) -> tuple[bytes, bytes | None]:
    """(the Dockerfile, the ignore file that is its own): of the host for a directory, of the
    context for one that was fetched.
    """
    if options.file == "-":
        from fastbox.builder import stdin

        return stdin.read_dockerfile(options.stdin), None
    if here and options.file:
        from fastbox.builder.giturl import is_url

        if is_url(options.file):
            raise InvalidArgument("a Dockerfile can't be an address", where=options.file)
        data = read_path(options.file)
        if data is not None:
            return data, read_path(options.file + _IGNORE)
        raise _no_dockerfile(options.file, _names_of(os.path.dirname(options.file) or "."))
    name = options.file or DOCKERFILE
    data = read_in_root(root, name)
    if data is not None:
        return data, read_in_root(root, name + _IGNORE)
    where = name if not here else os.path.join(options.context, name)
    raise _no_dockerfile(where, _names_in(root, posixpath.dirname(name)))


def _no_dockerfile(path: str, names: list[str]) -> NotFound:
    name = posixpath.basename(path)
    near = [other for other in names if other.lower() in (name.lower(), *_LIKE) and other != name]
    near += [other for other in names if other.lower().startswith(DOCKERFILE.lower() + ".")]
    near = [other for other in near if not other.endswith(_IGNORE)]
    hint = ""
    if near:
        other = posixpath.join(posixpath.dirname(path), near[0])
        hint = f"there is {other}: name it with -f"
    return NotFound(f"failed to read dockerfile: open {path}: no such file or directory", hint=hint)


def _names_of(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _names_in(root: int, directory: str) -> list[str]:
    return [posixpath.basename(found.path) for found in Tree(root).children(directory)]
