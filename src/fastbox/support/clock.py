"""Times as documents carry them, and the notes that a start takes of its own stages.

Notes are per thread. While nobody asks for a timeline, a note of the command line's is two calls
and one of the API's is nothing; what is made of them is in `support.timeline`.
"""

from __future__ import annotations

import _thread
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    # A stage, when it ended (CLOCK_MONOTONIC, ns), and what a supervisor answered to it.
    Mark = tuple[str, int, Mapping[str, Any] | None]

TRACE = "FASTBOX_TRACE"


def now() -> str:
    """The wall clock now: RFC 3339, UTC, nanoseconds."""
    return rfc3339(time.time_ns())


def rfc3339(nanoseconds: int) -> str:
    """A count of nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


def source_date() -> int | None:
    """$SOURCE_DATE_EPOCH, seconds since 1970: the time that reproducible images are made at.

    Raises:
        InvalidArgument: It is not a number.
    """
    return source_date_of(os.environ.get("SOURCE_DATE_EPOCH", ""))


def source_date_of(text: str) -> int | None:
    """The same, of a text; None for "".

    Raises:
        InvalidArgument: It is not a number.
    """
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 11:
        from fastbox.errors import InvalidArgument

        raise InvalidArgument(f"SOURCE_DATE_EPOCH={text}: not a number of seconds")
    return int(text)


_command: list[Mark] = []  # one work, the command line's, from its first to its last moment
_written = 0  # how many of its marks are in the trace file
_wanted = False  # it wants a timeline
_threads = _thread._local()  # of the API: `marks` of the start under way, since it began


def begin_command(marks: list[Mark]) -> None:
    """The whole of this process is one work, of which these marks were made before."""
    _command.extend(marks)


def begin() -> None:
    """A start or an exec begins in this thread: take notes if somebody wants them."""
    if os.environ.get(TRACE) and not _command:
        _threads.marks = [("", time.monotonic_ns(), None)]


def marks() -> list[Mark]:
    """The notes of this thread's work so far."""
    return _command or getattr(_threads, "marks", [])


def mark(stage: str, answer: Mapping[str, Any] | None = None) -> None:
    """A stage ends."""
    found = marks()
    if found:
        found.append((stage, time.monotonic_ns(), answer))


def want() -> None:
    """Let supervisors tell their clocks, too."""
    global _wanted
    _wanted = True


def wanted() -> bool:
    """Whether a supervisor is to tell its clocks."""
    return bool(marks()) and (_wanted or bool(os.environ.get(TRACE)))


def started(stage: str, answer: Mapping[str, Any]) -> None:
    """A supervisor has started a process, and perhaps told its clocks: `stage` ends."""
    mark(stage, answer)
    if "clocks" not in answer or not os.environ.get(TRACE):
        return
    from fastbox.errors import FastboxError

    try:
        flush()
    except FastboxError:
        pass  # it runs: nothing may fail any more
    _threads.marks = []


def flush() -> None:
    """Append what is new to the file that FASTBOX_TRACE names.

    Raises:
        FastboxError: It can't be written.
    """
    global _written
    from fastbox.support import timeline

    found = marks()
    timeline.append(os.environ[TRACE], found, _written)
    _written = len(_command)
