"""The name server of one container: 127.0.0.11 in its network namespace.

What its networks' leases know is answered from them; everything else is somebody else's to answer.
"""

from __future__ import annotations

import os
import socket

from fastbox.netd import wire
from fastbox.netd.forward import Forwarder
from fastbox.netd.loop import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, report, spare
from fastbox.netd.names import encoded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.netd.forward import HostServers, Reply
    from fastbox.netd.loop import Loop
    from fastbox.netd.names import Entry, Names, Network

_BATCH = 32  # queries at once: then it is another container's turn
_MOST_CLIENTS = 128  # connections by TCP; the oldest gives way
_CLIENT_IDLE = 10.0  # seconds
_MOST_UNSENT = 1 << 20  # bytes that a client may leave unread
_BROKEN = EPOLLERR | EPOLLHUP
_ARPA = b"\x04arpa\0"


class NameServer:
    """Answers to the queries of one container.

    Attributes:
        active: When the last query came, by the loop's clock.
        loop: Where everything is watched.
    """

    __slots__ = (
        "_clients", "_forwarder", "_internal", "_names", "_namespace", "_ndots", "_networks",
        "_tcp", "_udp", "active", "loop",
    )  # fmt: skip

    def __init__(self, loop: Loop, names: Names, host: HostServers, fds: Sequence[int]) -> None:
        self._namespace, udp, tcp = fds
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, fileno=udp)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=tcp)
        self.loop, self._names, self.active = loop, names, loop.now
        self._forwarder = Forwarder(loop, self._namespace, host)
        # With the aliases of those that the container is linked to there.
        self._networks: list[tuple[Network, dict[bytes, bytes]]] = []
        self._clients: dict[Client, None] = {}
        self._internal = self._ndots = False
        loop.watch(udp, self._udp_ready)
        loop.watch(tcp, self._tcp_ready)

    def describe(self, told: Mapping[str, object]) -> None:
        """Take over what the container's document says: its networks and its servers."""
        before, self._networks = self._networks, []
        for network in _objects(told.get("networks")):
            directory, name = network.get("leases"), network.get("name")
            if isinstance(directory, str) and directory[:1] == "/":
                named = name if isinstance(name, str) else ""
                found = self._names.use(os.path.normpath(directory), named)
                self._networks.append((found, _links(network.get("links"))))
        for one, _ in before:
            self._names.leave(one)
        self._forwarder.use(_texts(told.get("servers")))
        self._internal = told.get("internal") is True
        options = [o.partition("ndots:")[2] for o in _texts(told.get("options"))]
        self._ndots = any(o.isascii() and o.isdigit() and int(o) > 0 for o in options)

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer, or may ask on an open connection."""
        return bool(self._clients or self._forwarder.pending)

    def handle(self, data: bytes, tcp: bool, reply: Reply) -> None:
        """Answer a query, now or later, or never."""
        self._names.refresh()
        query = wire.parse(data)
        if query is None:
            self._unusual(data, tcp, reply)
            return
        found = self._own(query, wire.MAX_TCP if tcp else query.size)
        if found is None:
            self._forward(query, tcp, reply)
        else:
            reply(found)

    def _own(self, query: wire.Query, limit: int) -> bytes | None:
        entry = self._linked(query.name)
        for network, links in self._networks:
            # As docker: what is an alias here is nobody's name, whomever the alias means.
            if entry is None and not (links and network.bare(query.name) in links):
                entry = network.find(query.name)
        if entry is not None:
            return query.answer(entry.values(query.qtype), limit)
        if not query.name.endswith(_ARPA):
            return None
        for network, _ in self._networks:
            names = network.find_address(query.name)
            if names is not None:
                return query.answer(names if query.qtype == wire.PTR else [], limit)
        return None

    def _linked(self, name: bytes) -> Entry | None:
        for network, links in self._networks:
            target = links.get(network.bare(name)) if links else None
            entry = network.find(target) if target else None
            if entry is not None:
                return entry
        return None

    def _forward(self, query: wire.Query, tcp: bool, reply: Reply) -> None:
        if self._internal:
            reply(query.reply(wire.SERVFAIL))
        elif (
            self._ndots
            and query.qtype in (wire.A, wire.AAAA)
            and (len(query.name) == query.name[0] + 2)
        ):
            # As docker: who asked for ndots wants the search domains tried, so one label is nobody.
            reply(query.reply())
        else:
            self._forwarder.ask(query.data, tcp, reply)

    def _unusual(self, data: bytes, tcp: bool, reply: Reply) -> None:
        from fastbox.netd import messages

        answer, forward = messages.consider(data)
        if answer is not None:
            reply(answer)
        elif forward and self._internal:
            reply(wire.failure(data, wire.SERVFAIL))
        elif forward:
            self._forwarder.ask(data, tcp, reply)

    def _udp_ready(self, _event: int) -> None:
        self.active = self.loop.now
        receive, send = self._udp.recvfrom, self._send
        for _ in range(_BATCH):
            try:
                data, client = receive(wire.MAX_TCP)
            except OSError:
                return
            try:
                self.handle(data, False, lambda answer, to=client: send(answer, to))  # type: ignore[misc]
            except Exception:
                # A worker's edge: one message must not cost the others their answers.
                report()

    def _send(self, answer: bytes, client: tuple[object, ...]) -> None:
        try:
            self._udp.sendto(answer, client)
        except OSError:
            pass  # as a network that loses a packet

    def _tcp_ready(self, _event: int) -> None:
        self.active = self.loop.now
        try:
            sock = spare(self._tcp.accept()[0])
        except OSError:
            return
        while len(self._clients) >= _MOST_CLIENTS:
            next(iter(self._clients)).close()
        self._clients[Client(self, sock)] = None

    def left(self, client: Client) -> None:
        """A connection has ended."""
        self._clients.pop(client, None)

    def close(self) -> None:
        """Close our copies of the sockets; what waits in them is for whoever reads them next."""
        for client in list(self._clients):
            client.close()
        self._forwarder.close()
        for sock in (self._udp, self._tcp):
            if sock.fileno() >= 0:
                self.loop.forget(sock.fileno())
                sock.close()
        if self._namespace >= 0:
            os.close(self._namespace)
            self._namespace = -1
        for network, _ in self._networks:
            self._names.leave(network)
        self._networks = []


class Client:
    """A connection by TCP: queries one after the other, answers as they come."""

    __slots__ = ("_active", "_ended", "_got", "_server", "_sock", "_unsent", "_waiting")

    def __init__(self, server: NameServer, sock: socket.socket) -> None:
        self._server, self._sock, self._active = server, sock, server.loop.now
        self._got, self._unsent, self._ended = b"", b"", False
        self._waiting = 0  # queries without their answer
        sock.setblocking(False)
        server.loop.watch(sock.fileno(), self._ready)
        server.loop.after(_CLIENT_IDLE, self._look)

    def _look(self) -> None:
        if self._sock.fileno() < 0:
            return
        left = self._active + _CLIENT_IDLE - self._server.loop.now
        if left <= 0:
            self.close()
        else:
            self._server.loop.after(max(left, 1.0), self._look)

    def _ready(self, event: int) -> None:
        self._active = self._server.active = self._server.loop.now
        if event & _BROKEN:
            self.close()
            return
        if self._unsent and event & EPOLLOUT:
            self._flush()
        if not event & ~EPOLLOUT:
            return
        try:
            got = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            got = b""
        if not got:
            self._end()
            return
        self._got += got
        while len(self._got) >= 2:
            end = int.from_bytes(self._got[:2], "big") + 2
            if len(self._got) < end:
                return
            query, self._got = self._got[2:end], self._got[end:]
            self._waiting += 1
            self._server.handle(query, True, self._reply)

    def _end(self) -> None:
        """The client sends no more; it may still wait for answers."""
        self._ended = True
        if self._waiting or self._unsent:
            self._server.loop.change(self._sock.fileno(), EPOLLOUT if self._unsent else 0)
        else:
            self.close()

    def _reply(self, answer: bytes) -> None:
        self._waiting -= 1
        if self._sock.fileno() < 0:
            return
        begun = bool(self._unsent)
        self._unsent += len(answer).to_bytes(2, "big") + answer
        if not begun:
            self._flush()
        if len(self._unsent) > _MOST_UNSENT:
            self.close()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._ended and not self._unsent and not self._waiting:
            self.close()
            return
        reading = 0 if self._ended else EPOLLIN
        self._server.loop.change(self._sock.fileno(), reading | (EPOLLOUT if self._unsent else 0))

    def close(self) -> None:
        """End it."""
        if self._sock.fileno() >= 0:
            self._server.loop.forget(self._sock.fileno())
            self._sock.close()
        self._unsent = b""
        self._server.left(self)


def _links(value: object) -> dict[bytes, bytes]:
    """Aliases and the names that they stand for."""
    pairs = value.items() if isinstance(value, dict) else ()
    found = {encoded(str(alias)): encoded(str(name)) for alias, name in pairs}
    return {alias: name for alias, name in found.items() if alias and name}


def _objects(value: object) -> list[Mapping[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
