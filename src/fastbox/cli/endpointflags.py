"""Flags of `run`, `create` and `network connect` that say how a container is in its networks. Only
imported when one is given.
"""

from __future__ import annotations

from fastbox import units
from fastbox.cli.values import bad_value, convert
from fastbox.errors import InvalidArgument
from fastbox.support import netfiles
from fastbox.types import EndpointOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastbox.cli.parser import Arguments

_MANY = {"alias": "aliases", "link-local-ip": "link_local"}
_ONE = {"ip": "ip", "ip6": "ip6", "mac-address": "mac"}
_INT = (-(1 << 31), (1 << 31) - 1)
_BUILT_IN = ("default", "bridge", "host", "none")
# What a flag of the whole container and the same of one network are called in docker's words.
_TWICE = (
    ("network-alias", "aliases", "--network-alias and per-network alias"),
    ("link-local-ip", "link_local", "--link-local-ip and per-network link-local IP addresses"),
    ("ip", "ip", "--ip and per-network IPv4 address"),
    ("ip6", "ip6", "--ip6 and per-network IPv6 address"),
    ("mac-address", "mac", "--mac-address and per-network MAC address"),
)


def build(args: Arguments) -> dict[str, object]:
    """The options that the flags mean.

    Raises:
        UsageError: A value that can't be read.
        InvalidArgument: Flags that contradict each other, in docker's words.
    """
    wishes = [parse(args, text) for text in args.texts("network") if text] or [{}]
    names = [str(wish.get("network", "bridge")) for wish in wishes]
    _check_names(names)
    wishes[0] |= _of_container(args, wishes[0])
    _check_modes(args, names[0])
    found: dict[str, object] = {
        "network": "bridge" if names[0] == "default" else names[0],
        "publish": tuple(args.texts("publish")),
        "publish_all": args.switch("publish-all"),
        "link": tuple(args.texts("link")),
    }
    if len(wishes) > 1 or set(wishes[0]) - {"network"}:
        found["endpoints"] = tuple(
            EndpointOptions(**(wish | {"network": name}))
            for wish, name in zip(wishes, names, strict=True)
        )
    for text in args.texts("link"):
        netfiles.link(text)
    return found


def parse(args: Arguments, text: str) -> dict[str, Any]:
    """One --network: a name, or `name=NET,alias=a,...`."""
    if "=" not in text or text[:10] == "container:":
        return {"network": text}
    import _csv

    try:
        fields: list[str] = next(_csv.reader([text], strict=True), [])
    except _csv.Error as error:
        raise bad_value(args, "network", text, f"not a list with commas: {error}") from None
    found: dict[str, Any] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals:
            raise bad_value(args, "network", text, f"invalid field {field}")
        _take(args, text, found, key.strip().lower(), value.strip())
    if not found.get("network"):
        raise bad_value(args, "network", text, "network name/id is not specified", "name=web")
    return found


def _take(args: Arguments, text: str, found: dict[str, Any], key: str, value: str) -> None:
    if key == "name":
        found["network"] = value
    elif key in _ONE:
        found[_ONE[key]] = _plain(args, key, value)
    elif key in _MANY:
        field = _MANY[key]
        found[field] = (*found.get(field, ()), _plain(args, key, value))
    elif key == "driver-opt":
        found["options"] = found.get("options", {}) | driver_option(value)
    elif key == "gw-priority":
        found["priority"] = convert(args, "network", value, _priority)
    else:
        raise bad_value(args, "network", text, f"invalid field key {key}")


def _priority(text: str) -> int:
    try:
        return units.integer(text, *_INT)
    except ValueError as error:
        raise ValueError(f"invalid gw-priority ({text}): {error}") from None


def _plain(args: Arguments, key: str, value: str) -> str:
    """A value of one of the flags, looked at: an address, a MAC, or an alias."""
    flag = {"alias": "network-alias"}.get(key, key)
    if key == "alias":
        if not value or value.split() != [value]:
            raise bad_value(args, flag, value, "no name")
        return value
    return convert(args, flag, value, _mac if key == "mac-address" else _address)


