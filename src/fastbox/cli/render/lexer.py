"""Go's template text as tokens: what stands outside of `{{ }}`, and the words within."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TEXT, OPEN, CLOSE, SPACE, END, ERROR = "text", "{{", "}}", "space", "end of text", "error"
WORD, FIELD, VARIABLE, KEYWORD, BOOL = "word", "field", "variable", "keyword", "bool"
NUMBER, CHARACTER, STRING, SIGN = "number", "character", "string", "sign"
KEYWORDS: Final = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template",
     "with", "."),
)  # fmt: skip
_SPACES = " \t\r\n"
_DIGITS = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}
_QUOTES = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}


class Token:
    """One token.

    Attributes:
        kind: One of this module's names; "." is a keyword.
        at: Where it begins in the text.
        text: Its letters; of an ERROR, what is wrong.
    """

    __slots__ = ("at", "kind", "text")

    def __init__(self, kind: str, at: int, text: str) -> None:
        self.kind, self.at, self.text = kind, at, text

    def __str__(self) -> str:
        """As Go's messages have it."""
        if self.kind == END:
            return "EOF"
        if self.kind == ERROR:
            return self.text
        if self.kind == KEYWORD:
            return f"<{self.text}>"
        return quote(self.text) if len(self.text) <= 10 else quote(self.text[:10]) + "..."


