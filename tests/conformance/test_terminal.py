"""Terminals: by console socket, on the caller's own, of create, run and exec."""

from __future__ import annotations

import array
import fcntl
import os
import select
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..integration.host import SLOW
from .bundle import Bundle
from .conftest import New, only
from .container import Container
from .party import Party


class Console:
    """A console socket, as containerd's shim and conmon have it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(10 * SLOW)
        self.name = b""

    def receive(self) -> int:
        """The master's descriptor; its name comes as the message's text."""
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(10 * SLOW)
            self.name, messages, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(8))
            (_, _, data), *_ = messages
            fds = array.array("i")
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
            assert len(fds) == 1
            return fds[0]

    def close(self) -> None:
        self.listener.close()


def read(master: int, seconds: float = 10) -> str:
    """All that comes, until the other side is closed."""
    text = b""
    end = time.monotonic() + seconds * SLOW
    while True:
        ready, _, _ = select.select([master], [], [], max(0, end - time.monotonic()))
        assert ready, f"nothing more after {text!r}"
        try:
            part = os.read(master, 65536)
        except OSError:  # EIO: the last one has closed it
            part = b""
        if not part:
            return text.decode()
        text += part


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    console = Console(tmp_path / "console.sock")
    yield console
    console.close()


def _terminal(b: Bundle, *ask: str) -> None:
    b.process["terminal"] = True
    b.process["args"] = ["/bin/probe", *ask]


def _answer(text: str) -> str:
    return text.replace("\r\n", "\n").split("terminal=", 1)[1].splitlines()[0]


EXPECTED = "tty 111 name /dev/pts/0 size {size} leader 1 foreground 1 /dev/tty ok mode 20620 0:5"


def test_create_with_a_console_socket(new: New, console: Console) -> None:
    c = new(lambda b: _terminal(b, "terminal", "stat:/dev/console"))
    c.create("--console-socket", str(console.path))
    master = console.receive()
    assert console.name.startswith(b"/dev/p") or c.party.name == "crun"
    c("start")
    text = read(master)
    os.close(master)
    assert _answer(text) == EXPECTED.format(size="0x0")
    assert "stat:/dev/console=20620" in text
    assert c.reap() == 0
    c("delete")


def test_run_detached_with_a_console_socket(new: New, console: Console) -> None:
    c = new(lambda b: _terminal(b, "terminal"))
    c.detached("--console-socket", str(console.path))
    master = console.receive()
    assert _answer(read(master)) == EXPECTED.format(size="0x0")
    os.close(master)
    c.reap()
    c("delete")


def test_the_size_of_the_console(new: New, console: Console) -> None:
    def edit(b: Bundle) -> None:
        _terminal(b, "terminal")
        b.process["consoleSize"] = {"height": 33, "width": 111}

    c = new(edit)
    c.detached("--console-socket", str(console.path))
    master = console.receive()
    assert _answer(read(master)) == EXPECTED.format(size="111x33")
    os.close(master)
    c.reap()
    c("delete")


def test_the_user_of_a_terminal_owns_it(new: New, console: Console, party: Party) -> None:
    def edit(b: Bundle) -> None:
        _terminal(b, "terminal")
        b.process["user"] = {"uid": 1000, "gid": 1000}

    c = new(edit)
    c.detached("--console-socket", str(console.path))
    master = console.receive()
    assert _answer(read(master)).endswith("/dev/tty ok mode 20620 1000:5")
    os.close(master)
    c.reap()
    c("delete")


def test_signals_of_the_keyboard(new: New, console: Console) -> None:
    def edit(b: Bundle) -> None:
        b.process["terminal"] = True
        b.process["args"] = [
            "sh",
            "-c",
            "trap 'echo stopped; exit 5' INT; echo up; while :; do sleep 0.02; done",
        ]

    c = new(edit)
    c.detached("--console-socket", str(console.path))
    master = console.receive()
    assert b"up" in os.read(master, 100)
    os.write(master, b"\x03")
    assert "stopped" in read(master)
    os.close(master)
    assert c.reap() == 5
    c("delete")


def test_exec_with_a_console_socket(new: New, console: Console, party: Party) -> None:
    c = new()
    c.detached()
    pid_file = c.bundle.path / "exec-pid"
    party(
        *("exec", "--tty", "--detach", "--console-socket", str(console.path)),
        *("--pid-file", str(pid_file), c.id, "/bin/probe", "terminal"),
    )
    master = console.receive()
    answer = _answer(read(master))
    os.close(master)
    assert answer.startswith(
        "tty 111 name /dev/pts/0 size 0x0 leader 1 foreground 1 /dev/tty ok mode 20620"
    )
    os.waitpid(int(pid_file.read_text()), 0)
    c.end()


def test_a_terminal_needs_somewhere_to_go(new: New, party: Party) -> None:
    c = new(lambda b: _terminal(b, "terminal"))
    done = party("create", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    assert "console" in done.stderr
    assert not c.exists()


@only("runc", "fastbox")
def test_a_console_socket_needs_a_terminal(new: New, party: Party, console: Console) -> None:
    c = new()
    done = party(
        "create",
        "--bundle",
        str(c.bundle.path),
        "--console-socket",
        str(console.path),
        c.id,
        check=False,
    )
    assert done.returncode != 0
    assert "console" in done.stderr
    assert not c.exists()


def test_a_console_socket_that_is_none(new: New, party: Party, tmp_path: Path) -> None:
    c = new(lambda b: _terminal(b, "terminal"))
    for path in (tmp_path / "nonesuch", Path("/etc/passwd"), Path("relative")):
        words = ("--bundle", str(c.bundle.path), "--console-socket", str(path), c.id)
        done = party("create", *words, check=False)
        assert done.returncode != 0
        assert done.stderr
        assert not c.exists()


class Own:
    """A terminal of the caller's own, with a runtime in its foreground."""

    def __init__(self, party: Party, *words: str, rows: int = 40, columns: int = 100) -> None:
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *party.argv(*words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        self.slave = slave

    def until(self, text: str, seconds: float = 10) -> str:
        seen = b""
        end = time.monotonic() + seconds * SLOW
        while text.encode() not in seen:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} does not come: {seen!r}"
            seen += os.read(self.master, 65536)
        return seen.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def _own(c: Container) -> Own:
    return Own(c.party, "run", "--bundle", str(c.bundle.path), c.id)


