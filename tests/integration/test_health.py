"""Health checks: docker's states, results and limits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial

import pytest

from . import host
from .conftest import Box

until = partial(host.until, seconds=20.0)

pytestmark = pytest.mark.integration

SLEEP = ("busybox", "sleep", "100000")


@pytest.fixture
def name(box: Box) -> Iterator[str]:
    yield "patient"
    box("rm", "-f", "patient", check=False)


def health(box: Box, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(box("inspect", name).stdout)[0]["State"]["Health"]
    return found


def results(box: Box, name: str) -> list[dict[str, object]]:
    found = health(box, name)["Log"]
    assert isinstance(found, list)
    return found


def test_it_falls_ill_and_recovers(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--health-cmd", "cat /well", "--health-interval", "100ms",
        "--health-retries", "2", *SLEEP)  # fmt: skip
    until(lambda: health(box, name)["Status"] == "unhealthy")
    assert int(str(health(box, name)["FailingStreak"])) >= 2
    last = results(box, name)[-1]
    assert last["ExitCode"] == 1
    assert "/well" in str(last["Output"])
    assert str(last["Start"]) < str(last["End"])
    assert "(unhealthy)" in box("ps").stdout
    box("exec", name, "sh", "-c", "echo fine >/well")
    until(lambda: health(box, name)["Status"] == "healthy")
    assert health(box, name)["FailingStreak"] == 0
    until(lambda: [each["Output"] for each in results(box, name)] == ["fine\n"] * 5)
    assert "(healthy)" in box("ps").stdout


def test_the_start_period(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--health-cmd", "false", "--health-interval", "50ms",
        "--health-start-period", "1000s", "--health-start-interval", "50ms", "--health-retries", "1", *SLEEP)  # fmt: skip
    until(lambda: len(results(box, name)) == 5)
    assert (health(box, name)["Status"], health(box, name)["FailingStreak"]) == ("starting", 0)
    assert "(health: starting)" in box("ps").stdout


def test_a_probe_that_hangs(box: Box, name: str) -> None:
    """Its time over, all its processes are gone, those that hide in sessions of their own too."""
    hanging = "echo begun; setsid sh -c 'sleep 4321 & sleep 4321' & sleep 4321"
    box("run", "-d", "--name", name, "--health-cmd", hanging, "--health-interval", "1s",
        "--health-timeout", "200ms", "--health-retries", "1", *SLEEP)  # fmt: skip
    until(lambda: health(box, name)["Status"] == "unhealthy")
    last = results(box, name)[-1]
    assert last["ExitCode"] == -1
    assert str(last["Output"]) == "Health check exceeded timeout (200ms): begun\n"
    until(lambda: "4321" not in box("exec", name, "ps", "-o", "args").stdout)


def test_output_is_bounded(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--health-cmd", "head -c 1000000 /dev/zero | tr '\\0' x",
        "--health-interval", "100ms", *SLEEP)  # fmt: skip
    until(lambda: health(box, name)["Status"] == "healthy")
    assert results(box, name)[0]["Output"] == "x" * 4096 + "..."


def test_a_pause_is_no_illness(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--health-cmd", "true", "--health-interval", "50ms",
        "--health-retries", "1", *SLEEP)  # fmt: skip
    until(lambda: health(box, name)["Status"] == "healthy")
    box("pause", name)
    until(lambda: "(Paused)" in box("ps").stdout)
    time.sleep(0.5)
    before = results(box, name)[-1]
    time.sleep(0.3)
    assert results(box, name)[-1] == before
    box("unpause", name)
    until(lambda: results(box, name)[-1] != before)
    assert health(box, name)["Status"] == "healthy"


def test_it_begins_anew_with_each_start(box: Box, name: str) -> None:
    """Well in its first life only: in the second it is not unhealthy yet, but healthy no more."""
    box("run", "-d", "--name", name, "--health-cmd", "test $(wc -l </starts) = 1",
        "--health-interval", "100ms", "--health-retries", "100000",
        "busybox", "sh", "-c", "echo >>/starts; exec sleep 100000")  # fmt: skip
    until(lambda: health(box, name)["Status"] == "healthy")
    box("restart", "-t", "0", name)
    assert health(box, name)["Status"] == "starting"
    until(lambda: int(str(health(box, name)["FailingStreak"])) > 0)
    assert health(box, name)["Status"] == "starting"
    box("stop", "-t", "0", name)
    assert health(box, name)["Status"] == "unhealthy", "as docker says of what does not run"


def test_the_images_check(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, *SLEEP)
    box(
        "commit",
        "--change",
        'HEALTHCHECK --interval=100ms --retries=7 CMD ["echo", "word"]',
        name,
        "checked:1",
    )
    box("rm", "-f", name)
    try:
        box("run", "-d", "--name", name, "checked:1")
        check = json.loads(box("inspect", name).stdout)[0]["Config"]["Healthcheck"]
        assert check == {"Test": ["CMD", "echo", "word"], "Interval": 100_000_000, "Retries": 7}
        until(lambda: health(box, name)["Status"] == "healthy")
        assert results(box, name)[0]["Output"] == "word\n"
        box("rm", "-f", name)
        box("run", "-d", "--name", name, "--health-retries", "2", "checked:1")
        check = json.loads(box("inspect", name).stdout)[0]["Config"]["Healthcheck"]
        assert (check["Test"], check["Retries"]) == (["CMD", "echo", "word"], 2)
        box("rm", "-f", name)
        box("run", "-d", "--name", name, "--no-healthcheck", "checked:1")
        found = json.loads(box("inspect", name).stdout)[0]
        assert found["Config"]["Healthcheck"] == {"Test": ["NONE"]}
        assert "Health" not in found["State"]
    finally:
        box("rm", "-f", name)
        box("rmi", "checked:1")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--no-healthcheck", "--health-cmd", "x"),
            "--no-healthcheck conflicts with --health-* options",
        ),
        (("--health-cmd", "x", "--health-interval", "1us"), "cannot be less than 1ms"),
        (("--health-interval", "1"), "not a duration"),
        (("--health-retries", "-1"), "--health-retries"),
    ],
)
def test_refusals(box: Box, flags: tuple[str, ...], message: str) -> None:
    assert message in box.fails("run", *flags, "busybox", "true")
