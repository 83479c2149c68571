"""What becomes of the notes of a start: a table, and events in the form that the trace viewers of
Chrome and Perfetto read. Imported only when somebody wants one.

Python's stages are events of the thread that made them, the supervisor's and the new process's of
theirs; all of them are on one clock, CLOCK_MONOTONIC.
"""

from __future__ import annotations

import _thread
import fcntl
import os

from fastbox.errors import os_error
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastbox.support.clock import Mark

    Row = tuple[str, int, int]  # a stage, when it began and when it ended (ns)

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


def native(answer: Mapping[str, Any] | None) -> list[Row]:
    """The stages that a supervisor has told, in order."""
    rows = []
    for clocks in (answer or {}).get("clocks", ()):
        began = clocks["begin"]
        for stage, ended in clocks.items():
            if stage != "begin":
                rows.append((stage, began, ended))
                began = ended
    return rows


def table(marks: Sequence[Mark]) -> list[str]:
    """A line a stage: microseconds, and the share of the way from the first mark to the start.

    What a supervisor measured stands indented between the request and the answer. What comes after
    the start (its running, its release) has no share.
    """
    rows, whole = _rows(marks)
    lines = [f"{'stage':<20} {'microseconds':>12} {'share':>9}"]
    for name, nanoseconds, counted in rows:
        share = f"{100 * nanoseconds / whole:7.1f} %" if counted and whole else ""
        lines.append(f"{name:<20} {nanoseconds / 1000:>12.1f} {share:>9}".rstrip())
    return lines


def _rows(marks: Sequence[Mark]) -> tuple[list[tuple[str, int, bool]], int]:
    last = max((i for i, (_, _, answer) in enumerate(marks) if answer), default=len(marks) - 1)
    rows: list[tuple[str, int, bool]] = []
    for i in range(1, len(marks)):
        stage, ended, answer = marks[i]
        began, inner = marks[i - 1][1], native(answer)
        if inner:
            rows.append(("request", inner[0][1] - began, True))
            rows += [("  " + name, stop - start, True) for name, start, stop in inner]
            stage, began = "answer", inner[-1][2]
        rows.append((stage, ended - began, i <= last))
        if i == last:
            rows.append(("total", ended - marks[0][1], True))
    return rows, marks[last][1] - marks[0][1] if marks else 0


def events(marks: Sequence[Mark], since: int = 0) -> list[dict[str, object]]:
    """The marks from number `since` on as trace events, those that enclose others first."""
    pid, tid = os.getpid(), _thread.get_native_id()
    found = (
        []
        if since
        else [_name("process", pid, tid, "fastbox"), _name("thread", pid, tid, "python")]
    )
    outer = 0
    for i in range(1, len(marks)):
        stage, ended, answer = marks[i]
        if i >= since:
            if answer:
                about = {"container": answer.get("id", ""), "pid": answer.get("pid", 0)}
                found.append(_event("start", pid, tid, marks[outer][1], ended) | {"args": about})
            found.append(_event(stage, pid, tid, marks[i - 1][1], ended))
            found += _native_events(pid, answer)
        if answer:
            outer = i
    return sorted(found, key=_nested)


def _nested(event: dict[str, Any]) -> tuple[int, float, float]:
    return (event["ph"] != "M", event.get("ts", 0.0), -event.get("dur", 0.0))


def _native_events(pid: int, answer: Mapping[str, Any] | None) -> list[dict[str, object]]:
    """Up to the clone the supervisor works, up to exec the new process, and then the supervisor."""
    if not answer or not native(answer):
        return []
    supervisor, child = answer["supervisor"], answer["pid"]
    launch = answer["clocks"][1]
    first, last = launch.get("clone", 0), launch.get("exec", 0)
    found = [
        _name("thread", pid, supervisor, "supervisor"),
        _name("thread", pid, child, "container"),
    ]
    for stage, start, stop in native(answer):
        where = child if first <= start < last else supervisor
        found.append(_event(stage, pid, where, start, stop))
    return found


def _name(kind: str, pid: int, tid: int, name: str) -> dict[str, object]:
    return {"name": f"{kind}_name", "ph": "M", "pid": pid, "tid": tid, "args": {"name": name}}


def _event(name: str, pid: int, tid: int, start: int, stop: int) -> dict[str, object]:
    return {
        "name": name, "cat": "fastbox", "ph": "X", "pid": pid, "tid": tid,
        "ts": start / 1000, "dur": max(stop - start, 0) / 1000,
    }  # fmt: skip


def append(path: str, marks: Sequence[Mark], since: int = 0) -> None:
    """Add the marks from number `since` on to a trace file that many processes may share: an array
    without its closing bracket, which the format allows.

    Raises:
        FastboxError: It can't be written.
    """
    lines = [json.dumps_bytes(event) + b",\n" for event in events(marks, since)]
    try:
        fd = os.open(path, _FLAGS, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            _write(fd, (b"" if os.fstat(fd).st_size else b"[\n") + b"".join(lines))
        finally:
            os.close(fd)
    except OSError as error:
        raise os_error(error, "cannot write the trace", path) from error


def create(path: str) -> int:
    """A file for one timeline, emptied; its descriptor.

    Raises:
        FastboxError: It can't be made.
    """
    try:
        return os.open(path, _FLAGS | os.O_TRUNC, 0o600)
    except OSError as error:
        raise os_error(error, "cannot make the timeline", path) from error


def write(fd: int, marks: Sequence[Mark]) -> None:
    """All marks as a whole JSON array.

    Raises:
        OSError: There is no room.
    """
    _write(fd, b"[\n" + b",\n".join(map(json.dumps_bytes, events(marks))) + b"\n]\n")


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
