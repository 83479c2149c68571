"""Many containers: no error, and the host is as before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from . import host
from .conftest import Box

pytestmark = pytest.mark.integration


@pytest.mark.timeout(300)
def test_two_hundred_one_after_another(box: Box) -> None:
    for number in range(200):
        done = box("run", "--rm", "busybox", "sh", "-c", f"exit {number % 100}", check=False)
        assert done.returncode == number % 100, (number, done.stderr)
        assert done.stderr == ""


@pytest.mark.timeout(300)
def test_two_hundred_at_sixteen_in_flight(box: Box) -> None:
    def one(number: int) -> tuple[int, str, str]:
        done = box(
            "run", "--rm", "busybox", "sh", "-c", f"echo {number}; exit {number % 100}", check=False
        )
        return done.returncode, done.stdout, done.stderr

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(one, range(200)))
    assert results == [(number % 100, f"{number}\n", "") for number in range(200)]


def test_two_hundred_in_one_session(box: Box) -> None:
    import fastbox

    with fastbox.Engine.open() as engine:

        def one(number: int) -> int:
            with engine.run("busybox", ["sh", "-c", f"exit {number % 100}"]) as container:
                return container.wait(timeout=30)

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(one, range(200))) == [number % 100 for number in range(200)]


@pytest.mark.timeout(300)
def test_a_thousand_idle_at_once(box: Box) -> None:
    """Each has a supervisor of its own, and all of them together hold little."""
    from fastbox import Engine
    from fastbox.containers.options import from_keywords

    options = from_keywords("busybox", ["sleep", "1000000"], {"labels": {"idle": "yes"}})
    with Engine.open() as engine, ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: engine.containers.start_detached(options), range(1000)))
    try:
        assert set(box("ps", "-q", "--no-trunc").stdout.split()) >= set(started)
        supervisors = host.supervisors(box.run_root)
        assert len(supervisors) >= len(started)
        assert sum(map(_proportional_kib, supervisors)) <= 300 * len(started)
    finally:
        for first in range(0, len(started), 250):
            box("rm", "-f", *started[first : first + 250])
    assert not set(box("ps", "-aq", "--no-trunc").stdout.split()) & set(started)


def _proportional_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
