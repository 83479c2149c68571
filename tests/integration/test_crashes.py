"""kill -9 at random instants: nothing half-visible, and `ps -a` heals what is left."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastbox
from fastbox.containers import create
from fastbox.runtime.supervisor import Conversation
from fastbox.store.containers import ContainerStore, Held

from . import archives, host
from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration

IDLE = ["busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]
QUICK = ["busybox", "true"]
# A few rounds always, many in the soak.
ROUNDS = pytest.mark.parametrize("rounds", [6, pytest.param(40, marks=pytest.mark.slow)])


@pytest.fixture
def chance() -> random.Random:
    """A seed of its own for each run, said when a test fails."""
    seed = int(os.environ.get("FASTBOX_TEST_SEED") or random.randrange(1 << 32))
    print(f"FASTBOX_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def consistent(box: Box) -> Iterator[None]:
    """Whatever was killed: in the end every image runs, and the store has no refuse."""
    yield
    heal(box)
    assert box("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"


def heal(box: Box) -> None:
    """What a user does after a crash: look, and remove what is there."""
    host.quiet(box.run_root, 2)
    for name in box("ps", "-aq", "--no-trunc").stdout.split():
        box("rm", "-f", name)
    host.quiet(box.run_root, 2)
    assert box("ps", "-aq").stdout == ""


def kill_after(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """SIGKILL at an instant; the exit code when it was over before."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(10)
        return None


def took(action: Callable[[], object]) -> float:
    begin = time.monotonic()
    action()
    return time.monotonic() - begin


