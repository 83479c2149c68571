"""A build on a terminal: recorded events drawn on a small one, whole screens compared."""

from __future__ import annotations

import pytest

from fastbox.builds import Event
from fastbox.cli.render.build_tty import Tty
from fastbox.cli.render.build_vertex import KEPT, Vertices

from .screen import Screen


class Terminal:
    def __init__(self, columns: int = 60, lines: int = 12, *, colour: bool = False) -> None:
        self.now = 100.0
        self.screen = Screen(columns, lines)
        self.frames: list[str] = []
        self.tty = Tty(
            self.write,
            lambda: self.now,
            lambda: (self.screen.columns, self.screen.lines),
            colour=colour,
        )

    def write(self, text: str) -> None:
        self.frames.append(text)
        self.screen.write(text)
        assert self.screen.cursor, "a frame leaves the cursor hidden"

    def tell(self, kind: str, step: int, at: float = -1.0, **members: object) -> None:
        self.now = 100.0 + at if at >= 0 else self.now
        self.tty.tell(Event(kind=kind, step=step, **members))

    def tick(self, at: float) -> list[str]:
        self.now = 100.0 + at
        self.tty.tick()
        return self.screen.seen()

    def end(self, at: float) -> list[str]:
        self.now = 100.0 + at
        self.tty.end()
        return self.screen.seen()


def line(left: str, right: str, columns: int = 60) -> str:
    return left + right.rjust(columns - 1 - len(left))


def test_a_build() -> None:
    t = Terminal()
    t.tell("start", 1, 0.0, name="[internal] load build definition")
    t.tell("done", 1, 0.01, seconds=0.01)
    t.tell("start", 2, 0.1, name="[1/3] FROM busybox")
    t.tell("done", 2, 0.1, cached=True)
    t.tell("start", 3, 0.1, name="[2/3] RUN make")
    t.tell("output", 3, 0.5, data=b"cc a.c\n\x1b[31mcc b.c\x1b[0m\nlinking 1%\rlinking 50%")
    assert t.tick(1.1) == [
        "[+] Building 1.1s (2/3)",
        line(" => [internal] load build definition", "0.0s"),
        line(" => CACHED [1/3] FROM busybox", "0.0s"),
        line(" => [2/3] RUN make", "1.0s"),
        " => => # cc a.c",
        " => => # cc b.c",
        " => => # linking 50%",
    ]
    t.tell("done", 3, 2.0, seconds=1.9)
    t.tell("start", 4, 2.0, name="exporting to image")
    t.tell("progress", 4, text="exporting layers", current=500_000, total=2_000_000)
    assert t.tick(2.2) == [
        "[+] Building 2.2s (3/4)",
        line(" => [internal] load build definition", "0.0s"),
        line(" => CACHED [1/3] FROM busybox", "0.0s"),
        line(" => [2/3] RUN make", "1.9s"),
        line(" => exporting to image", "0.2s"),
        line(" => => exporting layers 500kB / 2MB", "0.2s"),
    ]
    t.tell("progress", 4, 2.4, text="exporting layers", current=2_000_000, total=2_000_000)
    t.tell("progress", 4, text="writing image sha256:abab")
    t.tell("progress", 4, text="naming to docker.io/library/x")
    t.tell("done", 4, 2.5, seconds=0.5)
    assert t.end(2.5) == [
        "[+] Building 2.5s (4/4) FINISHED",
        line(" => [internal] load build definition", "0.0s"),
        line(" => CACHED [1/3] FROM busybox", "0.0s"),
        line(" => [2/3] RUN make", "1.9s"),
        line(" => exporting to image", "0.5s"),
        line(" => => exporting layers 2MB", "0.4s"),
        line(" => => writing image sha256:abab", "0.0s"),
        line(" => => naming to docker.io/library/x", "0.1s"),
    ]


def test_how_steps_end() -> None:
    t = Terminal(columns=30)
    for step, members in enumerate(({}, {"error": "no"}, {"canceled": True}, {"cached": True}), 1):
        t.tell("start", step, 0.0, name=f"step {step}")
        t.tell("done", step, 1.0, **members)
    assert t.end(1.0)[1:] == [
        line(" => step 1", "1.0s", 30),
        line(" => ERROR step 2", "1.0s", 30),
        line(" => CANCELED step 3", "1.0s", 30),
        line(" => CACHED step 4", "0.0s", 30),
    ]


def test_frames_are_at_most_twenty_a_second() -> None:
    t = Terminal()
    t.tell("start", 1, 0.0, name="a")
    for thousandth in range(1000):
        t.tick(thousandth / 1000)
    assert 18 <= len(t.frames) <= 20


def test_nothing_is_drawn_for_nothing() -> None:
    t = Terminal()
    t.tick(1.0)
    t.end(2.0)
    assert t.frames == []


