"""What holds where cgroup v2 is all there is: one group a container, entered at birth, its limits and its device rule."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import host
from .conftest import Box

TOP = host.CGROUPS / "fastbox"
CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not (host.CGROUPS / "cgroup.controllers").exists(),
        reason="cgroup v2 is not mounted at /sys/fs/cgroup",
    ),
]


@pytest.fixture
def sleeper(box: Box) -> Iterator[Path]:
    """The group of a container with every limit."""
    limits = ["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "40", "--cpus", "0.5"]
    box("run", "-d", "--name", "all", *limits, "--cpuset-cpus", "0", "busybox", "sleep", "999")
    yield TOP / str(json.loads(box("inspect", "all").stdout)[0]["Id"])
    box("rm", "-f", "all")


@pytest.fixture
def group() -> Iterator[Path]:
    path = host.CGROUPS / f"fastbox-test-{os.getpid()}"
    path.mkdir()
    yield path
    for _ in range(500):  # a process that has ended leaves its group a moment later
        try:
            path.rmdir()
            return
        except OSError:
            time.sleep(0.02)
    path.rmdir()


def inside(group: Path, box: Box, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run with a process of the group as the caller."""
    script = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    return subprocess.run(
        ["sh", "-c", script, "sh", *argv],
        env=box.environ,
        capture_output=True,
        text=True,
        timeout=60 * host.SLOW,
    )


def test_limits_are_the_groups(sleeper: Path) -> None:
    expected = {
        "memory.max": str(64 << 20),
        "pids.max": "40",
        "cpu.max": "50000 100000",
        "cpuset.cpus": "0",
    }
    assert {name: (sleeper / name).read_text().strip() for name in expected} == expected
    swap = sleeper / "memory.swap.max"
    assert not swap.exists() or swap.read_text() == "0\n"


def test_every_process_is_in_the_group(box: Box, sleeper: Path) -> None:
    pid = json.loads(box("inspect", "all").stdout)[0]["State"]["Pid"]
    assert (sleeper / "cgroup.procs").read_text().split() == [str(pid)]
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/fastbox/{sleeper.name}\n"
    for path in ("/proc/1/cgroup", "/proc/self/cgroup"):
        assert box("exec", "all", "cat", path).stdout == "0::/\n"


def test_the_group_is_all_the_container_sees_of_the_tree(box: Box) -> None:
    script = (
        "cat /proc/self/cgroup /sys/fs/cgroup/pids.max; ls -d /sys/fs/cgroup/fastbox; "
        "mkdir /sys/fs/cgroup/mine; echo max > /sys/fs/cgroup/pids.max"
    )
    done = box("run", "--rm", "--pids-limit", "40", "busybox", "sh", "-c", script, check=False)
    assert done.stdout == "0::/\n40\n"
    assert done.stderr.count("Read-only file system") == 2
    assert "No such file" in done.stderr


def test_a_process_is_born_in_its_group(box: Box) -> None:
    """No process may be forked below `fastbox`, but any may be moved there: so it is not moved."""
    box("run", "--rm", "--pids-limit", "40", "busybox", "true")
    limit = TOP / "pids.max"
    limit.write_text("0\n")
    try:
        done = box("run", "--rm", "busybox", "true", check=False)
    finally:
        limit.write_text("max\n")
    assert done.returncode == 125
    assert "temporarily unavailable" in done.stderr
    assert len(done.stderr.splitlines()) <= 2


DEVICES = """
cd /tmp
mknod mem c 1 1; mknod disk b 8 0; mknod log c 1 11; mknod null c 1 3
for f in mem disk log null; do (exec 3<$f) 2>&1 | sed "s/.*: /$f: /"; done
echo > null && echo written
"""


def test_devices_can_be_made_and_not_opened(box: Box) -> None:
    out = box("run", "--rm", "busybox", "sh", "-c", DEVICES).stdout
    refused = "Operation not permitted"
    assert out.splitlines() == [*(f"{name}: {refused}" for name in ("mem", "disk", "log")), "written"]  # fmt: skip


def test_exec_is_under_the_device_rule(box: Box, sleeper: Path) -> None:
    done = box("exec", "all", "sh", "-c", "mknod /m c 1 11 && cat /m", check=False)
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr


def test_a_privileged_container_opens_any_device(box: Box) -> None:
    script = "mknod /m c 1 11 && exec 3</m && echo open"
    assert box("run", "--rm", "--privileged", "busybox", "sh", "-c", script).stdout == "open\n"


def test_the_caller_may_be_in_a_group_of_its_own(box: Box, group: Path) -> None:
    script = [box.program, "run", "--rm", "--memory", "64m", "busybox"]
    done = inside(group, box, *script, "cat", "/proc/self/cgroup", "/sys/fs/cgroup/memory.max")
    assert (done.stdout, done.stderr) == (f"0::/\n{64 << 20}\n", "")
    assert (group / "cgroup.subtree_control").read_text().strip() == ""


def test_a_root_group_with_processes_can_hand_nothing_down(box: Box, group: Path) -> None:
    """As in a container that sees its own group as the root: one line says what to do, and without limits it works."""
    box("run", "--rm", "--pids-limit", "40", "busybox", "true")  # the group has the controller
    script = 'umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
    nested = ["unshare", "--cgroup", "--mount", "sh", "-c", script, "sh", box.program, "run"]
    done = inside(group, box, *nested, "--rm", "busybox", "true")
    (group / "cgroup.subtree_control").write_text("-pids")
    words = ["--rm", "--pids-limit", "-1", "busybox", "cat", "/proc/self/cgroup"]
    free = inside(group, box, *nested, *words)
    (group / "fastbox").rmdir()
    assert done.returncode == 125
    assert "move them to a child group" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert (free.stdout, free.stderr) == ("0::/\n", "")


@pytest.mark.skipif(
    "FASTBOX_TEST_VM" not in os.environ, reason="takes the controllers from the root's children"
)
def test_controllers_are_enabled_on_the_way(box: Box) -> None:
    """As on a machine that has just booted, without systemd."""
    host.quiet(box.run_root)
    if TOP.exists():
        TOP.rmdir()
    control = host.CGROUPS / "cgroup.subtree_control"
    control.write_text(" ".join(f"-{name}" for name in control.read_text().split()))
    assert control.read_text().strip() == ""
    limits = ["--memory", "64m", "--pids-limit", "40", "--cpus", "0.5", "--cpuset-cpus", "0"]
    words = ["busybox", "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max"]
    assert box("run", "--rm", *limits, *words).stdout.split() == [str(64 << 20), "40"]
    for directory in (host.CGROUPS, TOP):
        on = (directory / "cgroup.subtree_control").read_text().split()
        assert set(on) == set(CONTROLLERS)
