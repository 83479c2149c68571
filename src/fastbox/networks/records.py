"""Networks come and go: a record that appears by one rename, a name and subnets that are exclusive
by the kernel, all under one lock of the host, since stores share its interfaces and routes.
"""

from __future__ import annotations

import fcntl
import os

from fastbox.errors import Conflict, InUse, InvalidArgument, os_error
from fastbox.store.lease import Work
from fastbox.store.networks import NetworkStore, address, bounds, read_lease
from fastbox.store.root import write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root

AWAY = "away"
_INTERFACES = "/sys/class/net"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LATER = _LETTERS | frozenset("_.-")
_BUCKETS = {4: 24, 6: 64}  # what is smaller is listed by these prefixes
_INDEX = "subnets"
_PARTS = "parts"


def check_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidArgument: It breaks [a-zA-Z0-9][a-zA-Z0-9_.-]* or is longer than a file's name.
    """
    if not name or len(name) > 255 or name[0] not in _LETTERS or not _LATER.issuperset(name):
        raise InvalidArgument(
            f'invalid network name "{name}"',
            hint="letters, digits, _ . - are allowed, a letter or digit first",
        )
    return name


class HostLock:
    """Who chooses subnets, makes and removes networks, in any store of this host."""

    __slots__ = ("_fd", "_store")

    def __init__(self, store: NetworkStore) -> None:
        place = _INTERFACES if os.path.isdir(_INTERFACES) else store.path
        os.makedirs(store.path, mode=0o700, exist_ok=True)
        self._store = store
        self._fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        recover(self._store)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


class SubnetIndex:
    """The subnets of a store's networks as names of files: 10.128.0.0_24 -> ../<id>.

    Whether a subnet overlaps with another is asked of a few names: those of all subnets that could
    contain it, and a directory of those that it could contain. Only the lock's holder uses it.
    """

    __slots__ = ("_path",)

    def __init__(self, store: NetworkStore) -> None:
        self._path = f"{store.path}/{_INDEX}"
        os.makedirs(f"{self._path}/{_PARTS}", mode=0o700, exist_ok=True)

    def overlap(self, subnet: str) -> str:
        """One of the subnets that overlap with this one, or ""."""
        version = 6 if ":" in subnet else 4
        first, last, prefix = bounds(subnet)
        width = 128 if version == 6 else 32
        for bits in range(prefix, 0, -1):
            shift = width - bits
            name = f"{address(first >> shift << shift, version)}_{bits}"
            if self._is_there(name):
                return name.replace("_", "/")
        for name in self._smaller(version, first, prefix):
            other = name.replace("_", "/")
            if (":" in other) == (version == 6):
                low, high, _ = bounds(other)
                if low <= last and first <= high and self._is_there(name):
                    return other
        return ""

    def _smaller(self, version: int, first: int, prefix: int) -> list[str]:
        bucket = _BUCKETS[version]
        if prefix < bucket:
            return [name for name in os.listdir(self._path) if "_" in name]
        try:
            return os.listdir(self._bucket(version, first))
        except FileNotFoundError:
            return []

    def _bucket(self, version: int, value: int) -> str:
        shift = (128 if version == 6 else 32) - _BUCKETS[version]
        return f"{self._path}/{_PARTS}/{address(value >> shift << shift, version)}"

    def owner(self, subnet: str) -> str:
        """The id of the network that has it."""
        try:
            return os.readlink(f"{self._path}/{_name(subnet)}").rpartition("/")[2]
        except OSError:
            return ""

    def _is_there(self, name: str) -> bool:
        """Whether a network has it; what the killed maker of one left is taken away."""
        path = f"{self._path}/{name}"
        if os.path.exists(path):
            return True
        if os.path.lexists(path):
            self.remove(name.replace("_", "/"))
        return False

    def add(self, subnet: str, network: str) -> None:
        """Say who has it."""
        os.symlink(f"../{network}", f"{self._path}/{_name(subnet)}")
        version = 6 if ":" in subnet else 4
        first, _, prefix = bounds(subnet)
        if prefix > _BUCKETS[version]:
            bucket = self._bucket(version, first)
            os.makedirs(bucket, mode=0o700, exist_ok=True)
            os.close(os.open(f"{bucket}/{_name(subnet)}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC))

    def remove(self, subnet: str, network: str = "") -> None:
        """Forget it, if it is still the network's."""
        if network and self.owner(subnet) != network:
            return
        _unlink(f"{self._path}/{_name(subnet)}")
        version = 6 if ":" in subnet else 4
        first, _, prefix = bounds(subnet)
        if prefix > _BUCKETS[version]:
            bucket = self._bucket(version, first)
            _unlink(f"{bucket}/{_name(subnet)}")
            try:
                os.rmdir(bucket)
            except OSError:
                pass

    def cursor(self, base: str, size: int) -> int:
        """Where the next search in a pool begins."""
        try:
            with open(self._cursor(base, size), encoding="ascii") as file:
                return int(file.read(24))
        except (OSError, ValueError):
            return 0

    def set_cursor(self, base: str, size: int, index: int) -> None:
        """Say where."""
        with open(self._cursor(base, size), "w", encoding="ascii") as file:
            file.write(str(index))

    def _cursor(self, base: str, size: int) -> str:
        return f"{self._path}/{_PARTS}/.{_name(base)}-{size}"


