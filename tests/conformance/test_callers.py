"""What runc's callers read of it: the words that they look for in messages, the log file, the files, the exit codes.

Sources: containerd's shim (process/utils.go, init.go), go-runc (runc.go, utils.go, events.go), podman (oci_util.go, exec_codes.go),
dockerd (daemon/errors.go), CRI-O (runtime_oci.go).
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest

from .bundle import Bundle
from .conftest import New, only
from .party import Party

LIKE_RUNC = ("runc", "fastbox")


def _log(path: Path) -> list[dict[str, str]]:
    """As the shim's decoder reads it: one JSON object after the other."""
    decoder = json.JSONDecoder()
    text, entries = path.read_text(), []
    while text.strip():
        entry, end = decoder.raw_decode(text.lstrip())
        entries.append(entry)
        text = text.lstrip()[end:]
    return entries


def _last_error(path: Path) -> str:
    errors = [entry["msg"].strip() for entry in _log(path) if entry["level"] == "error"]
    return errors[-1]


@only(*LIKE_RUNC)
def test_the_log_as_json(new: New, party: Party) -> None:
    c = new(lambda b: b.process.update(args=["nonesuch"]))
    log = c.bundle.path / "log.json"
    options = ("--log", str(log), "--log-format", "json")
    done = party("create", "--bundle", str(c.bundle.path), c.id, check=False, options=options)
    assert done.returncode == 1
    for entry in _log(log):
        assert set(entry) >= {"level", "msg", "time"}
        assert datetime.fromisoformat(entry["time"]).tzinfo
    assert 'exec: "nonesuch": executable file not found in $PATH' in _last_error(log)
    assert "executable file not found in $PATH" in done.stderr
    # A second command writes behind the first.
    party("state", "nonesuch", check=False, options=options)
    assert len(_log(log)) >= 2
    assert "does not exist" in _last_error(log)


@only(*LIKE_RUNC)
def test_the_log_as_text(new: New, party: Party) -> None:
    log = party.root.parent / f"{party}-text.log"
    done = party("state", "nonesuch", check=False, options=("--log", str(log)))
    assert re.fullmatch(
        r'time="[-0-9T:Z+]+" level=error msg=".*does not exist.*"\n', log.read_text()
    )
    assert "does not exist" in done.stderr
    log.unlink()


@only(*LIKE_RUNC)
def test_a_message_with_quotes_and_lines_stays_one_entry(new: New, party: Party) -> None:
    c = new(lambda b: b.process.update(args=['no"ne\n\tsuch\x01é']))
    log = c.bundle.path / "log.json"
    options = ("--log", str(log), "--log-format", "json")
    party("create", "--bundle", str(c.bundle.path), c.id, check=False, options=options)
    assert "executable file not found in $PATH" in _last_error(log)


@only(*LIKE_RUNC)
def test_killing_what_is_gone(new: New, party: Party) -> None:
    """containerd and CRI-O tell a container that has ended from a failure by these words."""
    c = new(lambda b: b.process.update(args=["true"]))
    c.detached()
    c.reap()
    refused = c.kill("9", check=False)
    assert refused.returncode == 1
    assert "container not running" in refused.stderr
    c("delete")
    refused = c.kill("9", check=False)
    assert "does not exist" in refused.stderr
    refused = c("delete", check=False)
    assert "does not exist" in refused.stderr


@only(*LIKE_RUNC)
def test_kill_all_of_a_stopped_container_is_no_error(new: New, party: Party) -> None:
    """containerd's shim calls it after every end of a container without a pid namespace of its own."""
    c = new(lambda b: b.process.update(args=["true"]))
    c.detached()
    c.reap()
    assert party("kill", "--all", c.id, "9", check=False).returncode == 0
    c("delete")


def _start(new: New, *args: str) -> str:
    c = new(lambda b: b.process.update(args=list(args)))
    done = c.party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode == 1
    assert not c.exists()
    return done.stderr.lower()


@only(*LIKE_RUNC)
def test_a_command_that_is_not_found(new: New) -> None:
    """127 for docker, when the command and one of these stand in the message."""
    text = _start(new, "nonesuch")
    assert "nonesuch" in text
    assert "executable file not found" in text


@only(*LIKE_RUNC)
def test_a_path_that_is_not_found(new: New) -> None:
    text = _start(new, "/no/such")
    assert "/no/such" in text
    assert "no such file or directory" in text


@only(*LIKE_RUNC)
@pytest.mark.parametrize("path", ["/etc/passwd", "/data"])
def test_what_cannot_be_executed(new: New, path: str) -> None:
    """126 for docker and podman."""
    assert "permission denied" in _start(new, path)


@only(*LIKE_RUNC)
def test_a_path_through_a_file(new: New) -> None:
    assert "not a directory" in _start(new, "/etc/passwd/x")


@only(*LIKE_RUNC)
@pytest.mark.parametrize("source", ["file", "directory"])
def test_a_mount_of_the_wrong_kind(new: New, source: str) -> None:
    """docker explains it when it reads the error's own words."""

    def edit(b: Bundle) -> None:
        target = "/data" if source == "file" else "/etc/passwd"
        b.mount(target, "bind", f"{b.material}/{source}", "bind")

    c = new(edit)
    done = c.party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode == 1
    assert "not a directory" in done.stderr.lower()


