""".dockerignore, as docker reads it: patterns in order, `!` takes back, a directory that matches
takes all below it along.

Runs of patterns of the same kind are asked together. In a run, plain paths and `**/name` are looked
up in sets, the simple patterns are one regular expression in which nothing can blow up, and the
rest are automata of `glob.py`.
"""

from __future__ import annotations

import posixpath

from fastbox.dockerfile import glob
from fastbox.dockerfile.glob import ALL, ANY, GAP, STAR, Automaton, Char, Class
from fastbox.dockerfile.source import SPACE
from fastbox.errors import DockerfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from re import Pattern

    from fastbox.dockerfile.glob import Token

MAX_SIZE = 1 << 20
_EVERYTHING = ("*", "**", "**/*")


class Ignore:
    """Patterns that decide which files of a context are left out."""

    def __init__(self, patterns: Sequence[tuple[str, bool]] = (), where: str = "") -> None:
        """`patterns` are clean ones with whether each is an exception, in order.

        Raises:
            DockerfileError: A malformed pattern.
        """
        self.patterns = tuple(patterns)
        self.exceptions = any(exception for _, exception in patterns)
        self._runs: list[_Run] = []
        for pattern, exception in patterns:
            if not self._runs or self._runs[-1].exception != exception:
                self._runs.append(_Run(exception))
            try:
                self._runs[-1].add(pattern)
            except ValueError as error:
                raise DockerfileError(f'bad pattern "{pattern}": {error}', where=where) from None

    @classmethod
    def parse(cls, data: bytes | str, name: str = ".dockerignore") -> Ignore:
        """The patterns of a file.

        Raises:
            DockerfileError: A malformed pattern, or more than 1 MiB.
        """
        if len(data) > MAX_SIZE:
            raise DockerfileError(f"larger than {MAX_SIZE >> 20} MiB", where=name)
        text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
        lines = text.removeprefix("\ufeff").split("\n")
        return cls._of([line for line in lines if line[:1] != "#"], name)

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Ignore:
        """The same for patterns that are given one by one, such as those of `--exclude`."""
        return cls._of(patterns, "")

    @classmethod
    def _of(cls, lines: Iterable[str], where: str) -> Ignore:
        found = []
        for line in lines:
            pattern = line.strip(SPACE)
            exception = pattern[:1] == "!"
            pattern = pattern[exception:].strip(SPACE)
            if exception and not pattern:
                raise DockerfileError('nothing after "!"', where=where)
            if pattern:
                found.append((_clean(pattern), exception))
        return cls(found, where)

    def matches(self, path: str) -> bool:
        """Whether a path ("a/b", relative to the context) is left out, by itself or with one of its
        parent directories.
        """
        matched = False
        for run in self._runs:
            if run.exception == matched and run.matches(path):
                matched = not matched
        return matched

    def may_hold(self, directory: str) -> bool:
        """Whether something below a directory that is left out may be taken back, so that it has to
        be walked.
        """
        return self.exceptions and any(
            run.may_match_below(directory) for run in self._runs if run.exception
        )

    def hides(self, source: str) -> bool:
        """Whether docker warns of COPY's source: it is left out, and no exception could bring any
        of it back.
        """
        if self.exceptions:
            return False
        path = _clean(source)
        if path in (".", "/"):
            return any(pattern in _EVERYTHING for pattern, _ in self.patterns)
        return self.matches(path)


def _clean(pattern: str) -> str:
    path = posixpath.normpath(pattern)
    if path[:2] == "//":  # POSIX lets two slashes stand
        path = path[1:]
    return path[1:] if path[:1] == "/" and len(path) > 1 else path


