"""The engine as commands see it: opened by the first use, so that a wrong flag is told before
anything is touched.

It is never closed: what commands start outlives them.
"""

from __future__ import annotations

from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from fastbox.builds import BuildOptions, Built, Event, Warned
    from fastbox.containers.service import Containers
    from fastbox.engine import Engine
    from fastbox.images.service import Images
    from fastbox.networks.service import Networks
    from fastbox.system.service import System
    from fastbox.types import Pruned
    from fastbox.volumes.service import Volumes

    class Builds(Protocol):
        """What commands need of the builder."""

        def build(self, options: BuildOptions, watch: Callable[[Event], None] | None) -> Built:
            """Build; FastboxError when it fails."""
            ...

        def check(self, options: BuildOptions) -> tuple[Warned, ...]:
            """What is wrong with a Dockerfile, without building."""
            ...

        def prune(
            self,
            *,
            all: bool,
            keep: int | None,
            max_used: int | None,
            min_free: int | None,
            filters: Sequence[str],
        ) -> Pruned:
            """Take steps that nobody needs out of the cache. Sizes are bytes."""
            ...


class Door:
    """Opens the engine when a command first asks for images, containers or the system."""

    __slots__ = ("_engine",)

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def _open(self) -> Engine:
        if self._engine is None:
            from fastbox.engine import Engine

            self._engine = Engine.open()
            clock.mark("engine")
        return self._engine

    @property
    def images(self) -> Images:
        """The engine's images."""
        return self._open().images

    @property
    def containers(self) -> Containers:
        """The engine's containers."""
        return self._open().containers

    @property
    def builds(self) -> Builds:
        """The engine's builder."""
        engine: Any = self._open()
        found: Builds = engine.builds
        return found

    @property
    def system(self) -> System:
        """The engine's store as a whole."""
        return self._open().system

    @property
    def networks(self) -> Networks:
        """The engine's networks."""
        return self._open().networks

    @property
    def volumes(self) -> Volumes:
        """The engine's volumes."""
        return self._open().volumes