def test_run_on_the_callers_terminal(new: New) -> None:
    c = new(lambda b: _terminal(b, "terminal", "exit:3"))
    own = _own(c)
    text = own.until("/dev/tty ok")
    # runc sets the size beside the process, and crun does not.
    size = "100x40" if c.party.name == "fastbox" else ""
    assert f"tty 111 name /dev/pts/0 size {size}" in text
    assert "leader 1 foreground 1" in text
    assert own.process.wait(10) == 3
    assert termios.tcgetattr(own.slave) == own.before, "the caller's terminal is left as it was"
    own.close()


def test_what_is_typed_arrives_once(new: New) -> None:
    def edit(b: Bundle) -> None:
        b.process["terminal"] = True
        b.process["args"] = ["sh", "-c", 'echo ready; read line; echo "<$line>"']

    c = new(edit)
    own = _own(c)
    own.until("ready")
    os.write(own.master, b"typed\r")
    text = own.until("<typed>")
    assert text.count("typed") == 2  # the echo of the container's terminal, and the answer
    assert own.process.wait(10) == 0
    own.close()


@only("runc", "fastbox")
def test_the_size_follows(new: New) -> None:
    def edit(b: Bundle) -> None:
        b.process["terminal"] = True
        b.process["args"] = [
            "sh",
            "-c",
            "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.02; done",
        ]

    c = new(edit)
    own = _own(c)
    own.until("ready")
    fcntl.ioctl(own.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 21, 77, 0, 0))
    os.kill(own.process.pid, 0)
    own.until("21 77")
    assert own.process.wait(10) == 0
    own.close()


def test_the_keyboards_signals_go_inside(new: New) -> None:
    def edit(b: Bundle) -> None:
        b.process["terminal"] = True
        b.process["args"] = [
            "sh",
            "-c",
            "trap 'echo inside; exit 9' INT; echo ready; while :; do sleep 0.02; done",
        ]

    c = new(edit)
    own = _own(c)
    own.until("ready")
    os.write(own.master, b"\x03")
    own.until("inside")
    assert own.process.wait(10) == 9
    own.close()


def test_exec_on_the_callers_terminal(new: New, party: Party) -> None:
    c = new()
    c.detached()
    own = Own(party, "exec", "--tty", c.id, "/bin/probe", "terminal")
    text = own.until("/dev/tty")
    # runc sets the size beside the process, and crun does not.
    size = "100x40" if party.name == "fastbox" else ""
    assert f"tty 111 name /dev/pts/0 size {size}" in text
    assert "leader 1 foreground 1" in text
    assert own.process.wait(10) == 0
    assert termios.tcgetattr(own.slave) == own.before
    own.close()
    c.end()
