"""`container prune`: what doesn't run goes."""

from __future__ import annotations

import os

from fastbox import units
from fastbox.containers import ending
from fastbox.errors import ContainerNotFound, StateConflict
from fastbox.support.filters import Filters
from fastbox.types import Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.store.containers import ContainerStore
    from fastbox.types import ContainerInfo

FILTERS = ("label", "label!", "until")


def prune(
    store: ContainerStore, run: str, infos: Sequence[ContainerInfo], filters: Sequence[str]
) -> Pruned:
    """Remove the ones that don't run and that the filters let through."""
    wanted = Filters(filters, FILTERS)
    until = wanted.until()
    removed, reclaimed = [], 0
    for info in infos:
        if info.up or not wanted.labels_fit(info.labels):
            continue
        if until is not None and _moment(info.created) > until:
            continue
        size = disk_usage(store.directory(info.id))
        try:
            ending.remove(store, run, info.id, info.id, force=False)
        except (StateConflict, ContainerNotFound):
            continue  # it was started, or removed, just now
        removed.append(info.id)
        reclaimed += size
    return Pruned(lines=tuple(removed), reclaimed=reclaimed)


def _moment(created: str) -> int:
    return units.instant(created) if created else 0


def disk_usage(directory: str) -> int:
    """Bytes on disk of a container's own files; 0 when it is gone."""
    from fastbox import _bytes

    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return _bytes.DiskUsage().add(fd, ".")
    finally:
        os.close(fd)
