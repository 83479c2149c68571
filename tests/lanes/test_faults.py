"""Every system call that a start makes fails once: what it had acquired is released, the error says where, the next start works.

No build of its own and no list of places: the calls of the supervisor and of its child up to the command's first are counted, and for n = 1,
2, ... the n-th fails. A failure that is no harm to the start has to give the very container that no failure gives.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastbox.containers.attachment import Streams
from fastbox.errors import LaunchError, Timeout
from fastbox.runtime.supervisor import Conversation, SupervisorGone, sync
from fastbox.support import paths

from ..integration import host
from ..integration.conftest import Box
from .notify import Asked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # a start for each call of a start
LOOK = r"""
grep -E '^(Cap|NoNewPrivs|Sig[BI]|Uid|Gid|Groups|Seccomp)' /proc/self/status
awk '{o = ""; for (i = 7; $i != "-"; i++) o = o $i; print $5, $6, o, $(i + 1)}' /proc/self/mountinfo
stat -c '%n %F %a %u %g %t,%T' /dev/* /volume; ls -l /proc/self/ns | sed 's/.*-> //;s/:.*//'
id; pwd; hostname; umask; ulimit -a; env | sort; tty; ifconfig lo | grep -c UP; ls /proc/self/fd
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/self/oom_score_adj; ls -l /sbin/docker-init
head -c 10 /proc/keys | wc -c; ls /sys/firmware | wc -l; touch /x /volume/x /proc/sys/x 2>&1; true
"""
FLAGS = [
    "--network",
    "none",
    *("--hostname", "box", "--domainname", "domain", "--memory", "64m", "--pids-limit", "50"),
    *("--ulimit", "nofile=100", "--tmpfs", "/scratch", "--user", "app", "--workdir", "/tmp"),
    *("--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--init", "--name", "template"),
]
# The others are reached in the variants that have them, and in test_faults_oci.py.
STAGES = {
    *("request", "spec", "plan", "record", "stdio", "cgroup", "clone", "network", "rootfs"),
    *("mount", "dev", "pivot_root", "hostname", "sysctl", "rlimit", "user", "credentials"),
    *("capabilities", "working directory", "exec"),
}
VARIANTS = {"plain": [], "terminal": ["-t"], "privileged": ["--read-only", "--privileged"]}


class Outcome:
    """How one start went."""

    def __init__(self) -> None:
        self.error: LaunchError | None = None
        self.turned_away = False  # the conversation ended before there was an answer
        self.code, self.output = -1, ""
        self.failed, self.calls = "", []

    def __repr__(self) -> str:
        error = self.error
        how = f"{error.stage}: {error.call}" if error else f"code {self.code}"
        how = "turned away" if self.turned_away else how
        return f"call {len(self.calls)}, {self.failed}: {how}"


class Supervisor:
    """A session's supervisor below the filter, and containers for it that are all alike."""

    def __init__(self, box: Box, template: Path) -> None:
        self.box, self.template = box, template
        self.terminal = '"terminal":true' in (template / "config.json").read_text()
        self.ids: list[str] = []
        self.name = f"faults-{secrets.token_hex(4)}"
        directory = Path(box.run_root) / "supervisors" / self.name
        directory.mkdir(parents=True, mode=0o700)
        program = paths.libexec("fastbox-supervisor")
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        owner = os.pidfd_open(os.getpid())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(f"{directory}/sock")
            listener.listen()
            fds = (lock, listener.fileno(), owner)
            script = 'exec 3<&{} 4<&{} 5<&{}; exec "$@"'.format(*fds)
            words = ["bash", "-c", script, "bash", program, box.run_root, self.name, "tied"]
            self.asked = Asked(program, *words, pass_fds=fds)
        os.close(lock)
        os.close(owner)

    @property
    def pid(self) -> int:
        return self.asked.process.pid

    def container(self) -> tuple[str, Path]:
        """A new one, ready to be launched; it is removed when it ends."""
        name, store = secrets.token_hex(32), Path(self.box.root)
        self.ids.append(name)
        directory = store / "containers" / name
        shutil.copytree(self.template, directory, symlinks=True)
        text = (directory / "config.json").read_text()
        text = text.replace(self.template.name, name).replace("template", f"fault-{name[:8]}")
        (directory / "config.json").write_text(text)
        (store / "names" / f"fault-{name[:8]}").symlink_to(f"../containers/{name}")
        return name, directory

    def launch(self, number: int, code: int = errno.EIO) -> Outcome:
        """One start whose `number`-th call fails, to its end and until all of it is released."""
        name, directory = self.container()
        message = {"op": "launch", "id": name, "bundle": str(directory), "tied": True}
        with Conversation(self.box.run_root, self.name) as conversation:
            outcome = self._ask(conversation, message, number, code)
        live = Path(self.box.run_root) / "containers" / name
        while outcome.turned_away and live.exists():
            time.sleep(0.01)  # it was started all the same: its end is the supervisor's
        if (outcome.error or outcome.turned_away) and directory.exists():
            # Before the configuration was read nobody knew that it was to be removed: that is the caller's then.
            if outcome.error and outcome.error.stage != "request":
                assert json.loads((directory / "exit").read_text())["error"], outcome
            shutil.rmtree(directory)
            (Path(self.box.root) / "names" / f"fault-{name[:8]}").unlink()
        return outcome

    def _ask(
        self, conversation: Conversation, message: dict[str, object], number: int, code: int
    ) -> Outcome:
        outcome = Outcome()
        streams = Streams(["stdout"] if self.terminal else ["stdout", "stderr"])
        self.asked.arm(number, code)
        try:
            conversation.ask(message | {"streams": streams.names}, streams.theirs)
        except LaunchError as error:
            outcome.error = error
        except SupervisorGone:
            outcome.turned_away = True
        outcome.failed, outcome.calls = self.asked.disarm(), self.asked.calls
        streams.sent()
        if outcome.error is None and not outcome.turned_away:
            try:
                outcome.code = conversation.wait(20 * host.SLOW).code
            except Timeout:
                raise AssertionError(f"never told of the end: {outcome}") from None
            outcome.output = b"".join(drain(fd) for fd in streams.ours.values()).decode()
        streams.close()
        sync(self.box.run_root, self.name)
        return outcome

    def holds(self) -> dict[str, object]:
        """What a start could leave behind, in this process and elsewhere."""
        process, store = Path(f"/proc/{self.pid}"), Path(self.box.root)
        children = (process / "task" / str(self.pid) / "children").read_text().split()
        maps = (process / "maps").read_text().splitlines()
        status = (process / "status").read_text().splitlines()
        return {
            "descriptors": links(process / "fd"),
            "namespaces": links(process / "ns"),
            "signals": [x for x in status if x.startswith(("SigBlk", "SigIgn", "SigCgt"))],
            "children": len(children) - 1,  # the releaser
            "mappings": len([x for x in maps if "[heap]" not in x]),
            "mounts": [x for x in host.mounts() if str(store) in x],
            "cgroups": [x for x in host.cgroups() if x.endswith(tuple(self.ids))],
            "containers": os.listdir(store / "containers"),
            "names": os.listdir(store / "names"),
            "live": os.listdir(Path(self.box.run_root) / "containers"),
            "temporary": os.listdir(store / "tmp"),
        }

    def left(self, before: dict[str, object]) -> dict[str, object]:
        """What it holds now and did not before, once that is nothing or a while is over."""
        end = time.monotonic() + 3 * host.SLOW
        while True:
            after = self.holds()
            left = {key: after[key] for key in after if after[key] != before[key]}
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.002)

    def close(self) -> None:
        with Conversation(self.box.run_root, self.name) as conversation:
            conversation.ask({"op": "close"})
        assert self.asked.process.wait(20 * host.SLOW) == 0
        self.asked.close()


