"""The wildcards of COPY's sources, as Go's `filepath.Match` reads them, for one name of a path.

`*` is any run of characters, `?` is one, `[a-z]` and `[^a-z]` are one of a set, a backslash takes
the next character for itself. A name that begins with a dot is matched like others.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Part = Callable[[str], bool] | None  # None: a star


def has_wildcard(name: str) -> bool:
    """Whether the text has a character that is no plain name's; a backslash protects the next."""
    at = 0
    while at < len(name):
        if name[at] == "\\":
            at += 1
        elif name[at] in "*?[":
            return True
        at += 1
    return False


def matcher(pattern: str) -> Callable[[str], bool]:
    """A test of names.

    Raises:
        InvalidArgument: A set without its end, or a backslash without a character.
    """
    parts = _parts(pattern)
    return lambda name: _matches(parts, name)


def _matches(parts: list[Part], name: str) -> bool:
    """Each star is tried where the last one was: what earlier ones took needs no second look."""
    at = part = 0
    star, after = -1, 0
    while at < len(name):
        here = parts[part] if part < len(parts) else _never
        if here is None:
            star, after = part, at
            part += 1
        elif here(name[at]):
            part, at = part + 1, at + 1
        elif star >= 0:
            after += 1
            part, at = star + 1, after
        else:
            return False
    return all(rest is None for rest in parts[part:])


def _parts(pattern: str) -> list[Part]:
    parts: list[Part] = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            if not parts or parts[-1] is not None:
                parts.append(None)
        elif letter == "?":
            parts.append(_always)
        elif letter == "[":
            test, at = _set(pattern, at)
            parts.append(test)
        else:
            if letter == "\\":
                letter, at = _escaped(pattern, at)
            parts.append(letter.__eq__)
    return parts


def _set(pattern: str, at: int) -> tuple[Callable[[str], bool], int]:
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not ranges or pattern[at : at + 1] != "]":
        low, at = _member(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _member(pattern, at + 1)
        ranges.append((low, high))

    def test(letter: str) -> bool:
        return any(low <= letter <= high for low, high in ranges) != negated

    return test, at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    letter = pattern[at : at + 1]
    if letter in ("", "-", "]"):
        raise _syntax(pattern)
    return _escaped(pattern, at + 1) if letter == "\\" else (letter, at + 1)


def _escaped(pattern: str, at: int) -> tuple[str, int]:
    if at == len(pattern):
        raise _syntax(pattern)
    return pattern[at], at + 1


def _syntax(pattern: str) -> InvalidArgument:
    return InvalidArgument("syntax error in pattern", where=pattern)


def _always(_letter: str) -> bool:
    return True


def _never(_letter: str) -> bool:
    return False
