"""How much of the disk containers take: `ps --size` and `inspect --size`."""

from __future__ import annotations

import os

from fastbox import _bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox.containers.needs import ImageService
    from fastbox.store.containers import ContainerStore
    from fastbox.types import ContainerInfo

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def writable(store: ContainerStore, container: str, scratch: str = "") -> int:
    """Bytes of the disk that a container's own layer takes; 0 without one."""
    try:
        fd = os.open((scratch or store.directory(container)) + "/upper", _DIRECTORY)
    except OSError:
        return 0
    try:
        usage = _bytes.DiskUsage()
        return sum(usage.add(fd, name) for name in os.listdir(fd))
    finally:
        os.close(fd)


def image_sizes(images: ImageService) -> dict[str, int]:
    """Bytes of each image's layers, by its id."""
    return {info.id: info.size for info in images.list(all=True)}


def with_sizes(
    infos: Sequence[ContainerInfo], store: ContainerStore, images: Callable[[], ImageService]
) -> list[ContainerInfo]:
    """The same values with their sizes."""
    known = image_sizes(images()) if infos else {}
    found = []
    for info in infos:
        own = writable(store, info.id)
        total = own + known.get(info.image_id, 0)
        found.append(info.replace(size=own, size_root=total))
    return found