@only(*LIKE_RUNC)
def test_a_source_that_is_not_there(new: New) -> None:
    c = new(lambda b: b.mount("/mnt", "bind", "/no/such/source", "bind"))
    done = c.party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode == 1
    assert "no such file or directory" in done.stderr
    assert "/no/such/source" in done.stderr


@only(*LIKE_RUNC)
def test_an_id_in_use(new: New) -> None:
    c = new()
    c.create()
    done = c.party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert "container with given ID already exists" in done.stderr
    c.end()


@only(*LIKE_RUNC)
def test_the_version(party: Party) -> None:
    """go-runc takes what stands behind these words; dockerd the name before the first of them."""
    first, *more = party("--version").stdout.splitlines()
    assert re.fullmatch(r"\S+ version \d+\.\d+\S*", first)
    assert any(re.fullmatch(r"spec: 1\.\d+\.\d+\S*", line) for line in more)


@only(*LIKE_RUNC)
def test_the_table_of_processes(new: New) -> None:
    """go-runc looks for a column PID, and takes all that stands behind the last heading's place as the command."""
    c = new()
    c.detached()
    lines = c("ps", "--format", "table").stdout.splitlines()
    heads = lines[0].split()
    assert "PID" in heads
    rows = [line.split(None, len(heads) - 1) for line in lines[1:] if line]
    assert [row[heads.index("PID")] for row in rows] == [str(c.pid)]
    assert rows[0][-1] == "/bin/sleep 1000"
    assert json.loads(c("ps", "--format", "json").stdout) == [c.pid]
    c.end()


@only(*LIKE_RUNC)
def test_statistics(new: New) -> None:
    """What go-runc's Event and Stats hold."""
    c = new(lambda b: b.linux["resources"].update(pids={"limit": 55}, memory={"limit": 64 << 20}))
    c.detached()
    event = json.loads(c("events", "--stats").stdout)
    assert event["type"] == "stats"
    assert event["id"] == c.id
    data = event["data"]
    assert data["pids"] == {"current": 1, "limit": 55}
    assert data["cpu"]["usage"]["total"] > 0
    assert data["cpu"]["usage"]["kernel"] >= 0
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["memory"]["usage"]["usage"] > 0
    assert (
        "total_inactive_file" in data["memory"]["raw"] or "inactive_file" in data["memory"]["raw"]
    )
    c.end()


@only(*LIKE_RUNC)
def test_the_list_as_json(new: New) -> None:
    """go-runc's Container."""
    c = new(lambda b: b.config.update(annotations={"a": "b"}))
    c.create()
    (entry,) = json.loads(c.party("list", "--format", "json").stdout)
    assert entry["id"] == c.id
    assert entry["pid"] == c.pid
    assert entry["status"] == "created"
    assert entry["bundle"] == str(c.bundle.path)
    assert entry["rootfs"] == str(c.bundle.rootfs)
    assert entry["annotations"] == {"a": "b"}
    assert datetime.fromisoformat(entry["created"])
    assert c.party("list", "--quiet").stdout == f"{c.id}\n"
    c.end()


@only(*LIKE_RUNC)
def test_an_update_by_stdin(new: New) -> None:
    """As containerd's shim sends it."""
    c = new(lambda b: b.linux["resources"].update(memory={"limit": 64 << 20}))
    c.detached()
    resources = {"memory": {"limit": 32 << 20}, "pids": {"limit": 44}, "cpu": {"shares": 333}}
    c.party("update", "--resources=-", c.id, stdin=json.dumps(resources))
    lines = Path(f"/proc/{c.pid}/cgroup").read_text().splitlines()
    group = {line.split(":")[1]: line.split(":")[2] for line in lines}
    values = {
        name: Path(f"/sys/fs/cgroup/{name}{group[name]}/{file}").read_text().strip()
        for name, file in (
            ("memory", "memory.limit_in_bytes"),
            ("pids", "pids.max"),
            ("cpu", "cpu.shares"),
        )
    }
    assert values == {"memory": str(32 << 20), "pids": "44", "cpu": "333"}
    c.end()


@only(*LIKE_RUNC)
def test_pause_and_resume(new: New) -> None:
    c = new()
    c.detached()
    c("pause")
    assert c.status() == "paused"
    refused = c("pause", check=False)
    assert refused.returncode == 1
    c("resume")
    assert c.status() == "running"
    refused = c("resume", check=False)
    assert refused.returncode == 1
    assert "not paused" in refused.stderr
    c("pause")
    c("delete", "--force")
    assert c.reap() == 137


@only(*LIKE_RUNC)
def test_a_pidfile_that_cannot_be_written(new: New) -> None:
    c = new()
    words = ("--bundle", str(c.bundle.path), "--pid-file", "/no/such/dir/pid", c.id)
    done = c.party("create", *words, check=False)
    assert done.returncode == 1
    assert "no such file or directory" in done.stderr
    assert not c.exists()


def test_shared_options_of_conmon_and_others(new: New, party: Party) -> None:
    """--systemd-cgroup aside, all that is put before a command by one of them."""
    c = new()
    options: tuple[str, ...] = ("--log", "/dev/null", "--log-format=json", "--debug")
    if party.name != "crun":
        options = ("--rootless=false", *options)
    party("create", "--bundle", str(c.bundle.path), "--no-pivot", c.id, options=options)
    party("delete", "--force", c.id, options=options)
    pid_file = c.bundle.path / "pid"
    assert not pid_file.exists()
