"""Hooks of all six kinds: when they run and where, what they are told, and what their failure means."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from .bundle import PATH, Bundle
from .conftest import New, only
from .container import Container
from .party import Party

KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
NAMESPACES = ("mnt", "net", "pid", "uts", "ipc")
# Writes what it is and what it sees behind what the hooks before it wrote, one JSON object a line.
RECORD = """#!/bin/busybox sh
export PATH=/bin
state=$(busybox cat)
ns=
for kind in mnt net pid uts ipc; do ns="$ns $kind=$(busybox readlink /proc/self/ns/$kind)"; done
root=$(busybox ls / | busybox tr '\\n' ' ')
printf '%s\\n' "{\\"kind\\": \\"$1\\", \\"args\\": \\"$*\\", \\"ns\\": \\"$ns\\", \\"cwd\\": \\"$(busybox pwd)\\", \\"root\\": \\"$root\\", \\"env\\": \\"$SEEN\\", \\"zero\\": \\"$0\\", \\"state\\": $state}" >>OUT
"""


def _record(b: Bundle, out: str) -> Path:
    script = b.path / "record"
    script.write_text(RECORD.replace("OUT", out))
    script.chmod(0o755)
    return script


def _hooks(b: Bundle) -> None:
    """One of each kind; the one inside writes where the others do, by a file bound there."""
    b.writable()
    b.process["args"] = ["sh", "-c", 'echo \'{"kind": "process"}\' >>/out; sleep 1000']
    out = b.path / "out"
    out.write_text("")
    b.mount("/out", "bind", str(out), "bind")
    script = _record(b, str(out))
    inside = b.rootfs / "record"
    inside.write_text(RECORD.replace("OUT", "/out"))
    inside.chmod(0o755)
    b.config["hooks"] = {
        kind: [
            {
                "path": "/record" if kind == "startContainer" else str(script),
                "args": ["zero", kind, f"{n}"],
                "env": [f"SEEN={kind}-{n}"],
            }
            for n in (1, 2)
        ]
        for kind in KINDS
    }


def _told(c: Container) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (c.bundle.path / "out").read_text().splitlines()]


def _wait(c: Container, count: int) -> list[dict[str, Any]]:
    for _ in range(500):
        if len(told := _told(c)) >= count:
            return told
        time.sleep(0.01)
    return _told(c)


def _life(c: Container) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What the hooks wrote in a whole life, and the namespaces of the process."""
    c.create()
    inside = {kind: os.readlink(f"/proc/{c.pid}/ns/{kind}") for kind in NAMESPACES}
    c("start")
    _wait(c, 11)
    c.kill("KILL")
    c.reap()
    c("delete")
    return [t for t in _told(c) if t["kind"] != "process"], inside


def test_all_kinds_run_where_they_should(new: New, party: Party) -> None:
    c = new(_hooks)
    outside = {
        kind: os.readlink(f"/proc/{party.stage.keeper.pid}/ns/{kind}") for kind in NAMESPACES
    }
    told, inside = _life(c)
    assert sorted(t["env"] for t in told) == sorted(f"{k}-{n}" for k in KINDS for n in (1, 2))
    for t in told:
        where = inside if t["kind"] in ("createContainer", "startContainer") else outside
        seen = dict(word.split("=") for word in t["ns"].split())
        assert seen == where, (t["kind"], seen, inside, outside)
        assert t["args"].split() == t["env"].split("-")


# The rivals call poststart before the process is started: runc in create, crun before startContainer.
@only("fastbox")
def test_all_kinds_in_their_order(new: New) -> None:
    c = new(_hooks)
    c.create()
    assert [t["kind"] for t in _told(c)] == [k for k in KINDS[:3] for _ in "12"]
    c("start")
    told = [t["kind"] for t in _wait(c, 11)]
    assert told.index("process") >= 8
    assert [kind for kind in told if kind != "process"] == [k for k in KINDS[:5] for _ in "12"]
    c.kill("KILL")
    c.reap()
    assert len(_told(c)) == 11
    c("delete")
    assert [t["kind"] for t in _told(c)][11:] == ["poststop"] * 2


def test_what_a_hook_is_told(new: New) -> None:
    def edit(b: Bundle) -> None:
        _hooks(b)
        b.config["annotations"] = {"a.b": 'c "d"'}

    c = new(edit)
    c.create()
    pid = c.pid
    c("start")
    _wait(c, 11)
    told = {t["kind"]: t["state"] for t in _told(c) if t["kind"] != "process"}
    for kind, state in told.items():
        assert state["id"] == c.id
        assert state["annotations"] == {"a.b": 'c "d"'}, kind
        assert state["ociVersion"].startswith("1.")
        if kind in ("prestart", "createRuntime", "poststart"):
            assert state["pid"] == pid, kind
    c.end()


@only("fastbox")
def test_the_state_that_a_hook_is_told(new: New) -> None:
    c = new(_hooks)
    told, _ = _life(c)
    states = {t["kind"]: t["state"] for t in told}
    assert {kind: state["status"] for kind, state in states.items()} == {
        "prestart": "creating",
        "createRuntime": "creating",
        "createContainer": "creating",
        "startContainer": "created",
        "poststart": "running",
        "poststop": "stopped",
    }
    assert {state["bundle"] for state in states.values()} == {str(c.bundle.path)}
    assert "pid" not in states["poststop"] or states["poststop"]["pid"] == 0


