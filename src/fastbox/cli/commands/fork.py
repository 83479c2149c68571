"""Start copies of a container, with the files that it has."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.containers.fork import ForkKeywords

NAME = "fork"
USAGE = "[OPTIONS] CONTAINER [COMMAND] [ARG...]"
SUMMARY = "start copies of a container, with the files that it has"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("count", "n", TEXT, "how many copies", value="int"),
        Option("create", "", SWITCH, "make them without starting them"),
        Option("live", "", SWITCH, "if it runs: copy what it has written, as it stands still"),
        Option("name", "", TEXT, "the copy's name; of several: NAME-1, NAME-2 and so on"),
        Option("rm", "", SWITCH, "remove each copy when it ends"),
    )  # fmt: skip


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Make the copies and print their ids."""
    from fastbox.cli import values

    wishes: ForkKeywords = {"name": args.text("name"), "live": args.switch("live")}
    if args.switch("rm"):
        wishes["remove"] = True
    if len(args.operands) > 1:
        wishes["argv"] = args.operands[1:]
    count = values.whole(args, "count", 1, 10_000, "100") or 1
    for container in engine.containers.fork(
        args.operands[0], count, start=not args.switch("create"), **wishes
    ):
        out.line(container)
    return 0
