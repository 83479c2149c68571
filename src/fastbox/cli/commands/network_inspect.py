"""Show all that is known about networks, as JSON or through a template."""

from __future__ import annotations

from fastbox.cli.commands import inspect
from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "inspect"
USAGE = "[OPTIONS] NETWORK [NETWORK...]"
SUMMARY = "show all that is known about networks"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "f", TEXT, "print json, or a template such as {{.Driver}}"),
        Option("verbose", "v", SWITCH, "also what a swarm knows, which is nothing here"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print what was found; 1 when something was not."""
    return inspect.show(args, out, engine.networks.inspect)
