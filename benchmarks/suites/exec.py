"""One exec of `true` in a container that runs: in process, by the commands, and by peers.

Every row has a container of its own engine, started before the rounds. The floor enters the one
that `fastbox run -d` started, with its groups, its filter and its capabilities.

There are two ways to come to one exec, and both are measured: one after all the others have had the
processors and their caches, and one of several in a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..stats import median
from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured, Worker
from ..vs_peers.daemons import daemon
from ..vs_peers.lab import SLEEP, Lab
from ..vs_peers.peers import RUNTIMES, command, once, runtime_words

ROW = 10  # execs without anything else between them


def held(lab: Lab) -> str:
    """A container of the command line, until the lab closes: its id."""
    words = ["run", "-d", "--network", "none", lab.image, *SLEEP]
    identity = lab.fastbox(*words)
    lab.stack.callback(lab.fastbox, "rm", "-f", identity)
    return identity


def _floor(lab: Lab, identity: Callable[[], str]) -> Measure:
    with open(lab.file("run/containers", identity()), encoding="utf-8") as file:
        live = json.load(file)
    program = lab.build("exec-floor", ["exec.c", "start_child.c"])
    words = [program, "--pid", str(live["pid"]), "--groups", ":".join(live["cgroups"])]
    return lab.floor([*words, "--filter", lab.filter]).measure


def _in_process(lab: Lab) -> Measure:
    worker = lab.stack.enter_context(Worker(f"exec {lab.image}", lab.env))

    def measure(count: int, flight: int) -> Measured:
        return worker.measure(["true"], count, flight)

    return measure


def _cli(lab: Lab, identity: Callable[[], str]) -> Measure:
    return command(lab.commands, [lab.need("fastbox"), "exec", identity(), "true"])


def _runtime(lab: Lab, row: str, suite: str) -> Measure:
    words, worker = runtime_words(lab, row), lab.commands_for(row)
    name = f"{suite}-{row}"
    bundle = lab.write_bundle(name, SLEEP)
    once(worker, [*words, "run", "--detach", "--bundle", bundle, name])
    lab.stack.callback(once, worker, [*words, "delete", "--force", name])
    return command(worker, [*words, "exec", name, "/bin/true"])


def _nsenter(lab: Lab, identity: Callable[[], str]) -> Measure:
    with open(lab.file("run/containers", identity()), encoding="utf-8") as file:
        pid = json.load(file)["pid"]
    return command(lab.commands, [lab.need("nsenter"), "-a", "-t", str(pid), "/bin/true"])


def _daemon(lab: Lab, name: str, held: str) -> Measure:
    found = daemon(lab, name)
    words = ["run", "-d", *found.run_options, "--name", held, "bench:latest", *SLEEP]
    once(found.commands, [*found.words, *words])
    lab.stack.callback(once, found.commands, [*found.words, "rm", "-f", held])
    return command(found.commands, [*found.words, "exec", held, "true"])


def _in_a_row(measure: Measure) -> Measure:
    """The median of some, one after the other, as one sample."""

    def measured(_count: int, flight: int) -> Measured:
        found = measure(ROW, flight)
        return replace(found, samples=[median(found.samples)] if found.samples else [])

    return measured


def _open(field: Field, *, row: bool) -> None:
    lab = field.lab
    made: list[str] = []

    def admit(name: str, make: Callable[[], Measure]) -> None:
        field.admit(name, (lambda: _in_a_row(make())) if row else make)

    def identity() -> str:
        if not made:
            made.append(held(lab))
        return made[0]

    admit("floor", partial(_floor, lab, identity))
    admit("in_process", partial(_in_process, lab))
    admit("cli", partial(_cli, lab, identity))
    for name in RUNTIMES:
        admit(name, partial(_runtime, lab, name, field.suite.name))
    admit("nsenter", partial(_nsenter, lab, identity))
    for name in ("docker", "podman"):
        admit(name, partial(_daemon, lab, name, field.suite.name))


ROWS = (
    Row("floor", "floor: the same system calls in C", BASE),
    Row("in_process", "fastbox, in process (Container.exec)", OURS),
    Row("cli", "fastbox exec", OURS),
    Row("oci", "fastbox-oci exec", OURS),
    Row("nsenter", "nsenter -a (no groups, no filter)"),
    Row("crun", "crun exec"),
    Row("runc", "runc exec"),
    Row("docker", "docker exec", daemon=True),
    Row("podman", "podman exec", daemon=True),
)
SUITES = (
    Suite(
        name="exec",
        title="one exec of `true`",
        rows=ROWS,
        open=partial(_open, row=False),
        beside=("crun", "runc"),
        seconds=60.0,
        budgets=(
            Budget("`fastbox-oci exec`, at most 0.3 x `runc exec`", "oci", 0.3, "runc"),
            Budget("exec in process, at most 0.2 x `runc exec`", "in_process", 0.2, "runc"),
        ),
    ),
    Suite(
        name="exec_row",
        title=f"one exec of `true`, of {ROW} in a row",
        rows=ROWS,
        open=partial(_open, row=True),
        beside=("crun", "runc"),
        seconds=80.0,
        budgets=(
            Budget(
                "exec in process, in a row, at most 0.2 x `runc exec`", "in_process", 0.2, "runc"
            ),
        ),
        within=(("in_process", 2.0),),
    ),
)
