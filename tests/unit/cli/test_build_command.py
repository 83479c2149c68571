"""build and builder prune over an engine that takes notes."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest

from fastbox.builds import BuildOptions, Built, Event, StepReport, Warned
from fastbox.cli.output import Output
from fastbox.cli.render.build_watch import Watch
from fastbox.errors import FastboxError, InvalidArgument
from fastbox.types import Pruned

ID = "sha256:" + "ab" * 32
STEPS = (
    StepReport(number=1, stage="0", name="FROM busybox", status="cached"),
    StepReport(number=2, stage="0", name="RUN make", needs=(1,), status="done", seconds=2.0),
)
DOCKERFILE = "FROM busybox\nRUN true\nRUN false\nRUN never\n"


class BuildFailed(FastboxError):
    code = "build.failed"

    def __init__(self, what: str, **members: object) -> None:
        super().__init__(what)
        for name, value in members.items():
            setattr(self, name, value)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FASTBOX_PROGRESS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("os.isatty", lambda fd: False)
    monkeypatch.chdir(tmp_path)


class Builder:
    """Tells its events, then gives or raises what it has."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.result: Built | BaseException = Built(image_id=ID, steps=STEPS)
        self.wanted = BuildOptions()

    def build(self, wanted: BuildOptions, watch) -> Built:
        self.wanted = wanted
        thread = threading.Thread(target=lambda: [watch(event) for event in self.events])
        thread.start()
        thread.join()
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def run(self, step: int, name: str, data: bytes = b"", **end: object) -> None:
        self.events.append(Event(kind="start", step=step, name=name))
        if data:
            self.events.append(Event(kind="output", step=step, data=data))
        self.events.append(Event(kind="done", step=step, **end))


@pytest.fixture
def builder(shell) -> Builder:
    shell.builds = Builder()
    return shell.builds


def test_every_name_of_it(shell, builder) -> None:
    for words in (["build"], ["image", "build"], ["builder", "build"], ["buildx", "build"]):
        assert shell(*words, "-t", "x", "dir") == 0
        assert builder.wanted == BuildOptions(context="dir", tags=("x",))
    assert shell("build") == 125
    assert "exactly 1 argument" in shell.err
    assert shell("build", "--help") == 0
    assert "--build-arg" in shell.out


def test_plain_when_nobody_looks(shell, builder) -> None:
    builder.run(1, "[1/2] FROM busybox", cached=True)
    assert shell("build", ".") == 0
    assert (shell.out, shell.err) == ("", "#1 [1/2] FROM busybox\n#1 CACHED\n")


