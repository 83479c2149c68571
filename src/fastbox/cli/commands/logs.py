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
    follow, stamps = args.switch("follow"), args.switch("timestamps")
    lines = engine.containers.logs(
        args.operands[0],
        follow=follow,
        tail=_tail(args),
        since=_moment(args, "since"),
        until=_moment(args, "until"),
    )
    for line in lines:
        text = line.text if line.partial else line.text + "\n"
        _show(out, f"{line.time} {text}" if stamps else text, line.stream, at_once=follow)
    return 0


def _show(out: Output, text: str, stream: str, *, at_once: bool) -> None:
    """Write to the stream that the container wrote to, in the order in which it did."""
    if stream == "stderr":
        out.flush()
        out.raw(text, error=True)
    elif at_once:
        out.raw(text)
    else:
        out.text(text)


def _tail(args: Arguments) -> int | None:
    """How many lines from the end; None for all, as docker has it for a negative number, too."""
    from fastbox.cli.values import whole

    if args.text("tail", "all") == "all":
        return None
    count = whole(args, "tail", -(1 << 31), 1 << 31, "100")
    return None if count is None or count < 0 else count


def _moment(args: Arguments, flag: str) -> str:
    """A time as the log has it, so that texts compare as times do; "" when the flag isn't given."""
    if not args.given(flag):
        return ""
    import time

    from fastbox import units
    from fastbox.cli.values import convert
    from fastbox.support.clock import rfc3339

    text = args.text(flag)
    if text[-1:] in ("s", "m", "h"):
        seconds = convert(args, flag, text, units.duration, "42m")
        return rfc3339(time.time_ns() - int(seconds * 1e9))
    return rfc3339(convert(args, flag, text, units.instant, "2026-01-02T03:04:05Z"))
