"""Stop containers and start them again."""

from __future__ import annotations

from fastbox.cli import values
from fastbox.cli.parser import TEXT, Option
from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "restart"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "stop containers and start them again"
OPERANDS = (1, None)
_YEARS = (1 << 31) - 1


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("signal", "s", TEXT, "the signal to send first"),
        Option("time", "", TEXT, "", stands_for="timeout"),
        Option("timeout", "t", TEXT, "seconds to wait before killing", "int"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Restart them one after the other; 1 when any could not be."""
    seconds = values.whole(args, "timeout", -1, _YEARS, "10")
    timeout = None if seconds is None else float(seconds)
    signal = values.signal(args, "signal") or None

    def restart(name: str) -> str:
        engine.containers.restart(name, timeout=timeout, signal=signal)
        return name

    return each(args.operands, restart, out)
