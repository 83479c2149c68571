"""Start containers that were made or have ended."""

from __future__ import annotations

from fastbox.cli import attached
from fastbox.cli.parser import SWITCH, TEXT, Option, UsageError
from fastbox.cli.report import each
from fastbox.cli.values import TIMING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "start"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "start containers that do not run"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("attach", "a", SWITCH, "show its output, pass signals on, and wait for its end"),
        Option("detach-keys", "", TEXT, "the keys that detach a terminal (default ctrl-p,ctrl-q)"),
        Option("interactive", "i", SWITCH, "attach, with this stdin"),
        Option("sig-proxy", "", SWITCH, "pass signals on to the process (default true)"),
        *TIMING,
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Start them; 1 when any could not be, the exit code of an attached one."""
    if not args.switch("attach") and not args.switch("interactive"):
        return each(args.operands, lambda name: _start(engine, name), out)
    if len(args.operands) > 1:
        raise UsageError(args.command, "only one container can be attached")
    attached.check_keys(args)
    rows, columns = attached.window(True)
    attachment = engine.containers.start_again(
        args.operands[0], interactive=args.switch("interactive"), rows=rows, columns=columns
    )
    return attached.carry(attachment, args)


def _start(engine: Door, name: str) -> str:
    engine.containers.start(name)
    return name
