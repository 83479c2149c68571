"""Ports as people write them (`-p`, `-P`, `--expose`), as a start needs them, and as they are shown
(`ps`, `port`). Nothing here asks the kernel: its supervisor finds out which port of the host is
free.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument, NotFound
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PROTOCOLS = ("tcp", "udp", "sctp")
EVERYWHERE = ("0.0.0.0", "::")
_HINT = "such as 8080:80, 127.0.0.1:8080:80 or 8000-8010:8000-8010/udp"


class PortOptions(Record):
    """A port of the container that is to be published.

    Attributes:
        protocol: "tcp", "udp" or "sctp".
        port: The container's.
        host: The host's address; "" means every one, or what its network binds to.
        first: The first port of the host's that will do; 0: any that is free.
        last: The last of them.
    """

    protocol: str
    port: int
    host: str = ""
    first: int = 0
    last: int = 0


class Binding(Record):
    """A port of a container that runs, and the port of the host that leads to it."""

    protocol: str
    host: str
    host_port: int
    port: int


# ---- as people write them ----


def publish(
    specs: Sequence[str],
    *,
    expose: Sequence[str] = (),
    publish_all: bool = False,
    exposed: Sequence[str] = (),
) -> tuple[PortOptions, ...]:
    """What is to be published.

    Args:
        specs: The values of `-p`: `80`, `8080:80`, `127.0.0.1::80`, `[::1]:8080:80`,
            `8000-8010:80`, `8000-8002:80-82/udp`, `published=8080,target=80,protocol=tcp`.
        expose: The values of `--expose`, which count for `publish_all`.
        publish_all: Also each exposed port that is not published yet, on a free port of the host's.
        exposed: What the image exposes, such as "80/tcp".

    Raises:
        InvalidArgument: One can't be read.

    >>> [(p.host, p.first, p.port) for p in publish(["127.0.0.1:8080-8081:80-81"])]
    [('127.0.0.1', 8080, 80), ('127.0.0.1', 8081, 81)]
    """
    wanted = [port for spec in specs for port in _spec(_standard(spec))]
    named = [pair for text in expose for pair in ports(text, "--expose")]  # errors also without -P
    if publish_all:
        have = {(port.port, port.protocol) for port in wanted}
        named += [pair for text in exposed for pair in ports(text, "EXPOSE")]
        for number, protocol in sorted(set(named) - have):
            wanted.append(PortOptions(protocol=protocol, port=number))
    return tuple(wanted)


def ports(text: str, where: str) -> list[tuple[int, str]]:
    """`80`, `80/udp` or `8000-8010/tcp` as pairs of port and protocol.

    Raises:
        InvalidArgument: It is none of these; `where` says which flag or instruction had it.
    """
    if ":" in text:
        raise InvalidArgument(f"invalid port format for {where}: {text}", hint="such as 80/tcp")
    numbers, protocol = _split_protocol(text)
    try:
        first, last = _range(numbers, low=1)
    except ValueError as error:
        what = f"invalid range format for {where}: {text}, error: {error}"
        raise InvalidArgument(what, hint="such as 80/tcp") from None
    return [(number, _protocol(protocol)) for number in range(first, last + 1)]


def _standard(spec: str) -> str:
    """`published=8080,target=80` in the short form."""
    if "=" not in spec:
        return spec
    values = {"protocol": "tcp", "published": "", "target": ""}
    for part in spec.split(","):
        name, sign, value = part.partition("=")
        if not sign or not name:
            what = f"invalid publish opts format (should be name=value but got '{part}')"
            raise InvalidArgument(what, hint="such as published=8080,target=80,protocol=tcp")
        values[name] = value
    return f"{values['published']}:{values['target']}/{values['protocol']}"


def _spec(spec: str) -> list[PortOptions]:
    *before, inner = spec.split(":")
    outer = before.pop() if before else ""
    host = _address(":".join(before))
    inner, protocol = _split_protocol(inner)
    if not inner:
        raise InvalidArgument(f"no port specified: {spec}<empty>", hint=_HINT)
    first, last = _numbers(inner, "containerPort", low=1)
    outer_first, outer_last = _numbers(outer, "hostPort", low=0) if outer else (0, 0)
    count = last - first
    if outer and outer_last - outer_first != count and count:
        what = f"invalid ranges specified for container and host Ports: {inner} and {outer}"
        raise InvalidArgument(what, hint="two ranges of ports must be equally long")
    protocol = _protocol(protocol)
    if not count:
        return [_one(protocol, first, host, outer_first, outer_last)]
    step = 1 if outer_first else 0
    return [
        _one(protocol, first + i, host, outer_first + i * step, outer_first + i * step)
        for i in range(count + 1)
    ]


def _one(protocol: str, port: int, host: str, first: int, last: int) -> PortOptions:
    return PortOptions(protocol=protocol, port=port, host=host, first=first, last=last)


def _address(text: str) -> str:
    """The host's address in its usual form; "" is none."""
    if not text:
        return ""
    from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton  # `socket` costs a start 5 ms

    bare = text[1:-1] if text[0] == "[" and text[-1] == "]" else text
    family = AF_INET6 if ":" in bare else AF_INET
    try:
        return inet_ntop(family, inet_pton(family, bare))
    except (OSError, ValueError):
        raise InvalidArgument(f"invalid IP address: {text}", hint=_HINT) from None


