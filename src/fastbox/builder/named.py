"""`--build-context name=value`: what the value is, and those that are files, opened."""

from __future__ import annotations

from fastbox.builder.context import (
    Context,
    fetch_context,
    fetch_repository,
    is_directory,
    open_directory,
)
from fastbox.builder.giturl import is_url, parse_git, redacted
from fastbox.builder.reading import read_in_root
from fastbox.dockerfile.ignore import Ignore
from fastbox.errors import InvalidArgument, NotFound, Unsupported
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastbox.store.lease import Work

_IMAGE, _LAYOUT = "docker-image://", "oci-layout://"
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-/:@")


class NamedContext(Record):
    """One named context. `kind` is image, layout, directory, git or http."""

    name: str  # lower case: stages, images and COPY --from that are called so mean it
    kind: str
    value: str  # an image's reference, a directory, or an address
    tag: str = ""  # of a layout: a tag
    digest: str = ""  # of a layout: a digest


def parse_named(contexts: Mapping[str, str] | None) -> dict[str, NamedContext]:
    """The named contexts of a build, by their names.

    Raises:
        InvalidArgument: A name or a value that can't be one.
        NotFound: No such directory.
        Unsupported: A kind of another builder's.
    """
    return {name.lower(): _parse(name.lower(), value) for name, value in (contexts or {}).items()}


def open_named(named: NamedContext, work: Work, stop: Callable[[], bool] | None = None) -> Context:
    """A context that is files, for a `with` block; of a directory without what its .dockerignore
    excludes.

    Raises:
        InvalidArgument: It is an image, or an address of something that is no archive.
        FastboxError: The kernel, git or a server said no.
    """
    if named.kind == "directory":
        root = open_directory(named.value)
        context = Context(named.name, root)
        ignored = read_in_root(root, ".dockerignore")
        return Context(named.name, root, Ignore.parse(ignored)) if ignored else context
    if named.kind == "git":
        repository = parse_git(named.value, short=True)
        assert repository is not None
        root, commit = fetch_repository(repository, work, stop)
        return Context(named.name, root, commit=commit)
    if named.kind != "http":
        raise InvalidArgument("an image is no directory", where=named.name)
    root, data, _ = fetch_context(named.value, work, stop)
    context = Context(named.name, root)
    if data is not None:
        context.close()
        raise InvalidArgument("not an archive", where=redacted(named.value))
    return context


def _parse(name: str, value: str) -> NamedContext:
    if not name or not _NAME.issuperset(name):
        raise InvalidArgument(f'invalid context name "{name}"')
    if not value:
        raise InvalidArgument("a context's value is missing", where=name, hint="write NAME=VALUE")
    if value.startswith(_IMAGE):
        return NamedContext(name=name, kind="image", value=_some(name, value, _IMAGE))
    if value.startswith(_LAYOUT):
        return _layout(name, _some(name, value, _LAYOUT))
    if is_directory(value):
        return NamedContext(name=name, kind="directory", value=value)
    if parse_git(value, short=True):
        return NamedContext(name=name, kind="git", value=value)
    if is_url(value):
        return NamedContext(name=name, kind="http", value=value)
    scheme, colon, _ = value.partition(":")
    if colon and scheme in ("target", "input", "local", "file"):
        raise Unsupported(f'a context of "{scheme}:" is not supported', where=name)
    raise NotFound(f'unable to prepare context: path "{value}" not found', where=name)


def _some(name: str, value: str, prefix: str) -> str:
    rest = value.removeprefix(prefix)
    if not rest:
        raise InvalidArgument("a context's value is missing", where=name)
    return rest


def _layout(name: str, text: str) -> NamedContext:
    """`path`, `path:tag` or `path@sha256:...`; a path may have colons before its last slash."""
    path, at, digest = text.rpartition("@")
    if at:
        return NamedContext(name=name, kind="layout", value=path, digest=digest)
    directory, slash, last = text.rpartition("/")
    base, _, tag = last.partition(":")
    return NamedContext(name=name, kind="layout", value=directory + slash + base, tag=tag)
