"""Print what a container wrote."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "logs"
USAGE = "[OPTIONS] CONTAINER"
SUMMARY = "print what a container wrote"
OPERANDS = (1, 1)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("details", "", SWITCH, "put labels and variables that the log has before each line"),
        Option("follow", "f", SWITCH, "go on with what it writes until it ends"),
        Option(
            "since", "", TEXT, "only from this time on (2026-01-02T03:04:05Z, or 42m ago)", "time"
        ),
        Option("tail", "n", TEXT, "only so many last lines (default all)", "int"),
        Option("timestamps", "t", SWITCH, "put the time before each line"),
        Option(
            "until", "", TEXT, "only until this time (2026-01-02T03:04:05Z, or 42m ago)", "time"
        ),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the lines, each to the stream it was written to."""
    stamps, details = args.switch("timestamps"), args.switch("details")
    with engine.containers.open_log(
        args.operands[0],
        follow=args.switch("follow"),
        tail=_tail(args),
        since=_moment(args, "since"),
        until=_moment(args, "until"),
    ) as log:
        while not log.ended:
            found = log.text_ready(timestamps=stamps, details=details)
            for stream, data in found:
                out.data(data, error=stream == 2)
            if not found:
                log.wait()
    return 0


def _tail(args: Arguments) -> int | None:
    """How many lines from the end; None for all, as docker has it for a negative number, too."""
    from fastbox.cli.values import whole

    if args.text("tail", "all") == "all":
        return None
    count = whole(args, "tail", -(1 << 31), 1 << 31, "100")
    return None if count is None or count < 0 else count


def _moment(args: Arguments, flag: str) -> str | None:
    """A time that the engine will understand; None when the flag isn't given."""
    if not args.given(flag):
        return None
    from fastbox.cli.values import convert
    from fastbox.support import moments

    convert(args, flag, args.text(flag), moments.parse, "2026-01-02T03:04:05Z")
    return args.text(flag)
