"""Routes: which one of the host overlaps with a subnet, and the default one of a container."""

from __future__ import annotations

from fastbox.store.networks import address, bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def clash(subnet: str) -> str:
    """A route of the host that overlaps, as address/prefix, or ""; default routes don't count."""
    try:
        from fastbox import _net
    except ImportError:
        return _listed(subnet)
    found: str = _net.route_clash(subnet)
    return found


def _listed(subnet: str) -> str:
    """The same from /proc, which knows the main table only."""
    version = 6 if ":" in subnet else 4
    low, high, _ = bounds(subnet)
    width = 128 if version == 6 else 32
    for first, bits in _v6() if version == 6 else _v4():
        if bits and first <= high and low <= first + (1 << (width - bits)) - 1:
            return f"{address(first, version)}/{bits}"
    return ""


def _v4() -> Iterator[tuple[int, int]]:
    for fields in _lines("/proc/net/route")[1:]:
        order = int.from_bytes
        first = order(bytes.fromhex(fields[1]), "little")
        mask = order(bytes.fromhex(fields[7]), "little")
        yield first, mask.bit_count()


def _v6() -> Iterator[tuple[int, int]]:
    for fields in _lines("/proc/net/ipv6_route"):
        bits = int(fields[1], 16)
        if fields[9] != "lo" and fields[0][:2] not in ("fe", "ff"):  # link-local and multicast
            yield int(fields[0], 16), bits


def _lines(path: str) -> list[list[str]]:
    try:
        with open(path, encoding="ascii") as file:
            return [line.split() for line in file]
    except OSError:
        return []


def set_default(pid: int, link: str, gateways: Sequence[str]) -> None:
    """Let the default routes in a process's network namespace lead through this link.

    Raises:
        FastboxError: The kernel said no.
    """
    from pyroute2 import NetNS  # type: ignore[import-untyped,import-not-found,unused-ignore]
    from pyroute2.netlink.exceptions import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
        NetlinkError,
    )

    try:
        with NetNS(f"/proc/{pid}/ns/net", flags=0) as inside:
            index = inside.link_lookup(ifname=link)[0]
            for gateway in gateways:
                inside.route("replace", dst="default", gateway=gateway, oif=index)
    except (NetlinkError, OSError, IndexError) as error:
        from fastbox.errors import FastboxError

        raise FastboxError(f"cannot set the default route: {error}", where=link) from error
