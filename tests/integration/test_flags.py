"""Flags of `run` and `create` that are about names, streams, files and words."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from .conftest import Box
from .host import until
from .test_lifecycle import IDLE

pytestmark = pytest.mark.integration


def run(box: Box, *words: str, **options: object) -> str:
    return box("run", "--rm", *words, **options).stdout  # type: ignore[arg-type]


def test_hosts_and_resolv_conf(box: Box) -> None:
    words = (
        "--add-host", "db:192.0.2.7", "--add-host=six=[2001:db8::1]", "--dns", "192.0.2.1",
        "--dns", "2001:db8::2", "--dns-search", "a.example", "--dns-search", "b.example",
        "--dns-option", "ndots:2", "--dns-opt", "rotate",
    )  # fmt: skip
    words = ("--network", "none", *words)
    found = run(box, *words, "busybox", "cat", "/etc/hosts", "/etc/resolv.conf")
    assert found.endswith(
        "192.0.2.7\tdb\n2001:db8::1\tsix\nnameserver 192.0.2.1\n"
        "nameserver 2001:db8::2\nsearch a.example b.example\noptions ndots:2 rotate\n"
    )
    assert found.startswith("127.0.0.1\tlocalhost\n")
    words = ("--network", "none", "--dns-search", ".")
    assert run(box, *words, "busybox", "cat", "/etc/resolv.conf") == ""


def test_the_hosts_resolver_is_kept_where_nothing_else_is_said(box: Box) -> None:
    servers = [line for line in Path("/etc/resolv.conf").read_text().splitlines() if line[:10] == "nameserver"]  # fmt: skip
    found = run(
        box, "--network", "host", "--dns-option", "ndots:3", "busybox", "cat", "/etc/resolv.conf"
    )
    assert [line for line in found.splitlines() if line[:10] == "nameserver"] == servers
    assert found.endswith("options ndots:3\n")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--dns", "here"), "not an IP address"),
        (("--add-host", "db"), "not name:address"),
        (("--add-host", "db:there"), "not an IP address"),
        (("--dns-search", "a b"), "blanks"),
        (("--expose", "http"), "not a whole number"),
        (("--expose", "80/icmp"), "not tcp, udp or sctp"),
        (("-a", "stdlog"), "valid streams are STDIN, STDOUT and STDERR"),
        (("-d", "-a", "stdout"), "cannot specify both --attach and --detach"),
        (("-p", "80:http"), "invalid containerPort: http"),
        (("--network-alias", "db"), "only supported for user-defined networks"),
        (("--use-api-socket",), "not supported yet"),
        (("--detach-keys", "ctrl-?"), 'invalid value "ctrl-?" for --detach-keys'),
    ],
)
def test_what_cannot_be_done_is_told(box: Box, words: tuple[str, ...], why: str) -> None:
    assert why in box.fails("run", "--rm", *words, "busybox", "true")


def test_attach_some_streams(box: Box) -> None:
    script = ("busybox", "sh", "-c", "cat; echo out; echo err >&2")
    done = box("run", "--rm", "-a", "stdout", *script)
    assert (done.stdout, done.stderr) == ("out\n", "")
    done = box("run", "--rm", "--attach", "STDERR", *script)
    assert (done.stdout, done.stderr) == ("", "err\n")
    done = box("run", "--rm", "-i", "-a", "stdin", "-a", "stdout", *script, stdin=b"in\n")
    assert (done.stdout, done.stderr) == ("in\nout\n", "")
    done = box("run", "-i", "-a", "stdin", "--name", "fed", *script, stdin=b"in\n")
    assert len(done.stdout.strip()) == 64
    logged = box("logs", "fed")
    assert (logged.stdout, logged.stderr) == ("in\nout\n", "err\n")
    config = json.loads(box("inspect", "fed").stdout)[0]["Config"]
    assert [config["Attach" + name] for name in ("Stdin", "Stdout", "Stderr")] == [True, False, False]  # fmt: skip
    box("rm", "fed")


def test_exposed_ports_are_shown(box: Box) -> None:
    box("create", "--name", "web", "--expose", "80", "--expose", "9000-9001/udp", *IDLE)
    found = json.loads(box("inspect", "web").stdout)[0]["Config"]["ExposedPorts"]
    assert found == {"80/tcp": {}, "9000/udp": {}, "9001/udp": {}}
    assert box("port", "web").stdout == ""
    assert "no public port '80' published for web" in box.fails("port", "web", "80")
    assert "no such container" in box.fails("container", "port", "nobody")
    assert "invalid port: x" in box.fails("port", "web", "x")
    box("rm", "web")


def test_environment_as_docker_reads_it(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# a comment\n\n  A=1\nB= two words \nTAKEN\nUNSET_HERE\nC=#no comment\nD=\n")
    found = run(
        box, "--env-file", str(file), "-e", "A=3", "-e", "TAKEN2", "busybox", "env",
        TAKEN="here", TAKEN2="too",
    )  # fmt: skip
    lines = found.splitlines()
    for line in ("A=3", "B= two words ", "TAKEN=here", "C=#no comment", "D=", "TAKEN2=too"):
        assert line in lines
    assert "UNSET_HERE" not in found
    for text in ("=x\n", "a b=c\n"):
        file.write_text(text)
        box.fails("run", "--env-file", str(file), "busybox", "true")
    box.fails("run", "-e", "=x", "busybox", "true")


def test_labels_of_files(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("# none\na=1\nb\n")
    box("create", "--name", "labelled", "--label-file", str(file), "-l", "a=2", "-l", "c", *IDLE)
    assert (
        box("inspect", "-f", "{{json .Config.Labels}}", "labelled").stdout
        == '{"a":"2","b":"","c":""}\n'
    )
    box("rm", "labelled")


def test_words(box: Box, tmp_path: Path) -> None:
    assert run(box, "-i=false", "--tty=false", "busybox", "echo", "--", "-x") == "-- -x\n"
    assert run(box, "--", "busybox", "echo", "a") == "a\n"
    assert run(box, "--entrypoint", "", "busybox", "echo", "a") == "a\n"
    assert run(box, "--entrypoint", "echo", "busybox", "a", "b") == "a b\n"
    for words in (
        ("--pull", "never"),
        ("--pull=missing", "--quiet", "--disable-content-trust=false"),
    ):
        assert run(box, *words, "busybox", "true") == ""
    assert "pull" in box.fails("run", "--pull", "always", "busybox", "true")
    assert run(box, "--platform", "linux/amd64", "busybox", "true") == ""
    box.fails("run", "--platform", "linux/riscv64", "busybox", "true")
    assert "did you mean --name" in box.fails("run", "--nmae", "x", "busybox", "true")
    file = tmp_path / "id"
    box("run", "--cidfile", str(file), "--rm", "busybox", "true")
    assert len(file.read_text()) == 64
    box.fails("run", "--cidfile", str(file), "busybox", "true")


def test_rename_and_the_group(box: Box) -> None:
    box("container", "create", "--name", "one", *IDLE)
    box("container", "rename", "one", "two")
    box.fails("rename", "two", "a b")
    box.fails("rename", "one", "three")
    assert box("container", "start", "two").stdout == "two\n"
    box("rename", "two", "three")
    assert box("container", "ls", "--format", "{{.Names}}").stdout == "three\n"
    box("container", "kill", "three")
    assert box("container", "wait", "three").stdout == "137\n"
    assert box("container", "remove", "three").stdout == "three\n"


def test_wait_for_several(box: Box) -> None:
    box("run", "-d", "--name", "first", "busybox", "sh", "-c", "sleep 0.2; exit 3")
    box("run", "-d", "--name", "second", "busybox", "sh", "-c", "exit 4")
    assert box("wait", "first", "second").stdout == "3\n4\n"
    done = box("wait", "nobody", "second", check=False)
    assert (done.returncode, done.stdout) == (1, "4\n")
    box("rm", "first", "second")


def test_start_attached(box: Box) -> None:
    box("create", "--name", "again", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 5")
    done = box("start", "-a", "again", check=False)
    assert (done.returncode, done.stderr) == (5, "err\n")
    done = box("start", "-ai", "again", check=False, stdin=b"fed\n")
    assert (done.returncode, done.stdout) == (5, "fed\n")
    box("create", "--name", "other", *IDLE)
    assert "only one container can be attached" in box.fails("start", "-a", "again", "other")
    box("rm", "again", "other")


def test_signals_go_through_or_not(box: Box) -> None:
    """--sig-proxy=false: the client ends, the container goes on."""
    trap = "trap 'echo got; exit 7' TERM; echo up; while :; do sleep 0.05; done"
    with_proxy = box.start("run", "--name", "proxied", "busybox", "sh", "-c", trap, stdout=-1)
    assert with_proxy.stdout is not None
    assert with_proxy.stdout.readline() == b"up\n"
    with_proxy.send_signal(signal.SIGTERM)
    assert with_proxy.wait(20) == 7
    with_proxy.stdout.close()
    without = box.start(
        "run", "--name", "alone", "--sig-proxy=false", "busybox", "sh", "-c", trap, stdout=-1
    )
    assert without.stdout is not None
    assert without.stdout.readline() == b"up\n"
    without.send_signal(signal.SIGTERM)
    assert without.wait(20) != 7
    without.stdout.close()
    assert box("ps", "--format", "{{.Names}}").stdout == "alone\n"
    box("rm", "-f", "proxied", "alone")


def test_attach_without_stdin(box: Box) -> None:
    box("run", "-di", "--name", "reader", "busybox", "sh", "-c", "read x; echo got=$x")
    client = box.start("attach", "--no-stdin", "reader", stdin=-1, stdout=-1)
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdin.write(b"lost\n")
    client.stdin.close()
    time.sleep(0.3)
    assert client.poll() is None
    box("attach", "--sig-proxy=false", "reader", stdin=b"kept\n")
    until(lambda: client.poll() is not None)
    assert client.stdout.read() == b"got=kept\n"
    client.stdout.close()
    box("rm", "reader")


def test_what_stop_sends_and_how_long_it_waits(box: Box) -> None:
    script = "trap 'exit 9' USR1; trap '' TERM; echo ready; while :; do sleep 0.05; done"
    words = ("--stop-signal", "USR1", "--stop-timeout", "33", "busybox", "sh", "-c", script)
    box("run", "-d", "--name", "asked", *words)
    form = "{{.Config.StopSignal}} {{.Config.StopTimeout}}"
    assert box("inspect", "-f", form, "asked").stdout.split()[1] == "33"
    until(lambda: box("logs", "asked").stdout)
    box("stop", "asked")
    assert box("wait", "asked").stdout == "9\n"
    box("rm", "asked")
