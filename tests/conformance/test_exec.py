"""exec with all its options: the same process under all parties, and what only some know."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from . import collect
from .bundle import PATH, Bundle
from .conftest import Court, New, only
from .container import Container, alive, reap
from .differences import explain
from .party import Held, Party, holding

# Flags of exec and, for `--process`, a document; both before the probe's words.
CASES: dict[str, tuple[list[str], dict[str, Any] | None]] = {
    "exec-plain": ([], None),
    "exec-user": (["--user", "1000:1001"], None),
    "exec-user-alone": (["--user", "1000"], None),
    "exec-cwd": (["--cwd", "/data/below"], None),
    "exec-env": (["--env", "A=1", "--env", "B=x=y", "--env", "EMPTY="], None),
    "exec-capability": (["--cap", "CAP_NET_ADMIN"], None),
    "exec-no-new-privileges": (["--no-new-privs"], None),
    "exec-process": (
        [],
        {
            "user": {"uid": 1000, "gid": 1001, "additionalGids": [7, 8], "umask": 0o27},
            "env": [PATH, "FROM=document"],
            "cwd": "/data",
            "capabilities": {
                k: ["CAP_KILL"]
                for k in ("bounding", "effective", "permitted", "inheritable", "ambient")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}],
            "noNewPrivileges": True,
            "oomScoreAdj": 77,
        },
    ),
    "exec-process-bare": ([], {"user": {"uid": 0, "gid": 0}, "env": [PATH], "cwd": "/"}),
}


def read(process: Held) -> str:
    assert process.process.stderr
    return process.process.stderr.read().decode()


def _container(court: Court, party: Party) -> Container:
    bundle = court.bundle(party)
    bundle.process["args"] = ["/bin/sleep", "1000"]
    bundle.process["noNewPrivileges"] = False
    bundle.namespace("cgroup")
    bundle.write()
    c = Container(party, bundle)
    c.detached()
    return c


def _see(
    c: Container, flags: list[str], document: dict[str, Any] | None, ask: list[str]
) -> collect.Observation:
    pid_file = c.bundle.path / "exec-pid"
    words = ["exec", "--pid-file", str(pid_file), *flags]
    args = ["/bin/probe", *ask, "hold"]
    if document:
        path = c.bundle.path / "process.json"
        path.write_text(json.dumps({**document, "args": args}))
        words += ["--process", str(path), c.id]
    else:
        words += [c.id, *args]
    first = {kind: collect._link(f"/proc/{c.pid}/ns/{kind}") for kind in collect.NAMESPACES}
    names = collect.Normaliser(c.party, c.bundle.path, c.id, first)
    with holding(c.party, pid_file, *words) as process:
        assert process.pid, (c.party, read(process))
        seen = collect.process(process.pid, names)
        seen |= {
            k: v for k, v in collect.groups(process.pid, names).items() if k.startswith("cgroup:")
        }
    assert process.code == 0, process.errors
    return seen | collect.report(process.report, names)


@pytest.mark.parametrize("name", CASES)
def test_the_same_exec(court: Court, name: str) -> None:
    seen = {}
    for party in court.parties:
        c = _container(court, party)
        flags, document = CASES[name]
        ask = [
            "cwd",
            "uname",
            "descriptors",
            "signals",
            "create:/dev/shm/x",
            "list:/dev",
            "keyring",
        ]
        seen[party.name] = _see(c, flags, document, ask)
        c.end()
        c.close()
    assert all(s["namespace:pid"] == "given" for s in seen.values())
    wrong = explain(seen, name)
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def running(new: New) -> Container:
    c = new(lambda b: b.writable())
    c.detached()
    return c


def test_output_and_exit_code(running: Container) -> None:
    done = running.exec("sh", "-c", "echo out; echo err >&2; exit 33", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (33, "out\n", "err\n")
    running.end()


def test_stdin(running: Container) -> None:
    done = running.party("exec", running.id, "cat", stdin="in\n")
    assert done.stdout == "in\n"
    running.end()


def test_ended_by_a_signal(running: Container) -> None:
    done = running.exec("sh", "-c", "kill -KILL $$", check=False)
    assert done.returncode == 137
    running.end()


def test_words_after_the_command_are_its_own(running: Container) -> None:
    done = running.exec("echo", "--user", "-x", "--", "--tty")
    assert done.stdout == "--user -x -- --tty\n"
    running.end()


def test_detached_with_a_pid_file(running: Container) -> None:
    pid_file = running.bundle.path / "exec-pid"
    running.party("exec", "--detach", "--pid-file", str(pid_file), running.id, "sleep", "1000")
    pid = int(pid_file.read_text())
    assert alive(pid)
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    os.kill(pid, 9)
    assert reap(pid) == 137
    running.end()


def test_additional_groups(running: Container, party: Party) -> None:
    more = ("--additional-gids", "44", "--additional-gids", "45")
    flags = ("--user", "1000:1000", *(() if party.name == "crun" else more))
    expected = "1000" if party.name == "crun" else "1000 44 45"
    done = running.exec("id", "-G", flags=flags)
    assert done.stdout.strip() == expected
    running.end()


def test_preserved_descriptors(running: Container, party: Party) -> None:
    file = running.bundle.path / "three"
    file.write_text("three\n")
    words = party.argv("exec", "--preserve-fds", "1", running.id, "cat", "/proc/self/fd/3")
    done = subprocess.run(
        ["sh", "-c", 'file=$1; shift; exec 3<"$file"; exec "$@"', "sh", str(file), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "three\n"), done.stderr
    running.end()


def test_no_descriptor_of_the_host_gets_in(running: Container, party: Party) -> None:
    words = party.argv("exec", running.id, "ls", "/proc/self/fd")
    done = subprocess.run(
        ["sh", "-c", 'exec 3</etc/passwd 7</etc 9</proc; exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    # ls has one of its own open.
    assert done.stdout.split() == ["0", "1", "2", "3"], (done.stdout, done.stderr)
    running.end()


def test_in_a_stopped_container(running: Container) -> None:
    running.kill("KILL")
    running.reap()
    done = running.exec("true", check=False)
    assert done.returncode != 0
    assert done.stderr
    running("delete")


@only("runc", "fastbox")
def test_in_a_created_container(new: New) -> None:
    """The process that waits for start has all its namespaces: an exec joins them."""
    c = new()
    c.create()
    assert c.exec("echo", "here").stdout == "here\n"
    c.end()


@only("runc", "fastbox")
def test_in_a_paused_container(running: Container) -> None:
    running("pause")
    refused = running.exec("true", check=False)
    assert refused.returncode == 255
    assert "paused" in refused.stderr
    running("resume")
    running.end()


def test_a_command_that_is_not_there(running: Container) -> None:
    done = running.exec("nonesuch", check=False)
    assert done.returncode == 255
    assert "executable file" in done.stderr
    assert "not found in $PATH" in done.stderr
    running.end()


def test_a_user_that_is_a_name(running: Container) -> None:
    """runc's callers resolve names; the command line takes numbers."""
    done = running.exec("true", flags=("--user", "app"), check=False)
    assert done.returncode != 0
    running.end()


@only("runc", "fastbox")
def test_the_sub_group_of_an_exec(new: New) -> None:
    c = new()
    c.detached()
    refused = c.exec("true", flags=("--cgroup", "/nonesuch"), check=False)
    assert refused.returncode != 0
    assert c.exec("true", flags=("--cgroup", "/"), check=False).returncode == 0
    c.end()


def test_the_filter_of_the_container_holds(new: New) -> None:
    def edit(b: Bundle) -> None:
        b.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}],
        }

    c = new(edit)
    c.detached()
    done = c.exec("/bin/probe", "call:getppid")
    assert done.stdout == "call:getppid=EPERM\n"
    c.end()


def test_capabilities_are_the_containers(running: Container) -> None:
    done = running.exec("/bin/probe", "text:/proc/self/status")
    assert "CapEff:\t0000000020000420" in done.stdout
    running.end()
