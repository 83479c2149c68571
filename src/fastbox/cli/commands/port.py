"""Show which ports of the host lead to a container."""

from __future__ import annotations

from fastbox.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "port"
USAGE = "CONTAINER [PRIVATE_PORT[/PROTO]]"
SUMMARY = "show which ports of the host lead to a container"
OPERANDS = (1, 2)
NOTES = "Until networks come, no port is published."


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Print a line for each published port; 1 when the one asked for is not."""
    from fastbox.cli.netflags import ports
    from fastbox.cli.parser import UsageError

    name = engine.containers.get(args.operands[0]).name
    if len(args.operands) == 2:
        wanted = args.operands[1]
        try:
            ports(wanted)
        except ValueError as error:
            raise UsageError(args.command, f'invalid port "{wanted}": {error}') from None
        raise NotFound(f"no public port '{wanted}' published for {name}")
    return 0
