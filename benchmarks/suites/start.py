"""One start of `true`, to its removal: in process, by our commands, and by the peers.

The OCI runtimes get the bundle that fastbox makes, with a plain directory as its root: they make no
overlay. Their floor is "a plain root"; that of fastbox's own start is the one with the overlay.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

from ..stats import median
from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers import stages
from ..vs_peers.clients import Measure, Measured, Worker
from ..vs_peers.daemons import daemon
from ..vs_peers.lab import Lab
from ..vs_peers.peers import RUNTIMES, bubblewrap, command, floor_words, runtime_run, runtime_words

VARIANTS = {
    "floor--bind": "floor, a plain root (a bundle's)",
    "floor--no-net": "floor, no network namespace",
    "floor--read-only": "floor, read-only",
    "floor--tmpfs-upper": "floor, upper directory on tmpfs",
}
TRACES = 50


def _floor(lab: Lab, *options: str) -> Measure:
    return lab.floor(floor_words(lab, *options)).measure


def _in_process(lab: Lab) -> Measure:
    image = lab.image
    worker = lab.stack.enter_context(Worker("engine", lab.env))

    def measure(count: int, flight: int) -> Measured:
        return worker.measure(["true"], count, flight, image=image)

    return measure


def _cli(lab: Lab) -> Measure:
    words = [lab.need("fastbox"), "run", "--rm", "--network", "none", lab.image, "true"]
    return command(lab.commands, words)


def _python(lab: Lab) -> Measure:
    return command(lab.commands, [os.path.realpath(sys.executable), "-I", "-S", "-c", "pass"])


def _spawn(lab: Lab) -> Measure:
    return command(lab.commands, [os.path.join(lab.root, "bin/true")])


def _daemon(lab: Lab, name: str) -> Measure:
    found = daemon(lab, name)
    words = [*found.words, "run", "--rm", *found.run_options, "bench:latest", "true"]
    return command(found.commands, words)


def _open(field: Field) -> None:
    lab = field.lab
    field.admit("floor", partial(_floor, lab))
    for name in VARIANTS:
        field.admit(name, partial(_floor, lab, name.removeprefix("floor")))
    field.admit("in_process", partial(_in_process, lab))
    field.admit("cli", partial(_cli, lab))
    for name in RUNTIMES:
        field.admit(name, partial(runtime_run, lab, name))
    field.admit("spawn", partial(_spawn, lab))
    field.admit("python", partial(_python, lab))
    field.admit("bwrap", partial(bubblewrap, lab))
    for name in ("docker", "podman"):
        field.admit(name, partial(_daemon, lab, name))


def _stages(field: Field, found: dict[str, list[Measured]]) -> dict[str, Any]:
    """Where the time goes: the floor's own clocks, and the traces that fastbox writes."""
    floor = found["floor"]
    columns = {"floor": {name: _median(floor, name) for name in floor[0].stages}}
    for name, mode in (("in_process", "engine"), ("cli", "commands")):
        if name in field.measures:
            columns[name] = stages.trace(field.lab, mode, TRACES)
    if "oci" in found:
        lab, whole = field.lab, median([one.samples[0] for one in found["oci"]])
        program, *options = runtime_words(lab, "oci")
        words = [program, "--timings", *options, "run", "--bundle", lab.bundles, "{id}"]
        columns["oci"] = stages.timings(words, TRACES, whole, lab.env)
    return {"stages": columns}


def _median(measured: list[Measured], stage: str) -> float:
    return round(median([one.stages[stage][0] for one in measured]), 1)


SUITES = (
    Suite(
        name="start",
        title="one start of `true`",
        rows=(
            Row("floor", "floor: the same system calls in C", BASE, many=True),
            *(Row(name, label, BASE) for name, label in VARIANTS.items()),
            Row("in_process", "fastbox, in process (Engine.run)", OURS, many=True),
            Row("cli", "fastbox run --rm", OURS, many=True),
            Row("oci", "fastbox-oci run", OURS, many=True),
            Row("spawn", "posix_spawn of the static program"),
            Row("python", "python3 -I -S -c pass"),
            Row("bwrap", "bubblewrap, every namespace", many=True),
            Row("crun", "crun run", many=True),
            Row("runc", "runc run", many=True),
            Row("docker", "docker run --rm", daemon=True),
            Row("podman", "podman run --rm", daemon=True),
        ),
        open=_open,
        beside=("crun", "runc"),
        rounds=100,
        seconds=150.0,
        budgets=(
            Budget("`fastbox-oci run`, at most 0.7 x `crun run`", "oci", 0.7, "crun"),
            Budget("`fastbox-oci run`, at most 0.35 x `runc run`", "oci", 0.35, "runc"),
            Budget("in process, at most 1.5 x the floor", "in_process", 1.5, "floor"),
            Budget("`fastbox run --rm`, at most 0.5 x `crun run`", "cli", 0.5, "crun"),
            Budget("`fastbox run --rm`, at most 0.5 x `runc run`", "cli", 0.5, "runc"),
        ),
        flights=(1, 4, 16, 32),
        sustained=(("in_process", 0.7),),
        burst=(
            ("floor", 1000),
            ("in_process", 1000),
            ("oci", 1000),
            ("cli", 200),
            ("crun", 200),
            ("runc", 200),
        ),
        extra=_stages,
    ),
)
