"""One start of `true`, and sixteen at once: in process, by the command, and the floor in C.

`pytest benchmarks/startup` compares a change with itself (--benchmark-save, --benchmark-compare);
benchmarks.vs_peers compares with others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.vs_peers.clients import Measure

STARTS = ("floor", "in_process", "command_line")
ROUNDS, WARM_UP = 30, 3
FLIGHT = 16

Benchmark = Any  # pytest-benchmark has no types


def start(measure: Measure, count: int, flight: int) -> None:
    measured = measure(count, flight)
    assert not measured.failures, measured.error
    assert len(measured.samples) == count


def run(benchmark: Benchmark, function: Callable[..., None], *args: Any, rounds: int) -> None:
    benchmark.pedantic(function, args=args, rounds=rounds, warmup_rounds=WARM_UP)


@pytest.mark.benchmark(group="one start")
@pytest.mark.parametrize("name", STARTS)
def test_start(name: str, request: pytest.FixtureRequest, benchmark: Benchmark) -> None:
    run(benchmark, start, request.getfixturevalue(name), 1, 1, rounds=ROUNDS)


@pytest.mark.benchmark(group=f"{FLIGHT} starts at once")
@pytest.mark.parametrize("name", STARTS)
def test_starts_at_once(name: str, request: pytest.FixtureRequest, benchmark: Benchmark) -> None:
    run(benchmark, start, request.getfixturevalue(name), FLIGHT, FLIGHT, rounds=5)
