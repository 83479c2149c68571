"""What templates can call: Go's own functions, and those of docker's client. What is wrong with an
argument is a ValueError, in Go's words.
"""

from __future__ import annotations

from fastbox.cli.render.values import MISSING, Struct, is_nil, is_true, json, kind, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_TEXT = 4 << 20  # of one value: what doubles itself ends here

# How many arguments at least and at most (None: any number), and their types where Go checks them.
_Signature = tuple[int, "int | None", tuple[str, ...]]


def _json(value: object) -> str:
    return json(value)


def _join(parts: object, separator: str) -> str:
    assert isinstance(parts, (list, tuple))
    return separator.join(map(plain, parts))


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _title(text: str) -> str:
    """Every word's first letter as a capital; words end at what is no letter, digit or `_`."""
    found, inside = [], False
    for char in text:
        found.append(char if inside else char.title())
        inside = char.isalnum() or char == "_"
    return "".join(found)


def _pad(text: str, before: int, after: int) -> str:
    if not text:
        return text
    if min(before, after) < 0:
        raise ValueError("strings: negative Repeat count")
    if max(before, after) > MAX_TEXT:
        raise ValueError("too wide")
    return " " * before + text + " " * after


def _truncate(text: str, length: int) -> str:
    if length < 0:
        raise ValueError(f"slice bounds out of range [:{length}]")
    return text[:length]


def _print(*values: object) -> str:
    """With a space between two that are no texts."""
    found: list[str] = []
    for before, value in zip(("", *values), values, strict=False):
        if found and not isinstance(before, str) and not isinstance(value, str):
            found.append(" ")
        found.append(plain(value))
    return "".join(found)


def _println(*values: object) -> str:
    return " ".join(map(plain, values)) + "\n"


def _printf(form: str, *values: object) -> str:
    from fastbox.cli.render.printf import printf

    return printf(form, values)


def _len(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, (list, tuple)) or (
        isinstance(value, dict) and not isinstance(value, Struct)
    ):
        return len(value)
    if is_nil(value):
        raise ValueError("len of nil pointer")
    raise ValueError(f"len of type {kind(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if is_nil(value):
            raise ValueError("index of untyped nil")
        if isinstance(value, dict):
            if not isinstance(key, str):
                raise ValueError(f"value has type {kind(key)}; should be string")
            texts = all(isinstance(each, str) for each in value.values())
            value = value.get(key, "" if texts and not isinstance(value, Struct) else MISSING)
        elif isinstance(value, (str, list, tuple)):
            value = _item(value, _place(key, len(value), inside=True))
        else:
            raise ValueError(f"can't index item of type {kind(value)}")
    return value


def _item(value: str | list[object] | tuple[object, ...], place: int) -> object:
    return value.encode()[place] if isinstance(value, str) else value[place]


def _place(key: object, length: int, *, inside: bool) -> int:
    if not isinstance(key, int) or isinstance(key, bool):
        if key is None:
            raise ValueError("cannot index slice/array with nil")
        raise ValueError(f"cannot index slice/array with type {kind(key)}")
    if not 0 <= key < length + (not inside):
        raise ValueError(f"index out of range: {key}")
    return key


def _slice(value: object, *places: object) -> object:
    if not isinstance(value, (str, list, tuple)):
        raise ValueError(f"can't slice item of type {kind(value)}")
    if len(places) > 3:
        raise ValueError(f"too many slice indexes: {len(places)}")
    if len(places) == 3 and isinstance(value, str):
        raise ValueError("cannot 3-index slice a string")
    ends = [_place(place, len(value), inside=False) for place in places]
    begin, end = (*ends, 0)[0], (*ends, 0, len(value))[1] if len(ends) > 1 else len(value)
    if begin > end or (len(ends) == 3 and end > ends[2]):
        raise ValueError(f"invalid slice index: {begin} > {end}")
    return value[begin:end]


def _basic(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    for known, name in ((str, "string"), (int, "int"), (float, "float")):
        if isinstance(value, known):
            return name
    raise ValueError("invalid type for comparison")


def _equal(left: object, right: object) -> bool:
    if is_nil(left) or is_nil(right):
        return is_nil(left) and is_nil(right)
    many = (list, tuple, dict)
    if isinstance(left, many) and isinstance(right, many):
        raise ValueError(f"non-comparable type {plain(right)}: {kind(right)}")
    if isinstance(left, many) or isinstance(right, many):
        raise ValueError("incompatible types for comparison")
    if _basic(left) != _basic(right):
        raise ValueError("incompatible types for comparison")
    return left == right


def _eq(left: object, *others: object) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    return any(_equal(left, right) for right in others)


def _less(left: object, right: object) -> bool:
    if _basic(left) != _basic(right):
        raise ValueError("incompatible types for comparison")
    if isinstance(left, bool):
        raise ValueError("invalid type for comparison")
    return bool(left < right)  # type: ignore[operator]


_HTML = {
    "\0": "\N{REPLACEMENT CHARACTER}", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;",
    ">": "&gt;",
}  # fmt: skip
_JS = {
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026",
    "=": "\\u003D",
}  # fmt: skip


def _html(*values: object) -> str:
    return "".join(_HTML.get(char, char) for char in _print(*values))


def _js(*values: object) -> str:
    return "".join(
        _JS.get(char) or (f"\\u{ord(char):04X}" if char < " " else char) for char in _print(*values)
    )


def _urlquery(*values: object) -> str:
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    return "".join(
        chr(byte) if byte in letters else "+" if byte == 0x20 else f"%{byte:02X}"
        for byte in _print(*values).encode("utf-8", "replace")
    )


def _call(function: object, *values: object) -> object:
    if not callable(function):
        raise ValueError(f"non-function of type {kind(function)}")
    return function(*values)


FUNCTIONS: Mapping[str, tuple[Callable[..., object], _Signature]] = {
    "call": (_call, (1, None, ())),
    "eq": (_eq, (1, None, ())),
    "ge": (lambda a, b: not _less(a, b), (2, 2, ())),
    "gt": (lambda a, b: not _less(a, b) and not _equal(a, b), (2, 2, ())),
    "html": (_html, (0, None, ())),
    "index": (_index, (1, None, ())),
    "join": (_join, (2, 2, ("[]string", "string"))),
    "js": (_js, (0, None, ())),
    "json": (_json, (1, 1, ())),
    "le": (lambda a, b: _less(a, b) or _equal(a, b), (2, 2, ())),
    "len": (_len, (1, 1, ())),
    "lower": (str.lower, (1, 1, ("string",))),
    "lt": (_less, (2, 2, ())),
    "ne": (lambda a, b: not _equal(a, b), (2, 2, ())),
    "not": (lambda value: not is_true(value), (1, 1, ())),
    "pad": (_pad, (3, 3, ("string", "int", "int"))),
    "print": (_print, (0, None, ())),
    "printf": (_printf, (1, None, ("string",))),
    "println": (_println, (0, None, ())),
    "slice": (_slice, (1, None, ())),
    "split": (_split, (2, 2, ("string", "string"))),
    "title": (_title, (1, 1, ("string",))),
    "truncate": (_truncate, (2, 2, ("string", "int"))),
    "upper": (str.upper, (1, 1, ("string",))),
    "urlquery": (_urlquery, (0, None, ())),
}
# In a table's heading these leave the heading as it is.
HEADING_FUNCTIONS = ("json", "title", "lower", "upper", "truncate")
# Their arguments are only looked at as long as it takes.
LAZY = ("and", "or")
NAMES = frozenset((*FUNCTIONS, *LAZY))
