"""kill -9 of commit and prune, and what `system check` says after it, and after that of load.

What a command leaves behind that was killed is neither wrong nor, once the next command has been there, on the disk.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from . import host, stores
from .conftest import Box
from .host import until
from .test_crashes import took
from .test_image_crashes import ROUNDS, Made, chance, emptied, kill_within, made

pytestmark = pytest.mark.integration

__all__ = ["chance", "emptied", "made"]  # fixtures

CHANGES = "for n in $(seq 200); do echo $n > /new$n; done; rm /bin/vi; chmod 700 /home; ln /new1 /new-link"
IDLE = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


def check(box: Box) -> None:
    """Nothing is wrong, and nothing belongs to nobody."""
    box("image", "prune", "-f")
    done = box("system", "check", check=False)
    assert done.returncode == 0, done.stdout
    assert stores.content(box)["tmp"] == []


@pytest.fixture
def container(box: Box) -> Iterator[str]:
    """One that runs, and has changed what its image brought."""
    name = box("run", "-d", "busybox", "sh", "-c", f"{CHANGES}; touch /done; {IDLE}").stdout.strip()
    until(lambda: not box("exec", name, "ls", "/done", check=False).returncode, 20.0)
    yield name
    box("rm", "-f", name)
    host.quiet(box.run_root)


@ROUNDS
def test_commit(box: Box, container: str, chance: random.Random, rounds: int) -> None:
    words = ["commit", container, "crash:committed"]
    whole = took(lambda: box(*words))
    wanted = {"crash:committed": stores.tree_of(box, "crash:committed")}
    box("rmi", "crash:committed")
    check(box)
    killed = 0
    for _ in range(rounds):
        if kill_within(box, chance.random() * whole, *words):
            killed += 1
        else:  # the one that was measured was slow
            whole /= 2
        stores.check_whole(box, wanted)
        # A container that was held still for it goes on, with the next command at the latest.
        assert box("exec", container, "cat", "/new7", timeout=20).stdout == "7\n"
        box(*words)
        stores.check_whole(box, wanted)
        assert "crash:committed" in stores.names(box)
        check(box)
        box("rmi", "crash:committed")
    assert killed
    check(box)


@ROUNDS
def test_prune(box: Box, made: Made, chance: random.Random, rounds: int) -> None:
    """What a container uses stays, the rest is whole or gone."""
    box("load", "-q", "-i", str(made.archive))
    user = box("create", "crash:one", "/true").stdout.strip()
    keeper = box("create", "busybox", "true").stdout.strip()
    whole = took(lambda: box("image", "prune", "-af"))
    for _ in range(rounds):
        box("load", "-q", "-i", str(made.archive))
        kill_within(box, chance.random() * whole, "image", "prune", "-af")
        assert {"crash:one", "busybox:latest"} <= set(stores.names(box))
        stores.check_whole(box, made.trees)
        box("image", "prune", "-af")
        assert "crash:two" not in stores.names(box)
        stores.check_whole(box, made.trees)
        check(box)
    box("rm", user, keeper)


@ROUNDS
def test_load(box: Box, made: Made, chance: random.Random, rounds: int) -> None:
    """Killed, pruned, checked: nothing of it is wrong, with and without what it had brought before."""
    words = ["load", "-q", "-i", str(made.archive)]
    whole = took(lambda: box(*words))
    for number in range(rounds):
        if number % 2:
            box("rmi", "crash:one", "crash:two", check=False)
        kill_within(box, chance.random() * whole, *words)
        check(box)
        stores.check_whole(box, made.trees)
        box(*words)
        check(box)
