"""Containers that come into a network or leave it later on, running or not, and their new names.

network.json says what a container holds, so it names what a supervisor is about to make before it
is asked, and still names it until it is gone.
"""

from __future__ import annotations

import os

from fastbox.errors import Conflict, FastboxError, NetworkNotFound
from fastbox.networks import checks, drivers
from fastbox.networks.attach import Attacher, Made, ensure, known, wishes
from fastbox.runtime import state
from fastbox.runtime.supervisor import Conversation
from fastbox.store.containers import ContainerStore
from fastbox.store.networks import NetworkStore, read_lease, release
from fastbox.store.root import write_file, write_record
from fastbox.support import json, netfiles
from fastbox.types import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from fastbox.runtime.state import Live
    from fastbox.store.containers import ContainerRecord, Held
    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root
    from fastbox.types import EndpointOptions

DOCUMENT = "network.json"


def connect(root: Root, container: str, wish: EndpointOptions) -> None:
    """See `Networks.connect`."""
    store = ContainerStore(root)
    with store.hold(store.find(container)) as held:
        record = _record(store, held)
        _refuse_mode(record, wish.network)
        network = known(root, wish.network)
        values = wish.as_dict() | {"network": network.name}
        checks.check(network, values)
        mine = list(wishes(record.options))
        if _index(root, mine, network) >= 0:
            raise Conflict(
                f"endpoint with name {record.name} already exists in network {network.name}"
            )
        live = _live(root, held.id)
        if live is not None:
            _connect_live(root, held, record, live, network, values)
        _keep(store, record, [*mine, values])


def _connect_live(
    root: Root,
    held: Held,
    record: ContainerRecord,
    live: Live,
    network: NetworkRecord,
    values: Mapping[str, Any],
) -> None:
    before = _document(held)
    names = [each["name"] for each in before["endpoints"]]
    hostname = _hostname(held)
    made = Attacher(root, record.id, record.name, hostname, lambda *of: ensure(root, *of))
    endpoint = made.add(values, network, names or ("lo",)).document
    try:
        endpoints = [dict(each) for each in before["endpoints"]]
        chosen = _default_route(root, wishes(record.options), [*endpoints, endpoint], values)
        if chosen is endpoint and not any(each["gateways"] for each in endpoints):
            endpoint["gateways"] = list(made.made[0].gateways)
        wished = {**record.options, "endpoints": [*wishes(record.options), values]}
        dns = _dns(root, made, record.replace(options=wished), before, network.id)
        _write(held, before | {"endpoints": [*endpoints, endpoint], "dns": dns})
        try:
            _ask(root, live, {"op": "connect", "id": held.id, "endpoint": endpoint, "dns": dns})
        except BaseException:
            _write(held, before)
            raise
    except BaseException:
        release(endpoint["leases"])
        raise
    if chosen is endpoint and not endpoint["gateways"]:
        endpoint["gateways"] = list(made.made[0].gateways)
        _move_route(live, endpoint)
        for each in endpoints:
            each["gateways"] = []
        _write(held, before | {"endpoints": [*endpoints, endpoint], "dns": dns})
    come = netfiles.addresses_of([endpoint])
    netfiles.change_hosts(held.directory, _full_name(record, hostname), come=come)


def _full_name(record: ContainerRecord, hostname: str) -> str:
    domain = str(record.options.get("domainname") or "")
    return netfiles.names(RunOptions(domainname=domain), hostname)


def _default_route(
    root: Root,
    mine: Sequence[Mapping[str, Any]],
    endpoints: Sequence[dict[str, Any]],
    new: Mapping[str, Any],
) -> dict[str, Any] | None:
    """Whose gateway is the default one: docker's order, as at a start."""
    store, found = NetworkStore(root), []
    priorities = {}
    for each in (*mine, new):
        try:
            priorities[known(root, each["network"]).id] = int(each.get("priority") or 0)
        except NetworkNotFound:
            continue
    for endpoint in endpoints:
        record = store.read(endpoint["network"])
        gateways = tuple(e.gateway for e in record.subnets if e.gateway) if record else ()
        if record and gateways and drivers.load(record.driver).routed(record):
            made = Made(
                record=record, document=endpoint, gateways=gateways, routed=True,
                priority=priorities.get(record.id, 0),
            )  # fmt: skip
            found.append(made)
    return min(found, key=lambda each: each.order).document if found else None


def _move_route(live: Live, endpoint: Mapping[str, Any]) -> None:
    """Let a running container's default routes lead through this endpoint."""
    from fastbox.networks.routes import set_default

    if state.start_time(live.pid) == live.start_time:
        set_default(live.pid, endpoint["name"], endpoint["gateways"])


def disconnect(root: Root, container: str, reference: str, *, force: bool) -> None:
    """See `Networks.disconnect`."""
    store = ContainerStore(root)
    try:
        identity = store.find(container)
    except FastboxError:
        if force and _drop(root, reference, container):
            return
        raise
    with store.hold(identity) as held:
        record = _record(store, held)
        if record.options.get("network") == "host":
            raise Conflict(
                "container cannot be disconnected from host network or connected to host network"
            )
        network = known(root, reference)
        mine = list(wishes(record.options))
        index = _index(root, mine, network)
        if index < 0:
            if force and _drop(root, reference, identity):
                return
            raise Conflict(
                f"container {held.id} is not connected to network {network.name}",
                hint=f"fastbox inspect {held.id[:12]}",
            )
        live = _live(root, held.id)
        if live is not None:
            _disconnect_live(root, held, record, live, network)
        del mine[index]
        _keep(store, record, mine)


