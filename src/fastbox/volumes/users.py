"""Who uses a volume: the records of all containers say, running or not."""

from __future__ import annotations

import os

from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from fastbox.store.root import Root


def users_of(root: Root, name: str) -> tuple[str, ...]:
    """Ids of the containers that use a volume, as one does whose damaged record names it."""
    needle = json.dumps(name).encode()
    return tuple(
        container
        for container, data in _records(root)
        if needle in data and name in (_names(data) or (name,))
    )


def users(root: Root) -> dict[str, list[str]]:
    """Ids of the containers that use each volume; damaged records are left out."""
    found: dict[str, list[str]] = {}
    for container, data in _records(root):
        for name in _names(data) or ():
            found.setdefault(name, []).append(container)
    return found


def _records(root: Root) -> Iterator[tuple[str, bytes]]:
    for container in os.listdir(root.path("containers")):
        try:
            with open(root.path("containers", container, "record.json"), "rb") as file:
                yield container, file.read()
        except OSError:  # it is being made, or gone
            continue


def _names(data: bytes) -> set[str] | None:
    """None when the record can't be read."""
    if b'"volume"' not in data:
        return set()
    try:
        mounts: Any = json.loads_object(data).get("mounts") or []
        return {str(mount["name"]) for mount in mounts if mount["kind"] == "volume"}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