def test_where_a_hook_stands(new: New, party: Party) -> None:
    """startContainer sees the container's root, createContainer the host's still."""
    c = new(_hooks)
    c.create()
    c("start")
    _wait(c, 11)
    told = {t["kind"]: t for t in _told(c) if t["kind"] != "process"}
    assert "var" not in told["startContainer"]["root"].split()
    assert "var" in told["createContainer"]["root"].split()
    assert "var" in told["createRuntime"]["root"].split()
    c.end()


def test_run_calls_them_too(new: New, party: Party) -> None:
    def edit(b: Bundle) -> None:
        _hooks(b)
        b.process["args"] = ["true"]

    c = new(edit)
    party("run", "--bundle", str(c.bundle.path), c.id)
    told = [t["kind"] for t in _told(c)]
    assert sorted(told) == sorted(k for k in KINDS for _ in "12")
    assert told[:6] == [k for k in KINDS[:3] for _ in "12"] or party.name != "fastbox"
    assert told[-2:] == ["poststop"] * 2


def _one(b: Bundle, kind: str, script: str, **more: object) -> None:
    """A hook of one kind, in the shell that is there: the host's, or the root's."""
    b.writable()
    if kind == "startContainer":
        path, text = b.rootfs / "hook", f"#!/bin/sh\n{script}\n"
    else:
        path, text = b.path / "hook", f"#!/bin/sh\n{script}\n"
    path.write_text(text)
    path.chmod(0o755)
    b.config["hooks"] = {
        kind: [
            {"path": "/hook" if kind == "startContainer" else str(path), "args": ["hook"], **more}
        ]
    }


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_failure_before_the_start_undoes_create(new: New, party: Party, kind: str) -> None:
    c = new(lambda b: _one(b, kind, "echo the reason >&2; exit 9"))
    done = party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    if party.name != "crun":
        assert "the reason" in done.stderr
        assert "exit status 9" in done.stderr
    assert not c.exists()


def test_a_failure_of_startcontainer_ends_the_start(new: New, party: Party) -> None:
    c = new(lambda b: _one(b, "startContainer", "exit 9"))
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode == 1
    assert done.stderr
    assert not c.exists()


@only("runc", "fastbox")  # crun goes on without a word
def test_a_failure_of_poststart_ends_the_container(new: New, party: Party) -> None:
    """As runc does it, and the specification from 1.3 on; 1.2 wanted a warning."""
    c = new(lambda b: _one(b, "poststart", "exit 9"))
    words = ("--bundle", str(c.bundle.path), "--pid-file", str(c.pid_file), c.id)
    created = party("create", *words, check=False)
    started = c("start", check=False) if created.returncode == 0 else created
    assert started.returncode != 0
    assert "poststart" in started.stderr or "hook" in started.stderr
    assert not c.exists()


@only("runc", "fastbox")
def test_a_failure_of_poststop_is_a_warning(new: New) -> None:
    c = new(lambda b: _one(b, "poststop", "exit 9"))
    c.detached()
    c.kill("KILL")
    c.reap()
    ended = c("delete")
    assert "level=" in ended.stderr
    assert "exit status 9" in ended.stderr
    assert not c.exists()


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_the_time_of_a_hook_is_limited(new: New, party: Party, kind: str) -> None:
    # runc waits for all that have the hook's output open.
    script = "sleep 30" if party.name == "fastbox" else "exec sleep 30"
    c = new(lambda b: _one(b, kind, script, timeout=1))
    before = time.monotonic()
    done = party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    assert 0.9 < time.monotonic() - before < 15
    assert not c.exists()


@pytest.mark.parametrize("kind", ["createRuntime", "startContainer"])
def test_a_hook_that_is_not_there(new: New, party: Party, kind: str) -> None:
    c = new(lambda b: b.config.update(hooks={kind: [{"path": "/no/such/hook"}]}))
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    assert done.stderr
    assert not c.exists()


@only("runc", "fastbox")
def test_a_hook_that_is_no_absolute_path(new: New, party: Party) -> None:
    c = new(lambda b: b.config.update(hooks={"createRuntime": [{"path": "bin/true"}]}))
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode == 1
    assert not c.exists()


def test_a_hook_makes_the_network(new: New, party: Party) -> None:
    """What hooks are for: createRuntime enters the new namespace by the pid of the state, and sets it up."""

    def edit(b: Bundle) -> None:
        ip = shutil.which("ip")
        assert ip
        pid = """sed -n 's/.*"pid": *\\([0-9]*\\).*/\\1/p'"""
        _one(
            b,
            "createRuntime",
            f"pid=$(tr -d '\\n' | {pid}); nsenter --net=/proc/$pid/ns/net {ip} link add veth-in type veth peer name veth-out",
            env=[PATH],
        )
        b.process["args"] = ["ls", "/sys/class/net"]

    c = new(edit)
    done = party("run", "--bundle", str(c.bundle.path), c.id)
    assert {"lo", "veth-in", "veth-out"} <= set(done.stdout.split())


def test_a_hook_inherits_no_descriptor(new: New, party: Party) -> None:
    def edit(b: Bundle) -> None:
        _one(b, "createRuntime", f"ls /proc/$$/fd >{b.path}/fds")

    c = new(edit)
    c.create()
    # The shell has its script open, and what it keeps of its own, from 10 on.
    assert set((c.bundle.path / "fds").read_text().split()) <= {"0", "1", "2", "10", "11"}
    c.end()
