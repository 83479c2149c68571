"""Containers under a private containerd by hand with `ctr`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..integration import host
from .documents import PROGRAM, blocks, configuration
from .engines import Command, Done, await_ready
from .place import IMAGE, Place

PAUSE = "localhost/pause:test"
MEBIBYTE = 1 << 20
# ctr loses the output of what ends before it has opened its FIFOs: one in a hundred, with runc too.
LATER = "sleep 0.2"
SOCKETS = Path("/run/containerd/s")  # of shims; containerd has no setting for it


class Ctr(Command):
    """A private containerd and its `ctr`; the runtime is registered as docs/kubernetes.md says."""

    def __init__(self, place: Place, program: str) -> None:
        self.place, self.program = place, program
        base = self.base = place.directory("containerd")
        self.address, self.runtimes = base / "containerd.sock", base / "runtime"
        (base / "config.toml").write_text(self.configuration())
        self.words = ("ctr",)
        self.environ = {
            **os.environ,
            "CONTAINERD_ADDRESS": str(self.address),
            "CONTAINERD_NAMESPACE": base.parent.name,
        }
        self.sockets = sockets()
        self.log = (base / "log").open("wb")
        self.daemon = subprocess.Popen(
            ["containerd", "--config", str(base / "config.toml")],
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            cwd=base,
        )
        try:
            await_ready(self, self.daemon, base / "log", "version")
        except BaseException:
            self.stop()
            raise

    def configuration(self) -> str:
        base = self.base
        return "\n".join(
            [
                *(f'root = "{base}/root"', f'state = "{base}/state"'),
                configuration("kubernetes.md", "containerd-configuration", self.program),
                f'Root = "{self.runtimes}"',
                *("[grpc]", f'address = "{self.address}"'),
                '[plugins."io.containerd.grpc.v1.cri"]',
                *(f'sandbox_image = "{PAUSE}"', "disable_apparmor = true"),
                '[plugins."io.containerd.grpc.v1.cri".cni]',
                *(f'bin_dir = "{base}/cni"', f'conf_dir = "{base}/cni"'),
                '[plugins."io.containerd.internal.v1.opt"]',
                f'path = "{base}/opt"\n',
            ]
        )

    def run(
        self, name: str, *command: str, flags: tuple[str, ...] = (), check: bool = True
    ) -> Done:
        return self(*self.create(name, *command, flags=flags), check=check)

    def create(self, name: str, *command: str, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
        return (
            *("run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self.program),
            *("--runc-root", str(self.runtimes), "--fifo-dir", str(self.base / "fifo")),
            *("--cgroup", f"{self.place.parent}/ctr/{name}", *flags, IMAGE, name, *command),
        )

    def exec(self, name: str, *command: str, check: bool = True) -> Done:
        flags = ("--fifo-dir", str(self.base / "fifo"), "--exec-id", "more")
        return self("task", "exec", *flags, name, *command, check=check)

    def status(self, name: str) -> str:
        lines = self("task", "ls").stdout.splitlines()
        return next((line.split()[2] for line in lines if line.split()[0] == name), "")

    def wait(self, name: str, status: str) -> None:
        until(lambda: self.status(name) == status, f"{name} is never {status}")

    def metrics(self, name: str) -> dict[str, Any]:
        found = json.loads(self("task", "metrics", "--format", "json", name).stdout)
        assert isinstance(found, dict)
        return found

    def clear(self) -> None:
        for name in self("task", "ls", "-q").stdout.split():
            self("task", "delete", "--force", name, check=False)
        for name in self("container", "ls", "-q").stdout.split():
            self("container", "delete", name, check=False)

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self.stop()
        default = Path("/run/containerd/runc") / self.environ["CONTAINERD_NAMESPACE"]
        if default.exists():  # of the document's commands, which name no directory
            default.rmdir()

    def stop(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(30 * host.SLOW)
        self.log.close()


def sockets() -> set[str]:
    return set(os.listdir(SOCKETS)) if SOCKETS.exists() else set()


def until(done: Callable[[], bool], message: str) -> None:
    end = time.monotonic() + 15 * host.SLOW
    while not done():
        assert time.monotonic() < end, message
        time.sleep(0.05)


@pytest.fixture(scope="module")
def containerd(place: Place, program: str, image: Path) -> Iterator[Ctr]:
    ctr = Ctr(place, program)
    try:
        ctr("image", "import", str(image))
        yield ctr
    finally:
        ctr.close()


@pytest.fixture(autouse=True)
def nothing_of_containerd_left(containerd: Ctr, nothing_left: None) -> Iterator[None]:
    """What `nothing_left` does not know: the runtime's directories, the shims' sockets, bundles."""
    yield
    if containerd("container", "ls", "-q").stdout:
        containerd.clear()
    bundles = containerd.base / "state" / "io.containerd.runtime.v2.task"

    def left() -> list[str]:
        # @seccomp is the runtime's own: compiled filters, kept for the next container.
        found = [*containerd.runtimes.glob("*/[!@]*"), *bundles.glob("*/*")]
        return [*map(str, found), *(sockets() - containerd.sockets)]

    until(lambda: not left(), f"left behind: {left()}")


@pytest.fixture
def web(containerd: Ctr) -> str:
    """A detached container that writes and sleeps, and ends with 7 at a SIGTERM."""
    script = "trap 'exit 7' TERM; touch /ready; while :; do sleep 0.05; done"
    flags = ("--detach", "--null-io", "--memory-limit", str(64 * MEBIBYTE))
    containerd.run("web", "sh", "-c", script, flags=flags)
    until(lambda: containerd.exec("web", "ls", "/ready", check=False).returncode == 0, "no /ready")
    return "web"


def remove(ctr: Ctr, name: str) -> int:
    """Delete the task, then the container; `task delete` warns of an exit code that is not zero."""
    said = ctr("task", "delete", name).stderr
    ctr("container", "delete", name)
    assert name not in ctr("container", "ls", "-q").stdout.split()
    found = re.search(r"exit with non-zero exit code (\d+)", said)
    return int(found[1]) if found else 0


def test_run_passes_output_environment_and_exit_code(containerd: Ctr) -> None:
    script = f"{LATER}; echo out; echo err >&2; echo $WORD; pwd; exit 3"
    flags = ("--rm", "--env", "WORD=a word", "--cwd", "/tmp")
    done = containerd.run("first", "sh", "-c", script, flags=flags, check=False)
    assert (done.returncode, done.stdout) == (3, "out\na word\n/tmp\n")
    assert done.stderr == "err\n"


def test_run_has_a_terminal(containerd: Ctr) -> None:
    script = "tty; printf '$ '; read line; echo got $line; exit 5"
    words = containerd.create("shown", "sh", "-c", script, flags=("--rm", "-t"))
    code, shown = containerd.terminal(*words, typed=b"words\n")
    assert code == 5
    assert "/dev/pts/0" in shown
    assert "got words" in shown


def test_a_program_that_is_missing_is_an_error(containerd: Ctr) -> None:
    done = containerd.run("missing", "/no/such", flags=("--rm",), check=False)
    assert done.returncode == 1
    assert "/no/such" in done.stderr
    assert containerd.status("missing") == ""


def test_exec_gives_exit_codes_and_a_missing_command_is_an_error(containerd: Ctr, web: str) -> None:
    assert containerd.exec(web, "sh", "-c", f"{LATER}; echo inside").stdout == "inside\n"
    assert containerd.exec(web, "sh", "-c", "exit 3", check=False).returncode == 3
    done = containerd.exec(web, "/no/such", check=False)
    assert done.returncode == 1
    assert "/no/such" in done.stderr
    assert containerd.exec(web, "true").returncode == 0


def test_ps_lists_the_processes_of_the_container(containerd: Ctr) -> None:
    script = "sleep 1000 & sleep 1001; wait"
    containerd.run("web", "sh", "-c", script, flags=("--detach", "--null-io"))

    def listed() -> list[str]:
        lines = containerd("task", "ps", "web").stdout.splitlines()[1:]
        pids = [line.split()[0] for line in lines]
        words = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
        return sorted(word.replace(b"\0", b" ").decode().split(" ", 1)[1].strip() for word in words)

    wanted = ["-c " + script, "1000", "1001"]
    until(lambda: listed() == wanted, f"{listed()}")


def test_pause_stops_all_and_resume_goes_on(containerd: Ctr, web: str) -> None:
    containerd("task", "pause", web)
    assert containerd.status(web) == "PAUSED"
    assert containerd.exec(web, "true", check=False).returncode != 0
    containerd("task", "resume", web)
    assert containerd.status(web) == "RUNNING"
    assert containerd.exec(web, "true").returncode == 0


def test_metrics_are_the_container_s_own(containerd: Ctr, web: str) -> None:
    found = containerd.metrics(web)
    assert 1 <= int(found["pids"]["current"]) <= 3
    usage = found["memory"]["usage"]
    if isinstance(usage, dict):  # cgroups v1 has an object, v2 plain numbers
        assert int(usage["limit"]) == 64 * MEBIBYTE
        assert 0 < int(usage["usage"]) < 64 * MEBIBYTE
        assert int(found["cpu"]["usage"]["total"]) > 0
    else:
        assert int(found["memory"]["usage_limit"]) == 64 * MEBIBYTE
        assert 0 < int(usage) < 64 * MEBIBYTE
        assert int(found["cpu"]["usage_usec"]) > 0


def test_the_memory_limit_holds(containerd: Ctr) -> None:
    flags = ("--rm", "--memory-limit", str(16 * MEBIBYTE))
    words = ("dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1")
    assert containerd.run("greedy", *words, flags=flags, check=False).returncode == 137
    assert containerd.run("greedy", *words, flags=("--rm",)).returncode == 0


def test_term_lets_it_end_and_delete_gives_the_exit_code(containerd: Ctr, web: str) -> None:
    refused = containerd("task", "delete", web, check=False)
    assert refused.returncode != 0
    assert containerd.status(web) == "RUNNING"
    containerd("task", "kill", web)
    containerd.wait(web, "STOPPED")
    assert remove(containerd, web) == 7


def test_kill_ends_what_does_not_listen(containerd: Ctr) -> None:
    script = "trap '' TERM; sleep 1000"
    containerd.run("deaf", "sh", "-c", script, flags=("--detach", "--null-io"))
    containerd("task", "kill", "--signal", "SIGKILL", "deaf")
    containerd.wait("deaf", "STOPPED")
    assert remove(containerd, "deaf") == 137


def test_the_death_of_the_process_from_outside_is_noticed(containerd: Ctr, web: str) -> None:
    lines = containerd("task", "ls").stdout.splitlines()
    pid = next(int(line.split()[1]) for line in lines if line.split()[0] == web)
    os.kill(pid, signal.SIGKILL)
    containerd.wait(web, "STOPPED")
    assert remove(containerd, web) == 137


def test_groups_of_systemd_are_refused_in_one_line(containerd: Ctr) -> None:
    flags = ("--rm", "--runc-systemd-cgroup", "--cgroup", "system.slice:fastbox:web")
    done = containerd.run("web", "true", flags=flags, check=False)
    assert done.returncode == 1
    assert "systemd" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_document_s_commands(containerd: Ctr) -> None:
    block = blocks("runtimes.md")["ctr"]
    for _ in range(3):  # see LATER
        done = subprocess.run(
            ["sh", "-ec", block.text.replace(PROGRAM, containerd.program)],
            env=containerd.environ,
            capture_output=True,
            text=True,
            timeout=60 * host.SLOW,
        )
        assert done.returncode == 0, done.stderr
        if done.stdout == block.output:
            return
    raise AssertionError(f"{done.stdout!r} is not {block.output!r}")
