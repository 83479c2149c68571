"""pause and unpause: processes that stand still for as long as the container's user likes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import host
from .conftest import Box
from .host import until

pytestmark = pytest.mark.integration

COUNTING = "i=0; while true; do i=$((i+1)); echo $i >/n; mv /n /t; done"


@pytest.fixture
def busy(box: Box) -> Iterator[str]:
    box("run", "-d", "--name", "busy", "--init", "busybox", "sh", "-c", COUNTING)
    until(lambda: not box("exec", "busy", "ls", "/t", check=False).returncode)
    yield "busy"
    box("rm", "-f", "busy", check=False)


def state(box: Box, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(box("inspect", name).stdout)[0]["State"]
    return found


def counter(box: Box, name: str) -> Path:
    identity = json.loads(box("inspect", name).stdout)[0]["Id"]
    return Path(box.root, "containers", identity, "upper", "t")


def moves(file: Path) -> None:
    before = file.read_text()
    end = time.monotonic() + 10 * host.SLOW
    while file.read_text() == before:
        assert time.monotonic() < end, "it stands still"


def stands(file: Path) -> None:
    before = file.read_text()
    time.sleep(0.2)
    assert file.read_text() == before


def test_it_outlasts_the_command(box: Box, busy: str) -> None:
    file = counter(box, busy)
    assert box("pause", busy).stdout == "busy\n"
    stands(file)
    assert state(box, busy)["Status"] == "paused"
    assert state(box, busy)["Running"] is True
    assert state(box, busy)["Paused"] is True
    assert "(Paused)" in box("ps").stdout
    assert box("unpause", busy).stdout == "busy\n"
    moves(file)
    assert state(box, busy)["Status"] == "running"
    assert "(Paused)" not in box("ps").stdout


def test_dockers_refusals(box: Box, busy: str) -> None:
    assert "is not paused" in box.fails("unpause", busy, code=1)
    box("pause", busy)
    assert "is already paused" in box.fails("pause", busy, code=1)
    assert "unpause the container before exec" in box.fails("exec", busy, "true")
    assert "is paused" in box.fails("attach", busy)
    assert "is paused" in box.fails("start", busy, code=1)
    assert "is paused" in box.fails("rm", busy, code=1)
    done = box("unpause", "nobody", busy, check=False)
    assert (done.returncode, done.stdout) == (1, "busy\n")
    assert 'no such container "nobody"' in done.stderr


def test_a_commit_leaves_it_paused(box: Box, busy: str) -> None:
    file = counter(box, busy)
    box("pause", busy)
    try:
        box("commit", busy, "still:1")
        stands(file)
        assert state(box, busy)["Status"] == "paused"
        box("unpause", busy)
        moves(file)
        box("commit", busy, "still:1")
        moves(file)
    finally:
        box("rmi", "-f", "still:1")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("stop", "-t", "20"), 143),
        (("kill",), 137),
        (("kill", "-s", "TERM"), 143),
        (("restart",), 0),
    ],
)
def test_what_is_to_end_goes_on(box: Box, busy: str, words: tuple[str, ...], code: int) -> None:
    box("pause", busy)
    begin = time.monotonic()
    box(*words, busy)
    if code:
        assert box("wait", busy).stdout == f"{code}\n"
    else:
        assert state(box, busy)["Status"] == "running"
        moves(counter(box, busy))
    assert time.monotonic() - begin < 15 * host.SLOW, "it was asked, not killed"


def test_a_paused_one_is_removed(box: Box, busy: str) -> None:
    box("pause", busy)
    box("rm", "-f", busy)
    assert box("ps", "-aq").stdout == ""


def test_the_supervisors_death_while_paused(box: Box, busy: str) -> None:
    """Healing lets the frozen die."""
    import os
    import signal

    box("pause", busy)
    [pid] = host.supervisors(box.run_root)
    os.kill(pid, signal.SIGKILL)
    assert state(box, busy)["ExitCode"] == 137
    assert state(box, busy)["Status"] == "exited"
