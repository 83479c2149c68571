"""Wait until containers end."""

from __future__ import annotations

from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "wait"
USAGE = "CONTAINER [CONTAINER...]"
SUMMARY = "wait until containers end, and print their exit codes"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print each exit code; 1 when any could not be waited for."""

    def wait(name: str) -> str:
        code = engine.containers.wait(name)
        return str(code)

    return each(args.operands, wait, out)
