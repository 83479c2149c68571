"""Builds of an image: fastbox beside docker's builder and buildah, each with its own store.

Whatever a sample needs is made before its clock starts: a cold one's cache is emptied, a changed
one's file is written, and the disk has written what came before.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.builders import BUILDERS, Builder, builder
from ..vs_peers.clients import Measure, Measured
from ..vs_peers.lab import Lab

FILES, FILE_BYTES = 2000, 4 << 10
LARGE_FILES, LARGE_BYTES = 50_000, 20 << 10
A_DIRECTORY = 100
"""Files in each directory."""
STEPS, FEWER_STEPS = 100, 20
EIGHT = """FROM bench:latest
WORKDIR /app
RUN echo dependencies > /dependencies
COPY go.mod ./
RUN cat go.mod > /modules
COPY src ./src
RUN echo built > /built
CMD ["true"]
"""
LARGE = "FROM bench:latest\nCOPY . /data\n"
_numbers = itertools.count(os.getpid() << 20)
"""What is to be built anew has one of them in it."""


@dataclass(frozen=True)
class Task:
    """What every sample of a suite builds.

    `context` makes the directory, once a lab; `before` gets it before each sample, and the row's
    name; `steps` are how many a row's sample is divided by.
    """

    context: Callable[[Lab], str]
    before: Callable[[str, str], None] | None = None
    cold: bool = False
    steps: Callable[[str], int] = lambda _: 1


def write_files(directory: str, count: int, size: int) -> None:
    """`count` files of `size` bytes, a hundred in a directory, that pack to half their size; the
    same each time.
    """
    source = random.Random(count)
    for number in range(count):
        name = os.path.join(directory, f"d{number // A_DIRECTORY:03}", f"f{number:05}.txt")
        if number % A_DIRECTORY == 0:
            os.makedirs(os.path.dirname(name))
        with open(name, "wb") as file:
            file.write(source.randbytes(size // 2).hex().encode())


def _write(text: str, *names: str) -> None:
    with open(os.path.join(*names), "w", encoding="ascii") as file:
        file.write(text)


def _made(lab: Lab, name: str, fill: Callable[[str], None]) -> str:
    path = lab.file("contexts", name)
    if not os.path.exists(path):
        fill(lab.sub("contexts", name))
    return path


def _app(lab: Lab) -> str:
    def fill(path: str) -> None:
        _write(EIGHT, path, "Dockerfile")
        _write("module example.org/app\n", path, "go.mod")
        write_files(os.path.join(path, "src"), FILES, FILE_BYTES)

    return _made(lab, "app", fill)


def _large(lab: Lab) -> str:
    def fill(path: str) -> None:
        _write(LARGE, path, "Dockerfile")
        write_files(path, LARGE_FILES, LARGE_BYTES)

    return _made(lab, "large", fill)


def _empty(name: str, lab: Lab) -> str:
    return _made(lab, name, lambda _: None)


def change_one(context: str, _row: str = "") -> None:
    """A new content, of the same size, for one file of many."""
    text = f"{next(_numbers)} ".ljust(FILE_BYTES, "x")
    _write(text, context, "src", "d007", "f00742.txt")


def three_stages(context: str, _row: str = "") -> None:
    """A Dockerfile that nobody has built."""
    number = next(_numbers)
    stages = [
        f"FROM bench:latest AS {name}\nRUN sleep 2 && echo {number} > /{name}" for name in "abc"
    ]
    copies = [f"COPY --from={name} /{name} /" for name in "abc"]
    _write("\n".join([*stages, "FROM bench:latest", *copies, ""]), context, "Dockerfile")


def steps_of(row: str) -> int:
    """How many RUNs a row has: fewer where each takes half a second."""
    return STEPS if row in ("cli", "engine") else FEWER_STEPS


def many_steps(context: str, row: str) -> None:
    """A Dockerfile of trivial RUNs that nobody has built."""
    number = next(_numbers)
    runs = [f"RUN echo {number} > /{step}" for step in range(steps_of(row))]
    _write("\n".join(["FROM bench:latest", *runs, ""]), context, "Dockerfile")


def measured(tool: Builder, task: Task, context: str, row: str) -> Measured:
    """One sample; a failure before it counts as its own."""
    try:
        if task.cold:
            tool.prune()
        if task.before:
            task.before(context, row)
        os.sync()
        found = tool.build(context, f"built-{os.path.basename(context)}")
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return Measured([], 0, 1, f"{type(error).__name__}: {error}")
    return replace(found, samples=[one / task.steps(row) for one in found.samples])


def _measure(lab: Lab, task: Task, tool_of: dict[str, str], row: str) -> Measure:
    tool, context = builder(lab, tool_of.get(row, row)), task.context(lab)

    def measure(_count: int, _flight: int) -> Measured:  # always one: no suite here has flights
        return measured(tool, task, context, row)

    return measure


LABELS = {
    "docker": "docker build, the daemon's builder",
    "buildah": "buildah bud --layers",
    "cli": "fastbox build",
    "engine": "fastbox, in process (engine.builds.build)",
    "fewer": f"fastbox build, {FEWER_STEPS} steps",
}
TOOL_OF = {"fewer": "cli"}


def _rows(names: Sequence[str], ends: dict[str, str] | None = None) -> tuple[Row, ...]:
    kinds = {"docker": BASE, "cli": OURS, "engine": OURS, "fewer": OURS}
    return tuple(
        Row(name, LABELS[name] + (ends or {}).get(name, ""), kinds.get(name, "peer"),
            daemon=name == "docker")
        for name in names
    )  # fmt: skip


def _suite(
    name: str,
    title: str,
    task: Task,
    *,
    rows: tuple[Row, ...] = _rows(tuple(BUILDERS)),
    limit: float = 0.0,
    rounds: int,
    least: int,
    seconds: float,
    warm_up: int = 0,
    within: tuple[tuple[str, float], ...] = (),
) -> Suite:
    def open_it(field: Field) -> None:
        for row in rows:
            field.admit(row.name, partial(_measure, field.lab, task, TOOL_OF, row.name))

    text = f"{title}: fastbox build, at most {limit} x docker's"
    return Suite(
        name=name, title=title, rows=rows, open=open_it, base="docker", beside=("buildah",),
        rounds=rounds, least=least, seconds=seconds, warm_up=warm_up, within=within,
        budgets=(Budget(text, "cli", limit, "docker"),) if limit else (),
        apart=True,
    )  # fmt: skip


_NO_ENGINE = _rows(("docker", "buildah", "cli"))
_FEWER = f", {FEWER_STEPS} steps"
_MANY = _rows(
    ("docker", "buildah", "fewer", "cli", "engine"),
    {"docker": _FEWER, "buildah": _FEWER, "cli": f", {STEPS} steps", "engine": f", {STEPS} steps"},
)

SUITES = (
    _suite(
        "build_cold", "8 steps, 2,000 files, nothing cached", Task(_app, cold=True),
        limit=0.4, rounds=8, least=3, seconds=60.0,
    ),
    _suite(
        "build_cached", "8 steps, 2,000 files, all cached", Task(_app),
        limit=0.1, rounds=20, least=5, seconds=40.0, warm_up=1,
    ),
    _suite(
        "build_changed", "8 steps, one of 2,000 files changed", Task(_app, before=change_one),
        limit=0.2, rounds=12, least=5, seconds=50.0, warm_up=1,
    ),
    _suite(
        "build_stages", "three stages of `sleep 2`, and their files",
        Task(partial(_empty, "stages"), before=three_stages),
        rounds=5, least=3, seconds=60.0, within=(("cli", 2500.0), ("engine", 2500.0)),
    ),
    _suite(
        "build_steps", "a step of many trivial RUNs",
        Task(partial(_empty, "steps"), before=many_steps, steps=steps_of),
        rows=_MANY, rounds=4, least=2, seconds=60.0, within=(("cli", 50.0), ("engine", 50.0)),
    ),
    _suite(
        "build_large", "1 GB in 50,000 files, nothing cached", Task(_large, cold=True),
        rows=_NO_ENGINE, rounds=3, least=2, seconds=80.0,
    ),
    _suite(
        "build_large_cached", "1 GB in 50,000 files, all cached", Task(_large),
        rows=_NO_ENGINE, rounds=4, least=2, seconds=50.0,
    ),
)  # fmt: skip
