"""An exception as the lines that people read, and the exit code it stands for."""

from __future__ import annotations

from fastbox.cli.parser import UsageError
from fastbox.errors import FastboxError, ResourceExhausted, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastbox.cli.output import Output

_INTERNAL = 125
_NO_THREAD = "can't start new thread"  # Python's words


def report(error: Exception, out: Output) -> int:
    """Say what failed and what to do next; the exit code."""
    if out.debug:
        import traceback

        out.note("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, RuntimeError) and str(error) == _NO_THREAD:
        error = ResourceExhausted(
            "no thread can be started",
            hint="raise the limit of processes (ulimit -u, pids.max), or allow clone3 in the"
            " seccomp filter that fastbox runs under",
        )
    if not isinstance(error, FastboxError):
        out.note(f"fastbox: internal error: {type(error).__name__}: {printable(error)}")
        if not out.debug:
            out.note("hint: set FASTBOX_DEBUG=1 for the traceback")
        return _INTERNAL
    command = f" {error.command}" if isinstance(error, UsageError) and error.command else ""
    out.note(f"fastbox{command}: {error}")
    if error.hint:
        out.note(f"hint: {error.hint}")
    return error.exit_code


def each(names: Iterable[str], act: Callable[[str], str], out: Output) -> int:
    """Do the same to every name, go on after a failure, print what each gave; 1 when any failed."""
    code = 0
    for name in names:
        try:
            text = act(name)
        except FastboxError as error:
            report(error, out)
            code = 1
        else:
            if text:
                out.line(text)
    return code
