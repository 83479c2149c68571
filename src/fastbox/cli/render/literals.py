"""Go's literals as values: texts with their escapes, characters, numbers. ValueError, in Go's
words, for what is none.
"""

from __future__ import annotations

from fastbox.cli.render.lexer import quote

_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\",
}  # fmt: skip
_LENGTHS = {"x": 2, "u": 4, "U": 8}
_MAX_INTEGER = 1 << 63


def unquoted(text: str) -> str:
    """The value of a text in its quotes."""
    if text[0] == "`":
        return text[1:-1].replace("\r", "")
    if "\\" not in text:
        return text[1:-1]
    found, at, end = bytearray(), 1, len(text) - 1
    while at < end:
        if text[at] != "\\":
            found += text[at].encode("utf-8", "surrogateescape")
            at += 1
            continue
        value, at = _escape(text, at + 1, end)
        found += value
    return found.decode("utf-8", "replace")


def _escape(text: str, at: int, end: int) -> tuple[bytes, int]:
    """What an escape stands for, and where the text goes on."""
    letter = text[at]
    if letter in _ESCAPES:
        return _ESCAPES[letter].encode(), at + 1
    if letter == text[0]:
        return letter.encode(), at + 1
    try:
        if letter in _LENGTHS:
            after = at + 1 + _LENGTHS[letter]
            number = int(_digits(text[at + 1 : min(after, end)], _LENGTHS[letter], 16), 16)
        else:
            after = at + 3
            number = int(_digits(text[at : min(after, end)], 3, 8), 8)
        if letter in "uU":
            return chr(number).encode(), after
        return bytes((number,)), after
    except (ValueError, OverflowError):
        raise ValueError("invalid syntax") from None


def _digits(text: str, count: int, base: int) -> str:
    if len(text) != count or text.strip("0123456789abcdefABCDEF"[: base + (base == 16) * 6]):
        raise ValueError
    return text


def character(text: str) -> int:
    """The number of a character in single quotes."""
    value = unquoted(text) if text[1:2] != '"' else '"'
    if len(value) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(value)


def number(text: str) -> int | float:
    """A whole number in any of Go's bases, or one with a fraction or an exponent."""
    body = text.lstrip("+-")
    sign = -1 if text[0] == "-" else 1
    wrong = ValueError(f"illegal number syntax: {quote(text)}")
    if len(body) > 100 or not body or body[-1] == "_" or "__" in body:
        raise wrong
    if body.isdigit() and body[0] == "0" and len(body) > 1:
        body = "0o" + body[1:]
    try:
        value = int(body, 0)
    except ValueError:
        try:
            real = float(body)
        except ValueError:
            raise wrong from None
        if real in (float("inf"), float("-inf")):
            raise wrong from None
        return sign * real
    if value >= _MAX_INTEGER + (sign < 0):
        raise ValueError(f"integer overflow: {quote(text)}")
    return sign * value
