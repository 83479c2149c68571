"""One container of one party, led through its life by the runtime's commands."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from ..integration.host import SLOW
from .bundle import Bundle
from .party import Party


class Container:
    """The commands with the id filled in."""

    def __init__(self, party: Party, bundle: Bundle) -> None:
        self.party, self.bundle, self.id = party, bundle, bundle.name
        self.pid_file = bundle.path / "pid"
        self.pid = 0

    def create(self, *flags: str) -> None:
        words = ("create", "--bundle", str(self.bundle.path), "--pid-file", str(self.pid_file))
        self.party(*words, *flags, self.id)
        self.pid = int(self.pid_file.read_text())

    def detached(self, *flags: str) -> None:
        """`run --detach`."""
        words = ("run", "--detach", "--bundle", str(self.bundle.path))
        self.party(*words, "--pid-file", str(self.pid_file), *flags, self.id)
        self.pid = int(self.pid_file.read_text())

    def __call__(
        self, command: str, *words: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """A command whose only positional word is the id, options before it."""
        return self.party(command, *words, self.id, check=check)

    def kill(self, *signal: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.party("kill", self.id, *signal, check=check)

    def exec(
        self, *words: str, check: bool = True, flags: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        return self.party("exec", *flags, self.id, *words, check=check)

    def state(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self("state").stdout)
        return value

    def status(self) -> str:
        return str(self.state()["status"])

    def reach(self, status: str, seconds: float = 10) -> None:
        end = time.monotonic() + seconds * SLOW
        while (now := self.status()) != status:
            assert time.monotonic() < end, f"{self.id} is {now} and not {status}"
            time.sleep(0.01)

    def reap(self, seconds: float = 10) -> int:
        """The exit status of the container's process as its parent sees it: 128 and the signal, or its code."""
        status = reap(self.pid, seconds)
        self.pid = 0
        return status

    def exists(self) -> bool:
        return (self.party.root / self.id).exists()

    def end(self) -> None:
        """Kill it, reap it, delete it."""
        self.kill("KILL")
        self.reap()
        self("delete")

    def close(self) -> None:
        if self.exists():
            self("delete", "--force", check=False)
        if self.pid:
            try:
                self.reap()
            except ChildProcessError:
                pass
        self.bundle.close()


STATUSES: dict[int, int] = {}


def reap(pid: int, seconds: float = 10) -> int:
    """A process's exit status; others that end meanwhile are reaped too, since the first process of a pid namespace waits for them."""
    end = time.monotonic() + seconds * SLOW
    while pid not in STATUSES:
        found, status = os.waitpid(-1, os.WNOHANG)
        if found:
            STATUSES[found] = status
            continue
        assert time.monotonic() < end, f"process {pid} does not end"
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(STATUSES.pop(pid))
    return code if code >= 0 else 128 - code


def alive(pid: int) -> bool:
    """There is a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(path: Path, seconds: float = 10) -> str:
    """The text of a file that somebody else writes."""
    end = time.monotonic() + seconds * SLOW
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < end, f"{path} is not written"
        time.sleep(0.01)
    return path.read_text()
