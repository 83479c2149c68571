"""The text of a Dockerfile to nodes: one for each instruction, with its flags, its arguments as one
line, and the documents that follow it. What the arguments mean is `parse.py`'s business.
"""

from __future__ import annotations

from fastbox.dockerfile.instructions import Heredoc, Where
from fastbox.errors import DockerfileError
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE = 16 << 20
# What Go calls white space: its lines and words end there.
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
BLANKS = "\t\v\f\r "  # what separates an instruction from its arguments
DIRECTIVES = ("syntax", "escape", "check")
WITH_HEREDOCS = ("RUN", "COPY", "ADD")


class Node(Record):
    """One instruction. `rest` is its logical line after keyword and flags: continuations are
    joined, comments within it are gone.
    """

    where: Where
    keyword: str  # as written
    flags: tuple[str, ...]
    rest: str
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()  # directly above, without `#`
    gap: int = 0  # the last line of its line when an empty one is within it, else 0


class Document(Record):
    """A file's instructions in order."""

    name: str
    lines: tuple[str, ...]  # of the source, without their ends
    escape: str
    directives: Mapping[str, str]
    nodes: tuple[Node, ...]


def parse(data: bytes | str, name: str = "Dockerfile") -> Document:
    """Read a file. Bytes that are not UTF-8 are kept (surrogateescape).

    Raises:
        DockerfileError: No instructions, a NUL byte, more than 16 MiB, a directive that comes twice
            or is wrong, or a document without an end.
    """
    if len(data) > MAX_SIZE:
        raise DockerfileError(f"larger than {MAX_SIZE >> 20} MiB", where=name)
    text = data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")
    lines = text.removeprefix("\ufeff").split("\n")
    if "\0" in text:
        line = next(number for number, line in enumerate(lines, 1) if "\0" in line)
        hint = "it has to be UTF-8; is it UTF-16?"
        raise DockerfileError("a NUL byte", where=name, line=line, hint=hint)
    reader = _Reader(name, lines)
    nodes = reader.read()
    if not nodes:
        raise DockerfileError("no instructions in it", where=name)
    plain = tuple([line.rstrip("\r") for line in lines])
    return Document(
        name=name, lines=plain, escape=reader.escape, directives=reader.directives, nodes=nodes
    )


def heredoc_of(word: str) -> tuple[Heredoc, bool] | None:
    """What a word such as `<<EOF`, `3<<-"E O F"` announces (its content is empty), and whether tabs
    at the beginning of lines go; None when it is another word.

    Raises:
        ValueError: A quote without its end.
    """
    from fastbox.dockerfile.words import split

    before, mark, after = word.partition("<<")
    if not mark or (before and not (before.isascii() and before.isdigit())) or "<" in after:
        return None
    chomp = after.startswith("-")
    rest = after[chomp:].lstrip("\t\n\f\r ")
    names = split(rest, {}, keep_unset=True) if rest else []
    if len(names) != 1 or len(before) > 6:
        return None
    raw = split(rest, {}, keep_unset=True, raw_quotes=True)[0]
    quoted = any(raw.count(quote) != names[0].count(quote) for quote in "'\"")
    found = Heredoc(name=names[0], content="", expand=not quoted, descriptor=int(before or 0))
    return found, chomp


