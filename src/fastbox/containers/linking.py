"""--link in the default network, as docker had it before networks had names: lines of /etc/hosts
and variables of the containers that are linked to, made anew at each start.

In a network of a user's a link is a name that the name server knows for one container only: there
it becomes one of the endpoint's wishes. Here it is "ID:alias": the other may be given another name.
"""

from __future__ import annotations

import os

from fastbox.containers import bundles, heal
from fastbox.containers.exec import read_bundle
from fastbox.errors import ContainerNotFound, InvalidArgument, StateConflict
from fastbox.store.root import write_file
from fastbox.support import json, netfiles
from fastbox.types import DEFAULT_NETWORK, EndpointOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from fastbox.store.containers import ContainerRecord, ContainerStore, Held
    from fastbox.types import RunOptions

LINKED = "linked"  # of a container's directory: a file for each that is linked to it
_CONFLICT = (
    "conflicting options: {} networking can't be used with links. This would result in undefined "
    "behavior"
)
_NOT_TOLD = ("PATH", "HOME")  # of a container's variables to those that are linked to it


def settle(store: ContainerStore, options: RunOptions) -> RunOptions:
    """The options of a container that is being made: the links by id, or as wishes of its first
    network.

    Raises:
        InvalidArgument: There is no such container, or one of the two has no network of its own.
    """
    mode = options.network
    if mode == "host" or mode[:10] == "container:":
        raise InvalidArgument(_CONFLICT.format("host type" if mode == "host" else "container type"))
    pairs = [netfiles.link(text) for text in options.link]
    if netfiles.is_served(mode):
        first, *rest = options.endpoints or (EndpointOptions(network=mode),)
        first = first.replace(links=(*first.links, *options.link))
        return options.replace(link=(), endpoints=(first, *rest))
    found: dict[str, str] = {}
    for name, alias in pairs:  # docker: the first one keeps the alias
        found.setdefault(alias, _whose_network(store, name))
    return options.replace(link=tuple(f"{other}:{alias}" for alias, other in found.items()))


def _whose_network(store: ContainerStore, name: str) -> str:
    """The id of the container that owns the network of the one that is named."""
    try:
        found = store.find(name)
        while True:
            record = store.read(found)
            mode = str(record.options.get("network")) if record else ""
            if mode[:10] != "container:":
                break
            found = mode[10:]
    except (ContainerNotFound, ValueError):
        raise InvalidArgument(
            f"could not get container for {name}: No such container: {name}",
            hint="`fastbox ps -a` lists them",
        ) from None
    if mode == "host":
        raise InvalidArgument(_CONFLICT.format("host type"))
    return found


