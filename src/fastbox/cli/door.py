"""The engine as commands see it: opened by the first use, so that a wrong flag is told before
anything is touched.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from fastbox.containers.service import Containers
    from fastbox.engine import Engine
    from fastbox.images.service import Images


class Door:
    """A context that opens the engine when a command first asks for images or containers, and
    closes it.
    """

    __slots__ = ("_engine",)

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._engine is not None:
            self._engine.__exit__(kind, error, trace)

    def _open(self) -> Engine:
        if self._engine is None:
            from fastbox.engine import Engine

            self._engine = Engine.open().__enter__()
        return self._engine

    @property
    def images(self) -> Images:
        """The engine's images."""
        return self._open().images

    @property
    def containers(self) -> Containers:
        """The engine's containers."""
        return self._open().containers
