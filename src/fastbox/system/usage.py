"""`system df`: each file of the store is counted once, under what it is for, so that the parts add
up to what du says of the whole.
"""

from __future__ import annotations

import os

from fastbox import _bytes
from fastbox.errors import FastboxError, os_error
from fastbox.images import documents
from fastbox.images.sweep import find_live
from fastbox.store.buildusage import kept as kept_by_builds
from fastbox.store.content import Content, hex_of
from fastbox.store.refs import Refs
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from fastbox.store.buildusage import Kept
    from fastbox.store.refs import Ref
    from fastbox.store.root import Root
    from fastbox.types import ContainerInfo, ImageInfo, VolumeInfo

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What starts need, beside the containers themselves.
_OF_CONTAINERS = ("names", "skeleton", "cache", "layers-in-memory", "sealed")


class Part(Record):
    """One line: how many there are, how many are in use, bytes on disk, and how many of them a
    prune would give back.
    """

    kind: str
    total: int = 0
    active: int = 0
    size: int = 0
    reclaimable: int = 0


class ImageUsage(Record):
    """One name of an image: what is its own, and what others need as well, in bytes on disk."""

    info: ImageInfo
    shared: int
    unique: int
    containers: int


class ContainerUsage(Record):
    """One container and what its own files take, in bytes on disk."""

    info: ContainerInfo
    size: int


class VolumeUsage(Record):
    """One volume and what it takes, in bytes on disk."""

    info: VolumeInfo
    size: int


class CacheUsage(Record):
    """One step or cache mount that builds keep, and what it takes, in bytes on disk."""

    item: Kept
    size: int
    shared: bool  # an image or a container needs its layer, too


class Usage(Record):
    """The whole store."""

    parts: tuple[Part, ...]
    images: tuple[ImageUsage, ...]
    containers: tuple[ContainerUsage, ...]
    volumes: tuple[VolumeUsage, ...]
    cache: tuple[CacheUsage, ...] = ()


class _Meter:
    """Counts directories of the store, each file once whatever its names."""

    def __init__(self, root: Root) -> None:
        self._root, self._usage = root, _bytes.DiskUsage()

    def each(self, *parts: str, without: str = "") -> dict[str, int]:
        """Bytes of each entry of a directory; of the directory itself under ""."""
        try:
            fd = os.open(self._root.path(*parts), _DIRECTORY)
        except FileNotFoundError:
            return {}
        try:
            found = {"": os.fstat(fd).st_blocks * 512}
            for name in sorted(os.listdir(fd)):
                if name != without:
                    found[name] = self._usage.add(fd, name)
        finally:
            os.close(fd)
        return found


def measure(
    root: Root,
    images: Sequence[ImageInfo],
    containers: Sequence[ContainerInfo],
    volumes: Sequence[VolumeInfo],
) -> Usage:
    """Walk the store; see `System.usage`."""
    try:
        return _measure(root, images, containers, volumes)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot measure the store", root.store) from error


def _measure(
    root: Root,
    images: Sequence[ImageInfo],
    containers: Sequence[ContainerInfo],
    volumes: Sequence[VolumeInfo],
) -> Usage:
    meter = _Meter(root)
    blobs, layers = meter.each("blobs", "sha256"), meter.each("layers")
    own, of_volumes = meter.each("containers"), meter.each("volumes")
    tmp = meter.each("tmp")
    steps, mounts = meter.each("build", "steps"), meter.each("build", "mounts")
    trash = sum(size for name, size in tmp.items() if name.startswith("rm-"))
    rest = {"": os.stat(root.store).st_blocks * 512, **_rest(root, meter)}
    of_containers = sum(rest.pop(name, 0) for name in _OF_CONTAINERS)
    needs = _needs(root)
    used = {each for info in containers for each in (info.image_id, *info.mounted_images)}
    used &= set(needs)
    stopped = [info.id for info in containers if not info.up]
    stored = {"b" + name: size for name, size in blobs.items() if name}
    stored |= {"l" + name: size for name, size in layers.items() if name}
    stored |= {"m" + name: size for name, size in mounts.items() if name}
    needed = _needed_otherwise(root)
    cache = _cache(root, stored, needed)
    cached = {thing for each in cache for thing in each.item.things}
    # What else only the cache needs, prune gives back; the records' own directories are small.
    only_cached = cached - needed
    cache_own = sum(stored.get(thing, 0) for thing in only_cached)
    kept = cached.union(*(needs[image] for image in used))
    image_size = sum(blobs.values()) + sum(layers.values()) + sum(rest.values())
    image_size -= sum(stored.get(thing, 0) for thing in only_cached if thing[0] != "m")
    records = sum(steps.values()) + mounts.get("", 0)
    container_size = sum(own.values()) + of_containers + trash
    return Usage(
        parts=(
            Part(
                kind="Images",
                total=len({info.id for info in images}),
                active=len(used),
                size=image_size + sum(tmp.values()) - trash,
                reclaimable=sum(
                    size for name, size in stored.items() if name not in kept and name[0] != "m"
                ),
            ),
            Part(
                kind="Containers",
                total=len(containers),
                active=len(containers) - len(stopped),
                size=container_size,
                reclaimable=trash + sum(own.get(container, 0) for container in stopped),
            ),
            Part(
                kind="Local Volumes",
                total=len(volumes),
                active=sum(bool(info.containers) for info in volumes),
                size=sum(of_volumes.values()),
                reclaimable=sum(
                    of_volumes.get(info.name, 0) for info in volumes if not info.containers
                ),
            ),
            Part(
                kind="Build Cache",
                total=len(cache),
                size=cache_own + records,
                reclaimable=cache_own,
            ),
        ),
        images=_images(images, containers, needs, stored),
        containers=tuple(
            ContainerUsage(info=info, size=own.get(info.id, 0)) for info in containers
        ),
        volumes=tuple(
            VolumeUsage(info=info, size=of_volumes.get(info.name, 0)) for info in volumes
        ),
        cache=cache,
    )