def test_tty_when_somebody_looks(shell, builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.run(1, "[1/2] FROM busybox", cached=True)
    assert shell("build", ".", terminal=True) == 0
    assert "[+] Building 0.0s (1/1) FINISHED" in shell.err
    assert "\x1b[34m => CACHED [1/2] FROM busybox" in shell.err
    monkeypatch.setenv("NO_COLOR", "1")
    assert shell("build", ".", terminal=True) == 0
    assert "\x1b[34m" not in shell.err
    monkeypatch.setenv("TERM", "dumb")
    assert shell("build", ".", terminal=True) == 0
    assert shell.err == "#1 [1/2] FROM busybox\n#1 CACHED\n"


def test_progress_by_flag_and_environment(shell, builder, monkeypatch: pytest.MonkeyPatch) -> None:
    builder.run(1, "x")
    monkeypatch.setenv("FASTBOX_PROGRESS", "json")
    assert shell("build", ".") == 0
    assert [json.loads(line)["kind"] for line in shell.err.splitlines()] == [
        "start",
        "done",
        "built",
    ]
    assert shell("build", "--progress=plain", ".") == 0
    assert shell.err.startswith("#1 x\n")
    monkeypatch.setenv("FASTBOX_PROGRESS", "loud")
    assert shell("build", ".") == 125
    assert "FASTBOX_PROGRESS=loud: one of" in shell.err
    assert shell("build", "--progress=loud", ".") == 125
    assert "--progress loud" in shell.err


def test_quiet(shell, builder) -> None:
    builder.run(1, "x", b"output\n")
    for words in (["-q"], ["--progress=quiet"], ["-q", "--progress=json"]):
        assert shell("build", *words, ".") == 0
        assert (shell.out, shell.err) == (ID + "\n", "")
    assert shell("build", "-q", "-o", "-", ".") == 0
    assert shell.out == ""
    builder.result = Built()
    assert shell("build", "-q", "-o", "out", ".") == 0
    assert shell.out == ""


def test_json(shell, builder) -> None:
    builder.run(1, "x", b"a\xff\x1b[2J\n")
    builder.events.append(Event(kind="progress", step=1, text="t", current=1, total=2))
    builder.events.append(Event(kind="warning", text="w", line=3))
    warned = Warned(rule="R", message="m", line=1)
    builder.result = Built(image_id=ID, digest="sha256:cd", tags=("x",), warnings=(warned,))
    assert shell("build", "--progress=rawjson", ".") == 0
    found = [json.loads(line) for line in shell.err.splitlines()]
    assert all(item.pop("time") >= 0 for item in found)
    assert found == [
        {"kind": "start", "step": 1, "name": "x", "stage": ""},
        {"kind": "output", "step": 1, "stream": 1, "data": "a\ufffd\x1b[2J\n"},
        {"kind": "done", "step": 1, "name": "", "seconds": 0.0, "cached": False, "canceled": False, "error": ""},
        {"kind": "progress", "step": 1, "text": "t", "current": 1, "total": 2},
        {"kind": "warning", "text": "w", "line": 3},
        {
            "kind": "built", "image_id": ID, "digest": "sha256:cd", "seconds": 0.0, "tags": ["x"],
            "warnings": [{"rule": "R", "message": "m", "line": 1, "url": ""}],
        },
    ]  # fmt: skip
    builder.result = BuildFailed("it broke", exit_status=7)
    assert shell("build", "--progress=json", ".") == 1
    last = json.loads(shell.err.splitlines()[-1])
    assert last.pop("time") >= 0
    assert last == {
        "kind": "failed",
        "error": "it broke",
        "code": "build.failed",
        "hint": "",
        "exit_status": 7,
    }


def test_a_failed_step(shell, builder) -> None:
    Path("Dockerfile").write_text(DOCKERFILE)
    builder.run(1, "[2/4] RUN true", b"unseen\n")
    builder.run(
        2,
        "[3/4] RUN false",
        b"".join(b"line %d\n" % n for n in range(30)),
        error="exit code: 1",
        line=3,
    )
    builder.run(3, "[other] RUN sleep", canceled=True, error="canceled")
    builder.result = BuildFailed(
        'process "/bin/sh -c false" did not complete successfully: exit code: 1', exit_status=1
    )
    assert shell("build", ".") == 1
    log = shell.err.partition("------\n")
    assert [line.partition(" ")[2] for line in log[2].splitlines()[1:11]] == [
        f"line {n}" for n in range(20, 30)
    ]
    assert log[2].splitlines()[0] == " > [3/4] RUN false:"
    assert log[2].splitlines()[11:] == [
        "------",
        "Dockerfile:3",
        "--------------------",
        "   1 |     FROM busybox",
        "   2 |     RUN true",
        "   3 | >>> RUN false",
        "   4 |     RUN never",
        "   5 |",
        "--------------------",
        'fastbox: process "/bin/sh -c false" did not complete successfully: exit code: 1',
    ]
    assert shell("build", ".", terminal=True) == 1
    assert shell.err.count("line 0\n") == 1  # in full after the display
    assert shell("build", "-q", ".") == 1
    assert "------\n > [3/4] RUN false:\n" in shell.err


def test_the_error_knows_better(shell, builder) -> None:
    builder.run(1, "[1/1] RUN false", error="no")
    builder.result = BuildFailed(
        "failed",
        tail="from the\x07 error\n",
        line=2,
        end=3,
        file="app.Dockerfile",
        source=("a", "b", "c", "d"),
    )
    assert shell("build", "-f", "-", ".") == 1
    assert shell.err.partition("------\n")[2].splitlines() == [
        " > [1/1] RUN false:", "from the\\x07 error", "------", "app.Dockerfile:2", "--------------------",
        "   1 |     a", "   2 | >>> b", "   3 | >>> c", "   4 |     d", "--------------------",
        "fastbox: failed",
    ]  # fmt: skip


def test_no_lines_of_what_a_context_points_at(shell, builder) -> None:
    Path("secret").write_text("a\nb\nsecret\n")
    Path("context").mkdir()
    builder.run(1, "x", error="no", line=3)
    builder.result = BuildFailed("failed")
    Path("context/Dockerfile").symlink_to("../secret")
    assert shell("build", "context") == 1
    assert "Dockerfile:3" in shell.err
    assert "secret" not in shell.err
    Path("context/Dockerfile").unlink()
    os.mkfifo("context/Dockerfile")
    assert shell("build", "context") == 1


def test_an_error_before_any_step(shell, builder) -> None:
    builder.result = InvalidArgument(
        "unknown instruction: RUNN", where="Dockerfile:3", hint="did you mean RUN?"
    )
    builder.result.detail = "   3 | RUNN x\n       ^^^^"
    assert shell("build", ".") == 125
    assert shell.err == (
        "   3 | RUNN x\n       ^^^^\nfastbox: Dockerfile:3: unknown instruction: RUNN\nhint: did you mean RUN?\n"
    )


def test_an_interrupt(shell, builder) -> None:
    builder.events = [Event(kind="start", step=1, name="[1/1] RUN sleep")]
    builder.result = KeyboardInterrupt()
    assert shell("build", ".", terminal=True) == 130
    assert shell.err.endswith("\x1b[?25h")


def test_warnings(shell, builder) -> None:
    builder.run(1, "x")
    builder.events.append(Event(kind="warning", text="StageNameCasing: name it lower", line=1))
    builder.events.append(Event(kind="warning", text="the cache can't be read"))
    warned = Warned(rule="StageNameCasing", message="name it lower", line=1)
    builder.result = Built(image_id=ID, warnings=(warned,))
    assert shell("build", ".") == 0
    assert shell.err.splitlines()[2:] == [
        "",
        " 2 warnings found (use --check to expand):",
        " - StageNameCasing: name it lower (line 1)",
        " - the cache can't be read",
    ]
    builder.events.pop()
    assert shell("build", ".") == 0
    assert "\n 1 warning found (use --check to expand):\n" in shell.err


def test_check(shell) -> None:
    Path("Dockerfile").write_text(DOCKERFILE)
    shell.builds.answers["check"] = ()
    assert shell("build", "--check", ".") == 0
    assert shell.out == "Check complete, no warnings found.\n"
    assert shell.builds.calls == [("check", (BuildOptions(check=True),), {})]
    warned = Warned(rule="R", message="not good", line=1, url="https://example.com/r")
    shell.builds.answers["check"] = (warned,)
    assert shell("build", "--check", ".") == 1
    assert shell.out.splitlines() == [
        "Check complete, 1 warning has been found!",
        "",
        "WARNING: R - https://example.com/r",
        "not good",
        "Dockerfile:1",
        "--------------------",
        "   1 | >>> FROM busybox",
        "   2 |     RUN true",
        "   3 |     RUN false",
        "--------------------",
    ]
    assert shell("build", "--call=check,format=json", ".") == 1
    assert json.loads(shell.out) == {
        "warnings": [
            {"ruleName": "R", "detail": "not good", "url": "https://example.com/r", "line": 1}
        ]
    }


def test_the_graph(shell, builder) -> None:
    assert shell("build", "--print=graph", ".") == 0
    assert "RUN make" in shell.out
    assert not builder.wanted.check
    assert shell("build", "--print=graph:svg", "--check", ".") == 0
    assert shell.out.startswith("<svg ")
    assert builder.wanted.check
    assert shell("build", "--print=graph,format=json", ".") == 0
    assert [step["needs"] for step in json.loads(shell.out)] == [[], [1]]
    assert shell("build", "--print=graph", "-o", "-", ".") == 125


def test_files_of_the_result(shell, builder) -> None:
    Path("id").write_text("old")
    builder.result = BuildFailed("failed")
    assert shell("build", "--iidfile", "id", ".") == 1
    assert not Path("id").exists()
    builder.result = Built(
        image_id=ID,
        digest="sha256:cd",
        tags=("a", "b"),
        metadata={"containerimage.digest": "sha256:ef", "x": {}},
    )
    assert shell("build", "--iidfile", "id", "--metadata-file", "meta", ".") == 0
    assert Path("id").read_text() == ID
    assert json.loads(Path("meta").read_text()) == {
        "containerimage.config.digest": ID, "containerimage.digest": "sha256:ef", "image.name": "a,b", "x": {}
    }  # fmt: skip
    assert sorted(os.listdir()) == ["id", "meta"]
    assert shell("build", "--iidfile", "missing/id", ".") == 125
    builder.result = Built()
    assert shell("build", "--iidfile", "id", ".") == 0
    assert "no image was made" in shell.err


def test_streams(shell, builder, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shell("build", "-") == 0
    assert builder.wanted.stdin is not None
    assert shell("build", "-f", "-", ".") == 0
    assert builder.wanted.stdin is not None
    assert shell("build", "-f", "-", "-") == 125
    monkeypatch.setattr("os.isatty", lambda fd: fd == 0)
    assert shell("build", "-") == 125
    assert "stdin is a terminal, not a context" in shell.err
    monkeypatch.setattr("os.isatty", lambda fd: fd == 1)
    assert shell("build", "-o", "-", ".") == 125
    assert "terminal" in shell.err
    assert shell("build", ".") == 0


def test_nobody_reads_stderr() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    for mode in ("tty", "plain", "json"):
        with Watch(Output(io.StringIO(), Closed()), mode) as watch:
            watch.tell(Event(kind="start", step=1, name="x"))
            watch.tell(Event(kind="done", step=1))


def test_events_after_the_end_are_dropped() -> None:
    err = io.StringIO()
    with Watch(Output(io.StringIO(), err), "plain") as watch:
        watch.tell(Event(kind="start", step=1, name="x"))
    watch.tell(Event(kind="output", step=1, data=b"late\n"))
    assert err.getvalue() == "#1 x\n"


def test_prune(shell, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("abc\ttrue\t1.5kB\t2 hours ago", "defghijklmnop*\tfalse\t0B\tAbout a minute ago")
    shell.builds.answers["prune"] = Pruned(lines=lines, reclaimed=1500)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert shell("builder", "prune") == 0
    assert shell.out.startswith("WARNING! This will remove all dangling build cache.\nAre you sure")
    assert not shell.builds.calls
    assert shell("builder", "prune", "-f") == 0
    assert shell.out.splitlines() == [
        "ID               RECLAIMABLE   SIZE      LAST ACCESSED",
        "abc              true          1.5kB     2 hours ago",
        "defghijklmnop*   false         0B        About a minute ago",
        "Total:\t1.5kB",
    ]
    nothing = {"all": False, "keep": None, "max_used": None, "min_free": None, "filters": []}
    assert shell.builds.calls == [("prune", (), nothing)]
    shell.builds.answers["prune"] = Pruned()
    words = (
        "-af --keep-storage 1k --max-used-space 2k --min-free-space 3k --filter until=24h --verbose"
    )
    assert shell("buildx", "prune", *words.split()) == 0
    assert shell.out == "Total:\t0B\n"
    assert shell.builds.calls[1][2] == {
        "all": True, "keep": 1024, "max_used": 2048, "min_free": 3072, "filters": ["until=24h"]
    }  # fmt: skip
    assert shell("builder", "prune", "-f", "--keep-storage", "x") == 125
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert shell("builder", "prune", "--all") == 0
    assert "all build cache" in shell.out
