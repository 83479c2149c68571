"""Where the judged runtimes stand: mount namespaces of the tests' own, so that no fixture's mount ever reaches the host's table."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
# All groups that a test asks for lie below this one, in every hierarchy; others may run the same tests beside these.
GROUP = f"/conformance-{os.getpid()}"


class Stage:
    """A mount namespace that lives as long as the process that waits in it."""

    def __init__(self, setup: str, inside: list[str] | None = None) -> None:
        self.keeper = subprocess.Popen(
            [
                *(inside or []),
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-ec",
                f"{setup}\necho ready; exec cat",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.keeper.stdout
        assert self.keeper.stdout.readline() == b"ready\n", setup
        self.enter = ["nsenter", f"--mount=/proc/{self.keeper.pid}/ns/mnt"]

    def run(self, *words: str) -> None:
        subprocess.run([*self.enter, *words], check=True)

    def mounts(self) -> list[str]:
        text = Path(f"/proc/{self.keeper.pid}/mountinfo").read_text()
        return sorted(line.split()[4] for line in text.splitlines())

    def close(self) -> None:
        assert self.keeper.stdin
        assert self.keeper.stdout
        self.keeper.stdin.close()
        self.keeper.stdout.close()
        self.keeper.wait(10)


class Holder:
    """A process that sits in new namespaces of the kinds named, for a container to be given by path."""

    def __init__(self, stage: Stage, *kinds: str) -> None:
        flags = [f"--{kind}" for kind in kinds]
        if "pid" in kinds:
            flags += ["--fork", "--kill-child"]
        self.process = subprocess.Popen(
            [*stage.enter, "unshare", *flags, "sh", "-c", "echo ready; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == b"ready\n"
        self.pid = self.process.pid
        if "pid" in kinds:
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
            self.pid = int(children.split()[0])

    def path(self, kind: str) -> str:
        return f"/proc/{self.pid}/ns/{kind}"

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def groups() -> list[str]:
    """Every group below the tests' own, in every hierarchy, parents first."""
    found = []
    for top in tops():
        found += [path for path, _, _ in os.walk(top) if path != str(top)]
    return sorted(found)


def tops() -> list[Path]:
    """Where the tests' own groups begin: below the hierarchies' roots, and below the group that the tests run in."""
    own = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    places = [CGROUPS, *CGROUPS.glob("*/")]
    found = {place / path[1:] / GROUP[1:] for place in places for path in own}
    return sorted(path for path in found if path.exists())


def sweep() -> list[str]:
    """Remove all empty groups of the tests; those that are not empty are the answer."""
    stuck = []
    for path in reversed(groups()):
        try:
            os.rmdir(path)
        except OSError:
            stuck.append(path)
    return stuck


def remove_groups() -> None:
    """The tests' own groups, at their end."""
    sweep()
    for top in tops():
        top.rmdir()
