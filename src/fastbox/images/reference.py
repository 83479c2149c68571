"""References to images: `[host[:port]/]path[:tag][@digest]`, by the grammar of the distribution
project, without `re`.

A name is normalised (`busybox` is `docker.io/library/busybox:latest`) for the store and familiar
for people. What starts with a host is told from a path by docker's rule: a dot, a colon or an
upper-case letter before the first slash, or `localhost`.
"""

from __future__ import annotations

from fastbox.errors import InvalidReference
from fastbox.store.content import is_hex64
from fastbox.support.record import Record

DEFAULT_HOST = "docker.io"
DEFAULT_TAG = "latest"
MAX_PATH = 255
MAX_TAG = 128
_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789"
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALNUM = _LETTERS + "0123456789"
_DIGEST_HEX = {"sha256": 64, "sha384": 96, "sha512": 128}


class Reference(Record):
    """A parsed reference; `tag` and `digest` are "" when they were not given."""

    host: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Host and path."""
        return f"{self.host}/{self.path}"

    @property
    def familiar_name(self) -> str:
        """The name as people write it."""
        if self.host != DEFAULT_HOST:
            return self.name
        first, _, rest = self.path.partition("/")
        if first == "library" and rest and "/" not in rest:
            return rest
        return self.name if rest and _is_host(first) else self.path

    def __str__(self) -> str:
        return self.name + self._suffix()

    @property
    def familiar(self) -> str:
        """The reference as people write it."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        return (":" + self.tag if self.tag else "") + ("@" + self.digest if self.digest else "")

    def with_tag(self) -> Reference:
        """The same, tagged `latest` when it has neither tag nor digest."""
        return self if self.tag or self.digest else self.replace(tag=DEFAULT_TAG)


def parse(text: str) -> Reference:
    """Parse and normalise a reference; no tag is added.

    Raises:
        InvalidReference: The grammar refuses it.

    Example:
        >>> str(parse("busybox:1.36"))
        'docker.io/library/busybox:1.36'
    """
    if is_hex64(text):
        raise _refused(text, "64 hex digits are an id, not a name")
    host, rest = _split_host(text)
    rest, at, digest = rest.partition("@")
    path, colon, tag = rest.partition(":")
    if path != path.lower():
        raise _refused(text, "the name must be lower case", hint=f"write {path.lower()}")
    if not _valid_host(host) or not all(map(_valid_component, path.split("/"))):
        raise _refused(text, "invalid name")
    if len(path) > MAX_PATH:
        raise _refused(text, f"the name is longer than {MAX_PATH} characters")
    if colon and not _valid_tag(tag):
        raise _refused(text, "invalid tag", hint="letters, digits, _ . and -, at most 128")
    if at and not _valid_digest(digest):
        raise _refused(text, "invalid digest", hint="sha256: and 64 hex digits")
    return Reference(host=host, path=path, tag=tag, digest=digest)


def parse_tagged(text: str) -> Reference:
    """Parse the target of a tag: normalised, with a tag, without a digest.

    Raises:
        InvalidReference: The grammar refuses it, or it has a digest.
    """
    found = parse(text).with_tag()
    if found.digest:
        raise _refused(text, "a name to give can't have a digest")
    return found


def familiar(text: str) -> str:
    """A normalised reference as people write it; an image's id stays as it is."""
    return text if text.startswith("sha256:") else parse(text).familiar


def _refused(text: str, why: str, *, hint: str = "") -> InvalidReference:
    return InvalidReference(f'invalid reference "{text[:300]}": {why}', hint=hint)


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first.lower() != first


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash or not _is_host(first):
        first, rest = DEFAULT_HOST, text
    if first == "index.docker.io":
        first = DEFAULT_HOST
    if first == DEFAULT_HOST and "/" not in rest:
        rest = "library/" + rest
    return first, rest


def _valid_host(host: str) -> bool:
    name, colon, port = host, "", ""
    if host.startswith("["):
        inner, close, after = host[1:].partition("]")
        if not close or not inner or inner.strip("0123456789abcdefABCDEF:"):
            return False
        name, (start, colon, port) = "x", after.partition(":")
        if start:
            return False
    else:
        name, colon, port = host.partition(":")
    if colon and (not port or port.strip("0123456789")):
        return False
    return all(map(_valid_host_part, name.split(".")))


def _valid_host_part(part: str) -> bool:
    return bool(part) and not part.strip(_ALNUM + "-") and part[0] != "-" and part[-1] != "-"


def _valid_component(part: str) -> bool:
    """Letters and digits, joined by one dot, one or two underscores, or any number of dashes."""
    if not part or part.strip(_LOWER + "._-") or part[0] in "._-" or part[-1] in "._-":
        return False
    for char in _LOWER:
        part = part.replace(char, " ")
    return all(run in (".", "_", "__") or not run.strip("-") for run in part.split())


def _valid_tag(tag: str) -> bool:
    return 0 < len(tag) <= MAX_TAG and tag[0] in _ALNUM + "_" and not tag.strip(_ALNUM + "_.-")


def _valid_digest(digest: str) -> bool:
    algorithm, _, digits = digest.partition(":")
    return len(digits) == _DIGEST_HEX.get(algorithm, -1) and not digits.strip("0123456789abcdef")