def _split_protocol(text: str) -> tuple[str, str]:
    number, _, protocol = text.partition("/")
    return number, protocol.partition("/")[0] or "tcp"


def _protocol(text: str) -> str:
    protocol = text.lower()
    if protocol not in PROTOCOLS:
        raise InvalidArgument(f"invalid proto: {text}", hint="tcp, udp or sctp")
    return protocol


def _numbers(text: str, what: str, low: int) -> tuple[int, int]:
    try:
        return _range(text, low)
    except ValueError:
        raise InvalidArgument(f"invalid {what}: {text}", hint=_HINT) from None


def _range(text: str, low: int) -> tuple[int, int]:
    """`80` or `80-90`."""
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    pair = _port(first, low), _port(last if dash else first, low)
    if pair[1] < pair[0] or (dash and not pair[0]):
        raise ValueError(f"invalid range specified for port: {text}")
    return pair


def _port(text: str, low: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not low <= int(text) <= 65535:
        raise ValueError(f"invalid port: {text}")
    return int(text)


# ---- as a start needs them ----


def to_document(
    wanted: Iterable[PortOptions], address4: str, address6: str, *, binding: str = ""
) -> list[dict[str, object]]:
    """The `ports` of network.json.

    Args:
        wanted: What is to be published.
        address4: The container's, without a prefix; "" for none.
        address6: The same; without it what comes to IPv6 addresses of the host is relayed.
        binding: The address of the host that its network binds to where the port names none.
    """
    default = [binding] if binding else list(EVERYWHERE)
    return [
        {
            "protocol": port.protocol,
            "hosts": [port.host] if port.host else default,
            "first": port.first,
            "last": port.last,
            "port": port.port,
            "address": address4,
            "address6": address6,
        }
        for port in wanted
    ]


# ---- as they are shown ----


def bindings(live: Iterable[Mapping[str, object]]) -> tuple[Binding, ...]:
    """The `ports` of a live state, by port."""
    made = [
        Binding(
            protocol=str(port["protocol"]),
            host=str(port["host"]),
            host_port=int(str(port["host_port"])),
            port=int(str(port["port"])),
        )
        for port in live
    ]
    return tuple(sorted(made, key=_order))


def _order(one: Binding) -> tuple[int, str, int, str]:
    return one.port, one.host, one.host_port, one.protocol


def address(host: str, port: int | str) -> str:
    """`0.0.0.0:8080`, `[::]:8080`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def show(published: Iterable[Binding], exposed: Iterable[str] = ()) -> str:
    """The column of `ps`: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 90/udp`. Adjacent ports whose
    number is the same outside are one range, as docker has it.
    """
    published = list(published)
    have = {(one.port, one.protocol) for one in published}
    alone = {pair for text in exposed for pair in ports(text, "EXPOSE")} - have
    rows = [*published, *(Binding(protocol=p, host="", host_port=0, port=n) for n, p in alone)]
    done, moved = [], []
    groups: dict[tuple[str, str], tuple[int, int]] = {}
    for one in sorted(rows, key=_order):
        if one.host and one.host_port != one.port:
            moved.append(f"{address(one.host, one.host_port)}->{one.port}/{one.protocol}")
            continue
        key = one.host, one.protocol
        first, last = groups.get(key, (one.port, one.port - 1))
        if one.port != last + 1:
            done.append(_group(key, first, last))
            first = one.port
        groups[key] = first, one.port
    done += [_group(key, *ends) for key, ends in groups.items()]
    return ", ".join(done + moved)


def _group(key: tuple[str, str], first: int, last: int) -> str:
    host, protocol = key
    numbers = str(first) if first == last else f"{first}-{last}"
    return f"{address(host, numbers)}->{numbers}/{protocol}" if host else f"{numbers}/{protocol}"


def lines(published: Iterable[Binding], wanted: str = "", *, name: str = "") -> list[str]:
    """What `port` prints: of one port (`80`, `80/udp`) its addresses, else a line for each.

    Raises:
        InvalidArgument: `wanted` is no port.
        NotFound: It is not published.
    """
    ordered = sorted(published, key=_order)
    if not wanted:
        return [f"{o.port}/{o.protocol} -> {address(o.host, o.host_port)}" for o in ordered]
    number, protocol = ports(wanted, "PRIVATE_PORT")[0]
    found = [o for o in ordered if (o.port, o.protocol) == (number, protocol)]
    if not found:
        raise NotFound(f"no public port '{wanted}' published for {name}")
    return [address(o.host, o.host_port) for o in found]
