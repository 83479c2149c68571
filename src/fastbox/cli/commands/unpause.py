"""Let paused containers go on."""

from __future__ import annotations

from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "unpause"
USAGE = "CONTAINER [CONTAINER...]"
SUMMARY = "let paused containers go on"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Unpause each; 1 when any could not be."""

    def unpause(name: str) -> str:
        engine.containers.unpause(name)
        return name

    return each(args.operands, unpause, out)