def register(store: ContainerStore, links: Iterable[str], container: str) -> None:
    """Let those that a container is linked to know of it, so that they find it when they start."""
    for other in (text.partition(":")[0] for text in links):
        directory = f"{store.directory(other)}/{LINKED}"
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except FileNotFoundError:
            raise ContainerNotFound(f"no such container: {other[:12]}") from None
        os.close(
            os.open(f"{directory}/{container}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        )


def prepare(store: ContainerStore, run: str, held: Held, record: ContainerRecord) -> list[str]:
    """A container is about to start: put the others' variables into its bundle. Its lines of
    /etc/hosts.

    Raises:
        StateConflict: One of the others does not run, or is not in the default network.
    """
    if not _is_in_default(record.options):
        return []
    lines: list[str] = []
    variables: list[str] = []
    for other, alias in _links(record):
        found = _Other(store, run, other, f"/{record.name}/{alias}")
        lines += _lines(found.addresses, alias, found.hostname, found.name)
        variables += _variables(f"/{record.name}/{alias}", alias, found)
    _put(held.directory, variables)
    return lines


def _links(record: ContainerRecord) -> list[tuple[str, str]]:
    """The ids and aliases of those that a container is linked to."""
    texts: Any = record.options.get("link") or ()
    pairs = [text.partition(":") for text in texts]
    return [(other, alias) for other, _, alias in pairs]


def _is_in_default(options: Mapping[str, Any]) -> bool:
    mode = str(options.get("network") or DEFAULT_NETWORK)
    names = [each["network"] for each in options.get("endpoints") or ()] or [mode]
    return not {DEFAULT_NETWORK, "default"}.isdisjoint(names)


class _Other:
    """A container that another one is linked to, which must run."""

    __slots__ = ("addresses", "env", "hostname", "name", "ports")

    def __init__(self, store: ContainerStore, run: str, container: str, link: str) -> None:
        view = heal.look(store, run, container)
        record = view.record if view is not None else None
        if view is None or record is None:
            raise StateConflict(
                f"cannot link to a non running container: {container[:12]} AS {link}",
                hint="that one was removed",
            )
        if not _is_in_default(record.options):
            raise StateConflict(
                f"cannot link to /{record.name}, as it does not belong to the default network"
            )
        if not view.up:
            raise StateConflict(
                f"cannot link to a non running container: /{record.name} AS {link}",
                hint="start it first",
            )
        from fastbox.containers import networking

        directory = store.directory(container)
        self.name = record.name
        self.hostname = networking.hostname(directory)
        self.addresses = addresses(store, networking.read(directory))
        self.ports = _ports(record)
        self.env = _own_variables(read_bundle(directory))


def addresses(store: ContainerStore, document: Mapping[str, Any]) -> list[str]:
    """Those in the default network, of a container's network.json."""
    network = store.networks().named(DEFAULT_NETWORK)
    mine = [each for each in document.get("endpoints", ()) if each["network"] == network]
    return netfiles.addresses_of(mine)


def _ports(record: ContainerRecord) -> list[tuple[int, str]]:
    """What it exposes or publishes, in docker's order."""
    from fastbox.containers.netsettings import published

    texts = [*record.exposed]
    published_ports: Any = record.options.get("publish") or ()
    for text in published_ports:
        texts += [port for port, _ in published(text)]
    found = set()
    for text in texts:
        number, _, protocol = text.partition("/")
        if number.isascii() and number.isdigit():
            found.add((int(number), protocol or "tcp"))
    return sorted(found, key=lambda each: (each[0], each[1] != "tcp", each[1]))


def _own_variables(bundle: Mapping[str, Any]) -> list[str]:
    """Those of the caller and of the image."""
    linked = set(bundle["fastbox"].get("linked", ()))
    ours = {f"HOSTNAME={bundle.get('hostname', '')}", "TERM=xterm"}
    return [each for each in bundle["process"]["env"] if each not in linked | ours]


def _variables(link: str, alias: str, other: _Other) -> list[str]:
    """Docker's: the first port, ranges of three ports and more, each port, the name, and the
    other's own.
    """
    prefix, address = alias.upper().replace("-", "_"), other.addresses[0]
    made, ports, at = [], other.ports, 0
    if ports:
        made.append(f"{prefix}_PORT={ports[0][1]}://{address}:{ports[0][0]}")
    while at < len(ports):
        last = _last_of_range(ports, at)
        if last > at + 1:
            port, protocol = ports[at]
            end, its = ports[last]
            name = f"{prefix}_PORT_{port}_{protocol.upper()}"
            made += [
                f"{name}_START={protocol}://{address}:{port}",
                f"{name}_PORT_START={port}",
                f"{name}_END={its}://{address}:{end}",
                f"{name}_PORT_END={end}",
            ]
            at = last
        at += 1
    for port, protocol in ports:
        name = f"{prefix}_PORT_{port}_{protocol.upper()}"
        made += [
            f"{name}={protocol}://{address}:{port}",
            f"{name}_ADDR={address}",
            f"{name}_PORT={port}",
            f"{name}_PROTO={protocol}",
        ]
    made.append(f"{prefix}_NAME={link}")
    told = [entry for entry in other.env if entry.partition("=")[0] not in _NOT_TOLD]
    return made + [f"{prefix}_ENV_{entry}" for entry in told]


def _last_of_range(ports: Sequence[tuple[int, str]], at: int) -> int:
    """Which port is the last of those that follow one another, as docker counts."""
    value = ports[at][0]
    for index in range(at + 1, len(ports)):
        if ports[index][0] > value + 1:
            return index - 1
        value += 1
    return len(ports) - 1


def _put(directory: str, variables: Sequence[str]) -> None:
    """Into the bundle, and for whoever asks for its health; what it has itself counts more."""
    bundle = read_bundle(directory)
    process, engine = bundle["process"], bundle["fastbox"]
    before = set(engine.get("linked", ()))
    kept = [entry for entry in process["env"] if entry not in before]
    mine = {entry.partition("=")[0] for entry in kept}
    found = {entry.partition("=")[0]: entry for entry in variables}
    engine["linked"] = [entry for name, entry in found.items() if name not in mine]
    process["env"] = [*kept, *engine["linked"]]
    bundles.replace(directory, bundle)
    probe = engine.get("health", {}).get("document")
    if probe:
        with open(probe, "rb") as file:
            document = json.loads_object(file.read())
        document["process"]["env"] = process["env"]
        write_file(probe, json.dumps(document).encode("utf-8", "surrogateescape"))


def refresh(store: ContainerStore, run: str, held: Held, record: ContainerRecord) -> None:
    """The same for one that runs, and whose supervisor is about to start it again."""
    netfiles.replace_hosts(held.directory, prepare(store, run, held, record))


def tell(
    store: ContainerStore, held: Held, record: ContainerRecord, document: Mapping[str, Any]
) -> None:
    """A container starts: those that are linked to it get its address of now.

    A lock is held while others are waited for: always by the one that is linked to, never the other
    way, and links never make a circle.
    """
    from fastbox.containers import networking

    found, hostname = addresses(store, document), networking.hostname(held.directory)
    directory = f"{held.directory}/{LINKED}"
    for container in os.listdir(directory):
        other = store.lock(container, missing_ok=True)
        if other is None:
            os.unlink(f"{directory}/{container}")
            continue
        with other:
            linked = store.read(container)
            lines = []
            mine = [alias for one, alias in _links(linked) if one == held.id] if linked else []
            for alias in mine:
                lines += _lines(found, alias, hostname, record.name)
            netfiles.replace_hosts(other.directory, lines)


def _lines(addresses: Sequence[str], *names: str) -> list[str]:
    return [f"{each}\t{' '.join(dict.fromkeys(names))}" for each in addresses]


def shown(store: ContainerStore, record: ContainerRecord) -> list[str]:
    """`HostConfig.Links`: the others by their names of now."""
    made = []
    for other, alias in _links(record):
        try:
            found = store.read(other)
        except ValueError:
            found = None
        made.append(f"/{found.name if found else other}:/{record.name}/{alias}")
    return made
