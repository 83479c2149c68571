"""Questions that others answer: asked of the servers one after the other, from the container's
network namespace.

Each question has a socket of its own, connected, so that the kernel takes answers from that server
alone, with a port of the kernel's choice; its number is random, and the answer has to repeat both
number and question. TCP is asked by TCP, and what a server says is passed on as it is.
"""

from __future__ import annotations

import os
import socket
from time import monotonic

from fastbox import _native
from fastbox.netd import wire
from fastbox.netd.loop import EPOLLIN, EPOLLOUT, spare
from fastbox.support import resolvconf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox.netd.loop import Loop

    Reply = Callable[[bytes], None]
    Server = tuple[str, bool]  # its address; whether it is asked from the host's namespace

TIMEOUT = 2.0  # seconds, for each server
MOST_PENDING = 1024  # of a container; the oldest gives way
MOST_SERVERS = 3
_MOST_TRIES = 4
_DNS = 53
_FAILED = (wire.SERVFAIL, wire.REFUSED)
_LOOK = 0.2  # seconds between two looks at what is late
_LOOK_AGAIN = 0.5  # the same, at the host's file


class HostServers:
    """The servers of the host's resolv.conf, as it is now."""

    __slots__ = ("_checked", "_path", "_servers", "_stamp")

    def __init__(self, path: str = resolvconf.PATH) -> None:
        self._path, self._checked = path, 0.0
        self._stamp = (-1, 0, 0)
        self._servers: list[Server] = []

    def now(self) -> list[Server]:
        """Those on the host's loopback are only reached from there; so are those that are named
        with an interface.
        """
        moment = monotonic()
        if moment - self._checked >= _LOOK_AGAIN:
            self._checked = moment
            self._look()
        return self._servers

    def _look(self) -> None:
        try:
            found = os.stat(self._path)
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            stamp = (0, 0, 0)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        named = resolvconf.servers(resolvconf.read(self._path))
        self._servers = [(one, resolvconf.is_loopback(one) or "%" in one) for one in named]
        if not named:
            self._servers = [(one, False) for one in resolvconf.FALLBACK]


class Forwarder:
    """The questions of one container that are under way.

    Attributes:
        pending: Them, the oldest first.
        loop: Where their sockets are watched.
    """

    __slots__ = ("_given", "_host", "_looking", "_namespace", "loop", "pending")

    def __init__(self, loop: Loop, namespace: int, host: HostServers) -> None:
        self.loop, self._namespace, self._host = loop, namespace, host
        self._given: list[Server] = []
        self._looking = False
        self.pending: dict[Question, None] = {}

    def use(self, servers: Sequence[str]) -> None:
        """Ask these; none: the host's."""
        self._given = [(one, False) for one in servers if resolvconf.is_address(one)]

    def ask(self, data: bytes, tcp: bool, reply: Reply) -> None:
        """Ask what a query asks; `reply` gets the answer, or a failure in place of one."""
        while len(self.pending) >= MOST_PENDING:
            next(iter(self.pending)).close()
        kind = TcpQuestion if tcp else Question
        question = kind(self, data, reply, (self._given or self._host.now())[:MOST_SERVERS])
        if not self._looking:
            self._looking = True
            self.loop.after(_LOOK, self._look)
        self.pending[question] = None
        question.next()

    def _look(self) -> None:
        """Ask the next server what has waited long enough; one timer for all, since nearly every
        question is answered long before.
        """
        for question in [q for q in self.pending if q.deadline <= self.loop.now]:
            question.next()
        self._looking = bool(self.pending)
        if self._looking:
            self.loop.after(_LOOK, self._look)

    def connect(self, server: Server, kind: int) -> socket.socket:
        """A socket whose other end is a server, or will be."""
        address, from_host = server
        plain, _, interface = address.partition("%")
        family = socket.AF_INET6 if ":" in plain else socket.AF_INET
        made: tuple[str, int] | tuple[str, int, int, int] = (plain, _DNS)
        if interface:
            made = (plain, _DNS, 0, socket.if_nametoindex(interface))
        if from_host:
            sock = socket.socket(family, kind)
        else:
            fd = _native.socket_inside(self._namespace, family, kind)
            sock = socket.socket(family, kind, 0, fileno=fd)
        spare(sock).setblocking(False)
        try:
            sock.connect(made)
        except BlockingIOError:
            pass
        except OSError:
            sock.close()
            raise
        return sock

    def close(self) -> None:
        """Forget all questions."""
        for question in list(self.pending):
            question.close()


