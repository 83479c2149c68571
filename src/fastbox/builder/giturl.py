"""Addresses of git repositories, as docker reads them: `https://host/x.git#ref:directory`,
`git@host:x.git?ref=v1`, `ssh://` and `git://`; and `github.com/user/name` where docker takes it.
"""

from __future__ import annotations

import posixpath

from fastbox.errors import InvalidArgument
from fastbox.support.record import Record

_SCHEMES = ("http", "https", "ssh", "git")
_SHORT = "github.com/"
_MAX = 8192
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")
_NO_REF = frozenset(" ~^:?*[\\\x7f") | frozenset(map(chr, range(32)))
_USER = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_HOST = _USER - {"_"} | {"."}
_HEX = frozenset("0123456789abcdef")


class Repository(Record):
    """What of which repository."""

    remote: str  # what git is told
    ref: str = ""  # a branch, a tag, a commit or a full name; "": what HEAD is there
    subdir: str = ""  # "": the whole
    checksum: str = ""  # how the commit's digits must begin
    keep_git_dir: bool | None = None  # None: the address does not say
    submodules: bool = True

    @property
    def shown(self) -> str:
        """The address for people: no password."""
        return redacted(self.remote)


def is_url(text: str) -> bool:
    """Whether the text is an address of http or https."""
    return text[:8].lower().startswith(("http://", "https://"))


def parse_git(text: str, *, short: bool = False) -> Repository | None:
    """What an address says; None when it is not one of a git repository.

    Args:
        text: The address. Of http and https those whose path ends in ".git" are git's.
        short: Whether `github.com/...` is one, as it is for contexts.

    Raises:
        InvalidArgument: It is one, with something in it that can't be.
    """
    address = "https://" + text if short and text.startswith(_SHORT) else text
    scheme, slashes, rest = address.partition("://")
    scheme = scheme.lower()
    if slashes and scheme in _SCHEMES:
        before, _, fragment = address.partition("#")
        remote, _, query = before.partition("?")
        if scheme in ("http", "https") and not (remote.endswith(".git") or address is not text):
            return None
        _check_host(rest, text)
    elif not slashes and _is_scp(text):
        before, _, fragment = text.partition("#")
        remote, _, query = before.partition("?")
    else:
        return None
    if len(text) > _MAX or not text.isprintable() or " " in text or remote.startswith("-"):
        raise InvalidArgument("not an address of a git repository", where=redacted(text[:200]))
    ref, _, subdir = fragment.partition(":")
    return _checked(_with_query(Repository(remote=remote, ref=ref, subdir=_inside(subdir)), query))


def redacted(address: str) -> str:
    """An address without the password in it."""
    scheme, slashes, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if not slashes or not at:
        return address
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':xxxxx' if colon else ''}@{host}{slash}{path}"


def is_commit(ref: str) -> bool:
    """Whether the text is a whole digest of a commit (SHA-1 or SHA-256)."""
    return len(ref) in (40, 64) and _HEX.issuperset(ref)


def _is_scp(text: str) -> bool:
    """`user@host:path`"""
    user, at, rest = text.partition("@")
    host, colon, path = rest.partition(":")
    return bool(
        at and colon and user and host and path and set(user) <= _USER and set(host) <= _HOST
    ) and not (host.startswith("-") or user.startswith("-"))


def _check_host(rest: str, text: str) -> None:
    """A host that begins with "-" would be an option of ssh."""
    host = rest.partition("/")[0].rpartition("@")[2]
    if not host or host.startswith("-") or rest.startswith("-"):
        raise InvalidArgument("not an address of a git repository", where=redacted(text[:200]))


def _with_query(repository: Repository, query: str) -> Repository:
    from urllib.parse import parse_qsl

    given: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in given:
            raise _bad(repository, f'query "{name}" has multiple values')
        if not value and name not in ("submodules", "keep-git-dir"):
            raise _bad(repository, f'query "{name}" has no value')
        given[name] = value
    changes: dict[str, object] = {}
    for name, value in given.items():
        if name in ("ref", "tag", "branch"):
            ref = _full(name, value)
            if changes.get("ref", repository.ref) not in ("", ref):
                raise _bad(repository, f'ref conflicts: "{ref}"')
            changes["ref"] = ref
        elif name == "subdir":
            if repository.subdir not in ("", _inside(value)):
                raise _bad(repository, f'subdir conflicts: "{value}"')
            changes["subdir"] = _inside(value)
        elif name in ("checksum", "commit"):
            changes["checksum"] = value
        elif name in ("keep-git-dir", "submodules"):
            changes[name.replace("-", "_")] = _boolean(repository, name, value)
        else:
            raise _bad(repository, f'unexpected query "{name}"')
    return repository.replace(**changes)


def _checked(repository: Repository) -> Repository:
    ref, checksum = repository.ref, repository.checksum
    if ref.startswith(("-", "/")) or ".." in ref or "@{" in ref or not _NO_REF.isdisjoint(ref):
        raise _bad(repository, f'not a branch, a tag or a commit: "{ref}"')
    if checksum and not (7 <= len(checksum) <= 64 and _HEX.issuperset(checksum)):
        raise _bad(repository, f'not the digits of a commit: "{checksum}"')
    return repository


def _full(name: str, value: str) -> str:
    prefix = {"tag": "refs/tags/", "branch": "refs/heads/"}.get(name, "")
    return value if value.startswith(prefix) else prefix + value


def _inside(subdir: str) -> str:
    return posixpath.normpath("/" + subdir).lstrip("/")


def _boolean(repository: Repository, name: str, value: str) -> bool:
    if value in _FALSE:
        return False
    if value and value not in _TRUE:
        raise _bad(repository, f'invalid {name} value: "{value}"')
    return True


def _bad(repository: Repository, what: str) -> InvalidArgument:
    return InvalidArgument(what, where=repository.shown)
