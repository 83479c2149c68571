"""Parents of macvlan and ipvlan networks: an interface of the host's, a VLAN of one ("eth0.10"),
or, without any, a dummy that ends with the network.

The only place, with checks, that uses pyroute2: it is imported when a parent has to be made.
"""

from __future__ import annotations

import os

from fastbox.errors import FastboxError, InvalidArgument, NotFound, Unsupported
from fastbox.networks.drivers.bridge import MTU_OPTION, mtu_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

PARENT = "parent"
_EOPNOTSUPP, _EEXIST, _ENODEV = 95, 17, 19


def parent_of(record: NetworkRecord) -> str:
    """The interface that endpoints are made on."""
    return record.options.get(PARENT) or f"dm-{record.id[:12]}"


def validate(record: NetworkRecord) -> None:
    """Refuse a parent that is neither there nor a VLAN of one that is.

    Raises:
        InvalidArgument: A VLAN out of its range.
        NotFound: The interface does not exist.
    """
    parent = record.options.get(PARENT)
    if not parent:
        return
    if parent == "lo":
        raise InvalidArgument("the loopback interface is not a valid parent")
    if _is_there(parent):
        return
    base, _, vlan = _split(parent)
    if not vlan:
        raise NotFound(
            f"the parent interface {parent} was not found on the host",
            hint="`ip link` lists them; eth0.10 makes VLAN 10 of eth0",
        )
    if not 1 <= int(vlan) <= 4094:
        raise InvalidArgument(
            f"vlan id must be between 1-4094, received: {vlan}", hint="write eth0.10"
        )
    if not _is_there(base):
        raise NotFound(
            f"the parent interface {base} of VLAN {vlan} was not found on the host",
            hint="`ip link` lists them",
        )


def setup(record: NetworkRecord) -> tuple[str, ...]:
    """Make what is missing; the interface, if it is one that the network makes."""
    name = parent_of(record)
    if _is_there(name):
        return record.made
    base, _, vlan = _split(name)
    if record.options.get(PARENT) and not vlan:
        raise NotFound(f"the parent interface {name} was not found on the host")
    _make(name, base if record.options.get(PARENT) else "", int(vlan or 0))
    return (name,)


def teardown(record: NetworkRecord) -> None:
    """Delete what `setup` has made."""
    from fastbox import _net

    for name in record.made:
        _net.link_delete(name)


def endpoint(record: NetworkRecord, kind: str, mode: str) -> dict[str, object]:
    """An interface on the parent, made where the container is: no port of ours, so no rule."""
    return {
        "kind": kind,
        "link": parent_of(record),
        "mode": mode,
        "mtu": mtu_of(record) if record.options.get(MTU_OPTION) else 0,
        "isolated": False,
        "napi": False,
        "guard": False,
    }


def _split(name: str) -> tuple[str, str, str]:
    base, dot, vlan = name.rpartition(".")
    return (base, dot, vlan) if dot and vlan.isascii() and vlan.isdigit() else (name, "", "")


def _is_there(name: str) -> bool:
    return bool(name) and "/" not in name and os.path.exists("/proc/sys/net/ipv4/conf/" + name)


def _make(name: str, base: str, vlan: int) -> None:
    from pyroute2 import IPRoute  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pyroute2.netlink.exceptions import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
        NetlinkError,
    )

    kind = "vlan" if base else "dummy"
    try:
        with IPRoute() as route:
            if base:
                below = route.link_lookup(ifname=base)[0]
                route.link("add", ifname=name, kind=kind, link=below, vlan_id=vlan)
            else:
                route.link("add", ifname=name, kind=kind)
            route.link("set", index=route.link_lookup(ifname=name)[0], state="up")
    except NetlinkError as error:
        _refused(error, name, kind)


def _refused(error: Exception, name: str, kind: str) -> None:
    code = getattr(error, "code", 0)
    if code == _EEXIST:
        return  # another was faster
    if code == _EOPNOTSUPP:
        if kind == "dummy":
            raise Unsupported(
                "the network has no parent, and this kernel has no dummy interfaces for one",
                hint="give an interface of the host: -o parent=eth0",
            ) from None
        raise Unsupported(
            f"this kernel has no VLAN interfaces (8021q), so {name} can't be made",
            hint="give a parent that is there: -o parent=eth0",
        ) from None
    raise FastboxError(f"cannot make the {kind} interface {name}: {error}") from error