@pytest.mark.parametrize("lines", [4, 5, 6, 8, 12, 24])
def test_a_frame_is_never_higher_than_the_terminal(lines: int) -> None:
    t = Terminal(lines=lines)
    for step in range(1, 31):
        t.tell("start", step, 0.0, name=f"step {step}")
        t.tell("progress", step, text="part")
        t.tell("output", step, data=b"a\nb\nc\n")
        if step % 3 == 0:
            t.tell("done", step)
        seen = t.tick(step / 10)
        assert len(seen) <= lines - 1
        assert t.screen.top == 0  # nothing has scrolled away
    final = t.end(4.0)
    assert len([row for row in final if row.startswith(" => step")]) == 30
    assert final[0].startswith("[+] Building")


def test_running_steps_go_before_those_that_are_over() -> None:
    t = Terminal(lines=6)
    t.tell("start", 1, 0.0, name="long")
    for step in range(2, 10):
        t.tell("start", step, name=f"short {step}")
        t.tell("done", step, seconds=1.0)
    assert [row.split("  ")[0] for row in t.tick(1.0)[1:]] == [
        " => long", " => short 7", " => short 8", " => short 9",
    ]  # fmt: skip


def test_output_is_shared_out() -> None:
    t = Terminal(lines=9)
    for step in (1, 2):
        t.tell("start", step, 0.0, name=f"step {step}")
        t.tell("output", step, data=b"".join(b"%d\n" % n for n in range(20)))
    rows = t.tick(1.0)
    assert [row for row in rows if "#" in row] == [
        " => => # 17", " => => # 18", " => => # 19", " => => # 18", " => => # 19"
    ]  # fmt: skip


def test_hostile_names_and_output() -> None:
    t = Terminal(columns=40)
    t.tell("start", 1, 0.0, name="[1/1] RUN \x1b[2J\x1b]0;x\x07" + "你" * 100)
    t.tell("output", 1, data=b"\x1b[10A\x1b[2J\x07" + "宽".encode() * 100 + b"\n\x9b31m\xff\n")
    rows = t.tick(1.0)
    assert rows[1] == " => [1/1] RUN " + "你" * 10 + " 1.0s"
    assert rows[2] == " => => # \\x07" + "宽" * 13
    assert rows[3] == " => => # \ufffd31m\ufffd"
    assert len(rows) == 4


def test_a_narrow_terminal_and_one_without_a_size() -> None:
    for columns, lines in ((20, 4), (25, 3)):
        t = Terminal(columns, lines)
        t.tell("start", 1, 0.0, name="a name that is longer than the terminal is wide")
        t.tell("output", 1, data=b"output that is longer than the terminal is wide\n")
        assert all(len(row) < max(columns, 21) for row in t.tick(1.0))


@pytest.mark.parametrize("columns", [30, 50, 90])
def test_resize(columns: int) -> None:
    t = Terminal()
    for step in (1, 2, 3):
        t.tell("start", step, 0.0, name=f"step {step}")
    t.tick(1.0)
    t.screen.resize(columns, 12)
    assert t.tick(2.0) == [
        "[+] Building 2.0s (0/3)",
        *(line(f" => step {step}", "2.0s", columns) for step in (1, 2, 3)),
    ]


def test_colours() -> None:
    t = Terminal(colour=True)
    t.tell("start", 1, 0.0, name="running")
    t.tell("output", 1, data=b"text\n")
    t.tell("start", 2, name="broken")
    t.tell("done", 2, error="x")
    t.tick(1.0)
    assert "\x1b[31m => ERROR broken" in t.frames[0]
    assert "\x1b[2m => => # text\x1b[0m" in t.frames[0]
    plain = Terminal()
    plain.tell("start", 1, 0.0, name="running")
    plain.tell("done", 1)
    plain.tick(1.0)
    assert "m" not in plain.frames[0].replace("[+] Building", "").replace("running", "")


def test_the_log_of_a_failure_is_kept_and_others_are_not() -> None:
    vertices = Vertices()
    for step in (1, 2):
        vertices.take(Event(kind="start", step=step, name="x"), 0.0)
        vertices.take(Event(kind="output", step=step, data=b"line\n" * 1000), 0.0)
    vertices.take(Event(kind="done", step=1, error="e"), 0.0)
    vertices.take(Event(kind="done", step=2), 0.0)
    assert [len(vertex.log) for vertex in vertices] == [1000, 0]


def test_a_log_is_bounded() -> None:
    vertices = Vertices()
    vertices.take(Event(kind="start", step=1, name="x"), 0.0)
    for _ in range(50):
        vertices.take(Event(kind="output", step=1, data=b"0123456789\n" * 10_000), 0.0)
    vertices.take(Event(kind="output", step=1, data=b"the end\n"), 0.0)
    vertex = next(iter(vertices))
    assert sum(map(len, vertex.log)) <= 2 * KEPT
    assert vertex.left_out
    assert vertex.log[-1] == "0.000 the end"
