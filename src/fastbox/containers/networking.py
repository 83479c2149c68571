"""A container's network at its start and at its end: network.json is written before its supervisor
is asked, so what is acquired has a name whoever dies.
"""

from __future__ import annotations

import os

from fastbox.containers import files
from fastbox.store.root import write_file
from fastbox.support import json
from fastbox.types import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from fastbox.containers.needs import NetworkService
    from fastbox.store.containers import ContainerRecord, ContainerStore, Held

DOCUMENT = "network.json"
_MAX_BYTES = 8 << 20


def prepare(
    networks: NetworkService, store: ContainerStore, run: str, held: Held, record: ContainerRecord
) -> dict[str, Any] | None:
    """Take its addresses, write network.json and the files that tell the container of them; what
    was taken.
    """
    name = hostname(held.directory)
    lines = []
    if record.options.get("link"):
        from fastbox.containers import linking

        lines = linking.prepare(store, run, held, record)
    document = networks.attach(record.id, record.name, name, record.options, record.exposed)
    if document is not None:
        try:
            write_file(f"{held.directory}/{DOCUMENT}", json.dumps_bytes(document))
            _write_files(networks, held.directory, record.options, name, document, lines)
            if os.path.exists(f"{held.directory}/linked"):
                from fastbox.containers import linking

                linking.tell(store, held, record, document)
        except BaseException:
            networks.abandon(record.id, document)
            raise
    return document


def _write_files(
    networks: NetworkService,
    directory: str,
    values: Mapping[str, Any],
    name: str,
    document: dict[str, Any],
    links: Sequence[str],
) -> None:
    options = RunOptions(
        network=values["network"],
        domainname=values.get("domainname", ""),
        extra_hosts=tuple(values.get("extra_hosts") or ()),
        dns=tuple(values.get("dns") or ()),
        dns_options=tuple(values.get("dns_options") or ()),
        dns_search=tuple(values.get("dns_search") or ()),
    )
    files.write_network_files(
        directory, options, name, document["endpoints"],
        served=document["dns"] is not None,
        gateways=gateways(networks, options.extra_hosts),
        links=links,
    )  # fmt: skip


def gateways(networks: NetworkService, extra_hosts: Iterable[str]) -> list[str]:
    """What `host-gateway` means, if one of the lines asks for it."""
    wanted = any(text.endswith(":host-gateway") for text in extra_hosts)
    return networks.gateways() if wanted else []


def hostname(directory: str) -> str:
    """The host name that a container was made with."""
    try:
        with open(directory + "/hostname", "rb") as file:
            return file.read(256).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def read(directory: str) -> dict[str, Any]:
    """network.json of a container; empty without one."""
    try:
        with open(f"{directory}/{DOCUMENT}", "rb") as file:
            return json.loads_own(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return {}


def renamed(networks: Callable[[], NetworkService], directory: str, old: str, new: str) -> None:
    """Its names in its networks are others now."""
    document = read(directory)
    if document:
        networks().renamed(document, old, new)


def release(store: ContainerStore, container: str, run: str) -> None:
    """Take back what a supervisor that was killed had made: rules, ports, leases. Its live state
    names the ports; without one, the command that started it may have been killed before it could
    name the leases.
    """
    document = _bytes(f"{store.directory(container)}/{DOCUMENT}")
    live = _bytes(f"{run}/containers/{container}")
    if document:
        from fastbox import _net

        try:
            _net.release(document, True, container, live)
        except (OSError, ValueError):
            pass  # `system check` tells of what is left, `network reconcile` takes it away
    if not live:
        store.leave_networks(container)


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return b""
