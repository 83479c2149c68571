"""Ports of the host that the kernel can't send on: the container has no address of their family,
or they are those of [::1], which no rule can lead away. Bytes are carried from the host's socket to
the container's address.
"""

from __future__ import annotations

import errno
import socket
from struct import pack

from fastbox.netd.loop import EPOLLIN, EPOLLOUT, spare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.netd.loop import Loop

    Address = tuple[object, ...]
    Ancillary = list[tuple[int, int, bytes]]

_CHUNK = 1 << 18  # bytes
_BATCH = 32
UDP_IDLE = 60.0  # seconds
_MOST_CLIENTS = 1024  # of a UDP port; the oldest gives way
_MOST_CONNECTIONS = 4096  # of a TCP port; more wait in the kernel
_DATAGRAM = 65535
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_PKTINFO = 20  # struct in6_pktinfo

_buffer = bytearray(_CHUNK)  # between a read and the write behind it
_view = memoryview(_buffer)


class TcpRelay:
    """A listening socket, and the connections that came by it."""

    __slots__ = ("_connections", "_sock", "_target", "active", "loop")

    def __init__(self, loop: Loop, fd: int, target: tuple[str, int]) -> None:
        self._sock = socket.socket(fileno=fd)
        self._target, self.loop, self.active = target, loop, loop.now
        self._connections: set[Connection] = set()
        loop.watch(fd, self._ready)

    @property
    def busy(self) -> bool:
        """Whether a connection is open."""
        return bool(self._connections)

    def _ready(self, _event: int) -> None:
        self.active = self.loop.now
        for _ in range(_BATCH):
            if len(self._connections) >= _MOST_CONNECTIONS:
                self.loop.change(self._sock.fileno(), 0)
                return
            try:
                client, _address = self._sock.accept()
                self._connections.add(Connection(self, client, self._target))
            except OSError as error:
                if error.errno in _EXHAUSTED:  # it waits in the kernel meanwhile
                    self.loop.change(self._sock.fileno(), 0)
                    self.loop.after(1.0, self._resume)
                return

    def _resume(self) -> None:
        if self._sock.fileno() >= 0:
            self.loop.change(self._sock.fileno(), EPOLLIN)

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        self.active = self.loop.now
        if len(self._connections) == _MOST_CONNECTIONS - 1:
            self._resume()

    def close(self) -> None:
        """Close everything."""
        sock = self._sock
        if sock.fileno() >= 0:
            self.loop.forget(sock.fileno())
            sock.close()
        for connection in list(self._connections):
            connection.close()


class Half:
    """One direction of a connection: what `source` sends, `sink` gets."""

    __slots__ = ("done", "ended", "sink", "source", "unsent")

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.unsent = b""
        self.ended = False  # the source sends no more
        self.done = False  # and the sink knows

    def carry(self) -> None:
        """As much as goes without waiting, but not without end: others wait, too."""
        for _ in range(8):
            if self.unsent:
                self.unsent = self.unsent[self.sink.send(self.unsent) :]
                if self.unsent:
                    return
            if not self.ended:
                got = self.source.recv_into(_buffer)
                self.ended = not got
                sent = _send(self.sink, _view[:got]) if got else 0
                self.unsent = bytes(_view[sent:got])
            if self.ended:
                if not self.done:
                    self.sink.shutdown(socket.SHUT_WR)
                    self.done = True
                return


def _family(target: tuple[str, int]) -> int:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET


def _send(sink: socket.socket, data: memoryview) -> int:
    try:
        return sink.send(data)
    except BlockingIOError:
        return 0


