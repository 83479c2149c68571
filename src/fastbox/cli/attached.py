"""What commands do with an attachment: check the terminal first, then carry the bytes until the
process ends or the user detaches.
"""

from __future__ import annotations

import os

from fastbox.cli.values import detach_keys
from fastbox.errors import EngineUnavailable, InvalidArgument
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments
    from fastbox.containers.attachment import Attachment


def check_terminal(*, tty: bool, stdin: bool) -> None:
    """Refuse a terminal for a process whose input comes from something else.

    Raises:
        InvalidArgument: stdin is not a terminal.
    """
    if tty and stdin and not os.isatty(0):
        raise InvalidArgument(
            "the input device is not a TTY", hint="leave out -t: its output can be piped then, too"
        )


def check_keys(args: Arguments) -> None:
    """Refuse bad --detach-keys before anything is started."""
    if args.given("detach-keys"):
        detach_keys(args)


def window(tty: bool) -> tuple[int, int]:
    """Rows and columns of the user's terminal; zeros without one."""
    for fd in (1, 0) if tty else ():
        if os.isatty(fd):
            size = os.get_terminal_size(fd)
            return size.lines, size.columns
    return 0, 0


def carry(attachment: Attachment, args: Arguments) -> int:
    """Connect the process to this one's standard streams; its exit code, or 0 when the user
    detached.

    Raises:
        EngineUnavailable: Its supervisor went away.
    """
    try:
        end = attachment.carry(
            detach_keys=detach_keys(args), forward_signals=args.switch("sig-proxy", True)
        )
        clock.mark("running")
        if clock.wanted() and end.kind == "exit" and attachment.await_release():
            clock.mark("release")
    finally:
        attachment.close()
    if end.kind == "lost":
        raise EngineUnavailable(
            "the supervisor of the container went away",
            where=attachment.id[:12],
            hint="see `fastbox ps -a`",
        )
    return end.code if end.kind == "exit" else 0
