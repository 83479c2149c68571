"""Where a limit's file is, on either layout of control groups, seen from inside a container."""

from __future__ import annotations

import os

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")


def file(controller: str, v1: str, v2: str) -> str:
    """A file of the container's own group."""
    return f"/sys/fs/cgroup/{v2}" if V2 else f"/sys/fs/cgroup/{controller}/{v1}"
