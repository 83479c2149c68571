"""Go's template grammar: tokens to parts, with Go's messages for what is no template."""

from __future__ import annotations

from fastbox.cli.render import lexer, literals
from fastbox.cli.render.nodes import (
    Action,
    Call,
    Chain,
    Command,
    Control,
    Dot,
    Function,
    Leave,
    Literal,
    Node,
    Pipe,
    Text,
)
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from typing import NoReturn

    from fastbox.cli.render.lexer import Token

_MAX_TEXT = 64 << 10
_MAX_DEPTH = 60  # of blocks and parentheses: each level is four calls deep here
_VALUES = (
    lexer.BOOL, lexer.CHARACTER, lexer.FIELD, lexer.WORD, lexer.NUMBER, lexer.STRING,
    lexer.VARIABLE,
)  # fmt: skip


def parse(text: str, functions: Container[str]) -> dict[str, list[Node]]:
    """The parts of a template and of those that it defines; "" is itself.

    Args:
        text: The template.
        functions: The names of the functions that it may call.

    Raises:
        InvalidArgument: It is none, or too deep, or more than 64 KiB; Go's message with the line.
    """
    return _Parser(text, functions).parse()


class _Parser:
    def __init__(self, text: str, functions: Container[str]) -> None:
        self.text, self.functions = text, functions
        self.tokens = lexer.tokens(text[:_MAX_TEXT])
        self.at = self.depth = self.ranges = 0
        self.names = ["$"]
        self.defined: dict[str, list[Node]] = {}

    # Tokens

    def next(self) -> Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def peek(self) -> Token:
        return self.tokens[self.at]

    def skip(self) -> Token:
        """The next token that is no space, not taken."""
        while self.tokens[self.at].kind == lexer.SPACE:
            self.at += 1
        return self.tokens[self.at]

    def take(self) -> Token:
        self.skip()
        return self.next()

    def fail(self, what: str) -> NoReturn:
        at = self.tokens[max(self.at - 1, 0)].at
        line = self.text.count("\n", 0, at) + 1
        raise InvalidArgument(f"template parsing error: template: :{line}: {what}")

    def unexpected(self, token: Token, context: str) -> NoReturn:
        self.fail(str(token) if token.kind == lexer.ERROR else f"unexpected {token} in {context}")

    def close(self, context: str) -> None:
        token = self.take()
        if token.kind != lexer.CLOSE:
            self.unexpected(token, context)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"nested deeper than {_MAX_DEPTH} levels")

    # Blocks

    def parse(self) -> dict[str, list[Node]]:
        if len(self.text) > _MAX_TEXT:
            self.fail(f"more than {_MAX_TEXT} characters")
        found: list[Node] = []
        while self.skip().kind != lexer.END:
            node = self.part()
            if isinstance(node, str):
                self.fail(f"unexpected {{{{{node}}}}}")
            if node is not None:
                found.append(node)
        self.defined[""] = found
        return self.defined

    def block(self) -> tuple[list[Node], str]:
        """The parts up to `{{end}}` or `{{else}}`, and which it was."""
        self.deeper()
        found: list[Node] = []
        while self.skip().kind != lexer.END:
            node = self.part()
            if isinstance(node, str):
                self.depth -= 1
                return found, node
            if node is not None:
                found.append(node)
        self.fail("unexpected EOF")

    def part(self) -> Node | str | None:
        """One part; the word of an `{{end}}` or `{{else}}`; None of a definition."""
        token = self.next()
        if token.kind == lexer.TEXT:
            return Text(token.at, token.text)
        if token.kind != lexer.OPEN:
            self.unexpected(token, "input")
        token = self.skip()
        if token.kind == lexer.KEYWORD and token.text not in (".", "nil"):
            self.next()
            return self.keyword(token)
        # What an action declares lives on to the end of its block.
        return Action(token.at, self.pipeline("command", lexer.CLOSE))

    def keyword(self, token: Token) -> Node | str | None:
        word = token.text
        if word in ("if", "with", "range"):
            return self.control(token.at, word)
        if word == "end":
            self.close("end")
            return word
        if word == "else":
            # The words of `{{else if}}` and `{{else with}}` are taken by who began the block.
            following = self.skip()
            if following.kind != lexer.KEYWORD or following.text not in ("if", "with"):
                self.close("else")
            return word
        if word in ("break", "continue"):
            self.close(f"{{{{{word}}}}}")
            if not self.ranges:
                self.fail(f"{{{{{word}}}}} outside {{{{range}}}}")
            return Leave(token.at, word)
        if word == "template":
            return self.call()
        if word == "block":
            return self.defining_call()
        if self.depth:
            self.unexpected(token, "command")
        self.define(self.name("define clause"), "define clause", close=True)
        return None

    def control(self, at: int, word: str) -> Control:
        self.deeper()
        known = len(self.names)
        pipe = self.pipeline(word, lexer.CLOSE)
        self.ranges += word == "range"
        body, last = self.block()
        self.ranges -= word == "range"
        otherwise: list[Node] = []
        if last == "else":
            following = self.peek()
            if following.kind == lexer.KEYWORD and following.text == word and word != "range":
                self.next()
                otherwise = [self.control(following.at, word)]
            elif following.kind == lexer.KEYWORD and following.text in ("if", "with"):
                self.unexpected(self.next(), "input")
            else:
                otherwise, last = self.block()
                if last != "end":
                    self.fail(f"expected end; found {{{{{last}}}}}")
        del self.names[known:]
        self.depth -= 1
        return Control(at, word, pipe, body, otherwise)

    def name(self, context: str) -> str:
        token = self.take()
        if token.kind != lexer.STRING:
            self.unexpected(token, context)
        return self.unquoted(token)

    def call(self) -> Call:
        at = self.skip().at
        name = self.name("template clause")
        if self.skip().kind == lexer.CLOSE:
            self.next()
            return Call(at, name, None)
        return Call(at, name, self.pipeline("template clause", lexer.CLOSE))

    def defining_call(self) -> Call:
        at = self.skip().at
        name = self.name("block clause")
        pipe = self.pipeline("block clause", lexer.CLOSE)
        self.define(name, "block clause", close=False)
        return Call(at, name, pipe)

    def define(self, name: str, context: str, *, close: bool) -> None:
        if close:
            self.close(context)
        # A definition sees none of the variables around it, and is in no range.
        names, self.names = self.names, ["$"]
        ranges, self.ranges = self.ranges, 0
        body, last = self.block()
        if last != "end":
            self.fail(f"unexpected {{{{{last}}}}} in {context}")
        self.names, self.ranges = names, ranges
        if name in self.defined and body:
            self.fail(f"template: multiple definition of template {lexer.quote(name)}")
        self.defined[name] = body

    # Pipelines

    def pipeline(self, context: str, end: str) -> Pipe:
        at = self.skip().at
        names, assign = self.declared(context)
        commands: list[Command] = []
        while True:
            token = self.skip()
            if end in (token.kind, token.text if token.kind == lexer.SIGN else ""):
                self.next()
                self.check(commands, context)
                return Pipe(at, names, assign, commands)
            if token.kind not in _VALUES and not _is(token, ".", "nil", "("):
                self.next()
                self.unexpected(token, context)
            commands.append(self.command())

    def declared(self, context: str) -> tuple[list[str], bool]:
        """The variables that a pipeline begins with, and whether they were there before."""
        names: list[str] = []
        while self.skip().kind == lexer.VARIABLE:
            begin, variable = self.at, self.next()
            sign = self.skip()
            if not _is(sign, ":=", "=", ","):
                self.at = begin
                break
            self.next()
            names.append(variable.text)
            if sign.text == "," and (context != "range" or len(names) == 2):
                self.fail(f"too many declarations in {context}")
            if sign.text == "=" and variable.text not in self.names:
                self.fail(f"undefined variable {lexer.quote(variable.text)}")
            self.names.append(variable.text)
            if sign.text != ",":
                return names, sign.text == "="
            if self.skip().kind != lexer.VARIABLE:
                self.fail("range can only initialize variables")
        return names, False

    def check(self, commands: list[Command], context: str) -> None:
        if not commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.args[0], (Literal, Dot)):
                self.fail(f"non executable command in pipeline stage {stage}")

    def command(self) -> Command:
        at = self.skip().at
        args: list[Node] = []
        while True:
            self.skip()
            operand = self.operand()
            if operand is not None:
                args.append(operand)
            token = self.next()
            if token.kind == lexer.SPACE:
                continue
            if token.kind == lexer.CLOSE or _is(token, ")"):
                self.at -= 1
            elif not _is(token, "|"):
                self.unexpected(token, "operand")
            break
        if not args:
            self.fail("empty command")
        return Command(at, args)

    def operand(self) -> Node | None:
        node = self.term()
        if node is None or self.peek().kind != lexer.FIELD:
            return node
        at, fields = self.peek().at, []
        while self.peek().kind == lexer.FIELD:
            fields.append(self.next().text[1:])
        if isinstance(node, Chain):  # of the dot or a variable: one chain
            return Chain(at, node.of, (*node.fields, *fields))
        if isinstance(node, (Literal, Dot)):
            self.fail(f"unexpected . after term {lexer.quote(str(node))}")
        return Chain(at, node, tuple(fields))

    def term(self) -> Node | None:
        token = self.skip()
        if token.kind not in _VALUES and not _is(token, ".", "nil", "("):
            return None
        self.next()
        at, text = token.at, token.text
        if token.kind == lexer.WORD:
            if text not in self.functions:
                self.fail(f"function {lexer.quote(text)} not defined")
            return Function(at, text)
        if token.kind == lexer.FIELD:
            return Chain(at, None, (text[1:],))
        if token.kind == lexer.VARIABLE:
            if text not in self.names:
                self.fail(f"undefined variable {lexer.quote(text)}")
            return Chain(at, text, ())
        if token.kind == lexer.SIGN:
            self.deeper()
            pipe = self.pipeline("parenthesized pipeline", ")")
            self.depth -= 1
            return pipe
        return Dot(at) if text == "." else Literal(at, self.constant(token), text)

    def constant(self, token: Token) -> object:
        if token.kind == lexer.STRING:
            return self.unquoted(token)
        if token.kind in (lexer.BOOL, lexer.KEYWORD):
            return {"true": True, "false": False, "nil": None}[token.text]
        try:
            if token.kind == lexer.CHARACTER:
                return literals.character(token.text)
            return literals.number(token.text)
        except ValueError as error:
            self.fail(str(error))

    def unquoted(self, token: Token) -> str:
        try:
            return literals.unquoted(token.text)
        except ValueError as error:
            self.fail(str(error))


def _is(token: Token, *texts: str) -> bool:
    return token.kind in (lexer.SIGN, lexer.KEYWORD) and token.text in texts