class _Run:
    """Patterns that follow each other and are all exceptions, or all not."""

    def __init__(self, exception: bool) -> None:
        self.exception = exception
        self.paths: set[str] = set()
        self.heads: set[str] = set()  # their first names
        self.names: set[str] = set()  # of `**/name`
        self.suffixes: tuple[str, ...] = ()  # of `**/*.suffix`
        self.simple: list[list[Token]] = []
        self.others: list[tuple[str, Automaton]] = []  # with a text that has to be in the path
        self.all: list[list[Token]] = []
        self._simple: Pattern[str] | None = None
        self._below: list[Automaton] | None = None

    def add(self, pattern: str) -> None:
        """Sort it in.

        Raises:
            ValueError: It is malformed.
        """
        sequence = glob.tokens(pattern, deep=True)
        self.all.append(sequence)
        plain = _plain(sequence)
        if plain is not None:
            self.paths.add(plain)
            self.heads.add(plain.partition("/")[0])
            return
        name = _plain(sequence[1:]) if sequence[0] == GAP else None
        suffix = _plain(sequence[2:]) if sequence[:2] == [GAP, STAR] else None
        if name and "/" not in name:
            self.names.add(name)
        elif suffix and "/" not in suffix:
            self.suffixes += (suffix,)
        elif _is_simple(sequence):
            self.simple.append(sequence)
            self._simple = None
        else:
            self.others.append((_longest_text(sequence), Automaton(sequence)))

    def matches(self, path: str) -> bool:
        if path.partition("/")[0] in self.heads and self._is_at_or_below(path):
            return True
        if self.names and not self.names.isdisjoint(path.split("/")):
            return True
        if self.suffixes:
            if path.endswith(self.suffixes):
                return True
            for suffix in self.suffixes:
                if f"{suffix}/" in path:
                    return True
        if self.simple:
            if self._simple is None:
                self._simple = _compiled(self.simple)
            if self._simple.match(path):
                return True
        return any(text in path and other.matches_above(path) for text, other in self.others)

    def _is_at_or_below(self, path: str) -> bool:
        at = path.find("/")
        while at >= 0:
            if path[:at] in self.paths:
                return True
            at = path.find("/", at + 1)
        return path in self.paths

    def may_match_below(self, directory: str) -> bool:
        if self._below is None:
            self._below = [Automaton(sequence) for sequence in self.all]
        return any(
            machine.matches_above(directory) or machine.run(directory + "/")
            for machine in self._below
        )


def _plain(sequence: Sequence[Token]) -> str | None:
    """The text of a pattern that is nothing else."""
    chars = [token.char for token in sequence if isinstance(token, Char)]
    return "".join(chars) if len(chars) == len(sequence) else None


def _longest_text(sequence: Sequence[Token]) -> str:
    texts = "".join([token.char if isinstance(token, Char) else "\0" for token in sequence])
    return max(texts.split("\0"), key=len)


def _is_simple(sequence: Sequence[Token]) -> bool:
    """Whether a regular expression for it looks at no path more than its length times: one
    wildcard, or a gap at the beginning and a star.
    """
    deep = sum(token in (GAP, ALL) for token in sequence)
    stars = sum(token == STAR for token in sequence)
    return deep + stars <= 1 or (deep == 1 and stars == 1 and sequence[0] == GAP)


def _compiled(patterns: Sequence[Sequence[Token]]) -> Pattern[str]:
    import re

    alternatives = ["".join(map(_regex, sequence)) for sequence in patterns]
    return re.compile(f"(?:{'|'.join(alternatives)})(?:/|\\Z)", re.DOTALL)


def _regex(token: Token) -> str:
    import re

    if isinstance(token, Char):
        return re.escape(token.char)
    if isinstance(token, Class):
        ranges = [
            f"{re.escape(low)}-{re.escape(high)}" for low, high in token.ranges if low <= high
        ]
        if not ranges:
            return "." if token.negated else "(?!)"
        return f"[{'^' * token.negated}{''.join(ranges)}]"
    return {ANY: "[^/]", STAR: "[^/]*", GAP: "(?:.*/)?", ALL: ".*"}[token]
