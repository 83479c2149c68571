"""Which subnets a network gets: those that were asked for, checked, or a free one of the pools.

User-defined networks take /24s of 10.128.0.0/9, 32,768 of them, then of 172.16.0.0/12 and
192.168.0.0/16; $FASTBOX_ADDRESS_POOLS has others. None overlaps with a network of the store or a
route of the host. Choosing costs the same with 4,000 networks as with four: what is taken is asked
of the names of files, and the search goes on where the last one ended.
"""

from __future__ import annotations

import os

from fastbox.errors import Conflict, InvalidArgument, ResourceExhausted
from fastbox.store.networks import Subnet, address, bounds, number
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastbox.networks.records import SubnetIndex

    Clash = Callable[[str], str]

_DEFAULT = (
    "base=172.17.0.0/16,size=16;base=172.18.0.0/15,size=16;base=172.20.0.0/14,size=16;"
    "base=172.24.0.0/13,size=16;base=192.168.0.0/16,size=20;base=10.0.0.0/8,size=16"
)
_USERS = "base=10.128.0.0/9,size=24;base=172.16.0.0/12,size=24;base=192.168.0.0/16,size=24"
VARIABLE = "FASTBOX_ADDRESS_POOLS"
OVERLAPS = "invalid pool request: Pool overlaps with other one on this address space"
_V6_SIZE = 64


class AddressPool(Record):
    """A range that subnets of one size are cut from."""

    base: str
    size: int  # the prefix of what is cut

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 << (self.size - bounds(self.base)[2])

    def cut(self, index: int) -> str:
        """One of them."""
        version = 6 if ":" in self.base else 4
        width = 128 if version == 6 else 32
        first = bounds(self.base)[0] + (index << (width - self.size))
        return f"{address(first, version)}/{self.size}"

    def after(self, subnet: str) -> int:
        """The index of the first one that lies behind a subnet which overlaps."""
        first, last, _ = bounds(self.base)
        width = 128 if ":" in self.base else 32
        beyond = min(bounds(subnet)[1], last) + 1 - first
        step = 1 << (width - self.size)
        return (beyond + step - 1) // step


def pools(text: str) -> tuple[AddressPool, ...]:
    """The pools that a text such as "base=10.0.0.0/8,size=24;base=..." means.

    Raises:
        InvalidArgument: It can't be read.
    """
    found = []
    for part in filter(None, text.split(";")):
        values = dict(each.partition("=")[::2] for each in part.strip().split(","))
        try:
            first, _, prefix = bounds(values["base"])
            version = 6 if ":" in values["base"] else 4
            size = int(values["size"])
            if not prefix <= size <= (30 if version == 4 else 126):
                raise ValueError(f'size "{size}" does not fit')
        except (KeyError, ValueError) as error:
            raise InvalidArgument(
                f'{VARIABLE}: "{part}" is no pool: {error}',
                hint='write "base=10.0.0.0/8,size=24"',
            ) from None
        found.append(AddressPool(base=f"{address(first, version)}/{prefix}", size=size))
    return tuple(found)


def pools_for(name: str, version: int) -> tuple[AddressPool, ...]:
    """Where a network without a subnet takes one."""
    if version == 6:
        return (AddressPool(base=_unique_local(), size=_V6_SIZE),)
    given = os.environ.get(VARIABLE)
    if given:
        found = tuple(pool for pool in pools(given) if ":" not in pool.base)
        if found:
            return found
    return pools(_DEFAULT if name == "bridge" else _USERS)


def _unique_local() -> str:
    """The /48 of this machine (RFC 4193): made of its id, so that it is the same tomorrow."""
    import hashlib

    try:
        with open("/etc/machine-id", "rb") as file:
            machine = file.read(64).strip()
    except OSError:
        machine = b""
    if not machine:
        machine = os.uname().nodename.encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(b"fastbox networks" + machine).digest()
    value = int.from_bytes(b"\xfd" + digest[:5] + bytes(10), "big")
    return address(value, 6) + "/48"


def choose(name: str, version: int, index: SubnetIndex, clash: Clash) -> Subnet:
    """A free subnet of the pools.

    Args:
        name: The network's name: the default one has pools of its own.
        version: 4 or 6.
        index: What the store's networks have.
        clash: A route of the host that overlaps with a subnet, or "".

    Raises:
        ResourceExhausted: There is none.
    """
    every = pools_for(name, version)
    for pool in every:
        begin = index.cursor(pool.base, pool.size) % pool.count
        for start, end in ((begin, pool.count), (0, begin)):
            at = start
            while at < end:
                subnet = pool.cut(at)
                taken = index.overlap(subnet) or clash(subnet)
                if not taken:
                    index.set_cursor(pool.base, pool.size, at + 1)
                    first = bounds(subnet)[0]
                    return Subnet(subnet=subnet, gateway=address(first + 1, version))
                at = max(pool.after(taken), at + 1)
    names = ", ".join(f"{pool.base} in /{pool.size}s" for pool in every)
    raise ResourceExhausted(
        f"could not find an available, non-overlapping IPv{version} address pool among the "
        f"defaults to assign to the network: {names}",
        hint=f"give a --subnet, set {VARIABLE}, or remove networks with `fastbox network prune`",
    )


