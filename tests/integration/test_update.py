"""update: the kernel has the new limits at once, a later start has them too, and a failure changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastbox import Engine
from fastbox.errors import StateConflict

from . import groups
from .conftest import Box

pytestmark = pytest.mark.integration
MIB = 1 << 20


def inspect(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box("inspect", name).stdout)[0]
    return found


class Running:
    """A container that runs, and what the kernel has for it."""

    def __init__(self, box: Box, name: str) -> None:
        self.box, self.name = box, name

    def __call__(self, v1: str, v2: str) -> str:
        return groups.value(self.box.run_root, inspect(self.box, self.name)["Id"], v1, v2)

    def memory(self) -> tuple[int, int]:
        """Memory, and memory with swap; -1 for none."""
        limit = self("memory.limit_in_bytes", "memory.max")
        swap = self("memory.memsw.limit_in_bytes", "memory.swap.max")
        if groups.V2:
            return int(limit), -1 if swap == "max" else int(limit) + int(swap)
        return int(limit), -1 if int(swap) > 1 << 60 else int(swap)


@pytest.fixture
def small(box: Box) -> Iterator[Running]:
    """With limits of its own."""
    box("run", "-d", "--name", "small", "--memory", "64m", "--cpu-shares", "512", "busybox", "sleep", "600")  # fmt: skip
    yield Running(box, "small")
    box("rm", "-f", "small")


@pytest.fixture
def free(box: Box) -> Iterator[Running]:
    """Without any: on v1 it has no group in most hierarchies."""
    box("run", "-d", "--name", "free", "busybox", "sh", "-c", "sleep 601 & sleep 602")
    yield Running(box, "free")
    box("rm", "-f", "free")


def test_every_limit_of_one_that_had_none(box: Box, free: Running) -> None:
    out = box(
        "update", "--memory", "96m", "--memory-swap", "128m", "--memory-reservation", "48m", "--cpus", "0.5",
        "--cpu-shares", "256", "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "50", "free",
    ).stdout  # fmt: skip
    assert out == "free\n"
    for _ in range(2):  # running, and after its next start
        assert free.memory() == (96 * MIB, 128 * MIB)
        assert free("memory.soft_limit_in_bytes", "memory.low") == str(48 * MIB)
        assert free("cpu.cfs_quota_us", "cpu.max") == ("50000 100000" if groups.V2 else "50000")
        assert free("cpu.shares", "cpu.weight") == ("35" if groups.V2 else "256")
        assert free("cpuset.cpus", "cpuset.cpus") == "0"
        assert free("pids.max", "pids.max") == "50"
        box("stop", "-t", "0", "free")
        box("start", "free")
    said = inspect(box, "free")["HostConfig"]
    assert said["Memory"] == 96 * MIB
    assert said["MemorySwap"] == 128 * MIB
    assert said["NanoCpus"] == 500_000_000
    assert said["CpuShares"] == 256
    assert said["PidsLimit"] == 50


def test_all_processes_are_under_the_new_limit(box: Box, free: Running) -> None:
    """Those that were there, and what exec brings."""
    box("update", "--memory", "64m", "free")
    box("exec", "-d", "free", "sleep", "603")
    names = ["tasks"] if not groups.V2 else ["cgroup.procs"]
    with open(f"{box.run_root}/containers/{inspect(box, 'free')['Id']}", encoding="utf-8") as file:
        directories = json.load(file)["cgroups"]
    limited = next(d for d in directories if groups.V2 or "/memory/" in d)
    pids = Path(limited, names[0]).read_text().split()
    commands = {Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in pids}
    assert {b"sleep 601 ", b"sleep 602 ", b"sleep 603 "} <= commands


def test_a_hog_dies_by_a_limit_that_came_later(box: Box) -> None:
    box("run", "-d", "--name", "later", "busybox", "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; tail /dev/zero")  # fmt: skip
    box("update", "--memory", "32m", "later")
    box("exec", "later", "touch", "/go")
    code = box("wait", "later").stdout.strip()
    state = inspect(box, "later")["State"]
    box("rm", "later")
    assert code == "137"
    assert state["OOMKilled"] is True


def test_up_and_down_in_every_order(box: Box, small: Running) -> None:
    """The kernel demands memory <= memory and swap at every moment."""
    for memory, swap in ((128, 256), (32, 40), (64, 64), (48, -1), (200, 300), (16, -1), (16, 20)):
        box("update", "--memory", f"{memory}m", "--memory-swap", f"{swap}m" if swap > 0 else "-1", "small")  # fmt: skip
        assert small.memory() == (memory * MIB, swap * MIB if swap > 0 else -1)


def test_processes_without_limit_and_back(box: Box, small: Running) -> None:
    box("update", "--pids-limit", "-1", "small")
    assert small("pids.max", "pids.max") == "max"
    assert inspect(box, "small")["HostConfig"]["PidsLimit"] == -1
    box("update", "--pids-limit", "99", "small")
    assert small("pids.max", "pids.max") == "99"


def test_quota_and_period(box: Box, free: Running) -> None:
    """Each by itself: the other half stays."""

    def quota() -> tuple[str, str]:
        now = free("cpu.cfs_quota_us", "cpu.max")
        if groups.V2:
            first, second = now.split()
            return first, second
        return now, free("cpu.cfs_period_us", "cpu.max")

    box("update", "--cpu-period", "50000", "--cpu-quota", "25000", "free")
    assert quota() == ("25000", "50000")
    box("update", "--cpu-quota", "40000", "free")
    assert quota() == ("40000", "50000")
    box("update", "--cpu-period", "80000", "free")
    assert quota() == ("40000", "80000")
    box("update", "--cpu-quota", "-1", "free")
    assert quota() == ("max" if groups.V2 else "-1", "80000")


def test_realtime(box: Box, free: Running) -> None:
    if not os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_period_us"):
        done = box("update", "--cpu-rt-period", "500000", "free", check=False)
        assert "does not support CPU real-time" in done.stderr
        return
    box("update", "--cpu-rt-period", "500000", "free")
    assert free("cpu.rt_period_us", "") == "500000"
    # The group above has no realtime to give.
    done = box("update", "--cpu-rt-runtime", "1000", "--cpu-shares", "300", "free", check=False)
    assert "realtime" in done.stderr
    assert free("cpu.shares", "") == "1024"
    assert inspect(box, "free")["HostConfig"]["CpuRealtimeRuntime"] == 0


def test_weights(box: Box, free: Running) -> None:
    done = box("update", "--blkio-weight", "250", "free")
    if "Weight discarded" in done.stderr:
        assert inspect(box, "free")["HostConfig"]["BlkioWeight"] == 0
    else:
        assert "250" in free("blkio.bfq.weight", "io.bfq.weight")
        assert inspect(box, "free")["HostConfig"]["BlkioWeight"] == 250


def test_less_than_is_used_changes_nothing(box: Box, small: Running) -> None:
    """Pages of /dev/shm can't be given back, so no limit below them can be set."""
    box("exec", "small", "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=20")
    box("update", "--memory", "64m", "--memory-swap", "64m", "small")
    before = inspect(box, "small")["HostConfig"]
    done = box("update", "--cpu-shares", "700", "--memory", "10m", "--memory-swap", "10m", "small", check=False)  # fmt: skip
    assert done.returncode == 1
    assert "unable to set memory limit to 10485760" in done.stderr
    assert small.memory() == (64 * MIB, 64 * MIB)
    assert small("cpu.shares", "cpu.weight") == ("59" if groups.V2 else "512")
    assert inspect(box, "small")["HostConfig"] == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--memory", "256m"], "Memory limit should be smaller than already set memoryswap limit"),
        (["--memory", "64m", "--memory-swap", "32m"], "below the memory limit"),
        (["--memory", "1m"], "at least 6 MiB"),
        (["--cpu-shares", "1"], "between 2 and 262144"),
        (["--cpuset-cpus", "4000"], "not all there"),
        (["--memory-reservation", "100m"], "reservation is above the memory limit"),
        (["--pids-limit", "4194305"], "not between"),
        (["--cpus", "999"], "it must be from 0.01"),
    ],
)
def test_what_is_refused(box: Box, small: Running, flags: list[str], words: str) -> None:
    before = inspect(box, "small")["HostConfig"]
    done = box("update", *flags, "small", check=False)
    assert done.returncode in (1, 125)
    assert words in done.stderr
    assert inspect(box, "small")["HostConfig"] == before
    assert small.memory() == (64 * MIB, 128 * MIB)