def _disconnect_live(
    root: Root, held: Held, record: ContainerRecord, live: Live, network: NetworkRecord
) -> None:
    before = _document(held)
    going = [each for each in before["endpoints"] if each["network"] == network.id]
    if not going:
        return
    staying = [each for each in before["endpoints"] if each["network"] != network.id]
    made = Attacher(root, record.id, record.name, "", lambda *_: None)
    dns = _dns(root, made, record, before | {"endpoints": staying}, "")
    for each in going:
        message = {"op": "disconnect", "id": held.id, "name": each["name"], "dns": dns}
        _ask(root, live, message)
        release(each["leases"])
    chosen = _default_route(root, wishes(record.options), staying, {"network": ""})
    if chosen is not None and not any(each["gateways"] for each in staying):
        left = known(root, chosen["network"])
        chosen["gateways"] = [each.gateway for each in left.subnets if each.gateway]
        _move_route(live, chosen)
    _write(held, before | {"endpoints": staying, "dns": dns})
    gone = netfiles.addresses_of(going)
    netfiles.change_hosts(held.directory, _full_name(record, _hostname(held)), gone=gone)


def _dns(
    root: Root, made: Attacher, record: ContainerRecord, document: Mapping[str, Any], more: str
) -> dict[str, Any] | None:
    """What netd is told, of the networks that it is in, and of one more."""
    store, found = NetworkStore(root), []
    for network in [*(each["network"] for each in document["endpoints"]), more]:
        try:
            each = store.read(network) if network else None
        except ValueError:
            each = None
        if each is not None:
            found.append(each)
    return made.dns(record.options, found)


def _drop(root: Root, reference: str, container: str) -> bool:
    """Give back the addresses of a container that is not there any more; whether it had any."""
    store = NetworkStore(root)
    try:
        network = store.known(reference)
    except NetworkNotFound:
        return False
    found = []
    for text in store.taken(network.id):
        path = f"{store.leases(network.id)}/{text}"
        lease = read_lease(path)
        if lease is None or state.is_live(root.run, lease["container"]):
            continue
        if container in (lease["container"], lease["container"][:12], lease["name"]):
            found.append(path)
    release(found)
    return bool(found)


def _refuse_mode(record: ContainerRecord, network: str) -> None:
    mode = str(record.options.get("network") or "")
    if mode == "host" or network == "host":
        raise Conflict(
            "container cannot be disconnected from host network or connected to host network"
        )
    if mode[:10] == "container:":
        raise Conflict(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if network == "none" or mode == "none":
        raise Conflict(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )


def _record(store: ContainerStore, held: Held) -> ContainerRecord:
    try:
        record = store.read(held.id)
    except ValueError as error:
        raise FastboxError(f"container {held.id[:12]} is damaged: {error}") from None
    if record is None:
        raise FastboxError(f"container {held.id[:12]} has no record")
    return record


def _live(root: Root, container: str) -> Live | None:
    """The live state of one that runs."""
    live = state.read_live(root.run, container)
    if live is None or live.status == "exited":
        return None
    if live.status == "restarting":
        raise Conflict(
            f"container {container[:12]} is restarting: its network can't change now",
            hint="stop it, or wait until it runs",
        )
    return live if state.supervisor_alive(root.run, live.supervisor) else None


def _index(root: Root, mine: list[Mapping[str, Any]], network: NetworkRecord) -> int:
    """Which of a container's networks it is, -1: none."""
    for index, each in enumerate(mine):
        try:
            if known(root, each["network"]).id == network.id:
                return index
        except NetworkNotFound:
            continue
    return -1


def _keep(store: ContainerStore, record: ContainerRecord, mine: list[Any]) -> None:
    """Later starts are in these networks. "none" alone stands for no network of a container that
    has left all of them.
    """
    kept = [dict(each) for each in mine] or [{"network": "none"}]
    store.write(record.replace(options={**record.options, "endpoints": kept}))


def _document(held: Held) -> dict[str, Any]:
    try:
        with open(f"{held.directory}/{DOCUMENT}", "rb") as file:
            return json.loads_object(file.read())
    except FileNotFoundError:
        return {"schema": 1, "endpoints": [], "ports": [], "dns": None, "netd": []}
    except ValueError as error:
        raise FastboxError(f"damaged: {error}", where=f"{held.directory}/{DOCUMENT}") from None


def _write(held: Held, document: Mapping[str, Any]) -> None:
    write_file(f"{held.directory}/{DOCUMENT}", json.dumps_bytes(document))


def _hostname(held: Held) -> str:
    try:
        with open(held.directory + "/hostname", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _ask(root: Root, live: Live, message: Mapping[str, object]) -> None:
    with Conversation(root.run, live.supervisor) as conversation:
        conversation.ask(message)


def rename(document: Mapping[str, Any], old: str, new: str) -> None:
    """See `Networks.renamed`."""
    for endpoint in document.get("endpoints", ()):
        for path in endpoint["leases"]:
            lease = read_lease(path)
            if lease is None or lease["name"] != old:
                continue
            names = [new if name == old else name for name in lease["names"]]
            # Nothing but leases is ever in their directory: the new one is written above it.
            above = os.path.dirname(os.path.dirname(path))
            temporary = f"{above}/.{os.getpid()}.{os.urandom(4).hex()}"
            write_record(temporary, lease | {"name": new, "names": list(dict.fromkeys(names))})
            try:
                os.rename(temporary, path)
            except FileNotFoundError:
                os.unlink(temporary)