def check_free(subnet: Subnet, index: SubnetIndex, clash: Clash) -> None:
    """Refuse a subnet that overlaps with another network, or that a route of the host lies in. A
    wider route, such as a VPN's, gives way to the network's: who asks for a part of it wants that.

    Raises:
        Conflict: It does.
    """
    other = index.overlap(subnet.subnet)
    if other:
        raise Conflict(
            f"{OVERLAPS}: network {index.owner(other)[:12]} has {other}",
            where=subnet.subnet,
            hint="choose another --subnet, or leave it out",
        )
    route = clash(subnet.subnet)
    if route and bounds(route)[2] >= bounds(subnet.subnet)[2]:
        raise Conflict(
            f"{OVERLAPS}: the host has a route to {route}",
            where=subnet.subnet,
            hint="choose another --subnet, or leave it out",
        )


def parse(
    subnets: Sequence[str],
    gateways: Sequence[str],
    ranges: Sequence[str],
    reserved: Mapping[str, str],
) -> tuple[Subnet, ...]:
    """The subnets that --subnet, --gateway, --ip-range and --aux-address describe; the gateway is
    the first address of the range, or of the subnet, where none is given.

    Raises:
        InvalidArgument: One can't be read, or belongs to no subnet; in docker's words.
    """
    if len(subnets) < max(len(ranges), len(gateways)):
        raise InvalidArgument("every ip-range or gateway must have a corresponding subnet")
    found = [_subnet(text) for text in subnets]
    for index, one in enumerate(found):
        if any(_overlap(one, other) for other in found[:index]):
            raise InvalidArgument("multiple overlapping subnet configuration is not supported")
    parts = {
        "range": _assign(found, "range", ranges),
        "gateway": _assign(found, "gateway", gateways),
    }
    aux: dict[str, dict[str, str]] = {}
    for name, text in reserved.items():
        owner = _owner(found, text, "aux-address")
        aux.setdefault(owner, {})[name] = _plain(text)
    made = (
        Subnet(
            subnet=each,
            range=parts["range"].get(each, ""),
            gateway=parts["gateway"].get(each, ""),
            reserved=aux.get(each),
        )
        for each in found
    )
    return tuple(map(_with_gateway, made))


def _subnet(text: str) -> str:
    try:
        first, _, prefix = bounds(text)
    except ValueError as error:
        raise InvalidArgument(
            f"invalid subnet {text}: {error}", hint="write 10.10.0.0/24 or fd00:1::/64"
        ) from None
    version = 6 if ":" in text else 4
    plain = f"{address(first, version)}/{prefix}"
    if number(text.partition("/")[0]) != first:
        raise InvalidArgument(
            f"invalid network config: invalid subnet {text}: it should be {plain}", hint=plain
        )
    if prefix == 0 or prefix > (31 if version == 4 else 127):
        raise InvalidArgument(f"invalid subnet {text}: no containers fit in it")
    return plain


def _overlap(one: str, other: str) -> bool:
    if (":" in one) != (":" in other):
        return False
    (low, high, _), (first, last, _) = bounds(one), bounds(other)
    return low <= last and first <= high


def _assign(subnets: Sequence[str], what: str, texts: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        owner = _owner(subnets, text, what)
        plain = _subnet(text) if what == "range" else _plain(text)
        if owner in found:
            many = {"range": "ranges", "gateway": "gateways"}[what]
            raise InvalidArgument(
                f"cannot configure multiple {many} ({text}, {found[owner]}) on the same subnet "
                f"({owner})"
            )
        found[owner] = plain
    return found


def _plain(text: str) -> str:
    """An address, whatever prefix stands behind it."""
    plain = text.partition("/")[0]
    return address(number(plain), 6 if ":" in plain else 4)


def _owner(subnets: Sequence[str], text: str, what: str) -> str:
    try:
        if what == "range":
            first, last, _ = bounds(text)
        else:
            first = last = number(text.partition("/")[0])
    except ValueError as error:
        raise InvalidArgument(f"invalid {what} {text}: {error}") from None
    for each in subnets:
        low, high, _ = bounds(each)
        if (":" in each) == (":" in text) and low <= first and last <= high:
            return each
    raise InvalidArgument(f"no matching subnet for {what} {text}", hint="give its --subnet, too")


def _with_gateway(subnet: Subnet) -> Subnet:
    low, high, prefix = bounds(subnet.subnet)
    width = 32 if subnet.version == 4 else 128
    kept = {number(text) for text in (subnet.reserved or {}).values()}
    if subnet.gateway:
        gateway = number(subnet.gateway)
        if width - prefix > 1 and gateway in (low, high if width == 32 else low):
            raise InvalidArgument(
                f"invalid gateway {subnet.gateway}: it is the network's or the broadcast address"
            )
        if gateway in kept:
            raise InvalidArgument(
                f"failed to allocate gateway ({subnet.gateway}): Address already in use"
            )
        return subnet
    first, last, _ = bounds(subnet.range or subnet.subnet)
    for value in _candidates(first, last, low, high, plain=width - prefix <= 1):
        if value not in kept:
            return subnet.replace(gateway=address(value, subnet.version))
    raise InvalidArgument(f"no address of {subnet.subnet} is left for the gateway")


def _candidates(first: int, last: int, low: int, high: int, *, plain: bool) -> Iterator[int]:
    for value in range(first, min(last, first + (1 << 16)) + 1):
        if plain or low < value < high:
            yield value
