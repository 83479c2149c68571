"""What a suite is: the rows of one table, how each is measured, and what the figures must keep to.

A suite is one file in benchmarks/suites/. `make bench` runs its rows under pytest-benchmark,
`python -m benchmarks.vs_peers` measures them interleaved, the report makes its table and its plot,
compare.py judges it: none of them knows a suite by name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .vs_peers.clients import Measure, Measured
from .vs_peers.lab import Lab, Missing

Json = dict[str, Any]
BASE, OURS, PEER = "base", "ours", "peer"
SCALES = {"ms": 1e3, "us": 1.0, "ns": 1e-3, "KiB": 1.0}
"""Microseconds in the unit of a table; of a table that is not of times, what its samples are in."""


@dataclass(frozen=True)
class Row:
    """One line of the table. `many`: it takes part in the throughput too."""

    name: str
    label: str
    kind: str = PEER
    many: bool = False
    daemon: bool = False
    """It needs a daemon or a large program: not in `make bench`."""


@dataclass(frozen=True)
class Budget:
    """The median of `row` is at most `limit` times that of `other`, in the same run."""

    text: str
    row: str
    limit: float
    other: str


@dataclass(frozen=True)
class Suite:
    """One table. `open` admits every row to the field, or leaves it out with a reason."""

    name: str
    title: str
    """Of the first column: what was timed."""
    rows: tuple[Row, ...]
    open: Callable[[Field], None]
    base: str = "floor"
    """The row that all others are divided by, round by round."""
    beside: tuple[str, ...] = ()
    """Rows that have a column of ratios too."""
    unit: str = "ms"
    rounds: int = 80
    seconds: float = 60.0
    """When the rounds end though there were fewer."""
    least: int = 5
    """How many rounds there are though the seconds are over."""
    warm_up: int = 3
    """Rounds before the first that counts; each row was measured once before them."""
    budgets: tuple[Budget, ...] = ()
    flights: tuple[int, ...] = ()
    """How many at once, in the table of throughput."""
    sustained: tuple[tuple[str, float], ...] = ()
    """Rows whose rate is at least that share of the base's, at every number in flight."""
    burst: tuple[tuple[str, int], ...] = ()
    """Which rows are started how often at BURST_FLIGHT in flight; ours must not fail once."""
    resident: tuple[tuple[str, int], ...] = ()
    """Rows whose process never holds more than so many MiB; the table has a column for all."""
    within: tuple[tuple[str, float], ...] = ()
    """Rows whose median is at most so much, in the table's unit: of what has no machine to scale
    with, such as a wait."""
    apart: bool = False
    """Long: measured only when it is asked for by its name."""
    extra: Callable[[Field, dict[str, list[Measured]]], Json] | None = None
    """More to measure, kept in the suite's result."""

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


@dataclass
class Field:
    """A suite that is being measured: who takes part, and who could not and why."""

    suite: Suite
    lab: Lab
    daemons: bool = True
    measures: dict[str, Measure] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def leave_out(self, name: str, why: str) -> None:
        """Take a row out, and say so: loudly when it is one of ours."""
        self.measures.pop(name, None)
        self.missing[name] = why
        ours = self.suite.row(name).kind != PEER
        head = "NOT MEASURED, and it is fastbox's own" if ours else "left out"
        print(f"{head}: {self.suite.name}: {name}: {why}", file=sys.stderr, flush=True)

    def admit(self, name: str, make: Callable[[], Measure]) -> None:
        """Take part if it can be made and measured once."""
        if self.suite.row(name).daemon and not self.daemons:
            self.missing[name] = "daemons are left to benchmarks.vs_peers"
            return
        try:
            measure = make()
            first = measure(1, 1)
        except (Missing, OSError, RuntimeError) as error:
            self.leave_out(name, str(error))
            return
        if first.failures:
            self.leave_out(name, first.error)
        else:
            self.measures[name] = measure

    def complete(self) -> None:
        """Check that no row was forgotten.

        Raises:
            RuntimeError: The suite neither admitted a row nor left it out.
        """
        known = self.measures.keys() | self.missing.keys()
        for row in self.suite.rows:
            if row.name not in known:
                raise RuntimeError(f"suite {self.suite.name} does nothing about {row.name}")

    def lost(self) -> list[str]:
        """The rows of ours, and the floor, that were not measured."""
        return [name for name in self.missing if self.suite.row(name).kind != PEER]


def open_field(suite: Suite, lab: Lab, *, daemons: bool = True) -> Field:
    """Start all that the suite measures; it ends with the lab."""
    found = Field(suite, lab, daemons)
    suite.open(found)
    found.complete()
    return found
