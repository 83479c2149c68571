"""Stages side by side: who waits for whom, how many at once, and what ends all."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fastbox.builder.solver import Solver, Stop
from fastbox.builder.telling import Canceled


class Stage:
    """A course of some steps; before the first it needs other stages."""

    def __init__(self, *needs: int, steps: int = 1, do: Callable[[], None] = lambda: None) -> None:
        self._needs, self._left, self._do = frozenset(needs), steps, do

    def waits_for(self) -> frozenset[int]:
        return self._needs

    def step(self) -> bool:
        self._do()
        self._left -= 1
        return self._left > 0


def solve(stages: dict[int, Stage], threads: int = 8) -> None:
    stop = Stop()
    try:
        Solver(stages, stop, threads).run()
    finally:
        stop.close()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_stage_comes_after_those_that_it_needs(threads: int) -> None:
    done: list[str] = []
    solve(
        {
            0: Stage(2, do=lambda: done.append("last")),
            1: Stage(do=lambda: done.append("first")),
            2: Stage(1, steps=3, do=lambda: done.append("between")),
            3: Stage(1, 2, do=lambda: done.append("last")),
        },
        threads,
    )
    assert done == ["first", *["between"] * 3, "last", "last"]


def test_stages_go_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=20)
    solve({number: Stage(do=lambda: void(meeting.wait())) for number in range(3)})


def test_no_more_at_once_than_threads() -> None:
    lock, most, now = threading.Lock(), 0, 0
    pause = threading.Event()

    def count() -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        pause.wait(0.005)
        with lock:
            now -= 1

    solve({number: Stage(do=count, steps=3) for number in range(6)}, threads=2)
    assert most <= 2


def test_the_first_failure_stops_the_others() -> None:
    stop, begun = Stop(), threading.Event()

    def go_on() -> None:
        begun.set()

    def fail() -> None:
        assert begun.wait(20)
        raise OSError("first")

    endless = Stage(steps=1 << 40, do=go_on)
    waiting = Stage(0, do=lambda: pytest.fail("it needs what has failed"))
    with pytest.raises(OSError, match="first"):
        Solver({0: Stage(do=fail), 1: endless, 2: waiting}, stop, 8).run()
    assert stop.stopped
    stop.close()


def test_an_end_from_outside() -> None:
    stop = Stop()
    with pytest.raises(Canceled):
        Solver({0: Stage(steps=1 << 40, do=stop.set)}, stop, 8).run()
    stop.close()


def void(_: object) -> None:
    """Nothing."""
