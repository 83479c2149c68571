"""One volume: the object that `Volumes.create` and `get` give."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fastbox.types import VolumeInfo
    from fastbox.volumes.service import Volumes


class Volume:
    """A volume; as a context manager it is removed at the end.

    Attributes:
        name: Its name.
        info: What it was made with, and who used it when this object was made.
    """

    __slots__ = ("_service", "info", "name")

    def __init__(self, service: Volumes, info: VolumeInfo) -> None:
        self._service, self.info, self.name = service, info, info.name

    @property
    def mountpoint(self) -> str:
        """Where its files are on the host."""
        return self.info.mountpoint

    def remove(self, *, force: bool = False) -> None:
        """Delete it with all in it; see `Volumes.remove`."""
        self._service.remove(self.name, force=force)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove(force=True)

    def __repr__(self) -> str:
        return f"Volume({self.name!r})"