def _address(text: str) -> str:
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("not an IP address") from None


def _mac(text: str) -> str:
    parts = text.replace("-", ":").lower().split(":")
    digits = frozenset("0123456789abcdef")
    if len(parts) != 6 or not all(len(p) == 2 and digits.issuperset(p) for p in parts):
        raise ValueError(f"{text} is not a valid mac address")
    return ":".join(parts)


def driver_option(text: str) -> dict[str, str]:
    """`key=value` of a driver.

    Raises:
        InvalidArgument: It is not.
    """
    key, equals, value = text.strip('"').partition("=")
    if not equals or not key:
        raise InvalidArgument("invalid key/value pair format in driver options", where=text)
    return {key.strip().lower(): value.strip()}


def _check_names(names: Sequence[str]) -> None:
    if len(names) == 1:
        return
    built_in = [name in _BUILT_IN or name[:10] == "container:" for name in names]
    if any(built_in):
        raise InvalidArgument(
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes"
        )
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidArgument(f'network "{name}" is specified multiple times')


def _of_container(args: Arguments, wish: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that are about the first network."""
    found: dict[str, Any] = {}
    for flag, field, words in _TWICE:
        if not args.given(flag):
            continue
        if wish.get(field):
            raise InvalidArgument(f"conflicting options: cannot specify both {words}")
        key = "alias" if flag == "network-alias" else flag
        values = tuple(_plain(args, key, text) for text in args.texts(flag))
        found[field] = values if field in ("aliases", "link_local") else values[-1]
    return found


def _check_modes(args: Arguments, mode: str) -> None:
    """What does not go with another container's network, or with the host's."""
    if mode[:10] == "container:":
        for flags, words in (
            (("publish", "publish-all"), "port publishing and the container type network mode"),
            (("expose",), "port exposing and the container type network mode"),
            (("add-host",), "custom host-to-IP mapping and the network mode"),
            (("dns",), "dns and the network mode"),
            (("mac-address",), "mac-address and the network mode"),
            (
                ("link",),
                "container type network can't be used with links. This would result in undefined "
                "behavior",
            ),
        ):
            if any(map(args.given, flags)):
                raise InvalidArgument(f"conflicting options: {words}")
    if mode == "host" and args.given("link"):
        raise InvalidArgument(
            "conflicting options: host type networking can't be used with links. This would "
            "result in undefined behavior"
        )
    if mode in ("host", "none") or mode[:10] == "container:":
        _check_addresses(args, "networks")
    elif mode in ("bridge", "default"):
        _check_addresses(args, "user defined networks")
        if args.given("network-alias"):
            raise InvalidArgument(
                "invalid endpoint settings: network-scoped aliases are only supported for "
                "user-defined networks",
                hint="make a network with `fastbox network create`",
            )


def _check_addresses(args: Arguments, where: str) -> None:
    if args.given("ip") or args.given("ip6"):
        raise InvalidArgument(
            "invalid endpoint settings: user specified IP address is supported on user defined "
            "networks only",
            hint=f"addresses are chosen in {where}: make one with `fastbox network create`",
        )


def endpoint(args: Arguments, network: str) -> EndpointOptions:
    """What `network connect` asks for."""
    found: dict[str, Any] = {"network": network}
    for key, field in _ONE.items():
        if args.given(key):
            found[field] = _plain(args, key, args.text(key))
    for key, field in _MANY.items():
        found[field] = tuple(_plain(args, key, text) for text in args.texts(key))
    options: dict[str, str] = {}
    for text in args.texts("driver-opt"):
        options |= driver_option(text)
    priority = convert(args, "gw-priority", args.text("gw-priority") or "0", _priority)
    for text in args.texts("link"):
        netfiles.link(text)
    found |= {"options": options or None, "priority": priority, "links": tuple(args.texts("link"))}
    return EndpointOptions(**found)
