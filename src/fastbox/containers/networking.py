"""A container's network at its start and at its end: network.json is written before its supervisor
is asked, so what is acquired has a name whoever dies.
"""

from __future__ import annotations

from fastbox.store.root import write_file
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastbox.containers.needs import NetworkService
    from fastbox.store.containers import ContainerRecord, Held

DOCUMENT = "network.json"
_MAX_BYTES = 8 << 20


def prepare(networks: NetworkService, held: Held, record: ContainerRecord) -> dict[str, Any] | None:
    """Take its addresses and write network.json; what was taken."""
    document = networks.attach(
        record.id, record.name, hostname(held.directory), record.options, record.exposed
    )
    if document is not None:
        try:
            write_file(f"{held.directory}/{DOCUMENT}", json.dumps_bytes(document))
        except BaseException:
            networks.abandon(record.id, document)
            raise
    return document


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


def release(directory: str) -> None:
    """Take back what a supervisor that was killed had made: rules, ports, leases."""
    try:
        with open(f"{directory}/{DOCUMENT}", "rb") as file:
            document = file.read(_MAX_BYTES)
    except OSError:
        return
    try:
        from fastbox import _net
    except ImportError:
        return
    try:
        _net.release(document, True)
    except (OSError, ValueError):
        pass  # `network reconcile` tells
