"""What a container wants of its networks, looked at before it is made: docker's rules and words."""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.networks.attach import known, wishes
from fastbox.store.networks import bounds, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root


def verify(root: Root, options: Mapping[str, Any]) -> None:
    """See `Networks.verify`."""
    found: set[str] = set()
    for wish in wishes(options):
        record = known(root, wish["network"])
        if record.id in found:
            raise InvalidArgument(f'network "{wish["network"]}" is specified multiple times')
        found.add(record.id)
        check(record, wish)
    if options.get("publish") or options.get("publish_all"):
        from fastbox.support import portwords

        portwords.publish(options.get("publish") or ())


def check(record: NetworkRecord, wish: Mapping[str, Any]) -> None:
    """Whether a network can give an endpoint what it wants.

    Raises:
        InvalidArgument: It can't.
    """
    if record.config_only:
        raise InvalidArgument(
            f"cannot use config-only network {record.name}: it is a description for others"
        )
    addresses = [str(wish.get(key)) for key in ("ip", "ip6") if wish.get(key)]
    if record.is_default and addresses:
        raise InvalidArgument(
            "invalid endpoint settings: user specified IP address is supported on user defined "
            "networks only",
            hint="make a network with `fastbox network create`",
        )
    if record.is_default and wish.get("aliases"):
        raise InvalidArgument(
            "invalid endpoint settings: network-scoped aliases are only supported for user-defined "
            "networks",
            hint="make a network with `fastbox network create`",
        )
    for key, version in (("ip", 4), ("ip6", 6)):
        if wish.get(key):
            _check_address(record, str(wish[key]), version)
    for text in wish.get("link_local") or ():
        _number(text.partition("/")[0])
    if wish.get("mac"):
        check_mac(str(wish["mac"]))


def _number(text: str) -> int:
    try:
        return number(text)
    except ValueError as error:
        raise InvalidArgument(f"invalid endpoint settings: {error}") from None


def _check_address(record: NetworkRecord, text: str, version: int) -> None:
    value = _number(text)
    if (":" in text) != (version == 6):
        raise InvalidArgument(f"invalid endpoint settings: invalid IPv{version} address: {text}")
    for each in record.subnets:
        low, high, _ = bounds(each.subnet)
        if each.version == version and low <= value <= high:
            return
    subnets = ", ".join(each.subnet for each in record.subnets) or "none"
    raise InvalidArgument(
        f"invalid endpoint settings: invalid address: {text}: no configured subnet contains it",
        where=f"network {record.name}",
        hint=f"its subnets: {subnets}",
    )


def check_mac(text: str) -> None:
    """Refuse what is no address of one interface.

    Raises:
        InvalidArgument: It is none.
    """
    parts = text.split(":")
    good = len(parts) == 6 and all(
        len(part) == 2 and all(c in "0123456789abcdefABCDEF" for c in part) for part in parts
    )
    if not good or int(parts[0], 16) & 1:
        raise InvalidArgument(
            f"invalid MAC address: {text}", hint="write 02:42:ac:11:00:02; the first byte is even"
        )
