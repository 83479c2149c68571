"""`RUN --mount=type=...,target=...`: the text to a typed mount.

It is read twice: with the file, when values with a variable are left as they are, and by
`expand.py`, when all is known. Everything raises ValueError with a fragment that says why.
"""

from __future__ import annotations

import posixpath

from fastbox import units
from fastbox.dockerfile.arguments import Unknown, csv
from fastbox.dockerfile.instructions import RunMount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

KINDS = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_ALIASES = {"src": "source", "dst": "target", "destination": "target", "readonly": "ro",
            "readwrite": "rw"}  # fmt: skip
_KEYS = ("type", "from", "source", "target", "ro", "rw", "required", "size", "id", "sharing",
         "mode", "uid", "gid", "env")  # fmt: skip
_ALONE = ("ro", "rw", "required")
_OWNED = ("cache", "secret", "ssh")  # kinds that take mode, uid and gid
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
_MAX_ID = (1 << 32) - 1


def mount(text: str, expand: Callable[[str], str] | None = None) -> RunMount:
    """One mount; with `expand` its values are expanded first and all of them are checked."""
    values: dict[str, str] = {}
    for field in csv(text):
        key, equals, value = field.partition("=")
        key = _ALIASES.get(key.lower(), key.lower())
        if key not in _KEYS:
            raise Unknown(f'unknown key "{key}" in a mount', key, (*_KEYS, *_ALIASES))
        if not equals and key not in _ALONE:
            raise ValueError(f'"{field}" in a mount needs a value: {key}=...')
        if key == "from" and "$" in value[:-1]:
            raise ValueError("from= takes no variables; name a stage: FROM ${IMAGE} AS name")
        value = value if equals else "true"
        values[key] = expand(value) if expand is not None else value
    if expand is None:
        # A value that only the build knows is judged then.
        later = {key for key, value in values.items() if "$" in value}
        texts = ("source", "target", "from", "id", "env")
        known = {key: value for key, value in values.items() if key in texts or key not in later}
        return _typed(known, complete=not later)
    return _typed(values, complete=True)


def _typed(values: dict[str, str], complete: bool) -> RunMount:
    kind = values.get("type", "bind").lower()
    if kind not in KINDS:
        raise Unknown(f'unknown type of mount "{kind}"', kind, KINDS)
    sharing = values.get("sharing", "shared").lower()
    if sharing not in SHARING:
        raise Unknown(f'unknown sharing "{sharing}" of a mount', sharing, SHARING)
    found: dict[str, Any] = {
        "kind": kind,
        "target": values.get("target", ""),
        "source": values.get("source", ""),
        "from_": values.get("from", ""),
        "read_only": _read_only(values, kind),
        "id": values.get("id", ""),
        "sharing": sharing,
        "required": _boolean("required", values.get("required", "false")),
        "env": values.get("env", ""),
        "size": _number("size", values, units.size) or 0,
        "mode": _number("mode", values, units.octal_mode),
        "uid": _number("uid", values, lambda text: units.integer(text, 0, _MAX_ID)),
        "gid": _number("gid", values, lambda text: units.integer(text, 0, _MAX_ID)),
    }
    if complete:
        _check(kind, values)
        _name_secret(found, values)
    return RunMount(**found)


def _read_only(values: dict[str, str], kind: str) -> bool:
    if "ro" in values:
        return _boolean("readonly", values["ro"])
    if "rw" in values:
        return not _boolean("readwrite", values["rw"])
    return kind not in ("cache", "tmpfs")


def _boolean(name: str, value: str) -> bool:
    if value not in _TRUE + _FALSE:
        raise ValueError(f"{name}={value} of a mount: neither true nor false")
    return value in _TRUE


def _number(name: str, values: dict[str, str], read: Callable[[str], int]) -> int | None:
    if name not in values:
        return None
    try:
        return read(values[name])
    except ValueError as error:
        raise ValueError(f"{name}={values[name]} of a mount: {error}") from None


def _check(kind: str, values: dict[str, str]) -> None:
    for keys, kinds in (
        (("mode", "uid", "gid"), _OWNED),
        (("size",), ("tmpfs",)),
        (("sharing",), ("cache",)),
        (("required",), ("secret", "ssh")),
        (("env",), ("secret",)),
    ):
        for key in keys:
            if key in values and kind not in kinds:
                raise ValueError(f"{key}= is not for mounts of type {kind}")
    if kind == "secret":
        if values.get("from"):
            raise ValueError("from= is not for mounts of type secret")
        if values.get("source") and values.get("id"):
            raise ValueError("a secret has an id or a source, not both")
        if not any(values.get(key) for key in ("id", "source", "target")):
            raise ValueError("a secret needs an id: type=secret,id=...")
    elif posixpath.normpath(values.get("target", ".")).strip("/") == "":
        raise ValueError("a mount can't take the place of /")


def _name_secret(found: dict[str, Any], values: dict[str, str]) -> None:
    """A secret's id may be said by its source or by its file's name; `env=` is that id."""
    if found["kind"] != "secret":
        return
    found["id"] = found["id"] or found["source"] or posixpath.basename(found["target"])
    if "env" in values:
        found["env"] = found["env"] or found["id"]
