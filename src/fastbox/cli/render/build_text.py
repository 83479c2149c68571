"""What steps write and are called, made harmless and measured for a terminal.

Output of a build is anybody's: escape sequences go, other control characters are shown as escapes,
so nothing in it can move a cursor, ring, or set a title.
"""

from __future__ import annotations

from fastbox.errors import printable

LONGEST = 64 << 10  # bytes of a line; a longer one is several
_ESC, _CSI, _BEL = "\x1b", "\x9b", "\x07"
# ESC and one of these begin a text for the terminal that ends with BEL or ESC \.
_STRINGS = "]PX^_"
_STRING_ENDS = (_BEL, "\x9c")


def clean(text: str) -> str:
    """One line without escape sequences, tabs as blanks, other controls as `\\x07`."""
    if text.isprintable():
        return text
    if _ESC in text or _CSI in text:
        text = _without_sequences(text)
    return printable(text.expandtabs(8))


def shown(line: bytes) -> str:
    """What a terminal would show of a line in the end: after the last carriage return."""
    text = line.decode("utf-8", "replace").rstrip("\r")
    return clean(text[text.rfind("\r") + 1 :])


def _without_sequences(text: str) -> str:
    kept: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == _CSI:
            at = _after_csi(text, at + 1)
        elif char != _ESC:
            end = at + 1
            while end < len(text) and text[end] not in (_ESC, _CSI):
                end += 1
            kept.append(text[at:end])
            at = end
        elif text[at + 1 : at + 2] == "[":
            at = _after_csi(text, at + 2)
        elif text[at + 1 : at + 2] in tuple(_STRINGS):
            at = _after_string(text, at + 2)
        else:
            at = _after_short(text, at + 1)
    return "".join(kept)


def _after_csi(text: str, at: int) -> int:
    """Behind parameters, intermediates and the final character (ECMA-48, 5.4)."""
    while at < len(text) and "\x20" <= text[at] <= "\x3f":
        at += 1
    return at + 1 if "\x40" <= text[at : at + 1] <= "\x7e" else at


def _after_short(text: str, at: int) -> int:
    while at < len(text) and "\x20" <= text[at] <= "\x2f":
        at += 1
    return at + 1 if "\x30" <= text[at : at + 1] <= "\x7e" else at


def _after_string(text: str, at: int) -> int:
    """Behind the string's end; one that does not end takes the rest of the line."""
    while at < len(text):
        if text[at] in _STRING_ENDS:
            return at + 1
        if text[at] == _ESC:
            return at + 2 if text[at + 1 : at + 2] == "\\" else at
        at += 1
    return at


def width(text: str) -> int:
    """How many columns a clean text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if char < "\u0300":
        return 1
    import unicodedata

    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """As much of a clean text as there is room for."""
    if text.isascii():
        return text[: max(columns, 0)]
    taken = 0
    for place, char in enumerate(text):
        taken += _columns(char)
        if taken > columns:
            return text[:place]
    return text


def sides(left: str, right: str, columns: int) -> str:
    """A line with a text at either edge; the left one gives way."""
    left = fit(left, columns - width(right) - 1)
    return left + " " * max(columns - width(left) - width(right), 0) + right


class Splitter:
    """Chunks to lines, each stream by itself; what has no newline yet waits, but for long."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: dict[int, bytearray] = {}

    def feed(self, stream: int, data: bytes) -> list[bytes]:
        """The lines that this chunk completes, without their newlines."""
        pieces = data.split(b"\n")
        part = self._parts.setdefault(stream, bytearray())
        found = []
        for piece in pieces[:-1]:
            part += piece
            found += _bounded(part)
            part.clear()
        part += pieces[-1]
        if len(part) > LONGEST:
            lines = _bounded(part)
            found += lines[:-1]
            part[:] = lines[-1]
        return found

    def waiting(self) -> bytes:
        """The longest wait: the beginning of a line that is not there yet."""
        return max(map(bytes, self._parts.values()), key=len, default=b"")

    def rest(self) -> list[bytes]:
        """What is left at the end, one line a stream."""
        found = [bytes(part) for part in self._parts.values() if part]
        self._parts.clear()
        return found


def _bounded(part: bytearray) -> list[bytes]:
    if len(part) <= LONGEST:
        return [bytes(part)]
    last = part.rfind(b"\r")
    if last > 0 and len(part) - last <= LONGEST:
        return [bytes(part[last:])]  # a bar that was drawn over and over: only how it looks now
    return [bytes(part[at : at + LONGEST]) for at in range(0, len(part), LONGEST)]
