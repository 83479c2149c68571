"""Networks by name: listed, inspected, removed, pruned."""

from __future__ import annotations

from fastbox import units
from fastbox.errors import FastboxError, InUse, InvalidArgument, NetworkNotFound
from fastbox.networks import kernel
from fastbox.networks.attach import known
from fastbox.networks.default import predefined
from fastbox.networks.records import HostLock
from fastbox.networks.records import remove as take_away
from fastbox.store.networks import (
    PREDEFINED,
    NetworkRecord,
    NetworkStore,
    bounds,
    not_found,
    number,
    read_lease,
)
from fastbox.support.filters import Filters
from fastbox.types import NetworkInfo, Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from fastbox.store.root import Root

KEYS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_NEVER = "0001-01-01T00:00:00Z"


def records(root: Root) -> list[NetworkRecord]:
    """All that can be read, the predefined ones among them, by name."""
    store = NetworkStore(root)
    found = {}
    for network in store.ids():
        try:
            record = store.read(network)
        except (ValueError, FastboxError):  # `system check` tells
            continue
        if record is not None:
            found[record.name] = record
    for name in PREDEFINED:
        found.setdefault(name, predefined(root, name))
    return sorted(found.values(), key=lambda each: _natural(each.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """How docker orders names: net2 before net10."""
    parts: list[str] = []
    for char in name:
        if parts and parts[-1][-1].isdigit() == char.isdigit():
            parts[-1] += char
        else:
            parts.append(char)
    return [(0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts]


def listing(root: Root, filters: Sequence[str]) -> list[NetworkInfo]:
    """See `Networks.list`."""
    wanted = Filters(filters, KEYS)
    dangling = wanted.truth("dangling")
    for kind in wanted.values("type"):
        if kind not in ("builtin", "custom"):
            raise InvalidArgument(
                f'invalid filter "type={kind}"', hint="it is one of builtin, custom"
            )
    store, found = NetworkStore(root), []
    for record in records(root):
        if not _fits(record, wanted):
            continue
        containers = tuple(members(store, record))
        if dangling is not None:
            unused = not containers and record.name not in PREDEFINED
            if unused is not dangling:
                continue
        found.append(_info(record, containers))
    return found


def _fits(record: NetworkRecord, wanted: Filters) -> bool:
    values = wanted.values
    kind = "builtin" if record.name in PREDEFINED else "custom"
    tests = (
        ("driver", record.driver in values("driver")),
        ("id", any(record.id.startswith(text) for text in values("id"))),
        ("name", any(text in record.name for text in values("name"))),
        ("scope", "local" in values("scope")),
        ("type", kind in values("type")),
    )
    return all(fits for key, fits in tests if values(key)) and wanted.labels_fit(record.labels)


def _info(record: NetworkRecord, containers: tuple[str, ...]) -> NetworkInfo:
    return NetworkInfo(
        id=record.id,
        name=record.name,
        driver=record.driver,
        created=record.created,
        internal=record.internal,
        ipv4=record.ipv4,
        ipv6=record.ipv6,
        labels=record.labels,
        containers=containers,
    )


def members(store: NetworkStore, record: NetworkRecord) -> dict[str, dict[str, Any]]:
    """Who runs in it, by id: the lease's members, and `addresses` with their prefixes."""
    found: dict[str, dict[str, Any]] = {}
    subnets = [(each.version, *bounds(each.subnet)) for each in record.subnets]
    for text in store.taken(record.id):
        lease = read_lease(f"{store.leases(record.id)}/{text}")
        if lease is None:
            continue
        version, value = (6 if ":" in text else 4), number(text)
        bits = next((b for v, low, high, b in subnets if v == version and low <= value <= high), 0)
        each = found.setdefault(lease["container"], lease | {"addresses": []})
        each["addresses"].append(f"{text}/{bits}")
    return found


def resolve(root: Root, reference: str) -> NetworkRecord:
    """A network by name or id; those that are always there, too.

    Raises:
        NetworkNotFound: There is none.
    """
    for name in PREDEFINED:
        if reference == name or (
            len(reference) > 2 and predefined(root, name).id.startswith(reference)
        ):
            return known(root, name) if name == "bridge" else predefined(root, name)
    try:
        return known(root, reference)
    except NetworkNotFound:
        store = NetworkStore(root)
        matching = [each for each in store.ids() if reference and each.startswith(reference)]
        if len(matching) > 1:
            raise InvalidArgument(
                f"network {reference} is ambiguous ({len(matching)} matches found on ID prefix)",
                hint="give more of the id",
            ) from None
        raise not_found(reference) from None


def inspect(root: Root, reference: str) -> dict[str, object]:
    """See `Networks.inspect`."""
    record = resolve(root, reference)
    found = members(NetworkStore(root), record)
    return {
        "Name": record.name,
        "Id": record.id,
        "Created": record.created or _NEVER,
        "Scope": "local",
        "Driver": record.driver,
        "EnableIPv4": record.ipv4,
        "EnableIPv6": record.ipv6,
        "IPAM": {
            "Driver": "default" if record.subnets or record.name in PREDEFINED else "null",
            "Options": dict(record.ipam or {}) or (None if record.name in PREDEFINED else {}),
            "Config": list(_ipam(record)) or None,
        },
        "Internal": record.internal,
        "Attachable": record.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": record.config_from},
        "ConfigOnly": record.config_only,
        "Containers": {each: _member(lease) for each, lease in found.items()},
        "Options": dict(record.options),
        "Labels": dict(record.labels),
    }


def _ipam(record: NetworkRecord) -> Iterator[dict[str, object]]:
    for each in record.subnets:
        shown: dict[str, object] = {"Subnet": each.subnet}
        if each.range:
            shown["IPRange"] = each.range
        if each.gateway:
            shown["Gateway"] = each.gateway
        if each.reserved:
            shown["AuxiliaryAddresses"] = dict(each.reserved)
        yield shown


def _member(lease: dict[str, Any]) -> dict[str, str]:
    return {
        "Name": lease["name"],
        "EndpointID": lease["endpoint"],
        "MacAddress": lease["mac"],
        "IPv4Address": next((text for text in lease["addresses"] if ":" not in text), ""),
        "IPv6Address": next((text for text in lease["addresses"] if ":" in text), ""),
    }


def remove(root: Root, reference: str, *, force: bool) -> None:
    """See `Networks.remove`."""
    refuse_predefined_removal(reference)
    store = NetworkStore(root)
    with HostLock(store):
        network = store.find(reference)
        try:
            record = store.read(network) if network else None
        except ValueError:
            record = NetworkRecord(
                id=network, name="", driver="null", created="", labels={}, options={}
            )
        if record is None:
            if force:
                return
            raise not_found(reference)
        refuse_predefined_removal(record.name)
        take_away(root, store, record, lambda: kernel.teardown(record))


def refuse_predefined_removal(name: str) -> None:
    """Those that are always there stay.

    Raises:
        Conflict: It is one of them.
    """
    if name in PREDEFINED:
        from fastbox.errors import Conflict

        raise Conflict(f"{name} is a pre-defined network and cannot be removed")


def prune(root: Root, filters: Sequence[str]) -> Pruned:
    """See `Networks.prune`."""
    wanted = Filters(filters, ("label", "label!", "until"))
    until, store, removed = wanted.until(), NetworkStore(root), []
    for record in records(root):
        if record.name in PREDEFINED or not wanted.labels_fit(record.labels):
            continue
        if until is not None and units.instant(record.created) >= until:
            continue
        if store.taken(record.id):
            continue
        try:
            remove(root, record.id, force=True)
        except InUse:  # a container was faster
            continue
        removed.append(record.name)
    return Pruned(lines=tuple(removed), reclaimed=0)
