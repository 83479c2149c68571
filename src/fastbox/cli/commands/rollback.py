"""Put a container's files back to a snapshot."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "rollback"
USAGE = "CONTAINER [SNAPSHOT]"
SUMMARY = "put a container's files back to a snapshot, the newest by default"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Roll back, and print to which snapshot."""
    out.line(engine.containers.rollback(args.operands[0], (*args.operands, "")[1]))
    return 0
