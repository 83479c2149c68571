"""System calls that a process of the test's own answers: a listener at `listenerPath`."""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..integration.host import SLOW
from .bundle import Bundle
from .conftest import New, only
from .party import Party

# <linux/seccomp.h>: seccomp_notif is id, pid, flags, nr, arch, instruction pointer, six arguments; the answer id, value, error, flags.
NOTIFICATION, ANSWER = "=QIIiIQ6Q", "=QqiI"
RECEIVE, SEND = 0xC0502100, 0xC0182101
EPROTO = 71


class Listener:
    """Takes one listener's descriptor and the state that comes with it, then answers each call with an error."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen(1)
        self.socket.settimeout(20 * SLOW)
        self.state: dict[str, Any] = {}
        self.calls: list[int] = []
        self.fds = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        try:
            connection, _ = self.socket.accept()
        except OSError:
            return
        with connection:
            text, messages, _, _ = connection.recvmsg(65536, socket.CMSG_SPACE(4 * 8))
            descriptors = array.array("i")
            for _, _, data in messages:
                descriptors.frombytes(data[: len(data) - len(data) % 4])
            # runc leaves its end open for as long as it runs: the message is whole when it can be read.
            while not (state := _whole(text)):
                text += connection.recv(65536)
        self.state = state
        self.fds = len(descriptors)
        fd = descriptors[self.state["fds"].index("seccompFd")]
        self.answer(fd)

    def answer(self, fd: int) -> None:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        while True:
            (_, event), *_ = poll.poll(20000 * SLOW) or [(0, select.POLLHUP)]
            if not event & select.POLLIN:
                break
            buffer = ctypes.create_string_buffer(80)
            try:
                fcntl.ioctl(fd, RECEIVE, buffer)
                ident, _, _, number, *_ = struct.unpack(
                    NOTIFICATION, buffer.raw[: struct.calcsize(NOTIFICATION)]
                )
                self.calls.append(number)
                fcntl.ioctl(fd, SEND, struct.pack(ANSWER, ident, 0, -EPROTO, 0))
            except OSError:
                break
        os.close(fd)

    def close(self) -> None:
        self.socket.close()
        self.thread.join(20)


def _whole(text: bytes) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return value


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "listener.sock")
    yield listener
    listener.close()


def _notify(b: Bundle, path: Path, *ask: str, metadata: str | None = "some words") -> None:
    b.process["args"] = ["/bin/probe", *ask]
    b.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "listenerPath": str(path),
        "syscalls": [
            {"names": ["getppid", "getpgid"], "action": "SCMP_ACT_NOTIFY"},
            {"names": ["sync"], "action": "SCMP_ACT_ERRNO"},
        ],
    }
    if metadata is not None:
        b.linux["seccomp"]["listenerMetadata"] = metadata


def test_a_listener_answers(new: New, party: Party, listener: Listener) -> None:
    ask = ("call:getppid", "call:getpgid:0", "call:sync", "call:sched_yield")
    c = new(lambda b: _notify(b, listener.path, *ask))
    done = party("run", "--bundle", str(c.bundle.path), c.id)
    assert done.stdout.splitlines() == [
        "call:getppid=EPROTO",
        "call:getpgid:0=EPROTO",
        "call:sync=EPERM",
        "call:sched_yield=ok",
    ]
    listener.thread.join(20)
    # runc's own process calls getppid when the filter is there already.
    assert listener.calls[-2:] == [110, 121]


def test_what_a_listener_is_told(new: New, listener: Listener) -> None:
    def edit(b: Bundle) -> None:
        _notify(b, listener.path, "call:getppid")
        b.config["annotations"] = {"a": "b"}

    c = new(edit)
    c.create()
    pid = c.pid
    c("start")
    c.reap()
    c("delete")
    listener.thread.join(20)
    told = listener.state
    assert told["ociVersion"].startswith(("0.", "1."))
    assert told["fds"] == ["seccompFd"]
    assert listener.fds == 1
    assert told["pid"] == pid
    assert told["metadata"] == "some words"
    state = told["state"]
    assert state["id"] == c.id
    assert state["pid"] == pid
    assert state["bundle"] == str(c.bundle.path)
    assert state["annotations"] == {"a": "b"}
    assert state["status"] in ("creating", "created")


def test_nobody_listens(new: New, party: Party, tmp_path: Path) -> None:
    c = new(lambda b: _notify(b, tmp_path / "nonesuch.sock", "call:getppid"))
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    assert done.stderr
    assert not c.exists()


@only("runc", "fastbox")  # crun makes a filter that nobody answers
def test_a_notification_needs_a_listener(new: New, party: Party, tmp_path: Path) -> None:
    def edit(b: Bundle) -> None:
        _notify(b, tmp_path / "none", "call:getppid")
        del b.linux["seccomp"]["listenerPath"]

    c = new(edit)
    done = party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert done.returncode != 0
    assert done.stderr
    assert not c.exists()


def test_an_exec_has_a_listener_of_its_own(new: New, party: Party, tmp_path: Path) -> None:
    """The filter of an exec is the container's: its descriptor goes to the same path."""
    first = Listener(tmp_path / "one.sock")

    def edit(b: Bundle) -> None:
        _notify(b, first.path)
        b.process["args"] = ["/bin/sleep", "1000"]

    c = new(edit)
    c.detached()
    first.socket.close()
    first.path.unlink()
    second = Listener(first.path)
    done = c.exec("/bin/probe", "call:getppid")
    assert done.stdout == "call:getppid=EPROTO\n"
    c.end()
    first.thread.join(20)
    second.close()
    assert second.calls[-1:] == [110]
