"""A container's network for one start: its addresses are taken, its bridge is there, and
network.json says what its supervisor makes.

The start path: no library, few modules, some 0.2 ms. An address is taken by a file that the kernel
makes exclusive, so starts need no lock between them.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument
from fastbox.networks import drivers
from fastbox.store.networks import (
    DEFAULT,
    WINDOW,
    NetworkStore,
    Pool,
    number,
    read_lease,
    release,
)
from fastbox.support import json, paths
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType
    from typing import Any

    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root

    Wish = Mapping[str, Any]  # types.EndpointOptions as JSON has it

INTERFACES = "/proc/sys/net/ipv4/conf/"
_TRIES = 64  # looks at single addresses before all leases are listed
PREFIX, IFNAME = "com.docker.network.container_iface_prefix", "com.docker.network.endpoint.ifname"
_NO_NETWORK = ("none", "host")


def wishes(options: Mapping[str, Any]) -> list[Wish]:
    """The networks that a container's options name, as `types.EndpointOptions` as JSON has it; none
    for the host's network, another container's, and for none.
    """
    mode = str(options.get("network") or DEFAULT)
    if mode in _NO_NETWORK or mode[:10] == "container:":
        return []
    found: list[Wish] = [
        each for each in options.get("endpoints") or () if each["network"] not in _NO_NETWORK
    ]
    if not options.get("endpoints"):
        found = [{"network": mode}]
    return [each | {"network": DEFAULT} if each["network"] == "default" else each for each in found]  # type: ignore[operator]


class Made(Record):
    """An endpoint, and what only Python has to know of it."""

    record: NetworkRecord
    document: dict[str, Any]  # of network.json
    gateways: tuple[str, ...]
    routed: bool
    priority: int

    @property
    def order(self) -> tuple[object, ...]:
        """Whose gateways become the default routes: docker's order."""
        dual = len(self.gateways) > 1
        return (-self.priority, not self.routed, not dual, self.record.name)