def start(box: Box, *words: str) -> subprocess.Popen[bytes]:
    return box.start(
        *words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@ROUNDS
@pytest.mark.parametrize("flags", [["-d"], ["-d", "--rm"], ["--rm"], []], ids=" ".join)
def test_a_killed_client_leaves_all_or_nothing(
    box: Box, chance: random.Random, rounds: int, flags: list[str]
) -> None:
    words = IDLE if "-d" in flags else QUICK
    whole = took(lambda: box("run", *flags, *words))
    for _ in range(rounds):
        client = start(box, "run", *flags, *words)
        kill_after(client, chance.random() * whole)
        for container in inspected(box):
            status = container["State"]["Status"]
            assert status in ("created", "running", "exited"), container["State"]
            if status == "running" and container["State"]["Pid"]:
                box("exec", container["Id"], "true", check=False)
    heal(box)


def inspected(box: Box) -> list[dict[str, Any]]:
    """All that are there, without those of --rm that end between the two looks."""
    ids = box("ps", "-aq", "--no-trunc").stdout.split()
    if not ids:
        return []
    done = box("inspect", *ids, check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout)
    missing = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
    assert all("no such container" in line for line in missing), done.stderr
    assert len(found) + len(missing) == len(ids)
    return found


@ROUNDS
@pytest.mark.parametrize("what", ["start", "run", "stop", "remove"])
def test_a_killed_supervisor_leaves_nothing(
    box: Box, chance: random.Random, rounds: int, what: str
) -> None:
    for number in range(rounds):
        flags = ["--rm"] if number % 2 else []
        if what == "start":
            client = start(box, "run", "-d", *flags, *IDLE)
            end = time.monotonic() + 5
            while not (pids := host.supervisors(box.run_root)) and time.monotonic() < end:
                time.sleep(0.0005)
            time.sleep(chance.random() * 0.012)
        else:
            name = box("run", "-d", *flags, *IDLE).stdout.strip()
            pids = host.supervisors(box.run_root)
            if what != "run":
                client = start(box, *(["stop", name] if what == "stop" else ["rm", "-f", name]))
                time.sleep(chance.random() * 0.08)
        end_processes(pids)
        if what != "run":
            client.wait(30)
        for row in box("ps", "-a").stdout.splitlines()[1:]:
            assert "Exited" in row or "Created" in row, row
        assert not host.supervisors(box.run_root)
        heal(box)


def end_processes(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # What is killed lives, and holds its lock, until the kernel has come to it; a zombie has no
    # command line.
    end = time.monotonic() + 5
    while any(command_line(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.001)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


OWNER = """
import os, sys, fastbox
box = fastbox.Engine.open()
held = [box.run("busybox", ["sh", "-c", "sleep 100 & sleep 100"]) for _ in range(5)]
print(*(c.id for c in held), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("rounds", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_the_end_of_a_sessions_owner_releases_its_containers(box: Box, rounds: int) -> None:
    for _ in range(rounds):
        before = host.snapshot(box.root, box.run_root)
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            env=box.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with owner:
            assert owner.stdout is not None
            assert len(owner.stdout.readline().split()) == 5
            assert len(host.supervisors(box.run_root)) >= 1
            owner.kill()
            owner.wait(5)
        # Within one second on a quiet machine.
        assert not host.settle(before, box.root, box.run_root, seconds=4)


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_an_owner_killed_while_it_starts(box: Box, chance: random.Random, rounds: int) -> None:
    for _ in range(rounds):
        before = host.snapshot(box.root, box.run_root)
        owner = subprocess.Popen(
            [sys.executable, "-c", OWNER],
            env=box.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(0.05 + chance.random() * 0.15)
        owner.kill()
        owner.wait(5)
        host.quiet(box.run_root, 4)
        box("ps", "-a")
        assert not host.settle(before, box.root, box.run_root, seconds=4)


def test_an_owner_that_dies_before_the_launch(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks then finds no container, whether or not the owner's supervisor has ended."""

    class Died(BaseException):
        pass

    def die(
        store: ContainerStore,
        held: Held,
        record: object,
        conversation: Conversation,
        *_: object,
        **__: object,
    ) -> None:
        assert store.read(held.id) is not None
        held.close()
        assert box("ps", "-aq").stdout == ""
        assert os.listdir(f"{box.root}/containers") == []
        conversation.close()
        raise Died

    monkeypatch.setattr(create, "launch", die)
    with fastbox.Engine.open() as engine, pytest.raises(Died):
        engine.run("busybox", ["true"])


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_a_killed_session_supervisor(box: Box, chance: random.Random, rounds: int) -> None:
    for _ in range(rounds):
        with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
            first = engine.run("busybox", ["sleep", "100"])
            end_processes(host.supervisors(box.run_root))
            with pytest.raises(fastbox.FastboxError):
                first.wait(timeout=5)
            again = engine.run("busybox", ["true"])
            assert again.wait(timeout=10) == 0
        box("ps", "-a")


@ROUNDS
@pytest.mark.parametrize("how", ["import", "load"])
def test_a_killed_import_leaves_nothing(
    box: Box, chance: random.Random, rounds: int, how: str
) -> None:
    data = busybox_tar()
    words = ["import", "-", "torn:1"]
    if how == "load":
        data = archives.tar(archives.docker_archive([data], ["torn:1"]))
        words = ["load"]
    before = store(box)
    # The same words, undisturbed: how long they take, and that they work.
    whole = took(lambda: box(*words, stdin=data))
    box("rmi", "torn:1")
    for number in range(rounds):
        if number % 3 == 2:
            box(*words, stdin=data)
            client = start(box, "rmi", "torn:1")
            kill_after(client, chance.random() * whole / 2)
        else:
            client = box.start(*words, stdin=subprocess.PIPE, stdout=-3, stderr=-3)
            feed(client, data)
            kill_after(client, chance.random() * whole)
        if "torn" in box("images").stdout:
            assert box("run", "--rm", "torn:1", "/bin/busybox", "echo", "whole").stdout == "whole\n"
            box("rmi", "torn:1")
    # What the dead left goes with the next change.
    box(*words, stdin=data)
    box("rmi", "torn:1")
    assert store(box) == before


def feed(client: subprocess.Popen[bytes], data: bytes) -> None:
    """All of it from a file, so that nobody has to write while the reader is killed."""
    assert client.stdin is not None
    os.set_blocking(client.stdin.fileno(), False)
    end = time.monotonic() + 10
    view = memoryview(data)
    while view and client.poll() is None and time.monotonic() < end:
        select.select([], [client.stdin], [], 0.01)
        try:
            view = view[os.write(client.stdin.fileno(), view[: 1 << 16]) :]
        except BlockingIOError:
            continue
        except BrokenPipeError:
            break
    try:
        client.stdin.close()
    except BrokenPipeError:
        pass


def store(box: Box) -> dict[str, list[str]]:
    return {
        name: sorted(os.listdir(f"{box.root}/{name}"))
        for name in ("blobs/sha256", "refs", "layers", "tmp")
    }
