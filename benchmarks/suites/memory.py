"""What the helpers of idle containers hold: the processes that live as long as a container does.

Each engine holds HELD containers of `sleep`. A sample adds up the proportional set sizes (PSS) of
the engine's helpers and divides by HELD: pages that they share count once among all who map them.
runc and crun leave nobody behind; somebody else has to be the parent there.
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Callable, Iterator
from functools import partial

from ..suite import OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured
from ..vs_peers.daemons import Docker, daemon
from ..vs_peers.lab import SLEEP, Lab
from ..vs_peers.peers import once

HELD = 50


def _helpers(names: tuple[str, ...], place: str) -> Iterator[str]:
    """The /proc directories of programs with these names and with `place` on their command line."""
    for process in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError), open(process + "/cmdline", "rb") as file:
            words = file.read().split(b"\0")
            named = os.path.basename(os.fsdecode(words[0])) in names
            if named and any(os.fsencode(place) in word for word in words):
                yield process


def _held_by(process: str) -> float:
    """KiB of one process; 0 when it has ended."""
    with contextlib.suppress(OSError), open(process + "/smaps_rollup", encoding="ascii") as file:
        return next(float(line.split()[1]) for line in file if line.startswith("Pss:"))
    return 0.0


def _measure(names: tuple[str, ...], place: str, start: Callable[[], None]) -> Measure:
    for _ in range(HELD):
        start()

    def measure(count: int, flight: int) -> Measured:
        samples = []
        for _ in range(count // flight):
            found = list(_helpers(names, place))
            if len(found) < HELD:
                return Measured([], 0, 1, f"{len(found)} helpers of {HELD} containers")
            samples += [sum(map(_held_by, found)) / HELD] * flight
        return Measured(samples, 0)

    return measure


def _fastbox(lab: Lab) -> Measure:
    image, names = lab.image, ("fastbox-supervisor",)

    def start() -> None:
        identity = lab.fastbox("run", "-d", "--network", "none", image, *SLEEP)
        lab.stack.callback(lab.fastbox, "rm", "-f", identity)

    return _measure(names, lab.file("run"), start)


def _peer(lab: Lab, name: str, helpers: tuple[str, ...]) -> Measure:
    found = daemon(lab, name)
    # Docker's containers end with its daemon; podman's have to be ended.
    marks = {"docker": lab.file("docker"), "podman": lab.file("podman")}
    words = ["run", "-d", *found.run_options, "bench:latest", *SLEEP]
    if not isinstance(found, Docker):
        lab.stack.callback(once, found.commands, [*found.words, "rm", "-f", "-a", "-t", "0"])
    return _measure(helpers, marks[name], lambda: once(found.commands, [*found.words, *words]))


def _open(field: Field) -> None:
    lab = field.lab
    shim, daemons = "containerd-shim-runc-v2", ("dockerd", "containerd")
    field.admit("fastbox", partial(_fastbox, lab))
    field.admit("docker", partial(_peer, lab, "docker", (shim,)))
    field.admit("docker_all", partial(_all, lab, (shim, *daemons)))
    field.admit("podman", partial(_peer, lab, "podman", ("conmon",)))


def _all(lab: Lab, helpers: tuple[str, ...]) -> Measure:
    """Docker's daemons too, over the containers that the row before has started."""
    return _measure(helpers, lab.file("docker"), lambda: None)


SUITES = (
    Suite(
        name="memory",
        title=f"helpers of one idle container, of {HELD}, PSS",
        rows=(
            Row("fastbox", "fastbox (the supervisor)", OURS),
            Row("docker", "docker (containerd's shim)", daemon=True),
            Row("docker_all", "docker (shim, and a share of the daemons)", daemon=True),
            Row("podman", "podman (conmon)", daemon=True),
        ),
        open=_open,
        base="fastbox",
        unit="KiB",
        rounds=10,
        warm_up=1,
        seconds=30.0,
        apart=True,
        budgets=(
            Budget("a supervisor, at most 0.1 x containerd's shim", "fastbox", 0.1, "docker"),
        ),
    ),
)
