"""Ask containers to end, and kill those that don't."""

from __future__ import annotations

from fastbox.cli import values
from fastbox.cli.parser import TEXT, Option
from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "stop"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "stop running containers"
OPERANDS = (1, None)
_YEARS = (1 << 31) - 1


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("signal", "s", TEXT, "the signal to send first"),
        Option("time", "", TEXT, "", stands_for="timeout"),
        Option("timeout", "t", TEXT, "seconds to wait before killing", "int"),
    )


def grace(args: Arguments) -> tuple[float | None, str | None]:
    """How long is waited, and the signal that comes first; None: the container's own."""
    seconds = values.whole(args, "timeout", -1, _YEARS, "10")
    return None if seconds is None else float(seconds), values.signal(args, "signal") or None


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Stop them one after the other; 1 when any could not be."""
    timeout, signal = grace(args)

    def stop(name: str) -> str:
        engine.containers.stop(name, timeout=timeout, signal=signal)
        return name

    return each(args.operands, stop, out)
