"""What a reader must know of the machine before believing a figure."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping


def load() -> list[float]:
    """The load averages of 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def busy(seconds: float = 1.0) -> float:
    """The share of the processors (0 to 1) that others use while we wait, or steal."""

    def times() -> tuple[int, int]:
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(word) for word in file.readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    before = times()
    time.sleep(seconds)
    whole, idle = (after - first for after, first in zip(times(), before, strict=True))
    return round(1 - idle / max(whole, 1), 3)


def _field(path: str, name: str) -> str:
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return "unknown"


def _cgroups() -> str:
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "hybrid" if os.path.ismount("/sys/fs/cgroup/unified") else "v1"


def file_system(path: str) -> str:
    """The type of the file system that holds `path`."""
    best, kind = "", "unknown"
    with open("/proc/self/mounts", encoding="utf-8") as file:
        for line in file:
            _, point, fstype, *_ = line.split()
            inside = point == "/" or (path + "/").startswith(point + "/")
            if inside and len(point) >= len(best):
                best, kind = point, fstype
    return kind


def describe(scratch: str) -> dict[str, str | int]:
    """Kernel, processors, memory, control groups and the file system under the store."""
    return {
        "kernel": platform.release(),
        "cpus": os.cpu_count() or 0,
        "model": _field("/proc/cpuinfo", "model name"),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "cgroups": _cgroups(),
        "file_system": file_system(scratch),
        "python": platform.python_version(),
    }


def version(command: str, env: Mapping[str, str]) -> str | None:
    """The first line of `command --version`; None when there is no such command."""
    path = shutil.which(command)
    if not path:
        return None
    done = subprocess.run(
        [path, "--version"], capture_output=True, text=True, env=dict(env), check=False
    )
    return (done.stdout or done.stderr).strip().partition("\n")[0]
