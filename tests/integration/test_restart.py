"""Restart policies, `restart`, and what is started after a boot: docker's rules, kept by the supervisor itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from . import host
from .conftest import Box

until = partial(host.until, seconds=20.0)

pytestmark = pytest.mark.integration

FOREVER = ("busybox", "sh", "-c", "echo $$ >>/starts; sleep 100000")


@pytest.fixture
def name(box: Box) -> Iterator[str]:
    yield "again"
    box("rm", "-f", "again", check=False)


def look(box: Box, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(box("inspect", name).stdout)[0]
    return found


def state(box: Box, name: str) -> dict[str, object]:
    found = look(box, name)["State"]
    assert isinstance(found, dict)
    return found


def test_on_failure_counts(box: Box, name: str) -> None:
    box(
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        "on-failure:2",
        "busybox",
        "sh",
        "-c",
        "echo on; exit 3",
    )
    until(lambda: state(box, name)["Status"] == "exited")
    found = look(box, name)
    assert (found["RestartCount"], state(box, name)["ExitCode"]) == (2, 3)
    assert found["HostConfig"]["RestartPolicy"] == {  # type: ignore[index]
        "Name": "on-failure", "MaximumRetryCount": 2}  # fmt: skip
    assert box("logs", name).stdout == "on\n" * 3, "one log for all its lives"
    box("start", name)
    until(lambda: state(box, name)["Status"] == "exited")
    assert look(box, name)["RestartCount"] == 2, "start counts from nothing"


def test_success_is_no_failure(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--restart", "on-failure", "busybox", "true")
    assert box("wait", name).stdout == "0\n"
    until(lambda: state(box, name)["Status"] == "exited")
    assert look(box, name)["RestartCount"] == 0


def test_always_with_the_same_files(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--restart", "always", "--hostname", "same", *FOREVER)
    first = state(box, name)
    os.kill(int(str(first["Pid"])), signal.SIGKILL)
    until(lambda: look(box, name)["RestartCount"] == 1 and state(box, name)["Status"] == "running")
    second = state(box, name)
    assert second["Pid"] not in (0, first["Pid"])
    assert str(second["StartedAt"]) > str(first["StartedAt"])
    until(lambda: len(box("exec", name, "cat", "/starts").stdout.split()) == 2)
    assert box("exec", name, "hostname").stdout == "same\n"


def test_restarting_is_a_state(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--restart", "always", "busybox", "sh", "-c", "exit 4")
    until(lambda: int(str(look(box, name)["RestartCount"])) >= 5)  # waits are 3.2 s and more now
    until(lambda: state(box, name)["Status"] == "restarting")
    now = state(box, name)
    assert (now["Running"], now["Restarting"], now["Pid"], now["ExitCode"]) == (True, True, 0, 4)
    assert "Restarting (4)" in box("ps").stdout
    assert "is restarting" in box.fails("exec", name, "true")
    assert "is restarting" in box.fails("attach", name)
    assert "is restarting" in box.fails("pause", name, code=1)
    assert "is restarting" in box.fails("rm", name, code=1)
    assert box("start", name).stdout == name + "\n"
    box("stop", name)
    assert state(box, name)["Status"] == "exited"
    assert state(box, name)["ExitCode"] == 4
    count = look(box, name)["RestartCount"]
    time.sleep(0.5)
    assert look(box, name)["RestartCount"] == count


@pytest.mark.parametrize("words", [("kill",), ("rm", "-f")])
def test_one_that_waits_can_be_ended(box: Box, name: str, words: tuple[str, ...]) -> None:
    box("run", "-d", "--name", name, "--restart", "always", "busybox", "false")
    until(lambda: int(str(look(box, name)["RestartCount"])) >= 5)
    until(lambda: state(box, name)["Status"] == "restarting")
    begin = time.monotonic()
    box(*words, name)
    if words == ("kill",):
        until(lambda: state(box, name)["Status"] == "exited")
    else:
        assert box("ps", "-aq").stdout == ""
    assert time.monotonic() - begin < 3 * host.SLOW


@pytest.mark.parametrize("policy", ["always", "unless-stopped", "on-failure"])
@pytest.mark.parametrize("words", [("stop", "-t", "0"), ("kill",)])
def test_a_client_wins_over_the_policy(
    box: Box, name: str, policy: str, words: tuple[str, ...]
) -> None:
    box("run", "-d", "--name", name, "--restart", policy, *FOREVER)
    box(*words, name)
    until(lambda: state(box, name)["Status"] == "exited")
    time.sleep(0.3)
    assert state(box, name)["Status"] == "exited"
    assert look(box, name)["RestartCount"] == 0


def test_a_signal_that_is_not_its_stop_signal(box: Box, name: str) -> None:
    """With a stop signal of its own, another one's effect is a failure like any other: docker's rule."""
    box(
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        "always",
        "--stop-signal",
        "USR1",
        "--init",
        *FOREVER,
    )
    box("kill", "-s", "TERM", name)
    until(lambda: look(box, name)["RestartCount"] == 1 and state(box, name)["Status"] == "running")
    box("kill", "-s", "USR1", name)
    until(lambda: state(box, name)["Status"] == "exited")


def test_restart_keeps_files_and_counts_anew(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--restart", "always", *FOREVER)
    os.kill(int(str(state(box, name)["Pid"])), signal.SIGKILL)
    until(lambda: look(box, name)["RestartCount"] == 1 and state(box, name)["Status"] == "running")
    pid = state(box, name)["Pid"]
    assert box("restart", "-t", "0", name).stdout == name + "\n"
    assert state(box, name)["Status"] == "running"
    assert state(box, name)["Pid"] != pid
    assert look(box, name)["RestartCount"] == 0
    box("stop", "-t", "0", name)
    box("restart", name)
    assert state(box, name)["Status"] == "running", "one that does not run is started"
    done = box("restart", "-t", "0", "nobody", name, check=False)
    assert (done.returncode, done.stdout) == (1, name + "\n")


def test_restart_of_one_that_is_removed_in_the_end(box: Box, name: str) -> None:
    box("run", "-d", "--rm", "--name", name, *FOREVER)
    for _ in range(3):
        box("restart", "-t", "0", name)
    until(lambda: len(box("exec", name, "cat", "/starts").stdout.split()) == 4)
    box("stop", "-t", "0", name)
    assert box("ps", "-aq").stdout == ""


def test_a_start_that_fails_ends_it(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, "--restart", "always", "busybox", "sh", "-c",
        "mv /bin/sh /bin/was; sleep 0.5; exit 1")  # fmt: skip
    until(lambda: state(box, name)["Status"] == "exited")
    assert state(box, name)["ExitCode"] == 127
    assert "sh" in str(state(box, name)["Error"])
    assert "127" not in box("start", name, check=False).stdout


def test_wait_and_attach_are_told_of_each_end(box: Box, name: str) -> None:
    """As docker: an exit is an exit, whatever follows."""
    box("run", "-d", "--name", name, "--restart", "always", *FOREVER)
    waiting = box.start("wait", name, stdout=subprocess.PIPE)
    attached = box.start("attach", name, stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    os.kill(int(str(state(box, name)["Pid"])), signal.SIGKILL)
    assert waiting.communicate(timeout=20 * host.SLOW)[0] == b"137\n"
    assert attached.wait(timeout=20 * host.SLOW) == 137
    until(lambda: state(box, name)["Status"] == "running")


def test_the_policy_changes_while_it_runs(box: Box, name: str) -> None:
    box("run", "-d", "--name", name, *FOREVER)
    assert box("update", "--restart", "on-failure:5", name).stdout == name + "\n"
    os.kill(int(str(state(box, name)["Pid"])), signal.SIGKILL)
    until(lambda: look(box, name)["RestartCount"] == 1 and state(box, name)["Status"] == "running")
    assert look(box, name)["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"  # type: ignore[index]
    box("update", "--restart", "no", name)
    os.kill(int(str(state(box, name)["Pid"])), signal.SIGKILL)
    until(lambda: state(box, name)["Status"] == "exited")
    assert "invalid restart policy" in box.fails("update", "--restart", "sometimes", name, code=1)


@pytest.mark.parametrize("waits", [False, True])
def test_the_supervisors_death(box: Box, name: str, waits: bool) -> None:
    """What it was is said truly: killed with it, or ended before."""
    command = ("busybox", "sh", "-c", "exit 5") if waits else FOREVER
    box("run", "-d", "--name", name, "--restart", "always", *command)
    if waits:
        until(lambda: int(str(look(box, name)["RestartCount"])) >= 5)
        until(lambda: state(box, name)["Status"] == "restarting")
    [pid] = host.supervisors(box.run_root)
    os.kill(pid, signal.SIGKILL)
    until(lambda: state(box, name)["Status"] == "exited", seconds=5)
    assert state(box, name)["ExitCode"] == (5 if waits else 137)
    assert int(str(look(box, name)["RestartCount"])) >= (5 if waits else 0)


def test_after_a_boot(box: Box) -> None:
    """Killing the supervisors and the live state is what a power cut does to them."""
    names = {
        "b-always": "always", "b-stopped": "always", "b-unless": "unless-stopped",
        "b-unless-stopped": "unless-stopped", "b-no": "no", "b-failed": "on-failure",
    }  # fmt: skip
    try:
        for each, policy in names.items():
            box("run", "-d", "--name", each, "--restart", policy, *FOREVER)
        box("create", "--name", "b-created", "--restart", "always", *FOREVER)
        box("stop", "-t", "0", "b-stopped", "b-unless-stopped")
        for pid in host.supervisors(box.run_root):
            os.kill(pid, signal.SIGKILL)
        box("ps", "-a")
        box("system", "start")
        running = box("ps", "--format", "{{.Names}}").stdout.split()
        assert sorted(running) == ["b-always", "b-failed", "b-stopped", "b-unless"]
    finally:
        box("rm", "-f", *names, "b-created")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--rm", "--restart", "always"),
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (("--restart", "foo"), "invalid restart policy 'foo'"),
        (
            ("--restart", "always:3"),
            "maximum retry count cannot be used with restart policy 'always'",
        ),
        (("--restart", "on-failure:-1"), "maximum retry count cannot be negative"),
        (("--restart", "on-failure:x"), "maximum retry count must be an integer"),
    ],
)
def test_refusals_are_dockers(box: Box, flags: tuple[str, ...], message: str) -> None:
    assert message in box.fails("run", *flags, "busybox", "true")


def test_the_exit_code_survives_a_full_disk(box: Box, name: str) -> None:
    """Nothing can be written when it ends: the live state, which lies in memory, has how it ended."""
    box(
        "run",
        "-d",
        "--name",
        name,
        "busybox",
        "sh",
        "-c",
        "while ! test -e /go; do sleep 0.05; done; exit 7",
    )
    identity = str(look(box, name)["Id"])
    directory = Path(box.root, "containers", identity)
    # The record's temporary name can't be made: as good as no space.
    (directory / "exit.tmp").mkdir()
    box("exec", name, "touch", "/go")
    until(lambda: not host.supervisors(box.run_root))
    (directory / "exit.tmp").rmdir()
    assert state(box, name)["ExitCode"] == 7
    assert json.loads((directory / "exit").read_text())["code"] == 7
    assert not Path(box.run_root, "containers", identity).exists()


def test_a_signal_of_ones_own(box: Box, name: str) -> None:
    script = "trap 'echo usr1 >>/said; exit 7' USR1; echo >>/ready; while :; do sleep 0.05; done"

    def ready(times: int) -> bool:
        seen = box("exec", name, "cat", "/ready", check=False)
        return seen.stdout == "\n" * times

    box("run", "-d", "--name", name, "busybox", "sh", "-c", script)
    until(lambda: ready(1))
    box("stop", "-s", "USR1", "-t", "30", name)
    assert state(box, name)["ExitCode"] == 7
    box("start", name)
    until(lambda: ready(2))
    box("restart", "--signal", "SIGUSR1", "--timeout", "30", name)
    until(lambda: ready(3))
    assert box("exec", name, "cat", "/said").stdout == "usr1\nusr1\n"
    assert state(box, name)["Status"] == "running"


def test_the_files_of_one_that_waits_are_left_alone(box: Box, name: str) -> None:
    """Its supervisor may mount them at any instant."""
    box("run", "-d", "--name", name, "--restart", "always", "busybox", "false")
    until(lambda: look(box, name)["RestartCount"] == 6)  # it waits for some seconds now
    until(lambda: state(box, name)["Status"] == "restarting")
    for words in (["fork", name], ["snapshot", name], ["cp", "-", f"{name}:/"]):
        assert "is about to start again" in box.fails(*words)
