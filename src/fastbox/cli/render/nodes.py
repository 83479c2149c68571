"""The parts of a parsed template. Each can write itself as Go's messages quote it."""

from __future__ import annotations

from fastbox.cli.render.lexer import quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Node:
    """A part.

    Attributes:
        at: Where the messages say that it is.
    """

    __slots__ = ("at",)

    def __init__(self, at: int) -> None:
        self.at = at


class Text(Node):
    """What stands outside of actions."""

    __slots__ = ("text",)

    def __init__(self, at: int, text: str) -> None:
        super().__init__(at)
        self.text = text


class Literal(Node):
    """A constant; `shown` is how it was written, None the value of `nil`."""

    __slots__ = ("shown", "value")

    def __init__(self, at: int, value: object, shown: str) -> None:
        super().__init__(at)
        self.value, self.shown = value, shown

    def __str__(self) -> str:
        return self.shown


class Dot(Node):
    """`.`"""

    __slots__ = ()

    def __str__(self) -> str:
        return "."


class Function(Node):
    """A function's name."""

    __slots__ = ("name",)

    def __init__(self, at: int, name: str) -> None:
        super().__init__(at)
        self.name = name

    def __str__(self) -> str:
        return self.name


class Chain(Node):
    """Fields of a value: of the dot (None), of a variable ("$x"), or of another part."""

    __slots__ = ("fields", "of")

    def __init__(self, at: int, of: Node | str | None, fields: tuple[str, ...]) -> None:
        super().__init__(at)
        self.of, self.fields = of, fields

    def __str__(self) -> str:
        of = f"({self.of})" if isinstance(self.of, Pipe) else str(self.of or "")
        return of + "".join(f".{name}" for name in self.fields)


class Command(Node):
    """An operand, or a function with its arguments."""

    __slots__ = ("args",)

    def __init__(self, at: int, args: Sequence[Node]) -> None:
        super().__init__(at)
        self.args = args

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


class Pipe(Node):
    """Commands, each getting the value of the one before; perhaps kept in variables."""

    __slots__ = ("assign", "commands", "names")

    def __init__(
        self, at: int, names: Sequence[str], assign: bool, commands: Sequence[Command]
    ) -> None:
        super().__init__(at)
        self.names, self.assign, self.commands = names, assign, commands

    def __str__(self) -> str:
        kept = ", ".join(self.names) + (" = " if self.assign else " := ") if self.names else ""
        return kept + " | ".join(map(str, self.commands))


class Action(Node):
    """`{{pipeline}}`"""

    __slots__ = ("pipe",)

    def __init__(self, at: int, pipe: Pipe) -> None:
        super().__init__(at)
        self.pipe = pipe


class Control(Node):
    """`if`, `with` and `range`, with what else is to be done."""

    __slots__ = ("body", "kind", "otherwise", "pipe")

    def __init__(
        self, at: int, kind: str, pipe: Pipe, body: Sequence[Node], otherwise: Sequence[Node]
    ) -> None:
        super().__init__(at)
        self.kind, self.pipe, self.body, self.otherwise = kind, pipe, body, otherwise


class Leave(Node):
    """`break` and `continue`."""

    __slots__ = ("kind",)

    def __init__(self, at: int, kind: str) -> None:
        super().__init__(at)
        self.kind = kind


class Call(Node):
    """`{{template "name" pipeline}}`"""

    __slots__ = ("name", "pipe")

    def __init__(self, at: int, name: str, pipe: Pipe | None) -> None:
        super().__init__(at)
        self.name, self.pipe = name, pipe

    def __str__(self) -> str:
        given = f" {self.pipe}" if self.pipe else ""
        return f"{{{{template {quote(self.name)}{given}}}}}"
