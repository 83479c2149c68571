"""The patterns of `${X#p}`, `${X%p}` and `${X/p/r}`: `*` is any text, `?` any character.

A pattern is cut at its stars into pieces of fixed length; each is looked for once, so that time is
the product of no two lengths.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN = 4096  # characters: a piece with `?` costs a big integer of so many bits
MAX_RESULT = 16 << 20

_ANY = None
_Piece = tuple["str | None", ...]


class Pattern:
    """A pattern in the raw form of the Dockerfile: escapes are in it.

    Raises:
        ValueError: A wrong escape, or longer than 4096 characters.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"a pattern of more than {MAX_PATTERN} characters")
        self.pieces = _pieces(text)

    def without_prefix(self, value: str, greedy: bool) -> str:
        """The value without the shortest (longest) beginning that matches."""
        end = _prefix(self.pieces, value, greedy)
        return value if end < 0 else value[end:]

    def without_suffix(self, value: str, greedy: bool) -> str:
        """The value without the shortest (longest) end that matches."""
        backwards = [piece[::-1] for piece in reversed(self.pieces)]
        end = _prefix(backwards, value[::-1], greedy)
        return value if end < 0 else value[: len(value) - end]

    def replaced(self, value: str, by: str, everywhere: bool) -> str:
        """The value with the first (every) longest match replaced.

        Raises:
            ValueError: That would be longer than 16 Mi characters.
        """
        found: list[str] = []
        room = MAX_RESULT
        at, last = 0, -1  # where the last match ended: an empty one does not follow it
        while at <= len(value):
            begin, end = self._search(value, at)
            if begin < 0:
                break
            found.append(value[at:begin])
            if end > begin or begin != last:
                found.append(by)
                room -= len(by)
            if room < 0:
                raise ValueError(f"a replacement makes more than {MAX_RESULT >> 20} Mi characters")
            at = last = end
            if end == begin:
                found.append(value[at : at + 1])
                at += 1
            if not everywhere:
                break
        return "".join(found) + value[at:]

    def _search(self, value: str, start: int) -> tuple[int, int]:
        """Where the first match begins and the longest one from there ends; -1 for none."""
        first, *rest = self.pieces
        begin = _find(first, value, start)
        if begin < 0 or not rest:
            return begin, begin + len(first)
        end = _after(rest, value, begin + len(first), True)
        return (begin, end) if end >= 0 else (-1, -1)


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    piece: list[str | None] = []
    chars = iter(text)
    for char in chars:
        if char == "*":
            pieces.append(tuple(piece))
            piece.clear()
        elif char == "\\":
            following = next(chars, "")
            if not following or following not in "}/*?\\":
                raise ValueError(f'invalid escape "\\{following}" in a pattern')
            piece.append(following)
        else:
            piece.append(_ANY if char == "?" else char)
    return [*pieces, tuple(piece)]


def _prefix(pieces: Sequence[_Piece], value: str, greedy: bool) -> int:
    """Where the match that begins at 0 ends, or -1."""
    first, *rest = pieces
    if not _stands(first, value, 0):
        return -1
    return _after(rest, value, len(first), greedy) if rest else len(first)


def _after(pieces: Sequence[_Piece], value: str, at: int, greedy: bool) -> int:
    """The end of a match of `*piece*piece...` that begins at `at`, or -1. Early pieces leave most
    room to the others; only the last decides how far it goes.
    """
    *middle, last = pieces
    for piece in middle:
        at = _find(piece, value, at)
        if at < 0:
            return -1
        at += len(piece)
    at = _rfind(last, value, at) if greedy else _find(last, value, at)
    return at + len(last) if at >= 0 else -1


def _stands(piece: _Piece, value: str, at: int) -> bool:
    there = value[at : at + len(piece)]
    return len(there) == len(piece) and all(
        want is _ANY or want == char for want, char in zip(piece, there, strict=True)
    )


def _rfind(piece: _Piece, value: str, start: int) -> int:
    if _ANY not in piece:
        return value.rfind("".join(filter(None, piece)), start)
    found = _find(piece[::-1], value[start:][::-1], 0)
    return -1 if found < 0 else len(value) - found - len(piece)


def _find(piece: _Piece, value: str, start: int) -> int:
    if _ANY not in piece:
        return value.find("".join(filter(None, piece)), start)
    # Shift-and: bit i says that the first i+1 characters of the piece end here.
    anything = sum(1 << at for at, want in enumerate(piece) if want is _ANY)
    masks: dict[str, int] = {}
    for at, want in enumerate(piece):
        if want is not _ANY:
            masks[want] = masks.get(want, anything) | 1 << at
    state, done = 0, 1 << (len(piece) - 1)
    for at in range(start, len(value)):
        state = (state << 1 | 1) & masks.get(value[at], anything)
        if state & done:
            return at - len(piece) + 1
    return -1
