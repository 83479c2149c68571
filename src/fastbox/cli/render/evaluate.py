"""A parsed template filled in: Go's rules, Go's messages, and bounds on time and size."""

from __future__ import annotations

from fastbox.cli.render import functions
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
    Pipe,
    Text,
)
from fastbox.cli.render.values import MISSING, Struct, is_nil, is_true, kind, plain
from fastbox.errors import InvalidArgument, ResourceExhausted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import NoReturn

    from fastbox.cli.render.nodes import Node

_MAX_STEPS = 500_000
_MAX_OUTPUT = 64 << 20
_MAX_DEPTH = 100  # as Go's, only less: each level is a few calls deep here
_NOTHING = object()


class _Leave(Exception):
    """`break` or `continue` on its way to its `range`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def execute(
    text: str,
    defined: Mapping[str, Sequence[Node]],
    value: object,
    *,
    heading: bool = False,
    strict: bool = False,
) -> str:
    """Fill a template in.

    Args:
        text: The template, for messages.
        defined: Its parts, and those of the templates that it defines.
        value: The dot.
        heading: It is a table's headings, which some functions leave alone.
        strict: A map's unknown key is an error, too.

    Raises:
        InvalidArgument: Something that it does is not possible with this value.
        ResourceExhausted: It takes too long, or writes too much.
    """
    return _Execution(text, defined, heading=heading, strict=strict).run(value)


class _Execution:
    """One filling in."""

    def __init__(
        self, text: str, defined: Mapping[str, Sequence[Node]], *, heading: bool, strict: bool
    ) -> None:
        self.text, self.defined = text, defined
        self.heading, self.strict = heading, strict
        self.out: list[str] = []
        self.size = self.steps = self.depth = 0
        self.node: Node | None = None
        self.variables: list[tuple[str, object]] = []

    def run(self, value: object) -> str:
        self.variables = [("$", value)]
        self.walk(self.defined[""], value)
        return "".join(self.out)

    def fail(self, what: str) -> NoReturn:
        """Go's message, with the place and the part."""
        node = self.node
        if node is None:
            raise InvalidArgument(f"template parsing error: template: {what}")
        before = self.text[: node.at]
        line, column = before.count("\n") + 1, len(before.rpartition("\n")[2].encode())
        raise InvalidArgument(
            f'template parsing error: template: :{line}:{column}: executing "" at <{node}>: {what}'
        )

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > _MAX_OUTPUT:
            raise ResourceExhausted(f"template: more than {_MAX_OUTPUT >> 20} MiB of output")
        self.out.append(text)

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise ResourceExhausted(f"template: more than {_MAX_STEPS} steps")

    # Blocks

    def walk(self, nodes: Sequence[Node], dot: object) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"exceeded maximum template depth ({_MAX_DEPTH})")
        for node in nodes:
            self.step()
            if isinstance(node, Text):
                self.write(node.text)
            elif isinstance(node, Action):
                value = self.pipe(dot, node.pipe)
                if not node.pipe.names:
                    self.write(plain(value))
            elif isinstance(node, Control):
                self.control(node, dot)
            elif isinstance(node, Leave):
                self.depth -= 1
                raise _Leave(node.kind)
            elif isinstance(node, Call):
                self.call(node, dot)
        self.depth -= 1

    def control(self, node: Control, dot: object) -> None:
        known = len(self.variables)
        value = self.pipe(dot, node.pipe)
        if node.kind == "range":
            self.range(node, dot, value)
        elif is_true(value):
            self.walk(node.body, value if node.kind == "with" else dot)
        else:
            self.walk(node.otherwise, dot)
        del self.variables[known:]

    def range(self, node: Control, dot: object, value: object) -> None:
        names, known, depth, ran = node.pipe.names, len(self.variables), self.depth, False
        for key, each in self.items(node, value):
            self.step()
            ran = True
            given = [each] if len(names) == 1 else [key, each]
            for place, one in zip(range(known - len(names), known), given, strict=False):
                if node.pipe.assign:
                    self.assign(self.variables[place][0], one)
                else:
                    self.variables[place] = (self.variables[place][0], one)
            try:
                self.walk(node.body, each)
            except _Leave as leave:
                self.depth = depth
                if leave.kind == "break":
                    break
            finally:
                del self.variables[known:]
        if not ran:
            self.walk(node.otherwise, dot)

    def items(self, node: Control, value: object) -> Iterator[tuple[object, object]]:
        """The keys and values that `range` goes over."""
        if isinstance(value, (list, tuple)):
            return iter(enumerate(value))
        if isinstance(value, dict) and not isinstance(value, Struct):
            return iter([(key, value[key]) for key in sorted(value)])
        if is_nil(value):
            return iter(())
        if isinstance(value, int) and not isinstance(value, bool):
            if len(node.pipe.names) > 1:
                self.fail(f"can't use {value} to iterate over more than one variable")
            return ((number, number) for number in range(value))
        self.fail(f"range can't iterate over {plain(value)}")

    def call(self, node: Call, dot: object) -> None:
        self.node = node
        body = self.defined.get(node.name)
        if body is None:
            self.fail(f'template "{node.name}" not defined')
        value = self.pipe(dot, node.pipe) if node.pipe else None
        kept, self.variables = self.variables, [("$", value)]
        self.walk(body, value)
        self.variables = kept

    # Pipelines

    def pipe(self, dot: object, pipe: Pipe) -> object:
        value: object = _NOTHING
        for command in pipe.commands:
            self.node = pipe
            value = self.command(dot, command, value)
        for name in pipe.names:
            if pipe.assign:
                self.assign(name, value)
            if not pipe.assign or len(pipe.names) > 1:
                self.variables.append((name, value))
        return value

    def assign(self, name: str, value: object) -> None:
        for place in range(len(self.variables) - 1, -1, -1):
            if self.variables[place][0] == name:
                self.variables[place] = (name, value)
                return
        self.fail(f"undefined variable: {name}")

    def command(self, dot: object, command: Command, final: object) -> object:
        self.step()
        first = command.args[0]
        if isinstance(first, Chain):
            return self.chain(dot, first, command.args[1:], final)
        if isinstance(first, Function):
            self.node = first
            return self.function(dot, first.name, command, final)
        self.node = first
        if len(command.args) > 1 or final is not _NOTHING:
            self.fail(f"can't give argument to non-function {first}")
        if isinstance(first, Literal) and first.value is None:
            self.fail("nil is not a command")
        return self.operand(dot, first)

    def operand(self, dot: object, node: Node) -> object:
        self.node = node
        if isinstance(node, Dot):
            return dot
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Chain):
            return self.chain(dot, node, (), _NOTHING)
        if isinstance(node, Pipe):
            return self.pipe(dot, node)
        assert isinstance(node, Function)
        return self.function(dot, node.name, Command(node.at, (node,)), _NOTHING)

    # Fields

    def chain(self, dot: object, node: Chain, args: Sequence[Node], final: object) -> object:
        if node.of is None:
            value = dot
        elif isinstance(node.of, str):
            value = next(each for name, each in reversed(self.variables) if name == node.of)
        else:
            value = self.operand(dot, node.of)
        self.node = node
        given = bool(args) or final is not _NOTHING
        if given and not node.fields:
            self.fail(f"can't give argument to non-function {node}")
        for name in node.fields[:-1]:
            value = self.called(self.field(value, name), name, ())
        if not node.fields:
            return value
        name = node.fields[-1]
        value = self.field(value, name)
        if given and not callable(value):
            self.fail(f"{name} is not a method but has arguments")
        values = [self.operand(dot, arg) for arg in args]
        self.node = node
        return self.called(value, name, values + [final] * (final is not _NOTHING))

    def field(self, value: object, name: str) -> object:
        if isinstance(value, Struct):
            if name in value:
                return value[name]
            if name in value.absent:
                return value.absent[name]
        elif isinstance(value, dict):
            if self.strict and name not in value:
                self.fail(f'map has no entry for key "{name}"')
            return value.get(name, MISSING)
        if is_nil(value):
            self.fail(f"nil pointer evaluating interface {{}}.{name}")
        self.fail(f"can't evaluate field {name} in type {kind(value)}")

    def called(self, value: object, name: str, args: Sequence[object]) -> object:
        if not callable(value):
            return value
        try:
            return value(*args)
        except TypeError:
            self.fail(f"wrong number of args for {name}: got {len(args)}")

    # Functions

    def function(self, dot: object, name: str, command: Command, final: object) -> object:
        nodes = command.args[1:]
        if name in functions.LAZY:
            return self.lazy(dot, name, nodes, final)
        act, (least, most, types) = functions.FUNCTIONS[name]
        count = len(nodes) + (final is not _NOTHING)
        if count < least or (most is not None and count > most):
            bound = f"at least {least}" if most is None else str(least)
            self.fail(f"wrong number of args for {name}: want {bound} got {count}")
        values = []
        for place, node in enumerate(nodes):
            values.append(self.operand(dot, node))
            self.node = node
            self.check(values[-1], types[place : place + 1])
        if final is not _NOTHING:
            self.node = command.args[0]
            self.check(final, types[len(nodes) : len(nodes) + 1])
            values.append(final)
        self.node = command
        if self.heading and name in functions.HEADING_FUNCTIONS:
            return values[0]
        try:
            return self.bounded(act(*values))
        except ValueError as error:
            self.fail(f"error calling {name}: {error}")

    def check(self, value: object, types: tuple[str, ...]) -> None:
        if types and types[0] and not kind(value).startswith(types[0][:3]):
            if isinstance(self.node, Literal):
                if is_nil(value):
                    self.fail(f"cannot assign nil to {types[0]}")
                self.fail(f"expected {types[0]}; found {self.node}")
            if is_nil(value):
                self.fail(f"invalid value; expected {types[0]}")
            self.fail(f"wrong type for value; expected {types[0]}; got {kind(value)}")

    def bounded(self, value: object) -> object:
        if isinstance(value, str) and len(value) > functions.MAX_TEXT:
            raise ResourceExhausted(f"template: a text of more than {functions.MAX_TEXT >> 20} MiB")
        return value

    def lazy(self, dot: object, name: str, nodes: Sequence[Node], final: object) -> object:
        if not nodes and final is _NOTHING:
            self.fail(f"wrong number of args for {name}: want at least 1 got 0")
        value: object = None
        for node in nodes:
            value = self.operand(dot, node)
            if is_true(value) is (name == "or"):
                return value
        return value if final is _NOTHING else final
