"""What `-v` says, as a mount: for the command line and for the Python API."""

from __future__ import annotations

import os

from fastbox.types import Mount

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
# One of each: SELinux labels and other systems' caching are harmless here.
_KINDS = {
    **dict.fromkeys(("ro", "rw"), "mode"), **dict.fromkeys(("z", "Z"), "label"),
    **dict.fromkeys(("consistent", "cached", "delegated"), "consistency"),
    **dict.fromkeys(PROPAGATIONS, "propagation"), "nocopy": "copy",
}  # fmt: skip


def parse(text: str) -> Mount:
    """A mount of `[source:]target[:options]`.

    Raises:
        ValueError: With the reason.

    Example:
        >>> parse("data:/srv:ro").read_only
        True
    """
    parts = text.split(":")
    if len(parts) == 1:
        return Mount(kind="volume", target=target(text))
    if not 2 <= len(parts) <= 3 or not all(parts):
        raise ValueError("not source:target[:options], for example /data:/data:ro")
    where = source(parts[0])
    words = _words(parts[2] if len(parts) == 3 else "")
    kind = "bind" if where[0] == "/" else "volume"
    unfit = words.get("copy" if kind == "bind" else "propagation")
    if unfit:
        raise ValueError(f'"{unfit}" is not for a {kind}')
    return Mount(
        kind=kind,
        source=where,
        target=target(parts[1]),
        read_only=words.get("mode") == "ro",
        create=kind == "bind",
        propagation=words.get("propagation", "rprivate"),
        no_copy="copy" in words,
        options=",".join(words[key] for key in ("label", "consistency") if key in words),
        text=":".join([where, *parts[1:]]),
    )


def target(path: str) -> str:
    """A place in the container, as it is written at its shortest."""
    clean = os.path.normpath(path).replace("//", "/") if path else ""
    if clean[:1] != "/":
        raise ValueError(f'the target "{path}" is not an absolute path')
    if clean == "/":
        raise ValueError('the target can\'t be "/"')
    return clean


def source(text: str) -> str:
    """A volume's name, or the host's path: absolute, or beginning with a dot and then seen from
    here, as docker does.
    """
    if text[0] == "/":
        return os.path.normpath(text).replace("//", "/")
    if text in (".", "..") or text.startswith(("./", "../")):
        return os.path.abspath(text)
    if "/" in text:
        raise ValueError(f'the source "{text}" is not an absolute path')
    return text


def _words(options: str) -> dict[str, str]:
    """The options by their kind."""
    found: dict[str, str] = {}
    for word in options.split(",") if options else ():
        kind = _KINDS.get(word)
        if kind is None:
            raise ValueError(f'unknown option "{word}"')
        if kind in found:
            raise ValueError(f'"{found[kind]}" and "{word}" contradict')
        found[kind] = word
    return found
