"""The mounts of a container that has volumes, as it is made: imported only then."""

from __future__ import annotations

import os

from fastbox.containers import mountpoints
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from fastbox.containers.needs import VolumeService
    from fastbox.store.containers import ContainerStore, Held
    from fastbox.types import ImageConfig, Mount, RunOptions

_MODES = frozenset("ro rw z Z".split())


class Mounted:
    """What becomes of the mounts of one container.

    Attributes:
        mounts: Every mount, its volume made.
    """

    __slots__ = ("_held", "_volumes", "mounts")

    def __init__(
        self,
        store: ContainerStore,
        volumes: VolumeService,
        options: RunOptions,
        image: ImageConfig,
        held: Held,
    ) -> None:
        self._volumes, self._held = volumes, held
        inherited = [mount for text in options.volumes_from for mount in _inherit(store, text)]
        self.mounts = volumes.attach(
            options.mounts, inherited, image.volumes, held.id, held.directory, options.volume_driver
        )

    def as_dicts(self) -> tuple[dict[str, Any], ...]:
        """As the record has them."""
        return tuple(mount.as_dict() for mount in self.mounts)

    def settle(self, lower: Sequence[str], *, keep: bool) -> None:
        """When the container is recorded. With `keep` its anonymous volumes stay when it goes."""
        self._volumes.settle(self.mounts, self._held.id, lower)
        if keep and any(mount.anonymous for mount in self.mounts):
            mountpoints.unlist(self._held.directory)


def _inherit(store: ContainerStore, text: str) -> Iterator[Mount]:
    """The mounts of another container; `text` is its name, and perhaps a mode."""
    reference, colon, mode = text.partition(":")
    words = mode.split(",")
    if not reference or (colon and not _MODES.issuperset(words)):
        raise InvalidArgument(f'invalid value "{text}" for volumes-from', hint="name[:ro|:rw]")
    record = store.read(store.find(reference))
    for mount in mountpoints.mounts_of(record) if record else ():
        if os.path.normpath(mount.target).startswith("/"):
            yield mount.replace(
                read_only=mount.read_only or "ro" in words, no_copy=True, create=False, text=""
            )