class Connection:
    """Two sockets, and the bytes between them; each end may stop sending before the other."""

    __slots__ = ("_connected", "_events", "_relay", "back", "forth")

    def __init__(self, relay: TcpRelay, client: socket.socket, target: tuple[str, int]) -> None:
        server = spare(socket.socket(_family(target), socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
        client.setblocking(False)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._relay, self._connected = relay, False
        self.forth, self.back = Half(client, server), Half(server, client)
        failed = server.connect_ex(target)
        self._events = {client.fileno(): 0, server.fileno(): EPOLLOUT}
        relay.loop.watch(server.fileno(), self._ready, EPOLLOUT)
        if failed not in (0, errno.EINPROGRESS):
            relay.loop.after(0, self._refuse)

    def _ready(self, _event: int) -> None:
        self._relay.active = self._relay.loop.now
        try:
            if not self._connected:
                failed = self.back.source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failed:
                    self._refuse()
                    return
                self._connected = True
            for half in (self.forth, self.back):
                try:
                    half.carry()
                except BlockingIOError:
                    pass
        except OSError:
            self._refuse()
            return
        if self.forth.done and self.back.done:
            self.close()
        else:
            self._watch()

    def _watch(self) -> None:
        """Each socket for what its two directions wait for."""
        for reading, writing in ((self.forth, self.back), (self.back, self.forth)):
            fd = reading.source.fileno()
            events = 0 if reading.ended or reading.unsent else EPOLLIN
            events |= EPOLLOUT if writing.unsent else 0
            if events != self._events[fd]:
                self._change(fd, events)

    def _change(self, fd: int, events: int) -> None:
        """Who waits for nothing isn't watched at all: of a socket that is closed in both directions
        epoll would tell without end, while the other one's reader takes its time.
        """
        before, self._events[fd] = self._events[fd], events
        if not events:
            self._relay.loop.forget(fd)
        elif before:
            self._relay.loop.change(fd, events)
        else:
            self._relay.loop.watch(fd, self._ready, events)

    def _refuse(self) -> None:
        """As the other end did: a reset."""
        for sock in (self.forth.source, self.back.source):
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """End both."""
        for sock in (self.forth.source, self.back.source):
            if sock.fileno() >= 0:
                self._relay.loop.forget(sock.fileno())
                sock.close()
        self._relay.left(self)


class UdpRelay:
    """A socket of the host's, and one to the container for each client that sends to it."""

    __slots__ = ("_clients", "_sock", "_target", "active", "loop")

    def __init__(self, loop: Loop, fd: int, target: tuple[str, int]) -> None:
        self._sock = socket.socket(fileno=fd)
        self._target, self.loop, self.active = target, loop, loop.now
        self._clients: dict[object, UdpClient] = {}
        if self._sock.family == socket.AF_INET6:  # answers come from the address that was asked
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        loop.watch(fd, self._ready)

    @property
    def busy(self) -> bool:
        """Whether a client has sent something within the last minute."""
        return bool(self._clients)

    def _ready(self, _event: int) -> None:
        self.active = self.loop.now
        for _ in range(_BATCH):
            try:
                data, ancillary, _, address = self._sock.recvmsg(
                    _DATAGRAM, socket.CMSG_SPACE(_PKTINFO)
                )
            except OSError:
                return
            info = [one for one in ancillary if one[1] == socket.IPV6_PKTINFO]
            key = (address, info[0][2] if info else b"")
            client = self._clients.get(key) or self._new(key, address, info)
            if client is not None:
                client.send(data)

    def _new(self, key: object, address: Address, info: Ancillary) -> UdpClient | None:
        while len(self._clients) >= _MOST_CLIENTS:
            next(iter(self._clients.values())).close()
        try:
            client = self._clients[key] = UdpClient(self, key, address, info)
        except OSError:
            return None
        client.look()
        return client

    def connect(self) -> socket.socket:
        """A socket to the container's port."""
        sock = spare(socket.socket(_family(self._target), socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        try:
            sock.connect(self._target)
        except OSError:
            sock.close()
            raise
        return sock

    def answer(self, data: bytes, info: Ancillary, address: Address) -> None:
        """Send something of the container's to a client."""
        try:
            self._sock.sendmsg([data], info, 0, address)
        except OSError:
            pass  # as a network that loses a packet

    def left(self, key: object) -> None:
        """A client has been quiet for long."""
        self._clients.pop(key, None)

    def close(self) -> None:
        """Close everything."""
        if self._sock.fileno() >= 0:
            self.loop.forget(self._sock.fileno())
            self._sock.close()
        for client in list(self._clients.values()):
            client.close()


class UdpClient:
    """Who sends to a UDP port, with a socket of its own, so that answers find their way back."""

    __slots__ = ("_active", "_address", "_info", "_key", "_relay", "_sock")

    def __init__(self, relay: UdpRelay, key: object, address: Address, info: Ancillary) -> None:
        self._relay, self._key, self._address, self._info = relay, key, address, info
        self._sock, self._active = relay.connect(), relay.loop.now
        relay.loop.watch(self._sock.fileno(), self._ready)

    def look(self) -> None:
        """End it when it has been quiet, else look again."""
        if self._sock.fileno() < 0:
            return
        left = self._active + UDP_IDLE - self._relay.loop.now
        if left <= 0:
            self.close()
        else:
            self._relay.loop.after(left, self.look)

    def send(self, data: bytes) -> None:
        """To the container."""
        self._active = self._relay.loop.now
        try:
            self._sock.send(data)
        except OSError:
            pass  # nobody listens there, or it is full: as a network that loses a packet

    def _ready(self, _event: int) -> None:
        self._active = self._relay.active = self._relay.loop.now
        for _ in range(_BATCH):
            try:
                data = self._sock.recv(_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:
                continue  # an error that was waiting, not what is there to read
            self._relay.answer(data, self._info, self._address)

    def close(self) -> None:
        """Forget it."""
        if self._sock.fileno() >= 0:
            self._relay.loop.forget(self._sock.fileno())
            self._sock.close()
        self._relay.left(self._key)
