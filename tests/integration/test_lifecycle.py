"""Containers that live on: from other processes, after the client's death, after the supervisor's death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from . import host
from .conftest import Box, busybox_tar
from .host import until

pytestmark = pytest.mark.integration

IDLE = ["busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]


@pytest.fixture
def idle(box: Box) -> Iterator[str]:
    name = "idle"
    box("run", "-d", "--name", name, *IDLE)
    yield name
    box("rm", "-f", name)


def state(box: Box, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(box("inspect", name).stdout)[0]["State"]
    return found


def test_detached_prints_the_id_and_is_listed(box: Box, idle: str) -> None:
    listed = box("ps", "--no-trunc").stdout.splitlines()
    assert listed[0].split()[:2] == ["CONTAINER", "ID"]
    assert len(listed) == 2
    row = listed[1]
    assert len(row.split()[0]) == 64
    assert "busybox" in row
    assert "Up" in row
    assert row.endswith(idle)
    assert state(box, idle)["Running"] is True


def test_stop_asks_first(box: Box, idle: str) -> None:
    assert box("stop", idle).stdout.strip() == idle
    assert state(box, idle)["ExitCode"] == 0
    assert state(box, idle)["Status"] == "exited"
    assert box("ps", "-q").stdout == ""
    assert "Exited (0)" in box("ps", "-a").stdout


def test_stop_kills_after_the_timeout(box: Box) -> None:
    box(
        "run",
        "-d",
        "--name",
        "deaf",
        "busybox",
        "sh",
        "-c",
        "trap '' TERM; while :; do sleep 0.05; done",
    )
    time.sleep(0.2)
    begin = time.monotonic()
    box("stop", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - begin < 5 * host.SLOW
    assert state(box, "deaf")["ExitCode"] == 137
    box("rm", "deaf")


def test_kill_and_wait_from_another_process(box: Box, idle: str) -> None:
    waiter = box.start("wait", idle, stdout=subprocess.PIPE)
    time.sleep(0.1)
    box("kill", "-s", "KILL", idle)
    out, _ = waiter.communicate(timeout=10 * host.SLOW)
    assert out == b"137\n"
    assert box("wait", idle).stdout == "137\n"


def test_logs_keep_streams_apart(box: Box) -> None:
    box("run", "--name", "talk", "busybox", "sh", "-c", "echo out; echo err >&2; printf part")
    done = box("logs", "talk")
    assert (done.stdout, done.stderr) == ("out\npart", "err\n")
    assert box("logs", "--tail", "1", "talk").stdout == "part"
    stamped = box("logs", "-t", "talk").stdout.splitlines()[0]
    assert stamped.endswith("Z out")
    box("rm", "talk")


def test_logs_follow_to_the_end(box: Box) -> None:
    box(
        "run",
        "-d",
        "--name",
        "slow",
        "busybox",
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.2; done",
    )
    assert box("logs", "-f", "slow").stdout == "1\n2\n3\n"
    box("rm", "-f", "slow")


def test_remove_refuses_a_running_container(box: Box, idle: str) -> None:
    message = box.fails("rm", idle, code=1)
    assert "running" in message
    box("rm", "-f", idle)
    assert box("ps", "-aq").stdout == ""
    box("run", "-d", "--name", idle, *IDLE)


def test_a_name_is_taken_once(box: Box, idle: str) -> None:
    assert idle in box.fails("run", "--rm", "--name", idle, "busybox", "true")


def test_exec(box: Box, idle: str) -> None:
    assert box("exec", idle, "echo", "hi").stdout == "hi\n"
    assert box("exec", "-i", idle, "cat", stdin=b"in").stdout == "in"
    assert box("exec", idle, "sh", "-c", "exit 5", check=False).returncode == 5
    assert box("exec", idle, "no-such", check=False).returncode == 127
    assert box("exec", idle, "/etc/passwd", check=False).returncode == 126
    assert box(
        "exec", "-u", "app", "-w", "/tmp", "-e", "X=1", idle, "sh", "-c", "id -un; pwd; echo $X"
    ).stdout.split() == ["app", "/tmp", "1"]
    done = box("exec", idle, "sh", "-c", "echo o; echo e >&2")
    assert (done.stdout, done.stderr) == ("o\n", "e\n")


def test_exec_is_as_confined_as_the_container(box: Box, idle: str) -> None:
    inside = box("exec", idle, "cat", "/proc/self/status").stdout
    assert "CapEff:\t00000000a80425fb" in inside
    assert "Seccomp:\t2" in inside
    one = box(
        "exec",
        idle,
        "sh",
        "-c",
        "for n in cgroup ipc mnt net pid uts; do readlink /proc/1/ns/$n; done",
    ).stdout
    own = box(
        "exec",
        idle,
        "sh",
        "-c",
        "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done",
    ).stdout
    assert own == one
    assert (
        box("exec", idle, "cat", "/proc/self/cgroup").stdout
        == box("exec", idle, "cat", "/proc/1/cgroup").stdout
    )
    assert box("exec", idle, "sh", "-c", "ls /proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_exec_into_an_ended_container(box: Box, idle: str) -> None:
    box("kill", idle)
    box("wait", idle)
    assert "not running" in box.fails("exec", idle, "true", code=125)


def test_a_foreground_container_survives_its_client(box: Box) -> None:
    client = box.start(
        "run",
        "--name",
        "orphan",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "i=0; while [ $i -lt 1000 ]; do echo $i; i=$((i+1)); sleep 0.01; done",
        stdout=subprocess.PIPE,
    )
    assert client.stdout is not None
    client.stdout.readline()
    client.send_signal(signal.SIGKILL)
    client.wait(5 * host.SLOW)
    client.stdout.close()
    time.sleep(0.3)
    assert state(box, "orphan")["Running"] is True
    assert len(box("logs", "orphan").stdout.splitlines()) > 10
    box("stop", "-t", "0", "orphan")
    until(lambda: box("ps", "-aq").stdout == "")


def test_remains_of_a_killed_supervisor_are_cleaned(box: Box) -> None:
    before = host.supervisors(box.run_root)
    box("run", "-d", "--name", "kept", *IDLE)
    box("run", "-d", "--rm", "--name", "gone", *IDLE)
    new = [pid for pid in host.supervisors(box.run_root) if pid not in before]
    assert len(new) == 2
    pids = [int(str(state(box, name)["Pid"])) for name in ("kept", "gone")]
    for pid in new:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not host.supervisors(box.run_root))
    listed = box("ps", "-a").stdout
    assert "gone" not in listed
    assert "Exited (137)" in listed
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids) or not any(
        _alive(pid) for pid in pids
    )
    assert "supervisor" in str(state(box, "kept")["Error"])
    box("rm", "kept")


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_start_again(box: Box) -> None:
    box(
        "run",
        "--name",
        "twice",
        "busybox",
        "sh",
        "-c",
        "echo run; test -e /mark && echo marked; touch /mark",
    )
    box("start", "twice")
    box("wait", "twice")
    assert box("logs", "twice").stdout == "run\nrun\nmarked\n"
    box("rm", "twice")


def test_prefix_and_name_find_the_same(box: Box, idle: str) -> None:
    full = box("ps", "-q", "--no-trunc").stdout.strip()
    assert (
        json.loads(box("inspect", full[:6]).stdout)[0]["Id"]
        == full
        == json.loads(box("inspect", idle).stdout)[0]["Id"]
    )


def test_an_image_in_use_is_not_removed(box: Box, idle: str) -> None:
    message = box.fails("rmi", "busybox", code=1)
    assert "use" in message


def test_a_client_whose_output_nobody_reads_ends(box: Box) -> None:
    script = f"{box.program} run --rm --name endless busybox yes | head -n 1"
    done = subprocess.run(
        ["bash", "-c", f"{script}; echo ${{PIPESTATUS[0]}}"],
        env=box.environ,
        capture_output=True,
        text=True,
        timeout=20 * host.SLOW,
        check=True,
    )
    assert done.stdout == "y\n141\n"
    assert done.stderr == ""
    box("kill", "endless")
    until(lambda: box("ps", "-aq").stdout == "")


@pytest.mark.parametrize(
    ("flags", "words", "entrypoint", "cmd"),
    [
        ((), (), ["echo", "-n"], ["hi"]),
        ((), ("you",), ["echo", "-n"], ["you"]),
        (("--entrypoint", "ls"), (), ["ls"], None),
        (("--entrypoint", "ls"), ("/",), ["ls"], ["/"]),
        (("--entrypoint", ""), ("true",), None, ["true"]),
    ],
)
def test_inspect_tells_entry_point_and_arguments_apart(
    box: Box, flags: tuple[str, ...], words: tuple[str, ...], entrypoint: object, cmd: object
) -> None:
    image = ("-c", 'ENTRYPOINT ["echo", "-n"]', "-c", 'CMD ["hi"]', "-", "entry")
    box("import", *image, stdin=busybox_tar())
    name = box("create", *flags, "entry", *words).stdout.strip()
    found = json.loads(box("inspect", name).stdout)[0]
    box("rm", name)
    box("rmi", "entry")
    assert (found["Config"]["Entrypoint"], found["Config"]["Cmd"]) == (entrypoint, cmd)
    assert [found["Path"], *found["Args"]] == [*(entrypoint or []), *(cmd or [])]  # type: ignore[misc]
