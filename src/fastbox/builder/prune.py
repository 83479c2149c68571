"""`builder prune`: what builds keep is taken away, the least recently used first."""

from __future__ import annotations

import os
import time

from fastbox.store.buildcache import BuildCache
from fastbox.store.layers import Layers
from fastbox.support.filters import Filters
from fastbox.types import Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.store.root import Root


class Item:
    """Something that a build keeps: a step, or a cache mount."""

    __slots__ = ("is_mount", "key", "shared", "size", "used")

    def __init__(self, key: str, size: int, used: float, is_mount: bool, shared: bool) -> None:
        self.key, self.size, self.used = key, size, used
        self.is_mount, self.shared = is_mount, shared


def items(root: Root) -> list[Item]:
    """All that builds keep, the least recently used first. What an image has too is `shared`: it
    takes no room of its own.
    """
    from fastbox.store.refs import Refs

    cache, layers = BuildCache(root), Layers(root)
    refs, _ = Refs(root).all()
    of_images = {chain for ref in refs for chain in ref.chains}
    found = []
    for key, step in cache.steps():
        layer = layers.get(step.chain) if step.chain else None
        size = layer.size + layer.packed_size if layer else 0
        found.append(Item(key, size, cache.used(key), False, step.chain in of_images))
    found += [
        Item(name, _disk_usage(cache.mount_path(name)), cache.mount_used(name), True, False)
        for name in cache.mounts()
    ]
    return sorted(found, key=lambda item: item.used)


def prune(
    root: Root,
    *,
    all: bool,
    keep: int | None,
    max_used: int | None,
    min_free: int | None,
    filters: Sequence[str],
) -> Pruned:
    """Take away what builds keep.

    Args:
        root: The store.
        all: Also what steps have in common with images (it takes no room of its own).
        keep: Leave so many bytes, of what was used last.
        max_used: The most that may be left; as `keep`.
        min_free: Stop when so many bytes of the disk are free.
        filters: `until=` a duration or a time: only what was not used since.

    Raises:
        InvalidArgument: An unknown filter.
    """
    wanted = Filters(filters, ("until",))
    until = wanted.until()
    cache = BuildCache(root)
    cache.tidy()
    found = [item for item in items(root) if all or not item.shared]
    left = sum(item.size for item in found if not item.shared)
    budget = min((n for n in (keep, max_used) if n is not None), default=None)
    lines, reclaimed = [], 0
    for item in found:
        if until is not None and item.used * 1e9 >= until:
            continue
        if budget is not None and left <= budget:
            break
        if min_free is not None and _free(root) >= min_free:
            break
        gone = cache.drop_mount(item.key) if item.is_mount else cache.drop(item.key)
        if gone:
            own = 0 if item.shared else item.size
            left -= own
            reclaimed += own
            lines.append(f"{item.key[:25]}\ttrue\t{own}\t{_ago(item.used)}")
    return Pruned(lines=tuple(lines), reclaimed=reclaimed)


def _ago(used: float) -> str:
    return str(max(0, int(time.time() - used)))


def _free(root: Root) -> int:
    found = os.statvfs(root.store)
    return found.f_bavail * found.f_frsize


def _disk_usage(path: str) -> int:
    from fastbox import _bytes

    parent, _, name = path.rpartition("/")
    fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return int(_bytes.DiskUsage().add(fd, name))
    finally:
        os.close(fd)
