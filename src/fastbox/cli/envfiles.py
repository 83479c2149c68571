"""Environments and labels: from flags, and from files as docker reads them. A name without a value
is taken from this environment.
"""

from __future__ import annotations

import os

from fastbox.cli.values import bad_value
from fastbox.errors import InvalidArgument, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_MAX_FILE = 8 << 20


def environment(args: Arguments) -> tuple[str, ...]:
    """--env-file, then --env: `NAME=value` each."""
    found: list[str] = []
    for path in args.texts("env-file"):
        found += filter(None, (_variable(entry) for entry in _entries(path, "variable")))
    for entry in args.texts("env"):
        if not entry or entry[0] == "=":
            raise bad_value(args, "env", entry, "it has no name", "NAME=value")
        # A name that this environment lacks takes the container's own away.
        found.append(_variable(entry) or entry)
    return tuple(found)


def labels(args: Arguments) -> dict[str, str] | None:
    """--label-file, then --label; a label without a value is empty. None when there are none."""
    found: dict[str, str] = {}
    for path in args.texts("label-file"):
        for entry in _entries(path, "label"):
            name, _, value = entry.partition("=")
            found[name] = value
    for entry in args.texts("label"):
        name, _, value = entry.partition("=")
        if not name:
            raise bad_value(args, "label", entry, "it has no name", "name=value")
        found[name] = value
    return found or None


def _variable(entry: str) -> str:
    """`NAME=value` as it is; `NAME` with this environment's value, or "" when it has none."""
    if "=" in entry:
        return entry
    value = os.environ.get(entry)
    return "" if value is None else f"{entry}={value}"


def _entries(path: str, kind: str) -> list[str]:
    """The lines of a file that are neither empty nor comments, their names checked."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        entry = line.removesuffix("\r").lstrip(" \t\v\f")
        if not entry or entry[0] == "#":
            continue
        name = entry.partition("=")[0]
        if not name or name.split() != [name]:
            why = "has blanks in its name" if name.strip() else "has no name"
            raise InvalidArgument(f"the {kind} on line {number} {why}", where=path)
        found.append(entry)
    return found


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise InvalidArgument("more than 8 MiB", where=path)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise os_error(error, "cannot read the file", path) from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidArgument(f"line {line} is not UTF-8", where=path) from None
