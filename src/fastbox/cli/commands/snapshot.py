"""Keep a container's files as they are, to come back to with `rollback`."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "snapshot"
USAGE = "[OPTIONS] CONTAINER [NAME]"
SUMMARY = "keep a container's files as they are, to come back to"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("list", "l", SWITCH, "list the container's snapshots, oldest first"),
        Option("live", "", SWITCH, "if it runs: copy what it has written, as it stands still"),
        Option("rm", "", SWITCH, "remove the snapshot NAME"),
    )  # fmt: skip


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Make one and print its name; or list, or remove."""
    container, name = args.operands[0], (*args.operands, "")[1]
    if args.switch("list"):
        for each in engine.containers.snapshots(container):
            out.line(each)
    elif args.switch("rm"):
        if not name:
            raise InvalidArgument("--rm needs the name of a snapshot")
        engine.containers.remove_snapshot(container, name)
        out.line(name)
    else:
        out.line(engine.containers.snapshot(container, name, live=args.switch("live")))
    return 0
