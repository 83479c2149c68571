"""Routes: which one of the host overlaps with a subnet, and the default one of a container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def clash(subnet: str) -> str:
    """A route of the host that overlaps, as address/prefix, or ""; default routes don't count."""
    from fastbox import _net

    found: str = _net.route_clash(subnet)
    return found.partition(" ")[0]


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
