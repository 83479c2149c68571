"""Networks on disk, as a start reads them: records, names, and the leases of addresses.

```
<root>/networks/<id>/record.json       what the network was made with
<root>/networks/<id>/leases/<address>  who has the address: one link(2), so exclusive by the kernel
<root>/networks/<id>/cursor<n>         where the last search for an address in subnet n ended
<root>/networks/names/<name>           symlink to ../<id>; one that points to nothing is free
<root>/networks/subnets/<subnet>       likewise: `networks/records.py` makes and removes networks
```

The leases are also the table of names that netd answers from, so one appears whole, is replaced
by a rename, and nothing else is ever in their directory.
"""

from __future__ import annotations

import os

from fastbox.errors import FastboxError, NetworkNotFound, os_error
from fastbox.store.root import read_record
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from fastbox.store.root import Root

DEFAULT = "bridge"
PREDEFINED = ("bridge", "host", "none")
_DRIVERS = {"bridge": "bridge", "host": "host", "none": "null"}
_HEX = frozenset("0123456789abcdef")
_MAX_LEASE = 64 << 10
WINDOW = 128  # addresses that are used before the next ones: a shard of a bridge
_MOST_V6 = 1 << 20  # addresses of a v6 subnet that are chosen from


class Subnet(Record):
    """One subnet of a network."""

    subnet: str  # "10.128.0.0/24"
    gateway: str = ""  # the host's address in it
    range: str = ""  # the part that addresses are chosen from; "": all
    reserved: Mapping[str, str] | None = None  # addresses that no container gets, by name

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


class NetworkRecord(Record):
    """record.json: what the network was made with."""

    id: str
    name: str
    driver: str
    created: str  # RFC 3339
    labels: Mapping[str, str]
    options: Mapping[str, str]
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    attachable: bool = False
    ipv4: bool = True
    ipv6: bool = False
    ipam: Mapping[str, str] | None = None  # options of the addresses' management
    config_only: bool = False
    config_from: str = ""
    made: tuple[str, ...] = ()  # interfaces that end with the network: a parent's VLAN

    @property
    def is_default(self) -> bool:
        """Whether it is the one that containers are in that name none."""
        return self.name == DEFAULT


