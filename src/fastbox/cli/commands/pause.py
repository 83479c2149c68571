"""Make all processes of containers stand still."""

from __future__ import annotations

from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "pause"
USAGE = "CONTAINER [CONTAINER...]"
SUMMARY = "make all processes of containers stand still"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Pause each; 1 when any could not be."""

    def pause(name: str) -> str:
        engine.containers.pause(name)
        return name

    return each(args.operands, pause, out)
