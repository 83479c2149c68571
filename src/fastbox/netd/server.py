"""netd itself: the lock, the socket that supervisors connect to, and what each of them hands over.

A conversation is one container's: descriptors and a document come in, and its end, from whichever
side, is the end of serving it here. The supervisor holds the same sockets: whoever reads them,
nothing that waits in them is lost.
"""

from __future__ import annotations

import fcntl
import gc
import os
import socket
from struct import unpack

from fastbox.netd.forward import HostServers
from fastbox.netd.loop import Loop
from fastbox.netd.names import Names
from fastbox.netd.nameserver import NameServer
from fastbox.netd.relay import TcpRelay, UdpRelay
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

QUIET = 60.0  # seconds without a packet after which a container is given back
IDLE = 30.0  # seconds without any container after which netd ends
_MOST_BYTES, _MOST_FDS = 65536, 253
_BACKLOG = 4096


class Server:
    """All containers that netd serves now."""

    __slots__ = ("_idle", "_listener", "_quiet", "_since", "containers", "host", "loop", "names")

    def __init__(self, listener: socket.socket, quiet: float = QUIET, idle: float = IDLE) -> None:
        self.loop, self.names, self.host = Loop(), Names(), HostServers()
        self.containers: set[Container] = set()
        self._listener, self._quiet, self._idle = listener, quiet, idle
        self._since = self.loop.now  # when there was a container last
        listener.setblocking(False)
        self.loop.watch(listener.fileno(), self._ready)
        self.loop.watch(self.names.fd, self._noticed)
        self._look()

    def run(self) -> None:
        """Serve until there has been nobody to serve for a while."""
        self.loop.run()

    def _ready(self, _event: int) -> None:
        try:
            conversation, _ = self._listener.accept()
        except OSError:
            return
        credentials = conversation.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        # The directory is 0700 already; this is for a descriptor of the socket's that went astray.
        if unpack("iII", credentials)[1] == os.geteuid():
            self.containers.add(Container(self, conversation))
        else:
            conversation.close()

    def _noticed(self, _event: int) -> None:
        self.names.refresh()

    def _look(self) -> None:
        """Give back who has been quiet; end when there is nobody."""
        now = self.loop.now
        self.names.missing()
        for container in [c for c in self.containers if c.quiet_since <= now - self._quiet]:
            container.close()
        if self.containers:
            self._since = now
        elif now - self._since >= self._idle:
            self.loop.running = False
            return
        self.loop.after(min(self._quiet, self._idle) / 8, self._look)

    def left(self, container: Container) -> None:
        """A container is no longer served here."""
        self.containers.discard(container)
        self._since = self.loop.now

    def close(self) -> None:
        """A handler of our own has failed: nothing goes on without it."""
        self.loop.running = False


class Container:
    """One conversation, and what was handed over in it."""

    __slots__ = ("_began", "_conversation", "_name_server", "_relays", "_server")

    def __init__(self, server: Server, conversation: socket.socket) -> None:
        self._server, self._conversation = server, conversation
        self._name_server: NameServer | None = None
        self._relays: list[TcpRelay | UdpRelay] = []
        self._began = server.loop.now
        conversation.setblocking(False)
        server.loop.watch(conversation.fileno(), self._ready)

    @property
    def quiet_since(self) -> float:
        """When the last packet came, by the loop's clock; while something is open, now."""
        last = self._began
        for part in self._parts():
            last = self._server.loop.now if part.busy else max(last, part.active)
        return last

    def _parts(self) -> list[NameServer | TcpRelay | UdpRelay]:
        return [*self._relays, *([self._name_server] if self._name_server else [])]

    def _ready(self, _event: int) -> None:
        try:
            data, fds, flags, _ = socket.recv_fds(
                self._conversation, _MOST_BYTES, _MOST_FDS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            data, fds, flags = b"", [], 0
        if not data or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            _close_all(fds)
            self.close()
            return
        try:
            self._take(json.loads_object(data), fds)
        except (ValueError, KeyError, TypeError, OSError):
            self.close()
            raise
        finally:
            _close_all(fds)

    def _take(self, told: dict[str, object], fds: list[int]) -> None:
        """Take over a message; descriptors that are used are taken out of `fds`."""
        relays = told.get("relays", [])
        if not isinstance(relays, list) or len(fds) not in (len(relays), len(relays) + 3):
            raise ValueError("descriptors and relays do not match")
        if len(fds) > len(relays):
            self._end_names()
            self._name_server = NameServer(
                self._server.loop, self._server.names, self._server.host, fds[:3]
            )
            del fds[:3]
        document = told.get("dns")
        if isinstance(document, dict) and self._name_server:
            self._name_server.describe(document)
        elif "dns" in told and document is None:
            self._end_names()
        for relay in relays:
            kind = UdpRelay if relay["protocol"] == "udp" else TcpRelay
            target = (str(relay["address"]), int(relay["port"]))
            self._relays.append(kind(self._server.loop, fds.pop(0), target))

    def _end_names(self) -> None:
        if self._name_server is not None:
            self._name_server.close()
            self._name_server = None

    def close(self) -> None:
        """Give everything back: our copies are closed first, then the conversation tells so."""
        self._end_names()
        for relay in self._relays:
            relay.close()
        self._relays = []
        if self._conversation.fileno() >= 0:
            self._server.loop.forget(self._conversation.fileno())
            self._conversation.close()
        self._server.left(self)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def listen(run: str) -> tuple[int, socket.socket] | None:
    """Take the lock and listen; None when another netd lives."""
    os.makedirs(run, mode=0o700, exist_ok=True)
    os.makedirs(run + "/netd", mode=0o700, exist_ok=True)
    lock = os.open(run + "/netd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    try:
        os.unlink("sock", dir_fd=lock)
    except FileNotFoundError:
        pass
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"/proc/self/fd/{lock}/sock")  # a path holds 108 bytes, and <run> may be longer
    listener.listen(_BACKLOG)
    return lock, listener


def main(words: Sequence[str]) -> NoReturn:
    """`RUN`, or `RUN LOCK LISTENER` with what a supervisor has locked and bound for us.

    Args:
        words: The command line.
    """
    gc.set_threshold(1 << 14)
    lock = -1
    if len(words) == 3:
        lock = int(words[1])
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=int(words[2]))
        os.set_inheritable(lock, False)
    else:
        made = listen(words[0])
        if made is None:
            os._exit(0)
        lock, listener = made
    Server(listener).run()
    # First out of sight, so that nobody connects to what no longer answers; who just did sees the
    # end of the conversation and tries again.
    os.unlink("sock", dir_fd=lock)
    os._exit(0)