class Attacher:
    """What one container gets; used once."""

    __slots__ = ("_container", "_ensure", "_hostname", "_name", "_store", "made")

    def __init__(
        self,
        root: Root,
        container: str,
        name: str,
        hostname: str,
        ensure: Callable[[NetworkRecord, int, str], None],
    ) -> None:
        """Nothing is taken yet.

        Args:
            root: The store.
            container: The container's id.
            name: Its name.
            hostname: Its host name.
            ensure: Sees that a network is there, for an address of that number, whose endpoint is
                on that link.
        """
        self._store = NetworkStore(root)
        self._container, self._name, self._hostname = container, name, hostname
        self._ensure = ensure
        self.made: list[Made] = []

    def add(self, wish: Wish, record: NetworkRecord, taken: Sequence[str] = ()) -> Made:
        """Take the addresses for one network; its interface gets a name that is not in `taken`.

        Raises:
            Conflict: The address that is wanted is in use.
            InvalidArgument: It is in no subnet of the network.
            ResourceExhausted: None is free.
        """
        names = [self._name, *(wish.get("aliases") or ()), self._container[:12], self._hostname]
        holder = {
            "schema": 1,
            "container": self._container,
            "name": self._name,
            "names": [name for name in dict.fromkeys(names) if name],
            "mac": str(wish.get("mac") or ""),
            "endpoint": os.urandom(32).hex(),
            "primary": not self.made and not taken,
        }
        leases: list[str] = []
        try:
            addresses, gateways, place = self._addresses(record, wish, holder, leases)
            driver = drivers.load(record.driver)
            own = driver.endpoint(record, place)
            self._ensure(record, place, str(own["link"]))
        except BaseException:
            release(leases)
            raise
        document: dict[str, Any] = {
            "network": record.id,
            **own,
            "name": self._interface(record, wish, taken),
            "host": "fbv" + os.urandom(5).hex(),
            "addresses": [*addresses, *map(_link_local, wish.get("link_local") or ())],
            "gateways": [],
            "leases": leases,
        }
        if record.driver != "ipvlan":  # there it is the parent's
            document["mac"] = holder["mac"] or _random_mac()
        made = Made(
            record=record,
            document=document,
            gateways=tuple(gateways),
            routed=driver.routed(record) and bool(gateways),
            priority=int(wish.get("priority") or 0),
        )
        self.made.append(made)
        return made

    def _interface(self, record: NetworkRecord, wish: Wish, taken: Sequence[str]) -> str:
        used = {*taken, *(each.document["name"] for each in self.made)}
        given = (wish.get("options") or {}).get(IFNAME)
        if given:
            if given in used or len(given) > 15 or "/" in given:
                raise InvalidArgument(f'"{given}" is no name for another interface')
            return str(given)
        prefix = record.options.get(PREFIX) or "eth"
        return next(f"{prefix}{i}" for i in range(len(used) + 1) if f"{prefix}{i}" not in used)

    def _addresses(
        self, record: NetworkRecord, wish: Wish, holder: dict[str, Any], leases: list[str]
    ) -> tuple[list[str], list[str], int]:
        """The addresses with their prefixes, the gateways, and the first address's number."""
        found, gateways, place = [], [], -1
        for version, wanted in ((4, wish.get("ip")), (6, wish.get("ip6"))):
            pools = [Pool(each) for each in record.subnets if each.version == version]
            if not pools:
                if wanted:
                    raise refused().outside(wanted, record)
                continue
            pool, value = self._take(record, pools, str(wanted or ""), holder, place)
            text = pool.text(value)
            leases.append(f"{self._store.leases(record.id)}/{text}")
            found.append(f"{text}/{pool.bits}")
            if pool.subnet.gateway:
                gateways.append(_via(record, pool))
            if place < 0:
                place = value
        return found, gateways, max(place, 0)

    def _take(
        self,
        record: NetworkRecord,
        pools: list[Pool],
        wanted: str,
        holder: dict[str, Any],
        like: int,
    ) -> tuple[Pool, int]:
        if wanted:
            return self._take_this(record, pools, wanted, holder)
        for index, pool in enumerate(pools):
            value = self._take_free(record, pool, index, holder, like)
            if value >= 0:
                return pool, value
        raise refused().exhausted(self._store, record, pools)

    def _take_this(
        self, record: NetworkRecord, pools: list[Pool], wanted: str, holder: dict[str, Any]
    ) -> tuple[Pool, int]:
        try:
            wish = number(wanted)
        except ValueError as error:
            raise InvalidArgument(f"invalid endpoint settings: {error}") from None
        for pool in pools:
            value = wish - pool.base
            if 0 <= value <= pool.last:
                break
        else:
            raise refused().outside(wanted, record)
        if value not in pool.kept and self._try(record, pool, value, holder):
            return pool, value
        raise refused().in_use(self._store, record, pool, value)

    def _take_free(
        self, record: NetworkRecord, pool: Pool, index: int, holder: dict[str, Any], like: int
    ) -> int:
        """The number that was taken, -1 when all are."""
        follows = like >= 0  # a v6 address has the number of the v4 one, if nobody has it
        cursor = like - 1 if follows else self._store.cursor(record.id, index)
        tried, known = 0, None
        for value in pool.order(cursor):
            if value in pool.kept:
                continue
            if known is None and tried == _TRIES:
                known = set(self._store.taken(record.id))
            tried += 1
            text = pool.text(value)
            if text in known if known is not None else self._store.is_taken(record.id, text):
                continue
            if self._try(record, pool, value, holder):
                if not follows:
                    self._store.set_cursor(record.id, index, value)
                return value
        return -1

    def _try(self, record: NetworkRecord, pool: Pool, value: int, holder: dict[str, Any]) -> bool:
        """Take an address; the MAC is made of the first one, so that a neighbour's entry stays
        right when it is given again.
        """
        mac = holder["mac"]
        content = holder | {"mac": mac or _mac(pool.base + value)}
        if not self._store.take(record.id, pool.text(value), json.dumps_bytes(content)):
            return False
        holder["mac"] = content["mac"]
        return True

    def document(
        self, options: Mapping[str, Any], ports: list[dict[str, Any]], netd: Sequence[str]
    ) -> dict[str, Any]:
        """network.json."""
        order = sorted((each for each in self.made if each.routed), key=lambda each: each.order)
        for each in self.made:
            each.document["gateways"] = list(each.gateways) if each in order[:1] else []
        return {
            "schema": 1,
            "endpoints": [each.document for each in self.made],
            "ports": ports,
            "dns": self.dns(options, [each.record for each in self.made]),
            "netd": list(netd),
        }

    def dns(
        self, options: Mapping[str, Any], records: Sequence[NetworkRecord]
    ) -> dict[str, Any] | None:
        """What netd is told; None in no network but the default one, which has no names."""
        named = [each for each in records if not each.is_default]
        if not named:
            return None
        return {
            "id": self._container,
            "name": self._name,
            "networks": [self._told(each, options) for each in named],
            "servers": list(options.get("dns") or ()),
            "search": list(options.get("dns_search") or ()),
            "options": list(options.get("dns_options") or ()),
            "internal": all(each.internal for each in records),
        }

    def _told(self, record: NetworkRecord, options: Mapping[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = {"id": record.id, "leases": self._store.leases(record.id)}
        for wish in wishes(options):
            if wish.get("links") and self._store.find(wish["network"]) == record.id:
                from fastbox.support import netfiles

                names = map(netfiles.link, wish["links"])
                told["links"] = {alias: name for name, alias in names}
        return told

    def published_at(self) -> tuple[str, str, NetworkRecord | None]:
        """The container's addresses, v4 and v6, that its ports are published from."""
        routed = [each for each in self.made if each.routed and each.document["kind"] == "veth"]
        if not routed:
            return "", "", None
        chosen = min(routed, key=lambda each: each.order)
        own = [text.partition("/")[0] for text in chosen.document["addresses"]]
        v4 = next((text for text in own if ":" not in text), "")
        v6 = next((text for text in own if ":" in text and text[:4] != "fe80"), "")
        return v4, v6, chosen.record

    def abandon(self) -> None:
        """Give all addresses back."""
        for each in self.made:
            release(each.document["leases"])


def refused() -> ModuleType:
    """What can't be had is said by another module, which most starts don't import."""
    from fastbox.networks import refusals

    return refusals


def _via(record: NetworkRecord, pool: Pool) -> str:
    """The gateway; in ipvlan's layer 3 the device is the way, without one."""
    if record.driver == "ipvlan" and record.options.get("ipvlan_mode", "l2") != "l2":
        return "0.0.0.0" if pool.version == 4 else "::"
    return pool.subnet.gateway


def _mac(value: int) -> str:
    return "02:42:" + (value & 0xFFFFFFFF).to_bytes(4, "big").hex(":")


def _random_mac() -> str:
    return "02:42:" + os.urandom(4).hex(":")


def _link_local(text: str) -> str:
    return text + ("/64" if ":" in text else "/16") if "/" not in text else text


def attach(
    root: Root,
    container: str,
    name: str,
    hostname: str,
    options: Mapping[str, Any],
    exposed: Sequence[str] = (),
) -> dict[str, Any] | None:
    """network.json of a start; None for a container without networks of its own.

    The addresses are taken then: whoever does not hand the document to a supervisor calls
    `abandon`.

    Args:
        root: The store.
        container: The container's id.
        name: Its name.
        hostname: Its host name.
        options: Its RunOptions as its record has them.
        exposed: The ports that it exposes, such as "80/tcp".

    Raises:
        NetworkNotFound: There is no such network.
        Conflict, InvalidArgument, ResourceExhausted: See `Attacher.add`.
    """
    mode = str(options.get("network") or DEFAULT)
    if mode in _NO_NETWORK or mode[:10] == "container:":
        return None
    made = Attacher(root, container, name, hostname, lambda *of: ensure(root, *of))
    try:
        for wish in wishes(options):
            made.add(wish, known(root, wish["network"]))
        ports = _ports(made, options, exposed)
        return made.document(options, ports, paths.netd(root.run))
    except BaseException:
        made.abandon()
        raise


def known(root: Root, reference: str) -> NetworkRecord:
    """A network's record; the default one's is made when it is first needed.

    Raises:
        NetworkNotFound: There is no such network.
    """
    store = NetworkStore(root)
    if reference == DEFAULT and not store.named(DEFAULT):
        from fastbox.networks import default

        return default.make(root)
    return store.known(reference)


def ensure(root: Root, record: NetworkRecord, place: int, link: str) -> None:
    """See that the kernel has a network, for the address of that number, and the rules."""
    links = [link]
    if record.driver == "bridge":
        from fastbox import _nft

        if _nft.present():
            try:
                _nft.coexist()  # another engine may have come since
            except OSError as error:
                from fastbox.networks import kernel

                raise kernel.failed(error, "make way for", record) from error
        else:
            from fastbox.networks import kernel

            kernel.rules(root)
        if place >= WINDOW:
            links.append(str(drivers.load(record.driver).endpoint(record, 0)["link"]))
    for each in links:
        if not is_there(each):
            from fastbox.networks import reconcile

            reconcile.make(root, record, place)
            return


def is_there(link: str) -> bool:
    """Whether there is such an interface here; /sys may show those of another namespace."""
    return os.path.exists(INTERFACES + link)


def _ports(
    made: Attacher, options: Mapping[str, Any], exposed: Sequence[str]
) -> list[dict[str, Any]]:
    if not options.get("publish") and not options.get("publish_all"):
        return []
    v4, v6, record = made.published_at()
    if record is None:
        return []
    from fastbox.networks.drivers.bridge import HOST_BINDING
    from fastbox.support import portwords

    given = portwords.publish(
        options.get("publish") or (), publish_all=bool(options.get("publish_all")), exposed=exposed
    )
    binding = record.options.get(HOST_BINDING) or ""
    return portwords.to_document(given, v4, v6, binding="" if binding == "0.0.0.0" else binding)


def abandon(container: str, document: Mapping[str, Any]) -> None:
    """Give back what `attach` has taken. If its supervisor did that already, another container may
    have the address now.
    """
    for each in document["endpoints"]:
        for path in each["leases"]:
            lease = read_lease(path)
            if lease is not None and lease["container"] == container:
                release([path])


class Starts:
    """What containers need of the networks of one store."""

    __slots__ = ("_root",)

    def __init__(self, root: Root) -> None:
        self._root = root

    def attach(
        self,
        container: str,
        name: str,
        hostname: str,
        options: Mapping[str, Any],
        exposed: Sequence[str] = (),
    ) -> dict[str, Any] | None:
        """network.json of a start, with its addresses taken: see `attach`."""
        return attach(self._root, container, name, hostname, options, exposed)

    def abandon(self, container: str, document: Mapping[str, Any]) -> None:
        """The start failed: give the addresses back that the container still has."""
        abandon(container, document)

    def verify(self, options: Mapping[str, Any]) -> None:
        """Before a container is made: are its networks there, and can they give it what it wants?

        Raises:
            NetworkNotFound: There is no such network.
            InvalidArgument: See `checks.py`.
        """
        from fastbox.networks.checks import verify

        verify(self._root, options)

    def renamed(self, document: Mapping[str, Any], old: str, new: str) -> None:
        """A container has another name: its leases, from which names are answered, say it."""
        from fastbox.networks.connecting import rename

        rename(document, old, new)

    def gateways(self) -> list[str]:
        """The default network's gateways: the addresses of the host that `host-gateway` means."""
        return [each.gateway for each in known(self._root, DEFAULT).subnets if each.gateway]
