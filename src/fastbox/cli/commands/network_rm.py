"""Remove networks."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option
from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "rm"
USAGE = "NETWORK [NETWORK...]"
SUMMARY = "remove networks that no container runs in"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("force", "f", SWITCH, "one that does not exist is no failure"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Remove each; 1 when any could not be."""
    force = args.switch("force")

    def remove(name: str) -> str:
        engine.networks.remove(name, force=force)
        return name

    return each(args.operands, remove, out)
