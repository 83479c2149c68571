"""Where the engines of these tests keep everything, and the proof that nothing of it is left.

Each engine has directories and a parent control group of its own, so that what it leaves behind can be told from what others on
the machine do: a mount, process or state directory is ours when its path or command line names the place.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from ..integration import host

IMAGE = "docker.io/library/busybox:latest"


def oci() -> str:
    program = shutil.which("fastbox-oci")
    assert program, "fastbox-oci is not on the PATH: run the tests with `make test-peers`"
    return program


class Place:
    """Directories, a parent control group, and what is to be found in them."""

    def __init__(self) -> None:
        # containerd's namespaces have letters and digits, single hyphens between them, and this names one.
        self.base = Path("/var/tmp") / f"fastbox-engines-{secrets.token_hex(4)}"
        self.base.mkdir(0o755)
        self.parent = "/" + self.base.name  # of every container's control group

    def directory(self, name: str) -> Path:
        path = self.base / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def mounts(self) -> list[str]:
        found = [mount for mount in host.mounts() if str(self.base) in mount]
        # Once each: the storage library's directory onto itself, dockerd's handle of the host's network.
        own = ("/podman/root/overlay", "/docker/exec/netns/default")
        return [mount for mount in found if not mount.endswith(own)]

    def groups(self) -> list[str]:
        """Control groups of containers: everything below the parents but the engines' own `conmon`."""
        found = []
        for hierarchy in [host.CGROUPS, *host.CGROUPS.iterdir()]:
            top = f"{hierarchy}{self.parent}"
            found += [path for path, _, _ in os.walk(top) if path.count("/") > top.count("/") + 1]
        return sorted(path for path in found if "conmon" not in path)

    def processes(self) -> list[str]:
        found = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.base) in words and int(file.parent.name) != os.getpid():
                found.append(f"{file.parent.name} {words[:200]}")
        return sorted(found)

    def states(self) -> list[str]:
        """Containers that the runtime itself still knows of, and namespaces held by a file."""
        found = []
        for path in [
            *Path("/run/fastbox-oci").glob("*"),
            *self.base.glob("*/exec/runtime-fastbox/*/*"),
        ]:
            try:
                mine = str(self.base) in (path / "state.json").read_text()
            except FileNotFoundError:
                mine = not (path / "state.json").exists() and path.parent.parent.is_relative_to(
                    self.base
                )
            found += [str(path)] if mine else []
        return sorted(found + [str(path) for path in Path("/run/netns").glob("cni-*")])

    def snapshot(self) -> dict[str, list[str]]:
        return {
            "mounts": self.mounts(),
            "groups": self.groups(),
            "processes": self.processes(),
            "states": self.states(),
        }

    def left(self, before: dict[str, list[str]], seconds: float = 15.0) -> dict[str, list[str]]:
        """What is there and was not `before`, once it is nothing or the time is over."""
        end = time.monotonic() + seconds * host.SLOW
        while True:
            now = self.snapshot()
            more = {key: [x for x in now[key] if x not in before[key]] for key in before}
            more = {key: value for key, value in more.items() if value}
            if not more or time.monotonic() > end:
                return more
            time.sleep(0.05)

    def close(self) -> None:
        for mount in sorted(
            (mount for mount in host.mounts() if str(self.base) in mount), reverse=True
        ):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        for hierarchy in [host.CGROUPS, *host.CGROUPS.iterdir()]:
            for path, _, _ in os.walk(f"{hierarchy}{self.parent}", topdown=False):
                os.rmdir(path)
        shutil.rmtree(self.base)
