"""Connect this terminal to a running container."""

from __future__ import annotations

from fastbox.cli import attached
from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "attach"
USAGE = "[OPTIONS] CONTAINER"
SUMMARY = "connect this terminal to a running container"
OPERANDS = (1, 1)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("detach-keys", "", TEXT, "the keys that detach a terminal (default ctrl-p,ctrl-q)"),
        Option("no-stdin", "", SWITCH, "leave its stdin alone"),
        Option("sig-proxy", "", SWITCH, "pass signals on to the process (default true)"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Stay with the container; its exit code, or 0 when the user detached."""
    attached.check_keys(args)
    interactive = not args.switch("no-stdin")
    return attached.carry(engine.containers.attach(args.operands[0], interactive=interactive), args)
