"""Docker's processing of words: variables, quotes and escapes, as a shell has them in the small.

Everything raises ValueError with a fragment that says why; the caller knows the line. Work is
proportional to the text and what variables put in its place.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Variables(Protocol):
        """What expansion asks for values: a mapping, or less."""

        def get(self, name: str, /) -> str | None:
            """The value of a variable, None if it is unset."""


MAX_DEPTH = 64  # of `${A:-${B:-...}}`: each level is a few calls
MAX_RESULT = 16 << 20  # characters from variables: `ENV A=$A$A` doubles with each line
_SPACE = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
    "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
)
_SPECIAL = frozenset("@*#?-$!0")  # parameters of a shell, which a Dockerfile never has
_END = ""


def expand(
    text: str,
    env: Variables,
    escape: str = "\\",
    *,
    used: set[str] | None = None,
    missing: set[str] | None = None,
) -> str:
    """The text with variables replaced, and without quotes and escapes.

    Args:
        text: As written in the Dockerfile.
        env: Variables. One that is not in it is unset: "" in the text.
        escape: What takes the meaning of the next character: a backslash or a backtick.
        used: Gets the names that were found.
        missing: Gets the names that were not.

    Raises:
        ValueError: A quote or brace without its end, an unknown substitution, `${X:?why}` without
            X, a pattern that is wrong, variables nested more than 64 deep, or more than 16 Mi
            characters from them.

    Example:
        >>> expand("$A-${B:-'x y'}", {"A": "1"})
        '1-x y'
    """
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return text
    return _Lexer(text, env, escape, used, missing).text("")


def expand_document(
    text: str,
    env: Variables,
    *,
    used: set[str] | None = None,
    missing: set[str] | None = None,
) -> str:
    """The text of a heredoc with variables replaced: quotes mean nothing in it, and the escape
    is a backslash in every file.
    """
    if "$" not in text and "\\" not in text:
        return text
    lexer = _Lexer(text, env, "\\", used, missing)
    lexer.quotes = False
    return lexer.text("")


def split(
    text: str,
    env: Variables,
    escape: str = "\\",
    *,
    used: set[str] | None = None,
    missing: set[str] | None = None,
    keep_unset: bool = False,
    raw_quotes: bool = False,
    raw_escapes: bool = False,
) -> list[str]:
    """The words of the text: separated by white space that is not quoted, also by that of unquoted
    variables. White space after `<<` belongs to the word.

    Args:
        keep_unset: Leave variables that are not in `env` as they are written.
        raw_quotes: Keep quotes.
        raw_escapes: Keep escapes.
    """
    lexer = _Lexer(text, env, escape, used, missing)
    lexer.keep_unset, lexer.raw_quotes, lexer.raw_escapes = keep_unset, raw_quotes, raw_escapes
    lexer.words = _Words()
    lexer.text("")
    return lexer.words.all()


class _Words:
    """Collects characters to words."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.word: list[str] = []

    def plain(self, text: str) -> None:
        """Text whose white space separates."""
        for char in text:
            if char not in _SPACE:
                self.word.append(char)
            elif self.word:
                self._end()

    def quoted(self, text: str) -> None:
        """Text that stays together."""
        if text:
            self.word.append(text)

    def all(self) -> list[str]:
        if self.word:
            self._end()
        return self.found

    def _end(self) -> None:
        self.found.append("".join(self.word))
        self.word.clear()