def test_cpus_and_quotas_exclude_each_other(box: Box) -> None:
    box("create", "--name", "quota", "--cpu-quota", "20000", "busybox", "true")
    done = box("update", "--cpus", "1", "quota", check=False)
    assert "Nano CPUs cannot be updated as CPU Quota has already been set" in done.stderr
    box("rm", "quota")
    box("create", "--name", "nano", "--cpus", "1", "busybox", "true")
    done = box("update", "--cpu-period", "20000", "nano", check=False)
    box("rm", "nano")
    assert "CPU Period cannot be updated as NanoCPUs has already been set" in done.stderr


def test_one_that_does_not_run_and_several(box: Box, small: Running) -> None:
    box("create", "--name", "other", "busybox", "cat", groups.file("memory", "memory.limit_in_bytes", "memory.max"))  # fmt: skip
    done = box("update", "--memory", "48m", "--memory-swap", "96m", "other", "nobody", "small", check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == "other\nsmall\n"
    assert 'no such container "nobody"' in done.stderr
    assert box("start", "-a", "other").stdout == f"{48 * MIB}\n"
    assert small.memory() == (48 * MIB, 96 * MIB)
    box("rm", "other")


def test_it_needs_a_flag(box: Box) -> None:
    assert "you must provide one or more flags" in box.fails("update", "small")


def test_the_python_api(box: Box) -> None:
    with (
        Engine.open() as engine,
        engine.run("busybox", ["sleep", "600"], memory="64m") as container,
    ):
        assert container.update(pids_limit=33, memory=32 * MIB) == ()
        assert groups.value(box.run_root, container.id, "pids.max", "pids.max") == "33"
        with pytest.raises(StateConflict, match="memoryswap"):
            engine.containers.update(container.id, memory=512 * MIB)
        with pytest.raises(TypeError, match="colour"):
            container.update(colour=1)  # type: ignore[call-arg]


def test_a_killed_supervisor_leaves_no_group_that_came_later(box: Box, free: Running) -> None:
    """Joined hierarchies are in the live state before they are limited."""
    box("update", "--memory", "64m", "free")
    found = inspect(box, "free")
    with open(f"{box.run_root}/containers/{found['Id']}", encoding="utf-8") as file:
        supervisor = json.load(file)["supervisor"]
    pids = _holders(f"{box.run_root}/supervisors/{supervisor}")
    subprocess.run(["kill", "-9", *pids], check=True)
    assert "exited" in box("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout


def _holders(directory: str) -> list[str]:
    return [
        process.name
        for process in Path("/proc").iterdir()
        if process.name.isdigit() and _holds(process, directory)
    ]


def _holds(process: Path, directory: str) -> bool:
    try:
        return any(str(fd.readlink()) == directory for fd in (process / "fd").iterdir())
    except OSError:
        return False
