"""Where a limit's file is, on either layout of control groups, seen from inside a container."""

from __future__ import annotations

import json
import os

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def file(controller: str, v1: str, v2: str) -> str:
    """A file of the container's own group."""
    return f"/sys/fs/cgroup/{v2}" if V2 else f"/sys/fs/cgroup/{controller}/{v1}"


def value(run: str, container: str, v1: str, v2: str) -> str:
    """What the kernel has in a file of a running container's groups, seen from the host."""
    with open(f"{run}/containers/{container}", encoding="utf-8") as file:
        directories = json.load(file)["cgroups"]
    for directory in directories:
        path = f"{directory}/{v2 if V2 else v1}"
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.read().strip()
    raise AssertionError(f"no group with {v2 if V2 else v1} among {directories}")
