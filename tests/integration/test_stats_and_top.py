"""stats and top: what containers use, and what runs in them, without a program of the image."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastbox import Engine
from fastbox.errors import InvalidArgument, StateConflict
from fastbox.types import Mount, Stats

from . import groups
from .conftest import Box

pytestmark = pytest.mark.integration
SPIN = "while :; do :; done"
MIB = 1 << 20


@pytest.fixture
def busy(box: Box) -> Iterator[str]:
    """Half a CPU, 20 MiB, three processes, under a limit of everything."""
    script = (
        f"dd if=/dev/zero of=/dev/shm/x bs=1M count=20 2>/dev/null; sleep 601 & sleep 602 & {SPIN}"
    )
    box("run", "-d", "--name", "busy", "--cpus", "0.5", "--memory", "64m", "--blkio-weight", "100",
        "busybox", "sh", "-c", script)  # fmt: skip
    box(
        "exec",
        "busy",
        "sh",
        "-c",
        "until [ $(stat -c %s /dev/shm/x) = 20971520 ]; do sleep 0.05; done",
    )
    yield "busy"
    box("rm", "-f", "busy")


def test_one_measurement(box: Box, busy: str) -> None:
    with Engine.open() as engine:
        found = engine.containers.stats([busy])
    assert len(found) == 1
    stats = found[0]
    assert stats.name == busy
    assert stats.running
    assert 0 < stats.cpu_percent < 75
    assert 20 * MIB <= stats.memory <= 64 * MIB
    assert stats.memory_limit == 64 * MIB
    assert stats.memory_percent == pytest.approx(stats.memory / stats.memory_limit * 100)
    assert stats.pids == 3
    assert stats.cpu > 0


def test_it_is_what_the_kernel_counted(box: Box, busy: str) -> None:
    """Of the same moment, but for what has happened between two readings."""
    identity = json.loads(box("inspect", busy).stdout)[0]["Id"]

    def usage() -> int:
        return int(groups.value(box.run_root, identity, "memory.usage_in_bytes", "memory.current"))

    with Engine.open() as engine:
        before, stats, after = usage(), engine.containers.stats([busy], interval=0)[0], usage()
    assert min(before, after) - 4 * MIB <= stats.memory <= max(before, after)


def test_without_limits_its_processes_are_counted(box: Box) -> None:
    """A start makes no group that no limit needs: then CPU time and memory are those of the processes."""
    script = f"x=$(head -c 8000000 /dev/zero | tr '\\0' a); ({SPIN}) & sleep 603; :"
    with Engine.open() as engine, engine.run("busybox", ["sh", "-c", script]) as container:
        for _ in range(100):
            stats = container.stats(interval=0.2)
            if stats.cpu_percent > 1 and stats.pids == 3:
                break
        assert stats.cpu_percent > 1
        assert 8_000_000 < stats.memory < 64 * MIB  # shared pages count once
        assert stats.memory_limit == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert stats.pids == 3
        again = container.stats()
        assert again.cpu >= stats.cpu
        assert again.cpu_percent == 0


def test_bytes_of_storage(box: Box) -> None:
    """Of a file on a disk, which the store of a test need not be on."""
    place = Path(__file__).resolve().parents[2] / "build"
    file = place / f"stats-{os.getpid()}"
    script = f"dd if=/dev/zero of=/disk/{file.name} bs=1M count=4 conv=fsync 2>/dev/null; sleep 604"
    mount = Mount(kind="bind", source=str(place), target="/disk")
    try:
        with (
            Engine.open() as engine,
            engine.run("busybox", ["sh", "-c", script], mounts=[mount]) as container,
        ):
            deadline = time.monotonic() + 30
            while container.stats().block_written < 4 * MIB and time.monotonic() < deadline:
                time.sleep(0.05)
            assert 4 * MIB <= container.stats().block_written < 64 * MIB
    finally:
        file.unlink(missing_ok=True)


def test_network_bytes_are_of_its_own_namespace(box: Box) -> None:
    """Not the loopback's, and not the host's."""
    box("run", "-d", "--name", "quiet", "--network", "none", "busybox", "sh", "-c", "ping -c 3 127.0.0.1 >/dev/null; sleep 605")  # fmt: skip
    box("run", "-d", "--name", "hosted", "--network", "host", "busybox", "sleep", "606")
    with Engine.open() as engine:
        found = engine.containers.stats(["quiet", "hosted"], interval=0)
    box("rm", "-f", "quiet", "hosted")
    assert [(s.net_received, s.net_sent) for s in found] == [(0, 0), (0, 0)]


def test_the_table_and_the_formats(box: Box, busy: str) -> None:
    box("create", "--name", "idle", "busybox", "true")
    try:
        lines = box("stats", "--no-stream").stdout.splitlines()
        assert lines[0].split("  ")[0] == "CONTAINER ID"
        assert [word for word in lines[0].split("  ") if word.strip()] != []
        assert len(lines) == 2
        assert busy in lines[1]
        assert " / 64MiB" in lines[1]
        everything = box("stats", "--no-stream", "-a", "--no-trunc", "--format", "{{.ID}} {{.Name}} {{.MemUsage}}")  # fmt: skip
        rows = [line.split(" ", 2) for line in everything.stdout.splitlines()]
        assert {row[1] for row in rows} == {busy, "idle"}
        assert all(len(row[0]) == 64 for row in rows)
        assert dict((row[1], row[2]) for row in rows)["idle"] == "0B / 0B"
        item = json.loads(box("stats", "--no-stream", "--format", "json", busy).stdout)
        assert set(item) == {"Container", "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"}  # fmt: skip
        assert item["Container"] == busy
        assert item["PIDs"] == "3"
        both = box("stats", "--no-stream", "--format", "{{.Container}}", "idle", busy).stdout
        assert both.split() == ["idle", busy]
    finally:
        box("rm", "idle")


def test_a_stream_ends_with_its_containers(box: Box) -> None:
    box("run", "-d", "--name", "brief", "busybox", "sleep", "607")
    process = box.start("stats", "--format", "{{.Name}}", "brief", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"brief\n"
    box("rm", "-f", "brief")
    assert process.wait(timeout=60) == 0
    process.stdout.close()


def test_a_stream_sees_who_comes_and_ends_by_a_signal(box: Box) -> None:
    process = box.start("stats", "--format", "{{.Name}}", stdout=subprocess.PIPE)
    assert process.stdout is not None
    box("run", "-d", "--name", "comes", "busybox", "sleep", "608")
    assert process.stdout.readline() == b"comes\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    process.stdout.close()
    box("rm", "-f", "comes")


def test_streams_in_python(box: Box, busy: str) -> None:
    with Engine.open() as engine:
        stream = engine.containers.stats_stream([busy], interval=0.05)
        readings: list[Stats] = [next(stream)[0] for _ in range(3)]
    assert readings[0].read < readings[1].read < readings[2].read
    assert readings[0].cpu < readings[2].cpu


def test_nobody_has_no_stats(box: Box) -> None:
    assert 'no such container "nobody"' in box.fails("stats", "--no-stream", "nobody")


# top


def test_top_is_dockers(box: Box, busy: str) -> None:
    lines = box("top", busy).stdout.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert lines[0].startswith("UID" + " " * 17 + "PID" + " " * 17)
    commands = sorted(line.split(None, 7)[7] for line in lines[1:])
    assert commands[1:] == ["sleep 601", "sleep 602"]
    assert commands[0].startswith("sh -c dd")
    first = json.loads(box("inspect", busy).stdout)[0]["State"]["Pid"]
    assert str(first) in [line.split()[1] for line in lines[1:]]


@pytest.mark.parametrize(
    ("words", "titles"),
    [
        ("-o pid,args", "PID COMMAND"),
        ("aux", "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
        ("-eo user,pid,comm", "USER PID COMMAND"),
        ("axf", "PID TTY STAT TIME COMMAND"),  # a forest, which ps does not draw of a list
    ],
)
def test_options_of_ps(box: Box, busy: str, words: str, titles: str) -> None:
    lines = box("top", busy, *words.split()).stdout.splitlines()
    assert lines[0].split() == titles.split()
    assert len(lines) == 4


def test_processes_of_exec_are_there_and_others_are_not(box: Box, busy: str) -> None:
    box("exec", "-d", busy, "sleep", "609")
    with Engine.open() as engine:
        found = engine.containers.top(busy, ["-eo", "pid,args"])
    assert found.titles == ("PID", "COMMAND")
    commands = [row[1] for row in found.processes]
    assert "sleep 609" in commands
    assert len(commands) == 4


def test_what_top_refuses(box: Box, busy: str) -> None:
    box("create", "--name", "idle", "busybox", "true")
    try:
        assert "Couldn't find PID field in ps output" in box.fails("top", busy, "-o", "args")
        assert "error running ps" in box.fails("top", busy, "--nonsense")
        assert "is not running" in box.fails("top", "idle")
        assert "no such container" in box.fails("top", "nobody")
        with Engine.open() as engine:
            with pytest.raises(StateConflict):
                engine.containers.top("idle")
            with pytest.raises(InvalidArgument, match="PID"):
                engine.containers.top(busy, ["-o", "args"])
    finally:
        box("rm", "idle")


def test_names_of_processes_are_only_text(box: Box) -> None:
    """Escapes that a terminal would obey are shown, and a name with blanks moves no column."""
    name = "a\033[31mb  c 1"
    box("run", "-d", "--name", "odd", "busybox", "sh", "-c", "sleep 610; :", name)
    out = box("top", "odd").stdout
    box("rm", "-f", "odd")
    assert "\033" not in out
    assert "sleep 610" in out
    assert len(out.splitlines()) == 3