def quote(text: str) -> str:
    """A text as a Go literal in double quotes."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(c) or _shown(c) for c in text) + '"'


def _shown(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def tokens(text: str) -> list[Token]:
    """All tokens; the last one is END or ERROR."""
    reader = _Lexer(text)
    try:
        reader.read()
    except _Bad as bad:
        reader.put(ERROR, str(bad))
    return reader.found


class _Bad(Exception):
    """What is wrong with the text."""


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = self.begin = 0
        self.depth = 0
        self.found: list[Token] = []

    def put(self, kind: str, text: str | None = None) -> None:
        """A token of what was read since the last one."""
        read = self.text[self.begin : self.at]
        self.found.append(Token(kind, self.begin, read if text is None else text))
        self.begin = self.at

    def read(self) -> None:
        trim = False
        while True:
            opened = self.text.find("{{", self.at)
            end = len(self.text) if opened < 0 else opened
            body = self.text[self.at : end]
            at = self.at + (len(body) - len(body.lstrip(_SPACES)) if trim else 0)
            dash = self.text[end + 2 : end + 3] == "-" and self._space(end + 3)
            body = self.text[at:end].rstrip(_SPACES) if dash else self.text[at:end]
            self.begin, self.at = at, end
            if body:
                self.put(TEXT, body)
            self.begin = self.at
            if opened < 0:
                self.put(END)
                return
            trim = self._action(dash)

    def _space(self, at: int) -> bool:
        return self.text[at : at + 1] in (" ", "\t", "\r", "\n")

    def _action(self, dash: bool) -> bool:
        """From `{{` to `}}`; whether space after it is to go."""
        inner = self.at + (4 if dash else 2)
        if self.text.startswith("/*", inner):
            return self._comment(inner)
        self.at += 2
        self.put(OPEN)
        self.begin = self.at = inner
        self.depth = 0
        while True:
            closed = self._closed()
            if closed is not None:
                return closed
            self._token()

    def _comment(self, at: int) -> bool:
        end = self.text.find("*/", at)
        if end < 0:
            raise _Bad("unclosed comment")
        self.at = end + 2
        dash = self._space(self.at) and self.text.startswith("-}}", self.at + 1)
        if not dash and not self.text.startswith("}}", self.at):
            raise _Bad("comment ends before closing delimiter")
        self.at += 4 if dash else 2
        self.begin = self.at
        return dash

    def _closed(self) -> bool | None:
        """Whether `}}` comes with a dash; None when it does not come."""
        dash = self._space(self.at) and self.text.startswith("-}}", self.at + 1)
        if not dash and not self.text.startswith("}}", self.at):
            return None
        if self.depth:
            raise _Bad("unclosed left paren")
        self.begin = self.at = self.at + 2 * dash
        self.at += 2
        self.put(CLOSE)
        return dash

    def _token(self) -> None:
        char = self.text[self.at : self.at + 1]
        following = self.text[self.at + 1 : self.at + 2]
        if not char:
            raise _Bad("unclosed action")
        if char in _SPACES:
            self._spaces()
        elif char in _QUOTES:
            self._quoted(char)
        elif char == "$" or (char == "." and not ("0" <= following <= "9")):
            self._name(VARIABLE if char == "$" else FIELD)
        elif char in "+-." or "0" <= char <= "9":
            self._number()
        elif char == "_" or char.isalnum():
            self._name(WORD)
        else:
            self._sign(char, following)

    def _spaces(self) -> None:
        while self._space(self.at):
            if self.text.startswith("-}}", self.at + 1):
                break
            self.at += 1
        self.put(SPACE)

    def _sign(self, char: str, following: str) -> None:
        if char == ":" and following != "=":
            raise _Bad("expected :=")
        if not (" " < char <= "~"):
            raise _Bad(f"unrecognized character in action: {_code(char)}")
        self.at += 2 if char == ":" else 1
        self.depth += (char == "(") - (char == ")")
        if self.depth < 0:
            raise _Bad("unexpected right paren")
        self.put(SIGN)

    def _name(self, kind: str) -> None:
        self.at += kind != WORD
        begin = self.at
        while self.text[self.at : self.at + 1].isalnum() or self.text.startswith("_", self.at):
            self.at += 1
        self._check_end()
        word = self.text[self.begin : self.at]
        if kind == FIELD and self.at == begin:
            kind = KEYWORD
        elif kind == WORD:
            kind = KEYWORD if word in KEYWORDS else BOOL if word in ("true", "false") else WORD
        self.put(kind)

    def _check_end(self) -> None:
        """A name ends where something else can begin."""
        char = self.text[self.at : self.at + 1]
        if char and char not in _SPACES + ".,|:()" and not self.text.startswith("}}", self.at):
            raise _Bad(f"bad character {_code(char)}")

    def _quoted(self, mark: str) -> None:
        self.at += 1
        while True:
            char = self.text[self.at : self.at + 1]
            if char == "\\" and mark != "`":
                self.at += 1
                char = self.text[self.at : self.at + 1]
                mark_here = False
            else:
                mark_here = char == mark
            if not char or (char == "\n" and mark != "`"):
                raise _Bad(f"unterminated {_QUOTES[mark]}")
            self.at += 1
            if mark_here:
                break
        self.put(CHARACTER if mark == "'" else STRING)

    def _number(self) -> None:
        self.at += self.text[self.at] in "+-"
        digits = "0123456789_"
        if self.text.startswith("0", self.at):
            base = self.text[self.at + 1 : self.at + 2].lower()
            if base in _DIGITS and base:
                digits = _DIGITS[base]
                self.at += 2
        self._accept(digits)
        if len(digits) == 11:
            if self.text.startswith(".", self.at):
                self.at += 1
                self._accept(digits)
            if self.text[self.at : self.at + 1] in ("e", "E"):
                self.at += 1
                self.at += self.text[self.at : self.at + 1] in ("+", "-")
                self._accept(digits)
        char = self.text[self.at : self.at + 1]
        if char == "_" or char.isalnum():
            self.at += 1
            raise _Bad(f"bad number syntax: {quote(self.text[self.begin : self.at])}")
        self.put(NUMBER)

    def _accept(self, letters: str) -> None:
        while self.text[self.at : self.at + 1] and self.text[self.at] in letters:
            self.at += 1


def _code(char: str) -> str:
    shown = f" '{char}'" if char.isprintable() else ""
    return f"U+{ord(char):04X}{shown}"