class NetworkStore:
    """The networks below one root.

    Attributes:
        root: The store.
    """

    __slots__ = ("_networks", "root")

    def __init__(self, root: Root) -> None:
        self.root, self._networks = root, root.path("networks")

    @property
    def path(self) -> str:
        """The directory of all networks."""
        return self._networks

    def directory(self, network: str) -> str:
        """Its directory; the id is one that we made or listed."""
        return f"{self._networks}/{network}"

    def leases(self, network: str) -> str:
        """The directory of its leases."""
        return f"{self._networks}/{network}/leases"

    def ids(self) -> list[str]:
        """All that have a record."""
        try:
            return [name for name in os.listdir(self._networks) if is_id(name)]
        except FileNotFoundError:  # no network was ever used
            return []

    def named(self, name: str) -> str:
        """The id of the network of that name, or ""."""
        try:
            found = os.readlink(f"{self._networks}/names/{name}").rpartition("/")[2]
        except (OSError, ValueError):
            return ""
        return found if os.path.isdir(self.directory(found)) else ""

    def find(self, reference: str) -> str:
        """The id of a network by id, name or unique beginning of its id: docker's order; "" when
        there is none, or several begin with it.
        """
        if is_id(reference) and os.path.isdir(self.directory(reference)):
            return reference
        if not reference or "/" in reference or reference in (".", ".."):
            return ""
        found = self.named(reference)
        if not found and _HEX.issuperset(reference):
            matching = [each for each in self.ids() if each.startswith(reference)]
            found = matching[0] if len(matching) == 1 else ""
        return found

    def read(self, network: str) -> NetworkRecord | None:
        """Its record; None when there is no such network.

        Raises:
            ValueError: The record is damaged.
        """
        record = self._read(self.directory(network))
        if record is not None and record.id != network:
            raise ValueError("the record is of another network")
        return record

    def _read(self, directory: str) -> NetworkRecord | None:
        found = read_record(directory + "/record.json")
        if found is None:
            return None
        values: dict[str, Any] = {
            key: found[key] for key in NetworkRecord._fields if found.get(key) is not None
        }
        try:
            values["subnets"] = tuple(Subnet(**each) for each in values.get("subnets", ()))
            values["made"] = tuple(values.get("made", ()))
            record = NetworkRecord(**values)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"the record is damaged: {error}") from None
        if not isinstance(record.name, str) or not is_id(record.id):
            raise ValueError("the record is damaged")
        return record

    def known(self, reference: str) -> NetworkRecord:
        """The record of a network that must be there.

        Raises:
            NetworkNotFound: It is not.
            FastboxError: Its record is damaged.
        """
        network = ""
        try:
            # Most networks are named: one look at what the name leads to.
            name = f"{self._networks}/names/{reference}"
            record = self._read(name) if _is_name(reference) else None
            if record is None:
                network = self.find(reference)
                record = self.read(network) if network else None
        except ValueError as error:
            raise FastboxError(
                f"the network's record is damaged: {error}",
                where=self.directory(network or self.named(reference)),
                hint="remove it with `fastbox network rm`",
            ) from None
        if record is None:
            raise not_found(reference)
        return record

    # Leases

    def take(self, network: str, address: str, content: bytes) -> bool:
        """Take an address; False when somebody has it.

        Raises:
            NetworkNotFound: The network is being removed.
        """
        temporary = f"{self.directory(network)}/.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                if os.write(fd, content) != len(content):
                    raise OSError(28, os.strerror(28), temporary)
                os.link(temporary, f"{self.leases(network)}/{address}")
            finally:
                os.close(fd)
                os.unlink(temporary)
        except FileExistsError:
            return False
        except FileNotFoundError:
            raise not_found(network[:12]) from None
        except OSError as error:
            raise os_error(error, "cannot take an address", self.leases(network)) from error
        return True

    def is_taken(self, network: str, address: str) -> bool:
        """Whether somebody has the address now."""
        return os.path.lexists(f"{self.leases(network)}/{address}")

    def taken(self, network: str) -> list[str]:
        """All addresses that somebody has."""
        try:
            return os.listdir(self.leases(network))
        except FileNotFoundError:
            return []

    def leave(self, container: str) -> None:
        """Give back all addresses of a container that nobody starts: each lease is read."""
        for network in self.ids():
            paths = [f"{self.leases(network)}/{name}" for name in self.taken(network)]
            release([p for p in paths if (read_lease(p) or {}).get("container") == container])

    def cursor(self, network: str, index: int) -> int:
        """The number of the address that was taken last in a subnet, 0 before the first."""
        try:
            fd = os.open(f"{self.directory(network)}/cursor{index}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            return int(os.read(fd, 24))
        except ValueError:
            return 0
        finally:
            os.close(fd)

    def set_cursor(self, network: str, index: int, number: int) -> None:
        """Say where the next search begins. Nothing depends on it, so nobody locks it."""
        path = f"{self.directory(network)}/cursor{index}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        try:
            os.pwrite(fd, b"%-20d\n" % number, 0)
        finally:
            os.close(fd)


def read_lease(path: str) -> dict[str, Any] | None:
    """Who has an address; None when nobody has, or the file is damaged."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        found = json.loads_own(os.read(fd, _MAX_LEASE))
    except ValueError:
        return None
    finally:
        os.close(fd)
    kinds = {"container": str, "name": str, "names": list, "mac": str, "endpoint": str}
    whole = all(isinstance(found.get(key), kind) for key, kind in kinds.items())
    return found if whole else None


def release(paths: list[str]) -> None:
    """Give addresses back, by the paths of their leases."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def not_found(reference: str) -> NetworkNotFound:
    """The error for a reference that no network has."""
    return NetworkNotFound(f"network {reference} not found", hint="`fastbox network ls` lists them")


def driver_of(name: str) -> str:
    """The driver of a predefined network."""
    return _DRIVERS[name]


def _is_name(text: str) -> bool:
    return bool(text) and "/" not in text and "\0" not in text and not is_id(text)


def is_id(name: str) -> bool:
    """Whether it has the form of an id."""
    return len(name) == 64 and _HEX.issuperset(name)


# Addresses as numbers, since `ipaddress` costs a start 4 ms.


def number(address: str) -> int:
    """An address of either family as a number.

    Raises:
        ValueError: It is none.
    """
    if ":" not in address:
        parts = address.split(".")
        plain = address.replace(".", "")
        if len(parts) == 4 and max(map(len, parts)) < 4 and plain.isascii() and plain.isdigit():
            try:
                return int.from_bytes(bytes(map(int, parts)), "big")
            except ValueError:  # an empty part, or one above 255
                pass
        raise ValueError(f'"{address}" is not an IP address')
    from _socket import AF_INET6, inet_pton

    try:
        return int.from_bytes(inet_pton(AF_INET6, address), "big")
    except (OSError, ValueError):
        raise ValueError(f'"{address}" is not an IP address') from None


def address(value: int, version: int) -> str:
    """The address in its usual form."""
    if version == 4:
        return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"
    from _socket import AF_INET6, inet_ntop

    return inet_ntop(AF_INET6, value.to_bytes(16, "big"))


def bounds(subnet: str) -> tuple[int, int, int]:
    """The first and the last address of a subnet, and its prefix in bits.

    Raises:
        ValueError: It is none.
    """
    base, slash, bits = subnet.partition("/")
    width = 128 if ":" in base else 32
    if not slash or not (
        bits.isascii() and bits.isdigit() and len(bits) < 4 and int(bits) <= width
    ):
        raise ValueError(f'invalid CIDR address: "{subnet}"')
    prefix = int(bits)
    size = 1 << (width - prefix)
    first = number(base) & ~(size - 1)
    return first, first + size - 1, prefix


class Pool:
    """The addresses of a subnet that containers may have, as numbers from its first one.

    Attributes:
        base: The subnet's first address.
        bits: Its prefix.
        last: The number of its last address.
        low: The first number to choose.
        high: The last.
        kept: Numbers that nobody gets.
    """

    __slots__ = ("base", "bits", "high", "kept", "last", "low", "subnet", "version")

    def __init__(self, subnet: Subnet) -> None:
        self.subnet, self.version = subnet, subnet.version
        self.base, end, self.bits = bounds(subnet.subnet)
        self.last = end - self.base
        self.low, self.high = 0, self.last
        if subnet.range:
            first, last, _ = bounds(subnet.range)
            self.low, self.high = first - self.base, last - self.base
        kept = [subnet.gateway, *(subnet.reserved or {}).values()]
        self.kept = {number(text) - self.base for text in kept if text}
        if self.last > 1:  # a /31 and a /32 have neither network nor broadcast address
            self.kept |= {0, self.last} if self.version == 4 else {0}
        self.high = min(self.high, self.low + _MOST_V6) if self.version == 6 else self.high

    def text(self, value: int) -> str:
        """Address number n."""
        return address(self.base + value, self.version)

    def order(self, cursor: int) -> Iterator[int]:
        """All numbers, beginning after the last that was taken: its window to the end, then all
        windows from the first one on. So the first ones are used up before a next shard is needed,
        and an address rests before it is given again.
        """
        if not self.low <= cursor <= self.high:
            cursor = self.low - 1
        end = min((cursor // WINDOW + 1) * WINDOW - 1, self.high)
        yield from range(cursor + 1, end + 1)
        yield from range(self.low, cursor + 1)
        yield from range(end + 1, self.high + 1)
