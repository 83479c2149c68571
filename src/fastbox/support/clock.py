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


class _Notes(_thread._local):
    marks: list[Mark] | None = None  # of the work under way, since it began
    command = False  # one work, the command line's, from its first to its last moment
    wanted = False  # the command line wants a timeline
    written = 0  # how many marks are in the trace file


_notes = _Notes()


def begin_command(marks: list[Mark]) -> None:
    """The whole of this process is one work, of which these marks were made before."""
    _notes.marks, _notes.command = marks, True


def begin() -> None:
    """A start or an exec begins in this thread: take notes if somebody wants them."""
    if os.environ.get(TRACE) and not _notes.command:
        _notes.marks, _notes.written = [("", time.monotonic_ns(), None)], 0


def mark(stage: str, answer: Mapping[str, Any] | None = None) -> None:
    """A stage ends."""
    if _notes.marks is not None:
        _notes.marks.append((stage, time.monotonic_ns(), answer))


def want() -> None:
    """Let supervisors tell their clocks, too."""
    _notes.wanted = True


def wanted() -> bool:
    """Whether a supervisor is to tell its clocks."""
    return _notes.marks is not None and (_notes.wanted or bool(os.environ.get(TRACE)))


def started(stage: str, answer: Mapping[str, Any]) -> None:
    """A supervisor has started a process, and perhaps told its clocks: `stage` ends."""
    mark(stage, answer)
    if "clocks" in answer and os.environ.get(TRACE):
        from fastbox.errors import FastboxError

        try:
            flush()
        except FastboxError:
            pass  # it runs: nothing may fail any more
        if not _notes.command:
            _notes.marks = None


def flush() -> None:
    """Append what is new to the file that FASTBOX_TRACE names.

    Raises:
        FastboxError: It can't be written.
    """
    from fastbox.support import timeline

    found = marks()
    timeline.append(os.environ[TRACE], found, _notes.written)
    _notes.written = len(found)


def marks() -> list[Mark]:
    """The notes of this thread's work so far."""
    return _notes.marks or []
