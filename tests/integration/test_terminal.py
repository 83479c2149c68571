"""Terminals, driven as a person's terminal emulator drives them."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time

import pytest

from . import host
from .conftest import Box
from .host import until

pytestmark = pytest.mark.integration


class Terminal:
    """A command on a pty of our own."""

    def __init__(self, box: Box, *words: str, rows: int = 24, columns: int = 80) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(box.program, [box.program, *words], box.environ)
        self.resize(rows, columns)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def expect(self, text: bytes, seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} not in {self.seen!r}"
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                raise AssertionError(f"{text!r} not in {self.seen!r}") from None
        self.seen = self.seen.split(text, 1)[1]

    def close(self) -> int:
        while True:
            try:
                if not os.read(self.fd, 65536):
                    break
            except OSError:
                break
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_a_shell_on_a_terminal(box: Box) -> None:
    shell = Terminal(box, "run", "--rm", "-it", "busybox", "sh", rows=30, columns=100)
    shell.expect(b"# ")
    shell.type(b"stty size; tty; echo $TERM\n")
    shell.expect(b"/dev/pts/0")
    shell.expect(b"xterm")
    shell.expect(b"# ")
    shell.resize(40, 120)
    time.sleep(0.2)
    shell.type(b"stty size\n")
    shell.expect(b"40 120")
    shell.type(b"exit 3\n")
    assert shell.close() == 3


def test_interrupt_reaches_the_program_not_the_client(box: Box) -> None:
    shell = Terminal(box, "run", "--rm", "-it", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"sleep 60.01\n")
    until(lambda: host.runs("sleep", "60.01"))
    shell.type(b"\x03")
    shell.type(b"echo after=$?\n")
    shell.expect(b"after=130")
    shell.type(b"exit 9\n")
    assert shell.close() == 9


def test_detach_and_attach(box: Box) -> None:
    shell = Terminal(box, "run", "--name", "term", "-it", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"X=kept\n")
    shell.expect(b"# ")
    shell.type(b"\x10\x11")
    assert shell.close() == 0
    assert "Up" in box("ps").stdout
    again = Terminal(box, "attach", "term")
    again.type(b"echo value=$X\n")
    again.expect(b"value=kept")
    again.type(b"exit 0\n")
    assert again.close() == 0
    box("rm", "term")


def test_exec_on_a_terminal(box: Box) -> None:
    box("run", "-d", "--name", "host", "busybox", "sleep", "60")
    shell = Terminal(box, "exec", "-it", "host", "sh")
    shell.expect(b"# ")
    shell.type(b"tty; exit 4\n")
    shell.expect(b"/dev/pts/")
    assert shell.close() == 4
    box("rm", "-f", "host")


def test_the_terminal_is_cooked_again_afterwards(box: Box) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    import subprocess

    subprocess.run(
        [box.program, "run", "--rm", "-it", "busybox", "true"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=box.environ,
        check=True,
    )
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_vi_works(box: Box) -> None:
    shell = Terminal(box, "run", "--rm", "-it", "busybox", "sh")
    shell.expect(b"# ")
    shell.type(b"vi /tmp/file\n")
    shell.expect(b"/tmp/file")
    shell.type(b"ihello from vi\x1b")
    time.sleep(0.3)  # or vi takes what follows the escape for a key's sequence
    shell.type(b":wq\r")
    until(lambda: not host.runs("vi", "/tmp/file"))  # it may read what is typed too early
    shell.type(b"cat /tmp/file\n")
    shell.expect(b"hello from vi\r\n")
    shell.type(b"exit\n")
    assert shell.close() == 0


def test_a_terminal_is_asked_for_without_one(box: Box) -> None:
    assert "TTY" in box("run", "--rm", "-it", "busybox", "true", check=False).stderr
