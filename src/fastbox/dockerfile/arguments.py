"""What follows an instruction's keyword, in the forms that docker knows: words between blanks, a
JSON array, `name=value` words, and flags. Everything raises ValueError with a fragment that says
why.
"""

from __future__ import annotations

from fastbox.dockerfile.source import BLANKS, SPACE
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BLANKS = frozenset(BLANKS)
_SPACE = frozenset(SPACE)


class Unknown(ValueError):
    """A word that is none of those that are known here; `word` for the excerpt, `hint` if one is
    near.
    """

    def __init__(self, what: str, word: str, known: Sequence[str], dashes: str = "") -> None:
        from fastbox.support.nearest import nearest

        super().__init__(what)
        near = nearest(word.lower(), [name.lower() for name in known])
        real = next((name for name in known if name.lower() == near), "")
        self.word = dashes + word
        every = f"known: {', '.join(dashes + name for name in known)}" if known else ""
        self.hint = f"did you mean {dashes}{real}?" if real else every


class Flag(Record):
    """A flag that an instruction takes: `kind` is text, bool or list."""

    name: str
    kind: str = "text"


def blank_words(rest: str) -> list[str]:
    """The words between blanks; quotes and escapes mean nothing."""
    words: list[str] = []
    begin = 0
    if not any(char in rest for char in "\t\v\f\r"):
        return [word for word in rest.split(" ") if word]
    for at, char in enumerate(rest):
        if char in _BLANKS:
            words.append(rest[begin:at])
            begin = at + 1
    return [word for word in [*words, rest[begin:]] if word]


def array(rest: str) -> tuple[str, ...] | None:
    """The strings of a JSON array, or None when the text is none: then it is the shell form.

    Raises:
        ValueError: An array of something else than strings.
    """
    if not rest.startswith("["):
        return None
    from fastbox.support import json

    try:
        value = json.loads(rest)
    except ValueError:
        return None
    if not all(isinstance(item, str) for item in value):
        raise ValueError("its JSON array holds something else than strings")
    if not all(item.isprintable() or _is_argument(item) for item in value):
        raise ValueError("its JSON array holds a NUL or half a character")
    return tuple(value)


def _is_argument(text: str) -> bool:
    """Whether the kernel can be given it; bytes that are not UTF-8 are surrogates here."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def quoted_words(rest: str, escape: str) -> list[str]:
    """The words between white space, where quotes and escapes hold it together; both are kept."""
    words: list[str] = []
    word: list[str] = []
    quote, at, end = "", 0, len(rest)
    while at < end:
        char = rest[at]
        at += 1
        if not quote and char in _SPACE:
            if word:
                words.append("".join(word))
                word.clear()
            continue
        if char == quote:
            quote = ""
        elif char == escape and quote != "'":
            if at == end:
                break  # an escape of nothing
            word.append(char)
            char = rest[at]
            at += 1
        elif not quote and char in "'\"":
            quote = char
        word.append(char)
    if word:
        words.append("".join(word))
    return words


def is_old_form(rest: str, escape: str) -> bool:
    """Whether ENV or LABEL have the form `name the value` instead of `name=value`."""
    words = quoted_words(rest, escape)
    return bool(words) and "=" not in words[0]


def pairs(keyword: str, rest: str, escape: str) -> tuple[tuple[str, str], ...]:
    """Names and values of ENV and LABEL, unexpanded."""
    words = quoted_words(rest, escape)
    if words and "=" not in words[0]:
        cut = next((at for at, char in enumerate(rest) if char in _BLANKS), len(rest))
        name, value = rest[:cut], rest[cut:].lstrip(BLANKS)
        if cut == len(rest):
            raise ValueError(f"{keyword} needs a name and a value: {keyword} {name}=value")
        return ((name, value),)
    for word in words:
        if "=" not in word:
            raise ValueError(f'no "=" in "{word}": {keyword} takes name=value words')
    found = [word.partition("=") for word in words]
    if not all(name for name, _, _ in found):
        raise ValueError(f"{keyword} has a name that is empty")
    return tuple([(name, value) for name, _, value in found])


def flags(words: Sequence[str], known: Sequence[Flag]) -> dict[str, str | bool | list[str]]:
    """The flags that are there, by name."""
    kinds = {flag.name: flag.kind for flag in known}
    found: dict[str, str | bool | list[str]] = {}
    for word in words:
        name, equals, value = word[2:].partition("=")
        kind = kinds.get(name)
        if kind is None and not kinds:
            raise Unknown(f"unknown flag: --{name} (it takes none)", name, (), "--")
        if kind is None:
            raise Unknown(f"unknown flag: --{name}", name, tuple(kinds), "--")
        if (kind != "bool" and not equals) or (kind == "bool" and equals and not value):
            raise ValueError(f"flag without a value: --{name}")
        if kind == "list":
            values = found.setdefault(name, [])
            assert isinstance(values, list)
            values.append(value)
        elif name in found:
            raise ValueError(f"flag given twice: --{name}")
        else:
            found[name] = _boolean(name, value or "true") if kind == "bool" else value
    return found


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(f"--{name} is true or false, not {value}")
    return value.lower() == "true"


def csv(text: str) -> list[str]:
    """The fields between commas; a field in double quotes holds commas, and `""` for a quote."""
    fields: list[str] = []
    at = 0
    while at <= len(text):
        if text[at : at + 1] != '"':
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            fields.append(text[at:end])
            at = end + 1
            continue
        field: list[str] = []
        while True:
            end = text.find('"', at + 1)
            if end < 0:
                raise ValueError("a quoted field without its end")
            field.append(text[at + 1 : end])
            if text[end + 1 : end + 2] != '"':
                break
            field.append('"')
            at = end + 1
        if text[end + 1 : end + 2] not in ("", ","):
            raise ValueError("text after a quoted field")
        fields.append("".join(field))
        at = end + 2
    return fields
