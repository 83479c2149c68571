"""A container's life by the specification's words: create, start, kill, delete, and what is refused in which state."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from . import stage
from .bundle import Bundle
from .conftest import New, only
from .container import alive, reap
from .party import Party


def _trap(b: Bundle) -> None:
    """A process that ends with 7 on TERM, and says when it is ready for it."""
    b.writable()
    b.process["args"] = [
        "sh",
        "-c",
        "trap 'exit 7' TERM; : >/data/up; while :; do sleep 0.02; done",
    ]


def _up(b: Bundle) -> None:
    for _ in range(500):
        if (b.rootfs / "data/up").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the process does not come up")


def test_the_whole_life(new: New) -> None:
    c = new()
    c.create()
    assert c.status() == "created"
    assert c.state()["pid"] == c.pid
    before = Path(f"/proc/{c.pid}/cmdline").read_bytes()
    assert b"sleep" not in before
    c("start")
    c.reach("running")
    assert Path(f"/proc/{c.pid}/cmdline").read_bytes() == b"/bin/sleep\x001000\x00"
    c.kill("KILL")
    assert c.reap() == 137
    assert c.status() == "stopped"
    c("delete")
    assert not c.exists()
    assert not stage.sweep()


def test_the_state_has_what_the_specification_names(new: New, party: Party) -> None:
    def edit(b: Bundle) -> None:
        b.config["annotations"] = {"org.example.key": 'a "value"\n with a line', "empty": ""}

    c = new(edit)
    c.create()
    state = c.state()
    assert state["ociVersion"][:2] == "1."
    assert state["id"] == c.id
    assert state["status"] == "created"
    assert state["bundle"] == str(c.bundle.path)
    assert state["annotations"] == {"org.example.key": 'a "value"\n with a line', "empty": ""}
    # What runc adds, and its callers read.
    assert state["rootfs"] == ("rootfs" if party.name == "crun" else str(c.bundle.rootfs))
    assert state["created"].endswith("Z")
    assert state["owner"] in ("", "root")
    c.end()


def test_a_container_is_deleted_once_it_is_created_only(new: New, party: Party) -> None:
    c = new()
    c.create()
    c("delete")
    assert c.reap() == 137
    assert not c.exists()


def test_a_created_container_is_killed(new: New) -> None:
    c = new()
    c.create()
    c.kill("KILL")
    assert c.reap() == 137
    assert c.status() == "stopped"
    refused = c("start", check=False)
    assert refused.returncode != 0
    c("delete")


def test_a_container_starts_once(new: New) -> None:
    c = new()
    c.create()
    c("start")
    again = c("start", check=False)
    assert again.returncode != 0
    assert again.stderr
    assert c.status() == "running"
    c.end()


def test_a_running_container_is_deleted_by_force_only(new: New) -> None:
    c = new()
    c.detached()
    refused = c("delete", check=False)
    assert refused.returncode != 0
    assert alive(c.pid)
    c("delete", "--force")
    assert c.reap() == 137
    assert not c.exists()


def test_forced_deletion_of_what_is_not_there_is_no_error(new: New, party: Party) -> None:
    c = new()
    assert c("delete", "--force", check=False).returncode == 0
    assert c("delete", check=False).returncode == 1


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "15"])
def test_signals_by_name_and_number(new: New, name: str) -> None:
    c = new(_trap)
    c.detached()
    _up(c.bundle)
    c.kill(name)
    assert c.reap() == 7
    c("delete")


def test_term_is_the_signal_without_a_word(new: New) -> None:
    c = new(_trap)
    c.detached()
    _up(c.bundle)
    c.kill()
    assert c.reap() == 7
    c("delete")


@only("runc", "fastbox")  # crun does nothing then, without a word
@pytest.mark.parametrize("name", ["NOSUCH", "0x", "99999"])
def test_no_such_signal(new: New, name: str) -> None:
    c = new()
    c.detached()
    refused = c.kill(name, check=False)
    assert refused.returncode != 0
    assert refused.stderr
    assert alive(c.pid)
    c.end()


def test_real_time_signals(new: New) -> None:
    c = new()
    c.detached()
    c.kill(str(int(signal.SIGRTMIN) + 3))
    assert alive(c.pid)  # a first process that has not asked for it
    c.end()


def test_an_id_is_used_once(new: New, party: Party) -> None:
    c = new()
    c.create()
    for command in ("create", "run"):
        refused = party(command, "--bundle", str(c.bundle.path), c.id, check=False)
        assert refused.returncode == 1
        assert "already exists" in refused.stderr or "exists" in refused.stderr
    assert c.status() == "created"
    c.end()
    c.create()
    c.end()


@only("runc", "fastbox")  # crun takes any name that is no path
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "x y", "é", "x" * 1025])
def test_ids_that_are_none(new: New, party: Party, name: str) -> None:
    c = new()
    refused = party("create", "--bundle", str(c.bundle.path), name, check=False)
    assert refused.returncode != 0
    assert refused.stderr
    assert party.containers() == []


@only("runc", "fastbox")
@pytest.mark.parametrize("command", "start state kill pause resume ps delete events update".split())
def test_commands_on_an_unknown_id(party: Party, command: str) -> None:
    refused = party(command, "nonesuch", check=False)
    assert refused.returncode == 1
    assert "container does not exist" in refused.stderr


def test_run_gives_the_exit_code_and_leaves_nothing(new: New, party: Party) -> None:
    c = new(lambda b: b.process.update(args=["sh", "-c", "echo out; echo err >&2; exit 42"]))
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (42, "out\n", "err\n")
    assert not c.exists()


@only("runc", "fastbox")  # crun 1.8 does not know the flag
def test_run_keeps_the_container_if_asked(new: New, party: Party) -> None:
    c = new(lambda b: b.process.update(args=["true"]))
    party("run", "--keep", "--bundle", str(c.bundle.path), c.id)
    assert c.status() == "stopped"
    c("delete")


def test_run_passes_signals_on(new: New, party: Party) -> None:
    c = new(_trap)
    process = party.start("run", "--bundle", str(c.bundle.path), c.id)
    _up(c.bundle)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 7
    assert not c.exists()


def test_run_takes_the_bundle_from_the_directory_it_is_called_in(new: New, party: Party) -> None:
    c = new(lambda b: b.process.update(args=["true"]))
    words = party.argv("run", c.id)
    words[1:1] = [f"--wdns={c.bundle.path}"]
    assert subprocess.run(words, check=False).returncode == 0


def test_the_pid_file_has_the_number_and_nothing_else(new: New) -> None:
    c = new()
    c.create()
    assert c.pid_file.read_text() == str(c.pid)
    c.end()


def test_a_process_that_ends_before_it_is_asked_for(new: New) -> None:
    c = new(lambda b: b.process.update(args=["sh", "-c", "exit 3"]))
    c.detached()
    assert c.reap() == 3
    assert c.status() == "stopped"
    assert c.kill("KILL", check=False).returncode != 0
    c("delete")


def test_what_is_left_in_a_shared_pid_namespace_is_killed_by_force(new: New) -> None:
    """The first process is gone, another one lives: nothing but the group knows it."""

    def edit(b: Bundle) -> None:
        b.without_namespace("pid")
        b.writable()
        b.process["args"] = ["sh", "-c", "sleep 1000 & echo $! >/data/child; exit 0"]

    c = new(edit)
    c.detached()
    assert c.reap() == 0
    child = int((c.bundle.rootfs / "data/child").read_text())
    assert alive(child)
    c("delete", "--force")
    assert reap(child) == 137


def test_kill_all(new: New, party: Party) -> None:
    c = new()
    c.detached()
    c.party("exec", "--detach", "--pid-file", str(c.bundle.path / "second"), c.id, "sleep", "1000")
    second = int((c.bundle.path / "second").read_text())
    party("kill", "--all", c.id, "KILL")
    assert c.reap() == 137
    assert reap(second) == 137
    c("delete")


def test_preserved_descriptors(new: New, party: Party) -> None:
    def edit(b: Bundle) -> None:
        b.process["args"] = ["sh", "-c", "cat <&3; cat <&4; test ! -e /proc/self/fd/5"]

    c = new(edit)
    (c.bundle.path / "three").write_text("three\n")
    (c.bundle.path / "four").write_text("four\n")
    script = 'three=$1 four=$2; shift 2; exec 3<"$three" 4<"$four" 5<"$four"; exec "$@"'
    files = [str(c.bundle.path / "three"), str(c.bundle.path / "four")]
    words = party.argv("run", "--preserve-fds", "2", "--bundle", str(c.bundle.path), c.id)
    done = subprocess.run(
        ["sh", "-c", script, "sh", *files, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "three\nfour\n"), done.stderr


def test_listening_sockets_are_passed_on(new: New, party: Party) -> None:
    def edit(b: Bundle) -> None:
        b.process["args"] = ["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; cat <&3"]

    c = new(edit)
    (c.bundle.path / "three").write_text("three\n")
    words = party.argv("run", "--bundle", str(c.bundle.path), c.id)
    script = (
        'three=$1; shift; exec 3<"$three"; LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=x exec "$@"'
    )
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(c.bundle.path / "three"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split()[0] == "1"
    assert second == "three"
