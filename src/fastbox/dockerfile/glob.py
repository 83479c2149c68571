"""Patterns of paths: Go's filepath.Match, and with `**` those of .dockerignore.

A pattern becomes tokens, and these an automaton whose states are the bits of an integer: matching
takes one step for each character of the path, whatever the pattern is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERN = 4096  # characters: the length of a path

# A token is a character, a class of them, or one of these.
ANY = "any"  # a character but "/"
STAR = "star"  # any number of those
GAP = "gap"  # nothing, or anything that ends with "/"
ALL = "all"  # anything


class Class:
    """`[a-z]`, `[^x]`; as in Go it may match "/"."""

    def __init__(self, ranges: Sequence[tuple[str, str]], negated: bool) -> None:
        self.ranges, self.negated = tuple(ranges), negated

    def has(self, char: str) -> bool:
        """Whether it matches the character."""
        return any(low <= char <= high for low, high in self.ranges) != self.negated


class Char:
    """One character."""

    def __init__(self, char: str) -> None:
        self.char = char


Token = str | Char | Class


def match(pattern: str, name: str) -> bool:
    """Whether all of the name matches, as Go's filepath.Match: `*` and `?` stop at "/".

    Raises:
        ValueError: The pattern is malformed.

    Example:
        >>> match("*.go", "main.go"), match("*", "a/b")
        (True, False)
    """
    return Automaton(tokens(pattern, deep=False)).matches(name)


def has_magic(pattern: str) -> bool:
    """Whether a pattern is more than a plain path."""
    return any(char in pattern for char in "*?[\\")


def tokens(pattern: str, deep: bool) -> list[Token]:
    """A pattern's tokens; `deep` gives `**` its meaning in .dockerignore.

    Raises:
        ValueError: A class or an escape without its end, or longer than 4096 characters.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern of more than {MAX_PATTERN} characters")
    found: list[Token] = []
    at, end = 0, len(pattern)
    while at < end:
        char = pattern[at]
        at += 1
        token: Token = Char(char)
        if deep and char == "*" and pattern[at : at + 1] == "*":
            # The slash after `**` belongs to it: a gap ends with one, or is nothing.
            begin, at = at - 1, at + 1 + (pattern[at + 1 : at + 2] == "/")
            # At the very beginning and with nothing but a plain name behind it, `**` is any text
            # for docker, also within a name: "**foo" matches "xfoo".
            plain = begin == 0 and pattern[1:2] == "*" and pattern[2:3] != "/"
            token = ALL if at >= end or (plain and not has_magic(pattern[at:])) else GAP
        elif char == "*":
            token = STAR
        elif char == "?":
            token = ANY
        elif char == "[":
            token, at = _class(pattern, at)
        elif char == "\\":
            if at == end:
                raise ValueError("an escape at the end of the pattern")
            token, at = Char(pattern[at]), at + 1
        if token not in (STAR, GAP, ALL) or found[-1:] != [token]:
            found.append(token)
    return found


def _class(pattern: str, at: int) -> tuple[Class, int]:
    """The class that begins at `at`, after its bracket, and where it ends."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (pattern[at : at + 1] == "]" and ranges):
        low, at = _class_char(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            high, at = _class_char(pattern, at + 1)
        ranges.append((low, high))
    return Class(ranges, negated), at + 1


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    char = pattern[at : at + 1]
    if char == "\\":
        at += 1
        char = pattern[at : at + 1]
    elif char in ("-", "]"):
        raise ValueError("an empty class of characters, or one with a stray - or ]")
    if not char or at + 1 >= len(pattern):
        raise ValueError("a class of characters without its ]")
    return char, at + 1


class Automaton:
    """Tokens as a machine. Bit i of a state says that the tokens before i are matched."""

    def __init__(self, sequence: Sequence[Token]) -> None:
        # A gap has two bits: none of it is read; some of it is, and it may end at the next slash.
        self._cells = [
            cell for token in sequence for cell in ((GAP, "inner") if token == GAP else (token,))
        ]
        self._stars = self._bits(STAR)
        self._alls = self._bits(ALL)
        self._gaps = self._bits(GAP)
        self._inners = self._bits("inner")
        self._skips = self._stars | self._alls
        self._done = 1 << len(self._cells)
        self._steps: dict[str, tuple[int, int]] = {}
        self.start = self._closed(1)

    def _bits(self, kind: str) -> int:
        return sum(1 << at for at, cell in enumerate(self._cells) if cell == kind)

    def _closed(self, state: int) -> int:
        """With the states that are reached without a character."""
        while True:
            more = state | (state & self._skips) << 1 | (state & self._gaps) << 2
            if more == state:
                return state
            state = more

    def step(self, state: int, char: str) -> int:
        """The state after a character; 0 when nothing can match any more."""
        masks = self._steps.get(char)
        if masks is None:
            masks = self._steps[char] = self._masks(char)
        moves, stays = masks
        after = (state & moves) << 1 | state & stays
        if char == "/":
            after |= (state & self._gaps) << 2
        return self._closed(after)

    def _masks(self, char: str) -> tuple[int, int]:
        """Which cells pass over to the next one with this character, and which stay."""
        slash = char == "/"
        stays = self._alls | self._inners | (0 if slash else self._stars)
        moves = self._gaps | (self._inners if slash else self._bits(ANY))
        for at, cell in enumerate(self._cells):
            if isinstance(cell, Char):
                moves |= (cell.char == char) << at
            elif isinstance(cell, Class):
                moves |= cell.has(char) << at
        return moves, stays

    def matches(self, path: str) -> bool:
        """Whether it matches all of the path."""
        return self.run(path) & self._done != 0

    def matches_above(self, path: str) -> bool:
        """Whether it matches the path or one of its parent directories."""
        state, done = self.start, self._done
        for char in path:
            if char == "/" and state & done:
                return True
            state = self.step(state, char)
            if not state:
                return False
        return state & done != 0

    def run(self, path: str) -> int:
        """The state after a path; not 0 if something that begins with it may match."""
        state = self.start
        for char in path:
            state = self.step(state, char)
            if not state:
                break
        return state
