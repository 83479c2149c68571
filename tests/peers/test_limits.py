"""Limits as podman and docker give them: at the start, changed later, and what happens at them."""

from __future__ import annotations

import time
from pathlib import Path

from ..integration import host
from .engines import FASTBOX, RUNC, Engine
from .place import IMAGE


def groups(engine: Engine, container: str) -> dict[str, Path]:
    """The container's directory in each hierarchy, by controller; "" is the unified one."""
    found = {}
    for line in Path(f"/proc/{engine.state(container)['Pid']}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            if not (host.CGROUPS / "cgroup.controllers").exists():
                top = host.CGROUPS / (name.removeprefix("name=") or "unified")
            else:
                top = host.CGROUPS
            found[name] = Path(f"{top}{path}")
    return found


def value(engine: Engine, container: str, controller: str, v1: str, v2: str) -> str:
    found = groups(engine, container)
    if controller in found:
        return (found[controller] / v1).read_text().strip()
    return (found[""] / v2).read_text().strip()


def test_limits_at_the_start_and_by_update(engine: Engine) -> None:
    limits = ("--memory", "64m", "--memory-swap", "64m", "--pids-limit", "50")
    limits += ("--cpu-period", "100000", "--cpu-quota", "50000")
    engine.run("-d", "--name", "web", *limits, "--cpuset-cpus", "0", IMAGE, "sleep", "1000")

    def memory() -> str:
        return value(engine, "web", "memory", "memory.limit_in_bytes", "memory.max")

    def cpu() -> list[str]:
        if "cpu" in groups(engine, "web"):
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            return [value(engine, "web", "cpu", name, "") for name in names]
        return value(engine, "web", "", "", "cpu.max").split()

    assert memory() == str(64 << 20)
    assert cpu() == ["50000", "100000"]
    assert value(engine, "web", "pids", "pids.max", "pids.max") == "50"
    assert value(engine, "web", "cpuset", "cpuset.cpus", "cpuset.cpus") == "0"
    # podman 4.3's update takes no memory-swap below the one that is; docker's wants both.
    engine("update", "--memory", "96m", "--memory-swap", "96m", "--cpu-quota", "70000", "web")
    assert memory() == str(96 << 20)
    assert cpu() == ["70000", "100000"]
    if engine.name == "docker":  # podman's update of version 4.3 has no such option
        engine("update", "--pids-limit", "60", "web")
        assert value(engine, "web", "pids", "pids.max", "pids.max") == "60"
        assert memory() == str(96 << 20)
    # The container, paused and not, is as it was.
    assert engine("exec", "web", "echo", "well").stdout == "well\n"


def test_out_of_memory_is_said(engine: Engine) -> None:
    # tail keeps a line of /dev/zero, which never ends.
    said = {}
    for runtime in (RUNC, FASTBOX):
        words = ("--name", "web", "--memory", "16m", "--memory-swap", "16m", IMAGE)
        engine.run("-d", *words, "sh", "-c", "sleep 0.5; exec tail /dev/zero", runtime=runtime)
        assert engine.wait("web", "exited")["ExitCode"] == 137
        time.sleep(0.2)  # docker hears of it on another way than of the end
        said[runtime] = engine.state("web")["OOMKilled"]
        engine("rm", "web")
    # podman's conmon finds no group to watch on a machine with both cgroup versions, whatever the runtime.
    assert said[FASTBOX] == said[RUNC]
    assert said[FASTBOX] or engine.name == "podman"


def test_no_more_processes_than_allowed(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"
    done = engine.run("--rm", "--pids-limit", "5", IMAGE, "sh", "-c", script, check=False)
    assert done.returncode != 0
    assert "can't fork" in done.stderr


def test_ulimits(engine: Engine) -> None:
    words = (
        "--ulimit",
        "nofile=77:88",
        "--ulimit",
        "core=0",
        IMAGE,
        "sh",
        "-c",
        "ulimit -Sn; ulimit -Hn; ulimit -c",
    )
    assert engine.run("--rm", *words).stdout.split() == ["77", "88", "0"]
