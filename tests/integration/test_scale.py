"""Many containers: no error, and the host is as before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import Box

pytestmark = pytest.mark.integration


@pytest.mark.timeout(300)
def test_five_hundred_one_after_another(box: Box) -> None:
    for number in range(500):
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
