"""Send a signal to the first process of containers."""

from __future__ import annotations

from fastbox.cli import values
from fastbox.cli.parser import TEXT, Option
from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "kill"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "kill running containers, or send them a signal"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("signal", "s", TEXT, "the signal to send (default KILL)"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Signal each; 1 when any could not be."""
    signal = values.signal(args, "signal") or "KILL"

    def kill(name: str) -> str:
        engine.containers.kill(name, signal)
        return name

    return each(args.operands, kill, out)