def links(directory: Path) -> list[str]:
    """Where they lead; sockets and pipes without their numbers."""
    found = []
    for link in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(link))
    numbered = ("socket:", "pipe:")
    return sorted(x.split(":")[0] if x.startswith(numbered) else x for x in found)


def drain(fd: int) -> bytes:
    with open(fd, "rb", closefd=False) as pipe:
        return pipe.read()


@pytest.fixture
def supervisor(box: Box, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    """From a container that the engine itself makes, so that nothing here says what a start is."""
    (tmp_path / "volume").mkdir()
    flags = [*FLAGS, *VARIANTS[request.param], "-v", f"{tmp_path}/volume:/volume:ro"]
    box("run", *flags, "busybox", "sh", "-c", LOOK)
    (made,) = (Path(box.root) / "containers").iterdir()
    template = tmp_path / made.name
    shutil.copytree(made, template, symlinks=True)
    box("rm", "template")
    config = json.loads((template / "config.json").read_text())
    config["fastbox"]["remove"] = True
    config["process"]["oomScoreAdj"] = 500
    for part in ("upper", "work"):
        shutil.rmtree(template / part, ignore_errors=True)
        if "overlay" in config["fastbox"] and "upper" in config["fastbox"]["overlay"]:
            (template / part).mkdir()
    (template / "exit").unlink()
    text = json.dumps(config, separators=(",", ":"))
    (template / "config.json").write_text(text)
    supervisor = Supervisor(box, template)
    yield supervisor
    supervisor.close()


def sweep(supervisor: Supervisor, code: int) -> list[Outcome]:
    """One start for each call of a start."""
    supervisor.launch(0)
    # How often it waits, and so how many calls it makes, is the scheduler's.
    usual = min((supervisor.launch(10**6) for _ in range(3)), key=lambda each: len(each.calls))
    time.sleep(0.1)  # it has yet to see that the conversations are over
    before = supervisor.holds()
    assert usual.error is None
    assert usual.code == 0, usual.output
    outcomes, problems = [], []
    while not outcomes or outcomes[-1].failed:
        outcome = supervisor.launch(len(outcomes) + 1, code)
        outcomes.append(outcome)
        print(outcome, outcome.error or "", flush=True)
        started = outcome.error is None and not outcome.turned_away
        if started and outcome.output != usual.output:
            problems.append(f"{outcome}: another container: {difference(usual, outcome)}")
        left = supervisor.left(before)
        if left:
            was = {key: before[key] for key in left}
            problems.append(f"{outcome}: left: {left}, before: {was}")
            before |= left
    assert len(outcomes) > len(usual.calls) * 0.9
    assert not problems, "\n".join(problems)
    return outcomes[:-1]


def difference(usual: Outcome, outcome: Outcome) -> list[str]:
    lines = itertools.zip_longest(usual.output.splitlines(), outcome.output.splitlines())
    return [f"{a!r} is {b!r}" for a, b in lines if a != b][:3]


@pytest.mark.parametrize("supervisor", VARIANTS, indirect=True)
def test_every_call_of_a_start_fails_once(supervisor: Supervisor) -> None:
    outcomes = sweep(supervisor, errno.EIO)
    stages = {outcome.error.stage for outcome in outcomes if outcome.error}
    assert not STAGES - stages
