"""Show all that is known about volumes, as JSON or through a template."""

from __future__ import annotations

from fastbox.cli.commands import inspect
from fastbox.cli.parser import TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "inspect"
USAGE = "[OPTIONS] VOLUME [VOLUME...]"
SUMMARY = "show all that is known about volumes"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("format", "f", TEXT, "print json, or a template such as {{.Mountpoint}}"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print what was found; 1 when something was not."""
    return inspect.show(args, out, engine.volumes.inspect)
