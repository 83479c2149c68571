"""The table of names: what the leases of a network say, kept by inotify.

A lease is a file named by its address that appears whole and vanishes. Names and addresses are kept
in the form that messages have, so that a look-up is one of a dict.
"""

from __future__ import annotations

import os
from socket import AF_INET, AF_INET6, inet_pton
from struct import Struct

from fastbox import _native
from fastbox.netd import wire
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTICE = Struct("iIII")
_OVERFLOW, _IGNORED, _GONE = 0x4000, 0x8000, 0x40 | 0x200  # IN_Q_OVERFLOW ... IN_MOVED_FROM, DELETE
_MAX_LEASE = 1 << 16
_SHORT_ID = 12


class Entry:
    """The addresses that a name stands for."""

    __slots__ = ("_turn", "v4", "v6")

    def __init__(self) -> None:
        self.v4: list[bytes] = []
        self.v6: list[bytes] = []
        self._turn = 0

    def values(self, qtype: int) -> list[bytes]:
        """The addresses of a type, beginning with another one each time; none for other types."""
        found = self.v4 if qtype == wire.A else self.v6 if qtype == wire.AAAA else []
        if len(found) < 2:
            return found
        self._turn = (self._turn + 1) % len(found)
        return found[self._turn :] + found[: self._turn]


class _Lease:
    """What of a lease is in the table: to take it out again."""

    __slots__ = ("address", "names", "reverse")

    def __init__(self, address: bytes, names: set[bytes], reverse: bytes) -> None:
        self.address, self.names, self.reverse = address, names, reverse


class Network:
    """The names of one network.

    Attributes:
        suffix: The network's own name, which may stand behind each of them.
        users: How many containers ask it.
    """

    __slots__ = ("_directory", "_leases", "_names", "_reverse", "_watch", "suffix", "users")

    def __init__(self, directory: str, name: str) -> None:
        self._directory, self.users = directory, 0
        self.suffix = encoded(name or _network_name(directory)) or b"\0"
        self._leases: dict[str, _Lease] = {}
        self._names: dict[bytes, Entry] = {}
        self._reverse: dict[bytes, bytes] = {}
        self._watch = -1

    def find(self, name: bytes) -> Entry | None:
        """What a name stands for here."""
        return self._names.get(name) or self._names.get(self.bare(name))

    def bare(self, name: bytes) -> bytes:
        """A name without the network's own behind it."""
        if len(self.suffix) > 1 and name.endswith(self.suffix):
            return name[: -len(self.suffix)] + b"\0"
        return name

    def find_address(self, name: bytes) -> list[bytes] | None:
        """The names of the address that a name below in-addr.arpa or ip6.arpa means."""
        found = self._reverse.get(name)
        return None if found is None else [found[:-1] + self.suffix]

    def watch(self, notices: int) -> int:
        """Begin to watch; the watch's number, -1 as long as there is no such directory."""
        try:
            self._watch = _native.notice_names(notices, self._directory)
        except OSError:
            return -1
        self.load()
        return self._watch

    def load(self) -> None:
        """Read all leases anew."""
        self._leases.clear()
        self._names.clear()
        self._reverse.clear()
        try:
            for name in sorted(os.listdir(self._directory)):
                self.put(name)
        except OSError:
            pass

    def put(self, file: str) -> None:
        """A lease has come or was replaced; what can't be read is none."""
        self.drop(file)
        address = _address(file)
        lease = _read(f"{self._directory}/{file}") if address else None
        if lease is None:
            return
        names = list(_names(lease))
        if not names:
            return
        made = self._leases[file] = _Lease(address, set(names), _reverse_name(address))
        for name in made.names:
            entry = self._names.setdefault(name, Entry())
            (entry.v4 if len(address) == 4 else entry.v6).append(address)
        self._reverse[made.reverse] = names[0]

    def drop(self, file: str) -> None:
        """A lease has gone."""
        lease = self._leases.pop(file, None)
        if lease is None:
            return
        for name in lease.names:
            entry = self._names[name]
            (entry.v4 if len(lease.address) == 4 else entry.v6).remove(lease.address)
            if not entry.v4 and not entry.v6:
                del self._names[name]
        self._reverse.pop(lease.reverse, None)


class Names:
    """The networks that somebody asks, and the one inotify descriptor that watches them."""

    __slots__ = ("_networks", "_watched", "fd")

    def __init__(self) -> None:
        self.fd = _native.notices()
        self._networks: dict[str, Network] = {}  # by directory
        self._watched: dict[int, Network] = {}

    def use(self, directory: str, name: str = "") -> Network:
        """A network, to be given back by `leave`."""
        network = self._networks.get(directory)
        if network is None:
            network = self._networks[directory] = Network(directory, name)
            self._begin(network)
        network.users += 1
        return network

    def leave(self, network: Network) -> None:
        """One less who asks it."""
        network.users -= 1
        if network.users:
            return
        self._networks = {d: n for d, n in self._networks.items() if n is not network}
        for watch in [w for w, n in self._watched.items() if n is network]:
            del self._watched[watch]
            _native.notice_no_more(self.fd, watch)

    def refresh(self) -> None:
        """Let the tables be what the directories are now."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        for watch, mask, file in _notices(data):
            self._noticed(watch, mask, file)
        self.refresh()

    def missing(self) -> None:
        """Look again for directories that were not there."""
        if len(self._watched) != len(self._networks):
            watched = set(self._watched.values())
            for network in self._networks.values():
                if network not in watched:
                    self._begin(network)

    def _begin(self, network: Network) -> None:
        watch = network.watch(self.fd)
        if watch >= 0:
            self._watched[watch] = network

    def _noticed(self, watch: int, mask: int, file: str) -> None:
        if mask & _OVERFLOW:
            for network in self._networks.values():
                network.load()
            return
        if watch not in self._watched:
            return
        network = self._watched[watch]
        if mask & _IGNORED:  # the directory is gone
            del self._watched[watch]
            network.load()
        elif mask & _GONE:
            network.drop(file)
        else:
            network.put(file)


def _notices(data: bytes) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(data):
        watch, mask, _, length = _NOTICE.unpack_from(data, at)
        at += _NOTICE.size
        yield watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def _address(file: str) -> bytes:
    """The address that a lease's file is named by; b"" for another file."""
    try:
        return inet_pton(AF_INET6 if ":" in file else AF_INET, file)
    except (OSError, ValueError):
        return b""


def _reverse_name(address: bytes) -> bytes:
    if len(address) == 4:
        return wire.name(".".join(map(str, reversed(address))) + ".in-addr.arpa")
    return wire.name(".".join(reversed(address.hex())) + ".ip6.arpa")


def _read(path: str) -> dict[str, object] | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return json.loads_object(os.read(fd, _MAX_LEASE))
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def _names(lease: dict[str, object]) -> Iterator[bytes]:
    """The names of a lease, the container's own first."""
    more = lease.get("names")
    words = [lease.get("name"), str(lease.get("container", ""))[:_SHORT_ID]]
    for word in [*words, *(more if isinstance(more, list) else [])]:
        made = encoded(word) if isinstance(word, str) else b""
        if made:
            yield made


def encoded(text: str) -> bytes:
    """A name as messages have it; b"" for what can be none."""
    try:
        return wire.name(text)
    except ValueError:
        return b""


def _network_name(directory: str) -> str:
    """The name in the record of the network whose leases these are."""
    record = _read(os.path.dirname(directory) + "/record.json")
    return str(record.get("name", "")) if record else ""
