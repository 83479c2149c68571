"""Show which ports of the host lead to a container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "port"
USAGE = "CONTAINER [PRIVATE_PORT[/PROTO]]"
SUMMARY = "show which ports of the host lead to a container"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print a line for each published port, or an error when the one asked for is not."""
    from fastbox.support import portwords

    info = engine.containers.get(args.operands[0])
    wanted = args.operands[1] if len(args.operands) == 2 else ""
    for line in portwords.lines(portwords.bindings(info.ports), wanted, name=info.name):
        out.line(line)
    return 0
