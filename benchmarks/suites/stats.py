"""What it costs to ask a thousand containers, or HELD of them, what they use.

`reading` is one measurement of all HELD in process, as a stream does it each second. The commands
print one table with CPU percentages, for which each of them reads twice, a second apart: what comes
on top of that second is their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured
from ..vs_peers.daemons import Docker, daemon
from ..vs_peers.lab import SLEEP, Lab
from ..vs_peers.peers import command, once

HELD = 50


def _timed(read: Callable[[], object]) -> Measure:
    def measure(count: int, flight: int) -> Measured:
        samples = []
        for _ in range(count // flight):
            begin = time.perf_counter_ns()
            read()
            samples += [(time.perf_counter_ns() - begin) / 1e3] * flight
        return Measured(samples, sum(samples))

    return measure


def _watch(lab: Lab) -> Measure:
    """HELD containers with limits, so that their groups count all that is asked for."""
    from fastbox import Engine

    engine = Engine.open(root=lab.env["FASTBOX_ROOT"], run=lab.env["FASTBOX_RUN"])
    held = []
    for _ in range(HELD):
        identity = lab.fastbox("run", "-d", "--memory", "64m", "--cpus", "0.5", lab.image, *SLEEP)
        lab.stack.callback(lab.fastbox, "rm", "-f", identity)
        held.append(identity)
    stream = engine.containers.stats_stream(held, interval=0)

    def read() -> None:
        found = next(stream)
        if len(found) != HELD:
            raise RuntimeError(f"{len(found)} of {HELD} containers")

    return _timed(read)


def _files(lab: Lab) -> Measure:
    """The same control files, opened and read from Python: what a caller would write."""
    from fastbox import Engine
    from fastbox.runtime import state

    engine = Engine.open(root=lab.env["FASTBOX_ROOT"], run=lab.env["FASTBOX_RUN"])
    names = ("memory.usage_in_bytes", "memory.limit_in_bytes", "memory.stat", "cpu.stat",
             "pids.current", "memory.current", "memory.max", "io.stat")  # fmt: skip
    paths = []
    for info in engine.containers.list():
        live = state.read_live(lab.env["FASTBOX_RUN"], info.id)
        for group in live.cgroups if live else ():
            paths += [f"{group}/{name}" for name in names]
        paths += [f"/proc/{info.pid}/{name}" for name in ("stat", "io", "net/dev")]

    def read() -> None:
        for path in paths:
            try:
                with open(path, "rb") as file:
                    file.read()
            except OSError:
                continue

    return _timed(read)


def _docker(lab: Lab) -> Measure:
    found = daemon(lab, "docker")
    assert isinstance(found, Docker)
    words = ["run", "-d", *found.run_options, "--memory", "64m", "--cpus", "0.5", "bench:latest"]
    for _ in range(HELD):
        once(found.commands, [*found.words, *words, *SLEEP])
    return command(found.commands, [*found.words, "stats", "--no-stream"])


def _open(field: Field) -> None:
    lab = field.lab
    field.admit("reading", partial(_watch, lab))
    field.admit("files", partial(_files, lab))
    words = [lab.need("fastbox"), "stats", "--no-stream"]
    field.admit("command", lambda: command(lab.commands, words))
    field.admit("docker", partial(_docker, lab))


SUITES = (
    Suite(
        name="stats",
        title=f"what {HELD} containers use",
        rows=(
            Row("files", "the same files, read from Python", BASE),
            Row("reading", "fastbox, one reading in process", OURS),
            Row("command", "fastbox stats --no-stream", OURS),
            Row("docker", "docker stats --no-stream", daemon=True),
        ),
        open=_open,
        base="files",
        rounds=8,
        warm_up=1,
        seconds=45.0,
        apart=True,
        budgets=(
            Budget(
                "one reading of what containers use, at most 1 x the files from Python",
                "reading",
                1.0,
                "files",
            ),
            Budget("`fastbox stats --no-stream`, at most 1 x docker's", "command", 1.0, "docker"),
        ),
    ),
)