class _Reader:
    """Goes over the lines once."""

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name, self.lines, self.at = name, lines, 0
        # What follows the last newline is no line when it is empty.
        self.count = len(lines) - (not lines[-1])
        self.escape, self.directives = "\\", dict[str, str]()

    def read(self) -> tuple[Node, ...]:
        self._directives()
        nodes: list[Node] = []
        comments: list[str] = []  # directly above
        while self.at < self.count:
            stripped = self.lines[self.at].strip(SPACE)
            if stripped[:1] == "#":
                comment = stripped[1:].strip(SPACE)
                comments.append(comment)
                if not comment:
                    comments.clear()
                self.at += 1
            elif not stripped:
                comments.clear()
                self.at += 1
            else:
                node = self._instruction(comments)
                if node is not None:
                    nodes.append(node)
                    comments.clear()
        return tuple(nodes)

    def _directives(self) -> None:
        """`# name=value` at the very top; the first other line ends them."""
        shebang = self.lines[0].startswith("#!")
        for number in range(shebang, self.count):
            line = self.lines[number].strip(SPACE)
            name, equals, value = line[1:].partition("=")
            name, value = name.strip(SPACE).lower(), value.strip(SPACE)
            if line[:1] != "#" or name not in DIRECTIVES or not equals or not value:
                return
            if name in self.directives:
                raise self._error(f"a second directive {name}", number + 1)
            self.directives[name] = value
            self.at = number + 1
            if name == "escape" and not shebang:
                if value not in ("\\", "`"):
                    why = f"the escape character is \\ or `, not {value}"
                    raise self._error(why, number + 1)
                self.escape = value

    def _instruction(self, comments: list[str]) -> Node | None:
        first = self.at + 1
        line, gap = self._logical_line()
        line = line.strip(SPACE)
        if not line:  # nothing but continuations
            return None
        keyword, args = cut(line)
        flags, rest = _flags(args, self.escape) if args[:2] == "--" else ((), args)
        documents: tuple[Heredoc, ...] = ()
        if "<<" in line and _takes_heredocs(keyword, rest):
            documents = self._documents(line, first)
        where = Where(line=first, end=self.at, text=shown(f"{keyword.upper()} {args}".rstrip()))
        return Node(
            where=where,
            keyword=keyword,
            flags=flags,
            rest=rest,
            heredocs=documents,
            comments=tuple(comments),
            gap=gap,
        )

    def _logical_line(self) -> tuple[str, int]:
        """The line at hand with its continuations; where it ended if an empty line was within."""
        text, more = self._continued(self.lines[self.at].rstrip("\r").lstrip(SPACE))
        self.at += 1
        if not more:
            return text, 0
        parts, gap = [text], False
        while more and self.at < self.count:
            line = self.lines[self.at].rstrip("\r")
            self.at += 1
            start = line.lstrip(SPACE)
            if not start:
                gap = True
            elif start[0] != "#":
                text, more = self._continued(line)
                parts.append(text)
        return "".join(parts), self.at if gap else 0

    def _continued(self, line: str) -> tuple[str, bool]:
        body = line.rstrip(" \t")
        if body[-1:] == self.escape and body[-2:-1] != self.escape:
            return body[:-1], True
        return line, False

    def _documents(self, line: str, first: int) -> tuple[Heredoc, ...]:
        from fastbox.dockerfile.words import split

        # In RUN quotes may be the shell's own, such as in a comment: no document then, as docker.
        try:
            words = split(line, {}, keep_unset=True, raw_quotes=True, raw_escapes=True)
        except ValueError:
            return ()
        found = []
        for word in words:
            try:
                announced = heredoc_of(word) if "<<" in word else None
            except ValueError as error:
                raise self._error(str(error), first, word) from None
            if announced is not None:
                found.append(self._document(*announced, first, word))
        return tuple(found)

    def _document(self, announced: Heredoc, chomp: bool, first: int, word: str) -> Heredoc:
        body: list[str] = []
        for number in range(self.at, self.count):
            line = self.lines[number]
            end = line.rstrip("\r")
            if (end.lstrip("\t") if chomp else end) == announced.name:
                self.at = number + 1
                return announced.replace(content="".join(body))
            # The last line of a file may have no end.
            line = line.lstrip("\t") if chomp else line
            body.append(line if number == len(self.lines) - 1 else line + "\n")
        why = f'unterminated heredoc: no line is "{announced.name}"'
        raise self._error(why, first, word)

    def _error(self, what: str, line: int, word: str = "") -> DockerfileError:
        line, column = locate(self.lines, line, self.count, word)
        source = self.lines[line - 1].rstrip("\r")
        return DockerfileError(what, where=self.name, line=line, column=column, source=source)


def cut(line: str) -> tuple[str, str]:
    """The first word of a line and what follows it, without the blanks around."""
    end = next((at for at, char in enumerate(line) if char in BLANKS), len(line))
    return line[:end], line[end:].strip(SPACE)


def locate(lines: list[str] | tuple[str, ...], first: int, last: int, word: str) -> tuple[int, int]:
    """The line and the column of the first mention of a word in an instruction's lines; the first
    line and 0 when there is none.
    """
    if word:
        for number in range(first, min(last, len(lines)) + 1):
            at = lines[number - 1].find(word)
            if at >= 0:
                return number, at + 1
    return first, 0


def _takes_heredocs(keyword: str, rest: str) -> bool:
    word = keyword.upper()
    if word == "ONBUILD" and rest:
        keyword, rest = cut(rest)
        word = keyword.upper()
        if rest[:2] == "--":
            rest = _flags(rest, "\\")[1]
    if word not in WITH_HEREDOCS:
        return False
    from fastbox.dockerfile.arguments import array

    try:
        return array(rest) is None
    except ValueError:
        return False


def shown(text: str) -> str:
    """A text that JSON and a terminal can hold: bytes of the file that are not UTF-8 are U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _flags(args: str, escape: str) -> tuple[tuple[str, ...], str]:
    """The words that begin with `--`, unquoted, and what follows them; `--` ends them."""
    flags: list[str] = []
    at, end = 0, len(args)
    while at < end:
        if args[at] in SPACE:
            at += 1
        elif args.startswith("--", at):
            word, at = _flag(args, at, escape)
            if word == "--":
                break
            flags.append(word)
        else:
            break
    return tuple(flags), args[at:].strip(SPACE)


def _flag(args: str, at: int, escape: str) -> tuple[str, int]:
    """The word that begins there, without its quotes and escapes, and where it ends."""
    found: list[str] = []
    quote = ""
    while at < len(args):
        char = args[at]
        if not quote and char in SPACE:
            break
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == escape:
            at += 1
            found.append(args[at : at + 1])
        else:
            found.append(char)
        at += 1
    return "".join(found), at
