"""What containers need of others, as types: never imported at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from fastbox.types import Committed, ImageConfig, ImageInfo, Mount


class ImageService(Protocol):
    """What containers need of images."""

    def resolve(self, reference: str) -> ImageConfig:
        """The image's config and layers, or ImageNotFound."""

    def pinned(self, image_id: str) -> ImageConfig:
        """The image that a container was made of, also when it has no name any more."""

    def list(
        self, pattern: str = "", *, all: bool = False, filters: Sequence[str] = ()
    ) -> list[ImageInfo]:
        """The images, one for each name."""

    def commit(
        self,
        made: Committed,
        reference: str,
        *,
        changes: Sequence[str],
        author: str,
        message: str,
    ) -> str:
        """Make an image of a container; its id."""


class VolumeService(Protocol):
    """What containers need of volumes."""

    def attach(
        self,
        asked: Iterable[Mount],
        inherited: Iterable[Mount],
        image: Iterable[str],
        container: str,
        directory: str,
        driver: str,
    ) -> tuple[Mount, ...]:
        """Choose a container's mounts, and make the volumes among them."""

    def settle(self, mounts: Sequence[Mount], container: str, lower: Sequence[str]) -> None:
        """After the container is recorded: see that its volumes are there, and fill new ones."""


class NetworkService(Protocol):
    """What containers need of networks."""

    def verify(self, options: Mapping[str, Any]) -> None:
        """Before a container is made: are its networks there, and can they do what it wants?"""

    def attach(
        self,
        container: str,
        name: str,
        hostname: str,
        options: Mapping[str, Any],
        exposed: Sequence[str] = (),
    ) -> dict[str, Any] | None:
        """network.json of a start, its addresses taken; None without networks of its own."""

    def abandon(self, container: str, document: Mapping[str, Any]) -> None:
        """Give the addresses of a start that failed back."""

    def gateways(self) -> list[str]:
        """The addresses of the host that `host-gateway` means."""

    def renamed(self, document: Mapping[str, Any], old: str, new: str) -> None:
        """The container has another name."""
