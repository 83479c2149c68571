"""Driver `bridge`: a bridge of the host's, whose address is the containers' gateway, and elements
of constant nftables rules.

A bridge takes 1,023 ports, so the address decides which shard an endpoint is a port of: number n
of a subnet belongs to shard n // 128. Shard 0 has the addresses and the rules; others are bridges
that a veth pair links to it, made when the first of their addresses is used.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, Unsupported
from fastbox.store.networks import WINDOW, bounds
from fastbox.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

NAME = "bridge"
SHARD = WINDOW
MTU = 1500
_MAX_NAME = 15
_BRIDGE = "com.docker.network.bridge."
BRIDGE_NAME, ICC, MASQUERADE = (
    _BRIDGE + "name", _BRIDGE + "enable_icc", _BRIDGE + "enable_ip_masquerade"
)  # fmt: skip
HOST_BINDING, INHIBIT = _BRIDGE + "host_binding_ipv4", _BRIDGE + "inhibit_ipv4"
MTU_OPTION = "com.docker.network.driver.mtu"
_MODES = (_BRIDGE + "gateway_mode_ipv4", _BRIDGE + "gateway_mode_ipv6")
DEFAULT_DEVICE = "fastbox0"
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False", "")


def validate(record: NetworkRecord) -> None:
    """Refuse options that can't be read, a name that no interface can have, and other modes of the
    gateway than nat.
    """
    for key in (ICC, MASQUERADE, INHIBIT):
        flag(record, key, default=False)
    mtu_of(record)
    name = record.options.get(BRIDGE_NAME)
    if name is not None:
        _check_name(name)
    for key in _MODES:
        mode = record.options.get(key) or "nat"
        if mode != "nat":
            raise Unsupported(f'{key}: the mode "{mode}" is not supported', hint="nat is")
    binding = record.options.get(HOST_BINDING)
    if binding:
        from fastbox.store.networks import number

        try:
            number(binding)
        except ValueError as error:
            raise InvalidArgument(f"{HOST_BINDING}: {error}") from None
    if not record.subnets:
        raise InvalidArgument(
            "a bridge network needs a subnet", hint="leave --ipam-driver null out, or use macvlan"
        )


def _check_name(name: str) -> None:
    fits = 0 < len(name) <= _MAX_NAME and name not in (".", "..")
    if not fits or any(c.isspace() or c in "/:" or not c.isprintable() for c in name):
        raise InvalidArgument(
            f'{BRIDGE_NAME}: "{name}" is no name of an interface', hint="at most 15 characters"
        )


def setup(record: NetworkRecord) -> tuple[str, ...]:
    """The bridge, its addresses and its place in the rules."""
    from fastbox import _net, _nft

    main = device(record)
    _net.bridge_ensure(main, bridge_addresses(record), mtu_of(record), record.ipv6)
    _nft.network(main, *rules(record), True)
    return ()


def ensure_shard(record: NetworkRecord, number: int) -> None:
    """The bridge that an address belongs to; `setup` has made the first."""
    from fastbox import _net, _nft

    name = device(record, number)
    # What comes from other shards comes through one port, which isolates as theirs do.
    isolated = not flag(record, ICC, default=True)
    _net.bridge_ensure(name, [], mtu_of(record), False, main=device(record), isolated=isolated)
    _nft.shard(name, record.internal, True)


def teardown(record: NetworkRecord) -> None:
    """Take the rules' elements, the shards and the bridge away."""
    from fastbox import _net, _nft

    main = device(record)
    _nft.network(main, *rules(record), False)
    for name in shards(record):
        _nft.shard(name, record.internal, False)
        _net.link_delete(name)
    _net.link_delete(main)


def endpoint(record: NetworkRecord, number: int) -> dict[str, object]:
    """A veth pair with one end in the bridge; only the own addresses may leave it."""
    return {
        "kind": "veth",
        "link": device(record, number),
        "mode": "",
        "mtu": mtu_of(record),
        "isolated": not flag(record, ICC, default=True),
        "napi": number >= SHARD,
        "guard": True,
    }


def routed(record: NetworkRecord) -> bool:
    """Through the bridge, unless the network is internal."""
    return not record.internal


def device(record: NetworkRecord, number: int = 0) -> str:
    """The bridge that address number n is a port of."""
    shard = number // SHARD
    if shard:
        # 15 characters, and no s is a hex digit: neither another shard nor a network has the name.
        end = f"s{shard}"
        return f"fb-{record.id[: 12 - len(end)]}{end}"
    given = record.options.get(BRIDGE_NAME)
    return given or f"fb-{record.id[:12]}"


def default_device(store: str) -> str:
    """The default network's bridge in a store; "" for the usual name."""
    return DEFAULT_DEVICE if store == paths.DEFAULT_ROOT else ""


def shards(record: NetworkRecord) -> list[str]:
    """The shards that are there now, but for the first."""
    found = []
    for name in os.listdir("/proc/sys/net/ipv4/conf"):
        start, _, shard = name.rpartition("s")
        if start[:3] == "fb-" and shard.isdigit() and name == device(record, int(shard) * SHARD):
            found.append(name)
    return found


def bridge_addresses(record: NetworkRecord) -> list[str]:
    """The bridge's own: the gateways, with their prefixes."""
    skip = flag(record, INHIBIT, default=False)
    return [
        f"{each.gateway}/{bounds(each.subnet)[2]}"
        for each in record.subnets
        if each.gateway and not (skip and each.version == 4)
    ]


def rules(record: NetworkRecord) -> tuple[bool, bool, bool]:
    """What the rules have to know: masquerade, internal, icc."""
    masquerade = flag(record, MASQUERADE, default=True) and not record.internal
    return masquerade, record.internal, flag(record, ICC, default=True)


def mtu_of(record: NetworkRecord) -> int:
    """Bytes of its largest packets."""
    text = record.options.get(MTU_OPTION) or str(MTU)
    if not (text.isascii() and text.isdigit() and 68 <= int(text[:6]) <= 65535):
        raise InvalidArgument(f'{MTU_OPTION}: "{text}" is not between 68 and 65535')
    return int(text)


def flag(record: NetworkRecord, key: str, *, default: bool) -> bool:
    """An option that is true or false.

    Raises:
        InvalidArgument: It is neither.
    """
    text = record.options.get(key)
    if text is None:
        return default
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidArgument(f'{key}: "{text}" is neither true nor false')
