"""Stop containers and start them again."""

from __future__ import annotations

from fastbox.cli.commands.stop import grace, options
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
__all__ = ("NAME", "OPERANDS", "SUMMARY", "USAGE", "execute", "options")


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Restart them one after the other; 1 when any could not be."""
    timeout, signal = grace(args)

    def restart(name: str) -> str:
        engine.containers.restart(name, timeout=timeout, signal=signal)
        return name

    return each(args.operands, restart, out)
