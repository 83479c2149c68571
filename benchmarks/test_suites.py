"""Every row of every suite under pytest-benchmark: a change beside itself, by --benchmark-compare.

What is recorded is what the timing processes measured, and not the way to them: the clock that
pytest-benchmark reads is advanced by their samples. benchmarks.vs_peers compares with others, round
by round; this does one row after the other.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.conftest import Fields
from benchmarks.suite import PEER, Row, Suite
from benchmarks.suites import choose
from benchmarks.vs_peers.clients import Measure

ROUNDS, WARM_UP = 15, 2
FLIGHT = 16
MOST_SECONDS = 3.0

Benchmark = Any  # pytest-benchmark has no types
SUITES = choose([])
ROWS = [(suite, row) for suite in SUITES for row in suite.rows if not row.daemon]
MANY = [(suite, row) for suite, row in ROWS if row.many]


class Clock:
    """Seconds that the samples of the timing processes add up to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.peer = False

    def read(self) -> float:
        """The time."""
        return self.seconds

    def take(self, measure: Measure, count: int, flight: int) -> None:
        """Measure, and let the time pass that it took; many at once take their wall time."""
        measured = measure(count, flight)
        if measured.failures and self.peer:
            pytest.skip(f"the peer failed: {measured.error}")
        assert not measured.failures, measured.error
        assert len(measured.samples) == count
        self.seconds += (measured.wall if count > 1 else measured.samples[0]) / 1e6


CLOCK = Clock()


@pytest.fixture
def measure(suite: Suite, row: Row, fields: Fields) -> Measure:
    """How to measure the row; what is missing fails when it is ours, and is skipped when not."""
    field, CLOCK.peer = fields(suite), row.kind == PEER
    if row.name in field.measures:
        return field.measures[row.name]
    why = f"{row.label}: {field.missing[row.name]}"
    if row.kind == PEER:
        pytest.skip(why)
    pytest.fail(f"NOT MEASURED: {why}", pytrace=False)


def run(benchmark: Benchmark, measure: Measure, count: int, flight: int) -> None:
    before = CLOCK.read()
    CLOCK.take(measure, count, flight)
    once = CLOCK.read() - before
    rounds = max(3, min(ROUNDS, int(MOST_SECONDS / max(once, 1e-9))))
    benchmark.pedantic(
        CLOCK.take, args=(measure, count, flight), rounds=rounds, warmup_rounds=WARM_UP
    )


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(
    ("suite", "row"), ROWS, ids=[f"{suite.name}-{row.name}" for suite, row in ROWS]
)
@pytest.mark.usefixtures("row")
def test_row(suite: Suite, measure: Measure, benchmark: Benchmark) -> None:
    benchmark.group = suite.title
    run(benchmark, measure, 1, 1)


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(
    ("suite", "row"), MANY, ids=[f"{suite.name}-{row.name}" for suite, row in MANY]
)
@pytest.mark.usefixtures("row")
def test_many(suite: Suite, measure: Measure, benchmark: Benchmark) -> None:
    benchmark.group = f"{suite.title}, {FLIGHT} at once"
    run(benchmark, measure, FLIGHT, FLIGHT)
