"""What inspect says of a container's networks and ports, in docker's shape."""

from __future__ import annotations

from fastbox.containers import networking
from fastbox.errors import FastboxError
from fastbox.store.networks import read_lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from fastbox.containers.heal import View
    from fastbox.store.networks import NetworkStore
    from fastbox.types import EndpointOptions, RunOptions

    Bindings = dict[str, Any]

_EMPTY = ("Gateway", "IPAddress", "MacAddress")


def describe(
    options: RunOptions, view: View, directory: str, networks: NetworkStore | None
) -> dict[str, object]:
    """`NetworkSettings`."""
    key = f"/proc/{view.live.pid}/ns/net" if view.up and view.live else ""
    found = _configured(options)
    if view.up:
        document = networking.read(directory)
        for endpoint in document.get("endpoints", ()):
            name, identity = _name(networks, str(endpoint.get("network", "")), found)
            found[name] = found.get(name, {}) | _endpoint(endpoint, identity, document)
    default = found.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": view.id if key else "",
        "SandboxKey": key,
        "Ports": _ports(view) if view.up and networked(options.network) else {},
        "EndpointID": default.get("EndpointID", ""),
        "Gateway": default.get("Gateway", ""),
        "GlobalIPv6Address": default.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": default.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": default.get("IPAddress", ""),
        "IPPrefixLen": default.get("IPPrefixLen", 0),
        "IPv6Gateway": default.get("IPv6Gateway", ""),
        "MacAddress": default.get("MacAddress", ""),
        "Networks": found,
    }


def networked(mode: str) -> bool:
    """Whether a container of this mode may have ports of its own."""
    return mode not in ("none", "host") and mode[:10] != "container:"


def endpoints(options: RunOptions) -> tuple[EndpointOptions, ...]:
    """All networks of a container, as it was asked for."""
    if options.endpoints:
        return tuple(each for each in options.endpoints if each.network != "none")
    from fastbox.types import EndpointOptions

    return (EndpointOptions(network=options.network),)


def _configured(options: RunOptions) -> dict[str, Bindings]:
    """The networks by name, with what was asked for."""
    if options.network[:10] == "container:":
        return {}
    return {each.network: _asked(each) for each in endpoints(options)}


def _asked(each: EndpointOptions) -> Bindings:
    config: dict[str, object] = {}
    if each.ip:
        config["IPv4Address"] = each.ip
    if each.ip6:
        config["IPv6Address"] = each.ip6
    if each.link_local:
        config["LinkLocalIPs"] = list(each.link_local)
    return {
        "IPAMConfig": config or None,
        "Links": list(each.links) or None,
        "Aliases": list(each.aliases) or None,
        "DriverOpts": dict(each.options) if each.options else None,
        "GwPriority": each.priority,
        **dict.fromkeys(_EMPTY, ""),
    }


def _name(
    networks: NetworkStore | None, identity: str, asked: Mapping[str, Bindings]
) -> tuple[str, str]:
    """The name under which a network is shown: as it was asked for, or its own."""
    try:
        record = networks.read(identity) if networks is not None else None
    except (ValueError, FastboxError):
        record = None
    if record is None:
        return identity, identity
    for name in asked:
        if name == record.name or (len(name) > 2 and identity.startswith(name)):
            return name, identity
    return record.name, identity


def _endpoint(
    endpoint: Mapping[str, Any], identity: str, document: Mapping[str, Any]
) -> dict[str, object]:
    v4, bits = _address(endpoint, 4)
    v6, bits6 = _address(endpoint, 6)
    leases = filter(None, map(read_lease, endpoint.get("leases", ())))
    lease: Mapping[str, Any] = next(leases, {})
    gateways = endpoint.get("gateways", ())
    named = any(each["id"] == identity for each in (document.get("dns") or {}).get("networks", ()))
    return {
        "MacAddress": endpoint.get("mac", ""),
        "NetworkID": identity,
        "EndpointID": lease.get("endpoint", ""),
        "Gateway": next((text for text in gateways if ":" not in text), ""),
        "IPAddress": v4,
        "IPPrefixLen": bits,
        "IPv6Gateway": next((text for text in gateways if ":" in text), ""),
        "GlobalIPv6Address": v6,
        "GlobalIPv6PrefixLen": bits6,
        "DNSNames": list(lease.get("names", ())) if named else None,
    }


def _address(endpoint: Mapping[str, Any], version: int) -> tuple[str, int]:
    for text in endpoint.get("addresses", ()):
        address, _, bits = str(text).partition("/")
        if (":" in address) == (version == 6):
            return address, int(bits or 0)
    return "", 0


def _ports(view: View) -> dict[str, object]:
    """`Ports`: those that are published with the host's, exposed ones with null."""
    found: dict[str, Any] = {
        text if "/" in text else text + "/tcp": None
        for text in (view.record.exposed if view.record else ())
    }
    for each in view.live.ports if view.live else ():
        key = f"{each.get('port')}/{each.get('protocol')}"
        binding = {"HostIp": str(each.get("host", "")), "HostPort": str(each.get("host_port", ""))}
        found[key] = [*(found.get(key) or ()), binding]
    return found


def bindings(options: RunOptions) -> dict[str, object]:
    """`PortBindings`: what --publish says, port by port."""
    found: dict[str, Any] = {}
    for text in options.publish:
        for key, binding in published(text):
            found[key] = [*found.get(key, ()), binding]
    return found


def published(text: str) -> Iterable[tuple[str, dict[str, str]]]:
    """One --publish as docker's bindings. It was checked when the container was made."""
    if "=" in text:
        fields = dict(part.strip().partition("=")[::2] for part in text.split(","))
        target, host = fields.get("target", ""), fields.get("published", "")
        protocol, address = fields.get("protocol", "tcp"), ""
    else:
        body, _, protocol = text.partition("/")
        rest, _, target = body.rpartition(":")
        address, _, host = rest.rpartition(":")
    ports, hosts = _range(target), _range(host)
    for index, port in enumerate(ports):
        at = host if len(hosts) != len(ports) else str(hosts[index]) if hosts else ""
        yield (
            f"{port}/{(protocol or 'tcp').lower()}",
            {"HostIp": address.strip("[]"), "HostPort": at},
        )


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    try:
        return list(range(int(first), int(last or first) + 1))
    except ValueError:
        return []
