"""List what a container changed of its image's files."""

from __future__ import annotations

from fastbox.errors import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "diff"
USAGE = "CONTAINER"
SUMMARY = "list what a container changed of its image's files"
OPERANDS = (1, 1)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """One line a change: A added, C changed, D deleted."""
    for change in engine.containers.diff(args.operands[0]):
        out.line(f"{change.kind} {printable(change.path)}")
    return 0
