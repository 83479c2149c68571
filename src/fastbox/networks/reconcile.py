"""What the records say and what the kernel has, brought together: bridges, rules, and the leases of
containers that are gone. All of it may be done at any time, and again.
"""

from __future__ import annotations

import os

from fastbox.errors import FastboxError
from fastbox.networks import drivers, kernel
from fastbox.networks.attach import is_there
from fastbox.networks.drivers import bridge
from fastbox.networks.records import HostLock
from fastbox.runtime import state
from fastbox.store.containers import ContainerStore
from fastbox.store.networks import NetworkStore, read_lease, release
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root

    Document = dict[str, Any]  # as JSON has it

_MAX_DOCUMENT = 8 << 20
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


def make(root: Root, record: NetworkRecord, place: int) -> None:
    """Make what the kernel lacks of a network, for the address of that number."""
    with HostLock(NetworkStore(root)):
        kernel.setup(root, record, place)


def firewall(root: Root) -> None:
    """The tables, and in them the networks whose bridge is there and the containers that run. After
    a boot bridges are made when they are needed.
    """
    from fastbox import _nft

    _nft.base()
    for record in _records(root):
        if record.driver == "bridge" and is_there(bridge.device(record)):
            _nft.network(bridge.device(record), *bridge.rules(record), True)
            for shard in bridge.shards(record):
                _nft.shard(shard, record.internal, True)
    for live, document in running(root):
        _nft.endpoints(_guards(document), _ports(document, live), True)


def _guards(document: Document) -> list[tuple[str, str, list[str]]]:
    """The host's end, the MAC and the addresses of each endpoint that may send from these only."""
    return [
        (each["host"], each["mac"], [text.partition("/")[0] for text in each["addresses"]])
        for each in document.get("endpoints", ())
        if each.get("guard")
    ]


def _ports(document: Document, live: Document) -> list[tuple[int, list[str], int, int, str, str]]:
    """The published ports: protocol, addresses of the host, its port, the container's port and
    addresses.
    """
    targets = {(e["protocol"], e["port"]): e for e in document.get("ports", ())}
    found: dict[tuple[str, int, int], list[str]] = {}
    for each in live.get("ports", ()):
        key = (each["protocol"], each["host_port"], each["port"])
        found.setdefault(key, []).append(each["host"])
    return [
        (_PROTOCOLS[protocol], hosts, taken, port, target["address"], target["address6"])
        for (protocol, taken, port), hosts in found.items()
        if (target := targets.get((protocol, port)))
    ]


def running(root: Root) -> Iterator[tuple[Document, Document]]:
    """The live state and network.json of each container that runs and has one."""
    containers = root.live("containers")
    for container in os.listdir(containers):
        if len(container) != 64:
            continue
        live = _read(f"{containers}/{container}")
        document = _read(root.path("containers", container, "network.json")) if live else {}
        if document:
            yield live, document


def _read(path: str) -> Document:
    try:
        with open(path, "rb") as file:
            return json.loads_object(file.read(_MAX_DOCUMENT))
    except (OSError, ValueError):
        return {}


def _records(root: Root) -> Iterator[NetworkRecord]:
    store = NetworkStore(root)
    for network in store.ids():
        try:
            record = store.read(network)
        except (ValueError, FastboxError):  # `system check` tells
            continue
        if record is not None and not record.config_only:
            yield record


def everything(root: Root) -> tuple[str, ...]:
    """Make all that is missing, remove what has no owner; a line for each thing done."""
    done = [] if kernel.rules(root) else ["firewall: the rules were missing"]
    with HostLock(NetworkStore(root)):
        for record in _records(root):
            try:
                done += _made(root, record)
            except FastboxError as error:  # a parent is gone: the other networks can still be made
                done.append(f"network {record.name}: {error}")
    firewall(root)
    done += [f"lease {path}: its container does not run" for path in stale(root)]
    return tuple(done)


def _made(root: Root, record: NetworkRecord) -> list[str]:
    """Make what is missing of one network."""
    link = str(drivers.load(record.driver).endpoint(record, 0).get("link", ""))
    missing = bool(link) and not is_there(link)
    kernel.setup(root, record)
    if record.driver == "bridge":
        _shards(record, NetworkStore(root))
    return [f"network {record.name}: {link} was missing"] if missing else []


def _shards(record: NetworkRecord, store: NetworkStore) -> None:
    """The shards that have leases."""
    from fastbox.store.networks import Pool, number

    pools = [Pool(each) for each in record.subnets]
    wanted = set()
    for text in store.taken(record.id):
        value = number(text)
        fits = (value - p.base for p in pools if (p.version == 6) == (":" in text))
        wanted |= {n // bridge.SHARD for n in fits if n >= bridge.SHARD}
    for shard in sorted(wanted):
        if shard <= 1 << 17:
            bridge.ensure_shard(record, shard * bridge.SHARD)


def stale(root: Root, *, remove: bool = True) -> list[str]:
    """The leases of containers that neither run nor are being started; they are given back."""
    containers, found = ContainerStore(root), []
    for path, container in leases(root):
        if state.is_live(root.run, container):
            continue
        held = containers.lock(container, wait=False, missing_ok=True)
        if held is None and os.path.isdir(containers.directory(container)):
            continue  # somebody starts it right now
        try:
            lease = read_lease(path)
            still = lease is not None and lease["container"] == container
            if still and not state.is_live(root.run, container):
                found.append(path)
                if remove:
                    release([path])
        finally:
            if held is not None:
                held.close()
    return found


def leases(root: Root) -> Iterator[tuple[str, str]]:
    """The path and the container of each lease; of one that can't be read "" for the container."""
    store = NetworkStore(root)
    for network in store.ids():
        for name in store.taken(network):
            path = f"{store.leases(network)}/{name}"
            lease = read_lease(path)
            if lease is not None:
                yield path, str(lease["container"])


def check(root: Root) -> Iterator[tuple[str, str, str]]:
    """What is wrong, where, and what to do about it; nothing is changed."""
    store, heal = NetworkStore(root), "`fastbox network reconcile`"
    for network in store.ids():
        try:
            record = store.read(network)
        except (ValueError, FastboxError) as error:
            where = store.directory(network)
            yield f"a network's record is damaged: {error}", where, "remove it by its id"
            continue
        if record is not None:
            yield from _check_network(store, record)
    for path in stale(root, remove=False):
        yield "an address is held for a container that does not run", path, heal
    yield from _check_rules(root, heal)


def _check_network(store: NetworkStore, record: NetworkRecord) -> Iterator[tuple[str, str, str]]:
    if store.named(record.name) != record.id:
        where = store.directory(record.id)
        yield f'the name "{record.name}" does not lead to its network', where, "remove it by its id"
    for name in store.taken(record.id):
        path = f"{store.leases(record.id)}/{name}"
        if read_lease(path) is None and os.path.exists(path):
            yield "a lease is damaged", path, "remove it; its container is in no network then"


def _check_rules(root: Root, heal: str) -> Iterator[tuple[str, str, str]]:
    """Rules and bridges count where a container needs them."""
    try:
        from fastbox import _nft
    except ImportError:
        return
    links = {
        str(each.get("link", ""))
        for _, document in running(root)
        for each in document.get("endpoints", ())
    }
    if links and not _nft.present():
        yield "the firewall has not fastbox's rules", "nft table inet fastbox", heal
    for link in sorted(links):
        if not is_there(link):
            yield "the bridge of a running container is missing", link, heal
