"""A start's stages as a table and as trace events."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from fastbox.errors import FastboxError, PermissionDenied
from fastbox.support import clock, timeline

ANSWER = {
    "ok": True,
    "pid": 7,
    "supervisor": 6,
    "id": "c" * 64,
    "clocks": [
        {"begin": 4_000, "spec": 4_500, "record": 5_000},
        {"begin": 5_000, "plan": 6_000, "clone": 7_000, "mount": 8_000, "exec": 9_000},
        {"begin": 9_000, "record": 9_500},
    ],
}
MARKS = [
    ("", 1_000, None),
    ("python", 2_000, None),
    ("image", 3_000, None),
    ("launch", 11_000, ANSWER),
    ("running", 21_000, None),
]


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_command", []), ("_wanted", False), ("_written", 0)):
        monkeypatch.setattr(clock, name, value)
    clock._threads.marks = []
    monkeypatch.delenv(clock.TRACE, raising=False)


def test_the_table_has_every_stage_and_what_a_supervisor_measured_between() -> None:
    assert timeline.table(MARKS) == [
        "stage                microseconds     share",
        "python                        1.0    10.0 %",
        "image                         1.0    10.0 %",
        "request                       1.0    10.0 %",
        "  spec                        0.5     5.0 %",
        "  record                      0.5     5.0 %",
        "  plan                        1.0    10.0 %",
        "  clone                       1.0    10.0 %",
        "  mount                       1.0    10.0 %",
        "  exec                        1.0    10.0 %",
        "  record                      0.5     5.0 %",
        "answer                        1.5    15.0 %",
        "total                        10.0   100.0 %",
        "running                      10.0",
    ]


def test_a_table_without_a_launch_ends_with_its_last_stage() -> None:
    lines = timeline.table(MARKS[:3])
    assert lines[-1] == "total                         2.0   100.0 %"
    assert timeline.table([]) == [lines[0]]


def test_events_are_of_the_thread_that_worked() -> None:
    found = timeline.events(MARKS)
    where = {(e["name"], e["tid"]) for e in found if e["ph"] == "X"}
    own = threading.get_native_id()
    assert where == {
        ("start", own), ("python", own), ("image", own), ("launch", own), ("running", own),
        ("spec", 6), ("record", 6), ("plan", 6), ("clone", 6), ("mount", 7), ("exec", 7),
    }  # fmt: skip
    assert {e["pid"] for e in found} == {os.getpid()}
    start = next(e for e in found if e["name"] == "start")
    assert (start["ts"], start["dur"]) == (1.0, 10.0)
    assert start["args"] == {"container": "c" * 64, "pid": 7}
    names = {(e["tid"], e["args"]["name"]) for e in found if e["name"] == "thread_name"}
    assert names == {(own, "python"), (6, "supervisor"), (7, "container")}


def test_only_new_marks_are_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "trace"
    monkeypatch.setenv(clock.TRACE, str(file))
    clock.begin_command(list(MARKS[:2]))
    clock.flush()
    clock.mark("image")
    clock.flush()
    clock.flush()
    text = file.read_text()
    assert text.startswith("[\n")
    events = json.loads(text.rstrip().rstrip(",") + "]")
    assert [e["name"] for e in events] == ["process_name", "thread_name", "python", "image"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_notes_are_taken_only_when_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock.begin()
    clock.mark("image")
    assert clock.marks() == []
    assert not clock.wanted()
    clock.want()
    assert not clock.wanted()
    monkeypatch.setenv(clock.TRACE, "")
    clock.begin()
    assert clock.marks() == []
    monkeypatch.setenv(clock.TRACE, "/nowhere/trace")
    clock.begin()
    clock.mark("image")
    assert [stage for stage, _, _ in clock.marks()] == ["", "image"]
    assert clock.wanted()


def test_a_trace_that_cannot_be_written_does_not_harm_what_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(clock.TRACE, "/nowhere/trace")
    clock.begin()
    clock.started("launch", ANSWER)
    assert clock.marks() == []  # a thread of the API keeps nothing
    with pytest.raises(FastboxError, match="cannot write the trace"):
        timeline.append("/nowhere/trace", MARKS)


def test_threads_take_notes_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(clock.TRACE, str(tmp_path / "trace"))
    clock.begin()
    clock.mark("image")
    other: list[object] = []
    thread = threading.Thread(target=lambda: other.append(clock.marks()))
    thread.start()
    thread.join()
    assert other == [[]]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for make in (timeline.create, lambda path: timeline.append(path, MARKS)):
        with pytest.raises(FastboxError) as caught:
            make(str(tmp_path / "link"))
        assert not isinstance(caught.value, PermissionDenied)
    assert not (tmp_path / "target").exists()


def test_a_whole_timeline_is_json(tmp_path: Path) -> None:
    path = tmp_path / "timeline.json"
    path.write_text("an older one, and a longer one" * 100)
    fd = timeline.create(str(path))
    timeline.write(fd, MARKS)
    os.close(fd)
    assert json.loads(path.read_text()) == timeline.events(MARKS)
