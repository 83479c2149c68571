"""kill -9 of fork, snapshot and rollback at any instant: the source is whole, nothing stays for good."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Box

ROUNDS = pytest.mark.parametrize("rounds", [6, pytest.param(80, marks=pytest.mark.slow)])
# Counts up, in the middle of a tree with marks of every kind.
STEP = (
    "n=$(cat /n 2>/dev/null || echo 0); n=$((n+1)); rm -rf /tree; mkdir -p /tree/$n/deep; "
    "echo $n > /tree/$n/deep/n; rm -f /etc/group; echo $n > /n; sync"
)
LOOK = "cat /n; cat /tree/*/deep/n; ls /tree; ls /etc/group"


def kill_within(box: Box, seconds: float, *words: str) -> bool:
    """Start a command and kill it at an instant; false when it was over before."""
    client = box.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    over = client.poll() is not None
    client.send_signal(signal.SIGKILL)
    client.wait()
    return not over


def seen(box: Box) -> int:
    """The number that all parts of the source's tree agree on."""
    (copy,) = box("fork", "source", "sh", "-c", LOOK).stdout.split()
    box("wait", copy)
    words = box("logs", copy).stdout.split()
    box("rm", copy)
    assert len(words) == 3, words
    assert len(set(words)) == 1, words
    return int(words[0])


@ROUNDS
def test_kill_at_any_instant(box: Box, rounds: int) -> None:
    chance = random.Random(rounds)
    box("run", "--name", "source", "busybox", "sh", "-c", STEP)
    began = time.monotonic()
    box("snapshot", "source", "first")
    whole = (time.monotonic() - began) * 1.2
    now, killed = 1, 0
    for _ in range(rounds):
        kind = chance.choice(["fork", "snapshot", "rollback"])
        words = {
            "fork": ["fork", "--create", "-n", "3", "source"],
            "snapshot": ["snapshot", "source"],
            "rollback": ["rollback", "source", "first"],
        }[kind]
        if kill_within(box, chance.random() * whole, *words):
            killed += 1
        else:  # the one that was measured was slow
            whole /= 2
        found = seen(box)
        assert found in ((1, now) if kind == "rollback" else (now,))
        box("start", "source")
        box("wait", "source")
        now = found + 1
        for name in box("ps", "-aq", "--no-trunc").stdout.split():
            if box("inspect", "-f", "{{.Name}}", name).stdout != "/source\n":
                box("rm", "-f", name)
        assert seen(box) == now
        box("image", "prune", "-f")  # work directories of the killed
        box("system", "check", "--quick")
    assert killed
    box("rm", "source")
    box("ps")
    assert os.listdir(Path(box.root, "sealed")) == []
