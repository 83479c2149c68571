"""The timeline of a start: every stage, in order, nested, on one clock; by every door; and nothing of it when nobody asks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import fastbox
from fastbox.runtime.supervisor import Conversation
from fastbox.types import RunOptions

from .conftest import Box

pytestmark = pytest.mark.integration
Event = dict[str, Any]

PYTHON = ["launcher", "python", "imports", "command", "flags", "engine"]
# What every start by this engine has: the rest depends on its options.
SUPERVISOR = ["spec", "stdio", "cgroup", "record", "plan", "clone"]
CHILD = [
    "network", "rootfs", "mount", "dev", "mask", "pivot_root", "hostname", "user", "rlimit",
    "working directory", "credentials", "stdio", "seccomp", "capabilities", "exec",
]  # fmt: skip


def read(path: Path) -> list[Event]:
    """A timeline, or a trace that is still open."""
    text = path.read_text()
    assert text.startswith("[\n")
    events = json.loads(text if text.endswith("]\n") else text.rstrip().rstrip(",") + "]")
    check(events)
    return list(events)


def check(events: list[Event]) -> None:
    """The format's rules, and that events of a thread lie beside or within one another."""
    for event in events:
        assert event["ph"] in ("X", "M")
        assert type(event["pid"]) is int
        assert event["pid"] > 0
        assert type(event["tid"]) is int
        assert event["tid"] > 0
        if event["ph"] == "M":
            assert event["name"] in ("process_name", "thread_name")
            assert event["args"]["name"]
        else:
            assert event["dur"] >= 0
            assert event["ts"] > 0
    threads = {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"}
    assert threads <= {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    for thread in threads:
        nests([e for e in events if e["ph"] == "X" and (e["pid"], e["tid"]) == thread])


def nests(events: list[Event]) -> None:
    open_ends: list[float] = []
    for event in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
        start, stop = event["ts"], event["ts"] + event["dur"]
        while open_ends and open_ends[-1] <= start + 0.01:
            open_ends.pop()
        assert not open_ends or stop <= open_ends[-1] + 0.01, event
        open_ends.append(stop)


def stages(events: list[Event], thread: str) -> list[str]:
    """The stages of one thread, by its name, in order of time."""
    tids = {e["tid"] for e in events if e["name"] == "thread_name" and e["args"]["name"] == thread}
    found = [e for e in events if e["ph"] == "X" and e["tid"] in tids]
    return [e["name"] for e in sorted(found, key=lambda e: (e["ts"], -e["dur"]))]


def in_order(wanted: list[str], found: list[str]) -> None:
    rest = iter(found)
    assert all(stage in rest for stage in wanted), (wanted, found)


def end_of(events: list[Event], name: str) -> float:
    event = next(e for e in events if e["name"] == name)
    return float(event["ts"] + event["dur"])


def test_run_tells_every_stage_in_both_forms(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    words = ("--timings", "--timeline", str(file), "--network", "none")
    done = box("run", "--rm", *words, "busybox", "echo", "hello")
    assert done.stdout == "hello\n"
    events = read(file)
    python = ["start", *PYTHON, "services", "image", "record", "supervisor", "launch"]
    assert stages(events, "python") == [*python, "running", "release"]
    in_order(SUPERVISOR, stages(events, "supervisor"))
    in_order(CHILD, stages(events, "container"))
    launch = next(e for e in events if e["name"] == "launch")
    for event in events:  # one clock: what was asked for happened while it was waited for
        if event["ph"] == "X" and event["tid"] != launch["tid"]:
            assert launch["ts"] <= event["ts"]
            assert event["ts"] + event["dur"] <= launch["ts"] + launch["dur"] + 0.01
    start = next(e for e in events if e["name"] == "start")
    assert re.fullmatch("[0-9a-f]{64}", start["args"]["container"])
    assert start["ts"] + start["dur"] == pytest.approx(end_of(events, "launch"), abs=0.01)

    rows = done.stderr.splitlines()
    assert rows[0].split() == ["stage", "microseconds", "share"]
    names = [re.split(r"\s{2,}\d", row)[0] for row in rows[1:]]
    in_order([*PYTHON, "services", "image", "record", "supervisor", "request"], names)
    in_order(["  " + stage for stage in (*SUPERVISOR, *CHILD, "record")], names)
    assert names[-4:] == ["answer", "total", "running", "release"]
    shares = [float(row.split()[-2]) for row in rows[1:] if row.endswith("%")]
    assert shares[-1] == 100.0
    assert sum(shares[:-1]) == pytest.approx(100, abs=0.1 * len(shares))


def test_a_detached_start_and_another_start_and_an_exec(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    done = box("run", "-d", "--name", "timed", "--timings", "busybox", "sleep", "100")
    assert re.fullmatch("[0-9a-f]{64}\n", done.stdout)
    assert done.stderr.splitlines()[-1].startswith("total ")
    done = box("exec", "--timings", "--timeline", str(file), "timed", "true")
    events = read(file)
    python = ["start", *PYTHON, "services", "container", "document", "launch", "running"]
    assert stages(events, "python") == python
    in_order(["spec", "plan", "clone"], stages(events, "supervisor"))
    in_order(["cgroup", "join", "exec"], stages(events, "container"))
    assert "  join " in done.stderr
    box("stop", "-t", "0", "timed")
    done = box("start", "--timings", "timed")
    assert done.stdout == "timed\n"
    assert "  exec " in done.stderr
    box("exec", "-d", "--timeline", str(file), "timed", "true")
    assert stages(read(file), "container")[-1] == "exec"
    box("rm", "-f", "timed")


def test_create_has_no_launch(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    done = box("create", "--timings", "--timeline", str(file), "busybox", "true")
    assert stages(read(file), "python") == [*PYTHON, "services", "image", "record"]
    assert done.stderr.splitlines()[-1].startswith("total ")
    box("rm", done.stdout.strip())


def test_a_failed_start_tells_how_far_it_came(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "timeline.json"
    done = box("run", "--rm", "--timings", "--timeline", str(file), "busybox", "none", check=False)
    assert done.returncode == 127
    assert done.stderr.splitlines()[-1].startswith("fastbox: ")
    assert stages(read(file), "python")[-1] == "supervisor"


def test_a_timeline_that_cannot_be_made_starts_nothing(box: Box, tmp_path: Path) -> None:
    line = box.fails("run", "--timeline", str(tmp_path / "no" / "file"), "busybox", "true")
    assert "cannot make the timeline: no such file or directory" in line
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    box.fails("run", "--timeline", str(tmp_path / "link"), "busybox", "true")
    assert not (tmp_path / "elsewhere").exists()


def test_the_exit_code_is_the_containers(box: Box) -> None:
    done = box(
        "run",
        "--rm",
        "--timings",
        "--timeline",
        "/dev/full",
        "busybox",
        "sh",
        "-c",
        "exit 7",
        check=False,
    )
    assert done.returncode == 7
    assert "/dev/full: cannot write the timeline: no space left on device" in done.stderr


def test_many_processes_append_to_one_trace(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    box.environ["FASTBOX_TRACE"] = str(file)
    try:
        runs = [box.start("run", "--rm", "busybox", "true") for _ in range(6)]
        assert [run.wait(60) for run in runs] == [0] * 6
        name = box("run", "-d", "busybox", "sleep", "100").stdout.strip()
        box("exec", name, "true")
        box("ps")
    finally:
        del box.environ["FASTBOX_TRACE"]
    box("rm", "-f", name)
    events = read(file)
    starts = [e for e in events if e["name"] == "start"]
    assert len(starts) == 8
    assert len({e["pid"] for e in starts}) == 8
    assert len([e for e in events if e["name"] == "release"]) == 6
    assert len([e for e in events if e["name"] == "exec"]) == 8


def test_a_start_that_still_runs_is_in_the_trace(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    box.environ["FASTBOX_TRACE"] = str(file)
    try:
        child = box.start(
            "run",
            "--rm",
            "-i",
            "busybox",
            "sh",
            "-c",
            "echo up; read line",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
    finally:
        del box.environ["FASTBOX_TRACE"]
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"up\n"
    assert "launch" in stages(read(file), "python")
    assert "running" not in stages(read(file), "python")
    child.communicate(b"\n", timeout=60)
    assert stages(read(file), "python")[-2:] == ["running", "release"]


def test_the_api_traces_starts_and_execs_of_many_threads(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trace.json"
    monkeypatch.setenv("FASTBOX_TRACE", str(file))

    def work() -> None:
        with engine.run("busybox", ["sleep", "100"]) as container:
            assert container.exec(["echo", "hello"]).stdout == b"hello\n"

    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    events = read(file)
    assert {e["pid"] for e in events} == {os.getpid()}
    assert len([e for e in events if e["name"] == "start"]) == 8
    assert len([e for e in events if e["name"] == "document"]) == 4
    assert len([e for e in events if e["name"] == "image"]) == 4


def test_without_a_wish_a_supervisor_tells_no_clocks(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[dict[str, object], dict[str, object]]] = []
    ask = Conversation.ask

    def listen(self: Conversation, message: dict[str, object], *rest: Any) -> dict[str, object]:
        answer = ask(self, message, *rest)
        said.append((message, answer))
        return answer

    monkeypatch.delenv("FASTBOX_TRACE", raising=False)
    monkeypatch.setattr(Conversation, "ask", listen)
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        name = engine.containers.start_detached(RunOptions(image="busybox", argv=("sleep", "9")))
        engine.containers.exec_detached(name, ["true"])
        engine.containers.remove(name, force=True)
    asked = [(m, a) for m, a in said if m["op"] in ("launch", "exec")]
    assert len(asked) == 2
    for message, answer in asked:
        assert "clocks" not in message
        assert not {"clocks", "supervisor"} & set(answer)


def test_without_a_wish_nothing_of_it_is_imported(box: Box) -> None:
    code = (
        "import sys, os; from fastbox.cli.main import main; code = main(sys.argv[1:]); "
        "names = [n for n in sys.modules if n.endswith(('.timeline', '.timings'))]; "
        "sys.stdout.flush(); os._exit(code or len(names))"
    )
    words = ["run", "--rm", "busybox", "true"]
    environ = {k: v for k, v in box.environ.items() if k != "FASTBOX_TRACE"}
    for extra, count in (([], 0), (["--timings"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", code, words[0], *extra, *words[1:]],
            env=environ, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        assert done.returncode == count, done.stderr


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    (tmp_path / "rootfs" / "true").write_bytes(Path("/bin/busybox").read_bytes())
    (tmp_path / "rootfs" / "true").chmod(0o755)
    subprocess.run(["fastbox-oci", "spec"], cwd=tmp_path, check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"] |= {"args": ["/true"], "terminal": False}
    config["linux"]["namespaces"].append({"type": "time"})
    config["linux"]["timeOffsets"] = {"monotonic": {"secs": 86400, "nanosecs": 5}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_oci_command_has_the_same_clocks_in_another_time(bundle: Path, tmp_path: Path) -> None:
    """In a time namespace a day ahead: the new process's stages are told in the caller's time."""
    file = tmp_path / "trace.json"
    words = ["fastbox-oci", "--root", str(tmp_path / "state"), "--timings", "run", "timed"]
    for _ in range(2):
        done = subprocess.run(
            words, cwd=bundle, env={**os.environ, "FASTBOX_TRACE": str(file)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        )  # fmt: skip
    rows = [row.split() for row in done.stderr.splitlines()]
    assert rows[0] == ["timed", "microseconds", "share"]
    names = [" ".join(row[:-3]) for row in rows[1:]]
    native = [
        "spec",
        "record",
        "plan",
        "clone",
        "mount",
        "pivot_root",
        "hostname",
        "capabilities",
        "exec",
    ]
    in_order([*native, "start"], names)
    assert all(float(row[-3]) >= 0 for row in rows[1:])
    assert float(rows[-1][-3]) < 60e6
    events = read(file)
    assert len([e for e in events if e["name"] == "exec"]) == 2
    in_order(native, stages(events, "fastbox timed"))


@pytest.mark.parametrize("value", ["", "x", "1", "5-", "1-2-3"])
def test_a_strange_word_from_the_launcher_is_no_clock(box: Box, value: str) -> None:
    import fastbox.cli

    main = Path(fastbox.cli.__file__).with_name("__main__.py")
    words = [
        sys.executable,
        "-I",
        "-X",
        f"fastbox={value}",
        str(main),
        "create",
        "--timings",
        "busybox",
    ]
    done = subprocess.run(words, env=box.environ, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[1].startswith("imports ")