class Question:
    """One question, by UDP."""

    KIND = socket.SOCK_DGRAM
    __slots__ = (
        "_data", "_failure", "_forwarder", "_reply", "_servers", "_tries", "deadline", "number",
        "sock",
    )  # fmt: skip

    def __init__(
        self, forwarder: Forwarder, data: bytes, reply: Reply, servers: Sequence[Server]
    ) -> None:
        self._forwarder, self._data, self._reply = forwarder, data, reply
        self._servers = (list(servers) * 2)[:_MOST_TRIES]
        self._tries, self.number, self.deadline = 0, 0, 0.0
        self._failure = b""  # a server's own, in case that no other says more
        self.sock: socket.socket | None = None

    def next(self) -> None:
        """Ask the next server; none is left: say so."""
        self._drop()
        while self._tries < len(self._servers):
            server = self._servers[self._tries]
            self._tries += 1
            try:
                self.sock = self._forwarder.connect(server, self.KIND)
                self.begin()
            except OSError:  # not reached from there, or out of descriptors
                self._drop()
                continue
            self.deadline = self._forwarder.loop.now + TIMEOUT
            return
        self._finish(self._failure or wire.failure(self._data, wire.SERVFAIL))

    def begin(self) -> None:
        """Send it."""
        assert self.sock is not None
        self.sock.send(self.renumbered())
        self.watch(EPOLLIN)

    def renumbered(self) -> bytes:
        """The query with a new random number."""
        number = os.urandom(2)
        self.number = int.from_bytes(number, "big")
        return number + self._data[2:]

    def ready(self, _event: int) -> None:
        """Something has come from the server, or word that there is none."""
        while self.sock is not None:
            try:
                answer = self.sock.recv(wire.MAX_TCP)
            except BlockingIOError:
                return
            except OSError:
                self.next()
                return
            self.take(answer)

    def take(self, answer: bytes) -> None:
        """Pass an answer on; what is none is not looked at, and a failure asks the next server."""
        if not wire.is_answer_to(answer, self._data, self.number):
            return
        if answer[3] & 15 in _FAILED or answer[4:6] != b"\0\1":
            self._failure = answer if answer[4:6] == b"\0\1" else self._failure
            self.next()
        else:
            self._finish(answer)

    def _finish(self, answer: bytes) -> None:
        self.close()
        self._reply(self._data[:2] + answer[2:])

    def _drop(self) -> None:
        if self.sock is not None:
            self._forwarder.loop.forget(self.sock.fileno())
            self.sock.close()
            self.sock = None

    def watch(self, events: int) -> None:
        """Watch the socket for the first time."""
        assert self.sock is not None
        self._forwarder.loop.watch(self.sock.fileno(), self.ready, events)

    def change(self, events: int) -> None:
        """Watch it for something else."""
        assert self.sock is not None
        self._forwarder.loop.change(self.sock.fileno(), events)

    def close(self) -> None:
        """Forget it, without an answer."""
        self._drop()
        self._forwarder.pending.pop(self, None)


class TcpQuestion(Question):
    """One question, by TCP: both ways with the length before the message."""

    KIND = socket.SOCK_STREAM
    __slots__ = ("_got", "_unsent")

    def begin(self) -> None:
        """Wait for the connection."""
        message = self.renumbered()
        self._unsent = len(message).to_bytes(2, "big") + message
        self._got = b""
        self.watch(EPOLLOUT)

    def ready(self, _event: int) -> None:
        """Send, then receive."""
        assert self.sock is not None
        try:
            if self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                if not self._unsent:
                    self.change(EPOLLIN)
                return
            got = self.sock.recv(wire.MAX_TCP + 2)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        self._got += got
        length = int.from_bytes(self._got[:2], "big") + 2
        if len(self._got) >= length > 2:
            answer, self._got = self._got[2:length], self._got[length:]
            self.take(answer)  # one that is not ours may be followed by the right one
        elif not got:
            self.next()