def _name(subnet: str) -> str:
    return subnet.replace("/", "_")


def publish(root: Root, store: NetworkStore, record: NetworkRecord) -> None:
    """Put a network in place, under the lock: its subnets and name first, which point to nothing
    until its directory appears.

    Raises:
        Conflict: There is a network of that name.
    """
    index = SubnetIndex(store)
    try:
        _claim(store, record)
        for each in () if record.config_only else record.subnets:
            _add(index, each.subnet, record)
        with Work(root) as work:
            made = work.directory("network")
            os.mkdir(made + "/leases", 0o700)
            os.chmod(made + "/leases", 0o700)
            document = record.as_dict() | {"subnets": [e.as_dict() for e in record.subnets]}
            write_record(made + "/record.json", document, durable=True)
            os.rename(made, store.directory(record.id))
    except BaseException as error:
        _forget(store, record)
        if isinstance(error, OSError):
            raise os_error(error, "cannot make the network", store.path) from error
        raise


def needs_own_subnets(driver: str) -> bool:
    """Whether two networks of the host's can't have one subnet: what its parent's network is, it
    may be to several.
    """
    return driver == "bridge"


def _add(index: SubnetIndex, subnet: str, record: NetworkRecord) -> None:
    try:
        index.add(subnet, record.id)
    except FileExistsError:
        if needs_own_subnets(record.driver):
            raise


def _claim(store: NetworkStore, record: NetworkRecord) -> None:
    names = f"{store.path}/names"
    os.makedirs(names, mode=0o700, exist_ok=True)
    if store.named(record.name):
        raise taken(record.name)
    _unlink(f"{names}/{record.name}")  # of one that was killed: it points to nothing
    os.symlink(f"../{record.id}", f"{names}/{record.name}")


def taken(name: str) -> Conflict:
    """The error for a name that a network has."""
    return Conflict(
        f"network with name {name} already exists", hint=f"remove it: fastbox network rm {name}"
    )


def _forget(store: NetworkStore, record: NetworkRecord) -> None:
    name = f"{store.path}/names/{record.name}"
    try:
        if os.readlink(name) == f"../{record.id}":
            _unlink(name)
    except OSError:
        pass
    index = SubnetIndex(store)
    for each in record.subnets:
        index.remove(each.subnet, record.id)


def remove(
    root: Root, store: NetworkStore, record: NetworkRecord, teardown: Callable[[], None]
) -> None:
    """Take a network away, under the lock: out of sight by one rename, then once more a look at who
    is in it, then what the host has of it, then its name and files.

    Raises:
        InUse: Containers run in it.
    """
    here, away = store.directory(record.id), f"{store.path}/{AWAY}/{record.id}"
    _refuse(record, here)
    try:
        os.makedirs(f"{store.path}/{AWAY}", mode=0o700, exist_ok=True)
        os.rename(here, away)
        try:
            _refuse(record, away)
            teardown()
        except BaseException:
            os.rename(away, here)
            raise
    except OSError as error:
        raise os_error(error, "cannot remove the network", here) from error
    _forget(store, record)
    with Work(root) as work:
        os.rename(away, work.path + "/network")


def recover(store: NetworkStore) -> None:
    """Under the lock: put back what a remover that was killed moved away. It is removed by whoever
    wants it removed still.
    """
    try:
        names = os.listdir(f"{store.path}/{AWAY}")
    except FileNotFoundError:
        return
    for name in names:
        os.rename(f"{store.path}/{AWAY}/{name}", store.directory(name))


def _refuse(record: NetworkRecord, directory: str) -> None:
    found = dict(_holders(directory))
    if found:
        names = ", ".join(f'name:"{name}" id:"{each[:12]}"' for each, name in found.items())
        raise InUse(
            f"error while removing network: network {record.name} has active endpoints ({names})",
            where=record.name,
            hint="stop these containers, or disconnect them",
        )


def _holders(directory: str) -> Iterator[tuple[str, str]]:
    for name in os.listdir(directory + "/leases"):
        lease = read_lease(f"{directory}/leases/{name}")
        if lease is not None:
            yield lease["container"], lease["name"]


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