def _cache(
    root: Root, stored: Mapping[str, int], needed: AbstractSet[str]
) -> tuple[CacheUsage, ...]:
    return tuple(
        CacheUsage(
            item=item,
            size=sum(stored.get(thing, 0) for thing in item.things),
            shared=any(thing in needed for thing in item.things),
        )
        for item in kept_by_builds(root)
    )


def _needed_otherwise(root: Root) -> set[str]:
    """What images and containers need; a damaged record hides that: then all may be needed."""
    live = find_live(root, builds=False)
    if live is None:
        items = kept_by_builds(root)
        return {thing for item in items for thing in item.things if not item.is_mount}
    return {"l" + hex_of(chain) for chain in live.chains} | {"b" + hex_of(b) for b in live.blobs}


def _rest(root: Root, meter: _Meter) -> dict[str, int]:
    """What lies at the top of the store, but for what is told entry by entry."""
    found = {"blobs": sum(meter.each("blobs", without="sha256").values())}
    if os.path.isdir(root.path("build")):
        found["build"] = os.stat(root.path("build")).st_blocks * 512
    for name in os.listdir(root.store):
        if name in ("blobs", "layers", "containers", "volumes", "tmp", "build"):
            continue
        path = root.path(name)
        if os.path.isdir(path) and not os.path.islink(path):
            found[name] = sum(meter.each(name).values())
        else:
            found[name] = os.lstat(path).st_blocks * 512
    return found


def _needs(root: Root) -> dict[str, set[str]]:
    """What each image needs, by its id: "b" and a blob's digits, "l" and a layer's."""
    content = Content(root)
    needs: dict[str, set[str]] = {}
    for ref in Refs(root).all()[0]:
        things = needs.setdefault(ref.config.digest, set())
        things.update("b" + hex_of(digest) for digest in (ref.manifest.digest, ref.config.digest))
        things.update("b" + hex_of(digest) for digest in _packed(content, ref))
        things.update("l" + hex_of(chain) for chain in ref.chains)
    return needs


def _packed(content: Content, ref: Ref) -> list[str]:
    try:
        data = content.read(ref.manifest, documents.MAX_MANIFEST)
        manifest = documents.parse_manifest(data, ref.manifest.media_type)
    except FastboxError:  # damaged: `system check` says so
        return []
    return [layer.digest for layer in manifest.layers]


def _images(
    images: Sequence[ImageInfo],
    containers: Sequence[ContainerInfo],
    needs: Mapping[str, set[str]],
    stored: Mapping[str, int],
) -> tuple[ImageUsage, ...]:
    users: dict[str, int] = {}
    for things in needs.values():
        for thing in things:
            users[thing] = users.get(thing, 0) + 1
    found = []
    for info in images:
        things = needs.get(info.id, set())
        shared = sum(stored.get(thing, 0) for thing in things if users[thing] > 1)
        unique = sum(stored.get(thing, 0) for thing in things if users[thing] == 1)
        count = sum(container.image_id == info.id for container in containers)
        found.append(ImageUsage(info=info, shared=shared, unique=unique, containers=count))
    return tuple(found)
