"""Ports as docker shows them: `0.0.0.0:8080->80/tcp, [::]:8080->80/tcp`, and neighbours as a range
where the host's are the container's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import ContainerInfo

    Port = tuple[int, str, int, str]  # the container's, the host's address and port, the protocol


def listed(info: ContainerInfo) -> list[Port]:
    """The published ports, in order."""
    found = []
    for each in info.ports:
        port, host_port = int(str(each.get("port", 0))), int(str(each.get("host_port", 0)))
        found.append((port, str(each.get("host", "")), host_port, str(each.get("protocol", ""))))
    return sorted(found)


def joined(address: str, port: object) -> str:
    """An address and a port as one text."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def shown(info: ContainerInfo) -> str:
    """The column PORTS: of one that runs, what is published, and what is only exposed."""
    if not info.up:
        return ""
    ports = listed(info) + _exposed(info)
    groups: dict[tuple[str, str], tuple[int, int]] = {}
    found: list[str] = []
    mapped: list[str] = []
    for port, address, host_port, kind in sorted(ports):
        if address and host_port != port:
            mapped.append(f"{joined(address, host_port)}->{port}/{kind}")
            continue
        first, last = groups.get((address, kind), (port, port - 1))
        if port != last + 1:
            found.append(_group(address, kind, first, last))
            first = port
        groups[address, kind] = (first, port)
    found += [_group(*key, *span) for key, span in groups.items()]
    return ", ".join(found + mapped)


def _group(address: str, kind: str, first: int, last: int) -> str:
    text = str(first) if first == last else f"{first}-{last}"
    return f"{joined(address, text)}->{text}/{kind}" if address else f"{text}/{kind}"


def _exposed(info: ContainerInfo) -> list[Port]:
    if not info.network or info.network in ("none", "host"):
        return []
    taken = {(port, kind) for port, _, _, kind in listed(info)}
    found = []
    for text in info.exposed:
        numbers, _, kind = text.partition("/")
        first, _, last = numbers.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            ports = range(int(first), int(last or first) + 1)
            found += [(p, "", 0, kind or "tcp") for p in ports if (p, kind or "tcp") not in taken]
    return found
