"""JSON on the interpreter's own C scanner and encoder, without importing `json` (which imports
`re`: 6 ms).

What comes from outside is bounded by its caller in bytes and here in depth; every failure is a
ValueError with one plain line.
"""

from __future__ import annotations

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 64


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object names a member twice")
    return found


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_pairs)
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo: dict[str, str] = {}  # noqa: RUF012


class _OwnContext(_Context):
    object_pairs_hook = None  # type: ignore[assignment]


_scan_own = _json.make_scanner(_OwnContext)  # type: ignore[arg-type]
_scan = _json.make_scanner(_Context)  # type: ignore[arg-type]
_SPACE = " \t\n\r"


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the scanner recurses into it; brackets within strings only make
    the bound stricter.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth, quoted, skip = 0, False, False
    for char in text:
        if skip:
            skip = False
        elif quoted:
            skip, quoted = char == "\\", char != '"'
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
        elif char in "]}":
            depth -= 1


def loads(data: str | bytes) -> Any:
    """Parse one JSON document.

    Raises:
        ValueError: Not UTF-8, not JSON, nested deeper than 64 levels, or an object with a
            member twice.
    """
    text = (data.decode("utf-8") if isinstance(data, bytes) else data).strip(_SPACE)
    _check_depth(text)
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ValueError(f"not JSON at character {stop.value}") from None
    except SystemError:
        # The C scanner reports a syntax error with a class that only `json.decoder` defines.
        import json

        json.loads(text)
        raise ValueError("not JSON") from None
    if end != len(text):
        raise ValueError(f"text after the end at character {end}")
    return value


def loads_own(data: bytes) -> dict[str, Any]:
    """Parse a document that this engine wrote where nobody else can: an object, neither searched
    for members that come twice nor for deep nesting, in a third of the time.

    Raises:
        ValueError: Not JSON, or not an object.
    """
    try:
        value, _ = _scan_own(data.decode("utf-8"), 0)
    except (StopIteration, SystemError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def loads_object(data: str | bytes) -> dict[str, Any]:
    """Parse a document whose top is an object; ValueError for anything else."""
    value = loads(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _default(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encoder(indent: str | None, sort: bool) -> Any:
    separators = (": ", ", ") if indent else (":", ",")
    return _json.make_encoder(
        None, _default, _json.encode_basestring, None, *separators, sort, False, False
    )


_compact = _encoder(None, False)
_sorted = _encoder(None, True)


def dumps(value: object, *, sort_keys: bool = False) -> str:
    """The value as compact JSON; non-ASCII characters as they are."""
    return "".join((_sorted if sort_keys else _compact)(value, 0))


def dumps_bytes(value: object, *, sort_keys: bool = False) -> bytes:
    """The value as compact JSON in UTF-8; lone surrogates (of undecodable names) become `?`."""
    return dumps(value, sort_keys=sort_keys).encode("utf-8", "replace")


def dumps_pretty(value: object, indent: int = 4) -> str:
    """The value as people read it: one member a line."""
    return "".join(_pretty(value, "\n", " " * indent))


def _pretty(value: object, line: str, step: str) -> list[str]:
    if isinstance(value, dict) and value:
        members = [
            f"{line}{step}{dumps(str(k))}: " + "".join(_pretty(v, line + step, step))
            for k, v in value.items()
        ]
        return ["{", ",".join(members), line, "}"]
    if isinstance(value, (list, tuple)) and value:
        items = [f"{line}{step}" + "".join(_pretty(v, line + step, step)) for v in value]
        return ["[", ",".join(items), line, "]"]
    return [dumps(value)]
