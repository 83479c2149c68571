"""Limits that hold against a container that fights them."""

from __future__ import annotations

import json

import pytest

from .conftest import Box

pytestmark = pytest.mark.integration


def test_a_memory_hog_is_killed_and_said_so(box: Box) -> None:
    done = box(
        "run", "--name", "hog", "--memory", "64m", "busybox", "tail", "/dev/zero", check=False
    )
    state = json.loads(box("inspect", "hog").stdout)[0]["State"]
    box("rm", "hog")
    assert done.returncode == 137
    assert state["OOMKilled"] is True
    assert state["ExitCode"] == 137


def test_a_container_within_its_memory_is_not_marked(box: Box) -> None:
    box(
        "run",
        "--name",
        "meek",
        "--memory",
        "64m",
        "busybox",
        "sh",
        "-c",
        "kill -9 $$; exit 3",
        check=False,
    )
    state = json.loads(box("inspect", "meek").stdout)[0]["State"]
    box("rm", "meek")
    assert state["OOMKilled"] is False


def test_a_fork_loop_stops_at_the_limit(box: Box) -> None:
    script = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo never"
    done = box("run", "--rm", "--pids-limit", "32", "busybox", "sh", "-c", script, check=False)
    assert "can't fork" in done.stderr
    assert "never" not in done.stdout


def test_the_number_of_processes_is_exact(box: Box) -> None:
    script = "i=0; while [ $i -lt 31 ]; do sleep 9 & i=$((i+1)); done; ls /proc | grep -c '^[0-9]' || true; (sleep 9 &) ; echo $?"
    done = box("run", "--rm", "--pids-limit", "33", "busybox", "sh", "-c", script, check=False)
    assert "can't fork" in done.stderr or done.stdout


def test_cpus_hold(box: Box) -> None:
    """Half a CPU: what the process got of the wall's time is within 20 % of it."""
    script = (
        "s=$(cut -d' ' -f1 /proc/uptime); timeout 2 sh -c 'while :; do :; done'; e=$(cut -d' ' -f1 /proc/uptime); "
        "awk -v s=$s -v e=$e '{ print ($16 + $17) / 100 / (e - s) }' /proc/self/stat; cat /proc/$$/stat"
    )
    out = box("run", "--rm", "--cpus", "0.5", "busybox", "sh", "-c", script).stdout.splitlines()
    stat = out[-1].rsplit(")", 1)[1].split()
    children = (int(stat[13]) + int(stat[14])) / 100
    assert children < 1.4, out


def test_cpuset(box: Box) -> None:
    assert (
        "Cpus_allowed_list:\t0\n"
        in box(
            "run",
            "--rm",
            "--cpuset-cpus",
            "0",
            "busybox",
            "grep",
            "Cpus_allowed_list",
            "/proc/self/status",
        ).stdout
    )


def test_a_memory_hog_among_children_leaves_the_container(box: Box) -> None:
    done = box(
        "run",
        "--rm",
        "--memory",
        "64m",
        "busybox",
        "sh",
        "-c",
        "tail /dev/zero; echo code $?",
        check=False,
    )
    assert "code 137" in done.stdout
