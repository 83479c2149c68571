"""What the build cache keeps, what that takes, and in which order it may go."""

from __future__ import annotations

import os

from fastbox import _bytes
from fastbox.store.buildcache import BuildCache, Step
from fastbox.store.content import Content, hex_of
from fastbox.store.layers import Layers
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from fastbox.store.root import Root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Kept(Record):
    """A step, or a cache mount."""

    key: str
    is_mount: bool
    name: str
    created: str  # RFC 3339, "" for a mount
    used: float  # seconds since 1970
    chain: str  # "" for a step that changed nothing, and for a mount
    digest: str

    @property
    def things(self) -> tuple[str, ...]:
        """What it needs: "l" and a layer's digits, "b" and a blob's; of a mount "m" and its own."""
        if self.is_mount:
            return ("m" + self.key,)
        return ("l" + hex_of(self.chain), "b" + hex_of(self.digest)) if self.chain else ()


def is_usable(root: Root, step: Step) -> bool:
    """Whether what came of a step is there."""
    if not step.chain:
        return True
    try:
        there = Layers(root).get(step.chain) is not None
        return there and Content(root).has(step.digest)
    except ValueError:  # no digests
        return False


def kept(root: Root) -> list[Kept]:
    """All that builds keep, the least recently used first; a step after those made over it."""
    cache = BuildCache(root)
    found: dict[str, Kept] = {}
    parents: dict[str, str] = {}
    for key, step in cache.steps():
        if not step.same and is_usable(root, step):
            found[key] = Kept(
                key=key, is_mount=False, name=step.name, created=step.created,
                used=cache.used(key), chain=step.chain, digest=step.digest,
            )  # fmt: skip
            parents[key] = step.parent
    mounts = []
    for name in cache.mounts():
        try:
            used = cache.mount_used(name)
        except FileNotFoundError:
            continue
        mounts.append(
            Kept(
                key=name,
                is_mount=True,
                name="a cache mount",
                created="",
                used=used,
                chain="",
                digest="",
            )
        )
    return sorted([*_in_order(found, parents), *mounts], key=lambda each: each.used)


def _in_order(found: dict[str, Kept], parents: Mapping[str, str]) -> list[Kept]:
    """What is below was used when what is above was, and goes after it: alone that is of no use."""
    over: dict[str, list[str]] = {}
    for key, each in found.items():
        if each.chain:
            over.setdefault(each.chain, []).append(key)
    for first in sorted(found, key=lambda key: found[key].used, reverse=True):
        key, seen = first, {first}
        while True:
            used = found[key].used + 1e-6
            below = [
                k for k in over.get(parents[key], ()) if k not in seen and found[k].used < used
            ]
            if not below:
                break
            for other in below:
                found[other] = found[other].replace(used=used)
            seen.update(below)
            key = below[0]
    return list(found.values())


def sizes(root: Root, items: Sequence[Kept], needed: AbstractSet[str]) -> dict[str, int]:
    """Bytes on disk of each thing that only the cache needs.

    Args:
        root: The store.
        items: Of `kept`.
        needed: Chain ids and digests that images and containers need.
    """
    usage = _bytes.DiskUsage()
    homes = {
        "l": root.path("layers"),
        "b": root.path("blobs", "sha256"),
        "m": root.path("build", "mounts"),
    }
    found: dict[str, int] = {}
    for thing in sorted({thing for each in items for thing in each.things}):
        if thing[0] == "m" or "sha256:" + thing[1:] not in needed:
            found[thing] = _disk_usage(usage, homes[thing[0]], thing[1:])
    return found


def _disk_usage(usage: _bytes.DiskUsage, directory: str, name: str) -> int:
    fd = os.open(directory, _DIRECTORY)
    try:
        return usage.add(fd, name)
    except FileNotFoundError:
        return 0
    finally:
        os.close(fd)
