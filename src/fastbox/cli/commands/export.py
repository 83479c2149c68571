"""Write a container's files as a tar archive."""

from __future__ import annotations

from fastbox.cli.parser import TEXT, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "export"
USAGE = "[OPTIONS] CONTAINER"
SUMMARY = "write a container's files as a tar archive"
OPERANDS = (1, 1)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("output", "o", TEXT, "write to a file instead of stdout"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Export it."""
    import os

    output = args.text("output")
    if not output and os.isatty(1):
        raise InvalidArgument(
            "stdout is a terminal: an archive is not written there",
            hint="use -o FILE, or send stdout elsewhere",
        )
    engine.containers.export(args.operands[0], output or 1)
    return 0
