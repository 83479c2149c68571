"""Which route of the host overlaps with a subnet."""

from __future__ import annotations

from fastbox.store.networks import address, bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


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
