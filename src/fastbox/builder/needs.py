"""What builds need of others, as types: never imported at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from contextlib import AbstractContextManager
    from typing import Any

    from fastbox.store.content import Descriptor
    from fastbox.store.refs import Ref
    from fastbox.types import ImageConfig, RunOptions

    # An image's record, its packed layers, and its configuration.
    Parts = tuple[Ref, Sequence[Descriptor], Mapping[str, Any]]


class ImageService(Protocol):
    """What builds need of images."""

    def parts(self, reference: str, platform: str) -> Parts:
        """An image, or ImageNotFound."""

    def publish_built(
        self,
        document: Mapping[str, Any],
        layers: Sequence[tuple[Descriptor, str]],
        size: int,
        names: Sequence[str],
    ) -> Ref:
        """Make an image of layers (packed, chain id) that the store has; its record."""

    def check_names(self, names: Sequence[str]) -> Sequence[str]:
        """The names that an image is to get, normalised, or InvalidReference."""

    def save(self, references: Sequence[str], target: str | int, *, format: str) -> None:
        """Write images as an archive."""

    def needed(self) -> AbstractSet[str]:
        """Chain ids and digests that images and containers need."""

    def tidy(self) -> None:
        """Remove what processes that were killed have left."""

    def sweep(self) -> None:
        """Give back what nothing needs."""


class StepService(Protocol):
    """What builds need of containers."""

    def run(
        self,
        made: Callable[[], tuple[RunOptions, ImageConfig]],
        keep: str,
        told: Callable[[int, bytes], None],
        stop: int,
        starting: AbstractContextManager[object],
        secrets: tuple[str, ...] = (),
        bundle: str = "",
    ) -> int:
        """Run a command over layers, and keep what it wrote; its exit code."""

    def tidy(self) -> None:
        """Remove the containers of builds that were killed."""