class _Lexer:
    quotes = True
    keep_unset = raw_quotes = raw_escapes = False
    words: _Words | None = None

    def __init__(
        self,
        source: str,
        env: Variables,
        escape: str,
        used: set[str] | None,
        missing: set[str] | None,
    ) -> None:
        self.source, self.at, self.depth, self.taken = source, 0, 0, 0
        self.env, self.escape = env, escape
        self.used, self.missing = used, missing

    def peek(self) -> str:
        return self.source[self.at : self.at + 1]

    def next(self) -> str:
        char = self.source[self.at : self.at + 1]
        self.at += 1
        return char

    def text(self, stop: str) -> str:
        """What comes before an unquoted `stop`, or up to the end of the source."""
        source, result, words = self.source, list[str](), self.words
        special = {"$", "<", self.escape} | ({"'", '"'} if self.quotes else set())
        while (char := source[self.at : self.at + 1]) != _END:
            if char == stop:
                self.at += 1
                return "".join(result)
            if char not in special:
                self.at += 1
                result.append(char)
                if words is not None:
                    words.plain(char)
                continue
            got = self._special(char)
            result.append(got)
            if words is not None:
                (words.plain if char == "$" else words.quoted)(got)
        if stop:
            raise ValueError(f'missing "{stop}" at the end')
        return "".join(result)

    def _special(self, char: str) -> str:
        if char == "$":
            return self._variable()
        if char == "<":
            return self._less()
        if char == "'":
            return self._single()
        if char == '"':
            return self._double()
        self.at += 1
        following = self.next()
        return char + following if self.raw_escapes else following

    def _less(self) -> str:
        begin = self.at
        self.at += 1
        if self.peek() == "<":
            self.at += 1
            while self.peek() and self.peek() in "\t\r ":
                self.at += 1
        return self.source[begin : self.at]

    def _single(self) -> str:
        begin = self.at + 1
        end = self.source.find("'", begin)
        if end < 0:
            raise ValueError("unterminated single quote")
        self.at = end + 1
        return self.source[begin - 1 : end + 1] if self.raw_quotes else self.source[begin:end]

    def _double(self) -> str:
        self.at += 1
        result = ['"'] if self.raw_quotes else []
        while (char := self.peek()) != '"':
            if not char:
                raise ValueError("unterminated double quote")
            if char == "$":
                result.append(self._variable())
                continue
            self.at += 1
            following = self.peek()
            if char == self.escape and following and following in ('"', "$", self.escape):
                self.at += 1
                char = char + following if self.raw_escapes else following
            result.append(char)
        self.at += 1
        return "".join(result) + ('"' if self.raw_quotes else "")

    def _variable(self) -> str:
        self.at += 1
        if self.peek() != "{":
            name = self._name()
            if not name:
                return "$"
            value = self._value(name)
            return f"${name}" if value is None and self.keep_unset else value or ""
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"variables nested more than {MAX_DEPTH} deep")
        words, self.words = self.words, None
        found = self._braces()
        self.words = words
        self.depth -= 1
        return found

    def _braces(self) -> str:
        begin = self.at
        name = self._name()
        sign = self.next()
        if not sign:
            raise ValueError('missing "}" after "${"')
        if not name:
            raise ValueError(f'bad substitution "${{{self.source[begin : begin + 20]}"')
        if sign == "}":
            value = self._value(name)
            return f"${{{name}}}" if value is None and self.keep_unset else value or ""
        if sign == "/":
            return self._replaced(name)
        colon = sign == ":"
        kind = self.next() if colon else sign
        if not kind or kind not in ("+-?" if colon else "+-?#%"):
            raise ValueError(f'unsupported modifier "{":" * colon + kind}" of ${{{name}}}')
        word = self._operand("}", kind in "#%")
        value = self._value(name)
        if value is None and self.keep_unset:
            return self.source[begin - 2 : self.at]
        if kind in "#%":
            return _trimmed(value or "", kind, word)
        there = value is not None and not (colon and not value)
        if kind == "?" and not there:
            state = "empty" if value is not None else "unset"
            raise ValueError(f"{name}: {word or f'is not allowed to be {state}'}")
        if kind == "+":
            return word if there else ""
        return value or "" if there else word

    def _replaced(self, name: str) -> str:
        begin = self.at
        everywhere = self.peek() == "/"
        self.at += everywhere
        pattern = self._operand("/", True)
        replacement = self._operand("}", True)
        value = self._value(name)
        if value is None and self.keep_unset:
            return f"${{{name}/{self.source[begin : self.at]}"
        from fastbox.dockerfile.wordpatterns import Pattern

        return Pattern(pattern).replaced(value or "", replacement, everywhere)

    def _operand(self, stop: str, raw: bool) -> str:
        """The text of a substitution up to `stop`; with `raw` escapes stay for the pattern."""
        before, self.raw_escapes = self.raw_escapes, raw
        found = self.text(stop)
        self.raw_escapes = before
        return found

    def _name(self) -> str:
        source, begin, end = self.source, self.at, self.at
        first = self.peek()
        if first.isdecimal():
            while source[end : end + 1].isdecimal():
                end += 1
        elif first and first in _SPECIAL:
            end += 1
        else:
            while (char := source[end : end + 1]).isalnum() or char == "_":
                end += 1
        self.at = end
        return source[begin:end]

    def _value(self, name: str) -> str | None:
        value = self.env.get(name)
        names = self.missing if value is None else self.used
        if names is not None:
            names.add(name)
        self.taken += len(value or "")
        if self.taken > MAX_RESULT:
            raise ValueError(f"the variables hold more than {MAX_RESULT >> 20} Mi characters")
        return value


def _trimmed(value: str, kind: str, word: str) -> str:
    from fastbox.dockerfile.wordpatterns import Pattern

    greedy = word.startswith(kind)
    pattern = Pattern(word[greedy:])
    trim = pattern.without_prefix if kind == "#" else pattern.without_suffix
    return trim(value, greedy)
