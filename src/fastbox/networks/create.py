"""A new network: checked, given subnets, set up by its driver, and recorded; or nothing of it."""

from __future__ import annotations

import os

from fastbox.errors import Conflict, FastboxError, InvalidArgument, NetworkNotFound, Unsupported
from fastbox.networks import drivers, ipam, kernel, routes
from fastbox.networks.default import refuse_predefined
from fastbox.networks.drivers.bridge import BRIDGE_NAME
from fastbox.networks.records import (
    HostLock,
    SubnetIndex,
    check_name,
    needs_own_subnets,
    publish,
    taken,
)
from fastbox.store.networks import NetworkRecord, NetworkStore
from fastbox.support.clock import now
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastbox.store.networks import Subnet
    from fastbox.store.root import Root


class Request(Record):
    """What `Networks.create` describes."""

    name: str
    driver: str
    subnets: tuple[str, ...]
    gateways: tuple[str, ...]
    ranges: tuple[str, ...]
    reserved: Mapping[str, str]
    ipv4: bool
    ipv6: bool | None
    internal: bool
    attachable: bool
    options: Mapping[str, str]
    labels: Mapping[str, str]
    ipam_driver: str
    ipam_options: Mapping[str, str]
    config_only: bool
    config_from: str


def create(root: Root, wanted: Request) -> str:
    """See `Networks.create`."""
    refuse_predefined(wanted.name)
    check_name(wanted.name)
    store = NetworkStore(root)
    record = _record(store, wanted)
    driver = drivers.load(record.driver)
    with HostLock(store):
        if store.named(record.name):
            raise taken(record.name)
        index = SubnetIndex(store)
        if not record.config_only:
            record = _with_subnets(record, wanted, index)
            driver.validate(record)
            _refuse_shared(store, record)
            record = record.replace(made=_made(root, record))
        try:
            publish(root, store, record)
        except BaseException:
            if not record.config_only:
                kernel.teardown(record)
            raise
    return record.id


def _made(root: Root, record: NetworkRecord) -> tuple[str, ...]:
    """What the driver made; nothing of it stays after a failure."""
    try:
        return kernel.setup(root, record)
    except BaseException:
        try:
            kernel.teardown(record)
        except (FastboxError, OSError):
            pass  # the first failure is what counts
        raise


def _record(store: NetworkStore, wanted: Request) -> NetworkRecord:
    subnets = ipam.parse(wanted.subnets, wanted.gateways, wanted.ranges, wanted.reserved)
    record = NetworkRecord(
        id=os.urandom(32).hex(),
        name=wanted.name,
        driver="null" if wanted.config_only else wanted.driver or "bridge",
        created=now(),
        labels=wanted.labels,
        options=wanted.options,
        subnets=subnets,
        internal=wanted.internal,
        attachable=wanted.attachable,
        ipv4=wanted.ipv4,
        ipv6=bool(wanted.ipv6)
        or (wanted.ipv6 is None and any(each.version == 6 for each in subnets)),
        ipam=wanted.ipam_options,
        config_only=wanted.config_only,
    )
    if wanted.config_from:
        record = _configured(store, record, wanted)
    if wanted.ipam_driver not in ("", "default", "null"):
        raise Unsupported(
            f'the IPAM driver "{wanted.ipam_driver}" is not supported', hint="default and null are"
        )
    if not record.config_only and not (record.ipv4 or record.ipv6):
        raise InvalidArgument("IPv4 or IPv6 must be enabled")
    for each in record.subnets:
        if not (record.ipv4 if each.version == 4 else record.ipv6):
            raise InvalidArgument(
                f"IPv{each.version} is not enabled, but {each.subnet} is a subnet of it"
            )
    return record


def _configured(store: NetworkStore, record: NetworkRecord, wanted: Request) -> NetworkRecord:
    """With what another network, made by --config-only, says."""
    try:
        source = store.known(wanted.config_from)
    except NetworkNotFound:
        raise NetworkNotFound(
            f"failed to validate configuration: configuration network {wanted.config_from} "
            "not found"
        ) from None
    if not source.config_only:
        raise InvalidArgument(
            f"{source.name} is no configuration network", hint="make one with --config-only"
        )
    if record.subnets or record.options:
        raise InvalidArgument(
            "user specified configurations are not supported if the network depends on a "
            "configuration network"
        )
    return record.replace(
        config_from=source.name,
        subnets=source.subnets,
        options=source.options,
        labels={**source.labels, **record.labels},
        internal=source.internal or record.internal,
        ipv4=source.ipv4,
        ipv6=source.ipv6,
        ipam=source.ipam,
    )


def _with_subnets(record: NetworkRecord, wanted: Request, index: SubnetIndex) -> NetworkRecord:
    """The subnets that were asked for, if they are free, and one of the pools for a family without.

    Raises:
        Conflict: One overlaps with another.
        ResourceExhausted: The pools are used up.
    """
    if wanted.ipam_driver == "null":
        return record.replace(subnets=())
    if needs_own_subnets(record.driver):
        for each in record.subnets:
            ipam.check_free(each, index, routes.clash)
    return record.replace(subnets=(*record.subnets, *_chosen(record, index)))


def _chosen(record: NetworkRecord, index: SubnetIndex) -> Iterator[Subnet]:
    for version, enabled in ((4, record.ipv4), (6, record.ipv6)):
        if enabled and not any(each.version == version for each in record.subnets):
            yield ipam.choose(record.name, version, index, routes.clash)


def _refuse_shared(store: NetworkStore, record: NetworkRecord) -> None:
    """Interfaces that another network of the store has: a bridge's name, a parent."""
    key = BRIDGE_NAME if record.driver == "bridge" else "parent"
    mine = record.options.get(key)
    if not mine:
        return
    for network in store.ids():
        try:
            other = store.read(network)
        except ValueError:
            continue
        if other is None or other.config_only or other.options.get(key) != mine:
            continue
        if record.driver == "bridge" and other.driver == "bridge":
            raise Conflict(
                f"network {other.id} ({other.name}) is using the bridge name {mine}: "
                "networks have same bridge name"
            )
        if record.driver in ("macvlan", "ipvlan") and other.driver in ("macvlan", "ipvlan"):
            raise Conflict(
                f"network {other.name} is already using parent interface {mine}",
                hint="a VLAN of it, such as eth0.20, is another parent",
            )
