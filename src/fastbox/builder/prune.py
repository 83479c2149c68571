"""`builder prune`: what builds keep is taken away, the least recently used first."""

from __future__ import annotations

import os
import time
from collections import Counter

from fastbox.store.buildcache import BuildCache
from fastbox.store.buildusage import is_usable, kept, sizes
from fastbox.store.filedigests import forget
from fastbox.support.filters import Filters
from fastbox.types import Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from fastbox.store.buildusage import Kept
    from fastbox.store.root import Root

_ID = 25  # characters of a key that are shown


def prune(
    root: Root,
    needed: AbstractSet[str],
    *,
    all: bool,
    keep: int | None,
    max_used: int | None,
    min_free: int | None,
    filters: Sequence[str],
) -> Pruned:
    """Take away what builds keep. A step that is being made stays, and so does a cache mount that a
    step has.

    Args:
        root: The store.
        needed: Chain ids and digests that images and containers need.
        all: Also steps whose layers images need, too (that gives nothing back).
        keep: Leave so many bytes in any case, of what was used last.
        max_used: The most that may be left.
        min_free: Stop when so many bytes of the disk are free.
        filters: `until=` a duration or a time: only what was not used since.

    Returns:
        Lines of id, "true", bytes given back and seconds since the last use, with tabs between.

    Raises:
        InvalidArgument: An unknown filter.
        FastboxError: The kernel said no.
    """
    until = Filters(filters, ("until",)).until()
    if until is None:
        forget(root)
    cache = BuildCache(root)
    cache.tidy(lambda step: is_usable(root, step))
    items = kept(root)
    own = sizes(root, items, needed)
    users = Counter(thing for item in items for thing in item.things)
    left = sum(own.values())
    budget = _budget(root, left, keep, max_used, min_free)
    lines, reclaimed = [], 0
    for item in items:
        if budget is not None and left <= budget:
            break
        if (item.chain in needed and not all) or (until is not None and item.used * 1e9 >= until):
            continue
        if not _drop(cache, item):
            continue
        users.subtract(item.things)
        freed = sum(own.get(thing, 0) for thing in item.things if not users[thing])
        left -= freed
        reclaimed += freed
        ago = max(0, int(time.time() - item.used))
        lines.append(f"{item.key[:_ID]}\ttrue\t{freed}\t{ago}")
    cache.tidy()  # other names of what is gone
    return Pruned(lines=tuple(lines), reclaimed=reclaimed)


def _drop(cache: BuildCache, item: Kept) -> bool:
    return cache.drop_mount(item.key) if item.is_mount else cache.drop(item.key)


def _budget(
    root: Root, total: int, keep: int | None, max_used: int | None, min_free: int | None
) -> int | None:
    """How many bytes may be left; None: nothing need be."""
    if keep is None and max_used is None and min_free is None:
        return None
    most = max_used or 0
    if min_free is not None:
        missing = min_free - _free(root)
        if missing > 0:
            rest = max(0, total - missing)
            most = min(most, rest) if max_used is not None else rest
        elif max_used is None:
            most = total
    return max(most, keep or 0)


def _free(root: Root) -> int:
    found = os.statvfs(root.store)
    return found.f_bavail * found.f_frsize
