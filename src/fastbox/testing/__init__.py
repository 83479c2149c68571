"""fastbox in test frameworks: the types of the pytest plugin's fixtures."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.testing.factory import ContainerFactory

__all__ = ["ContainerFactory"]


def __getattr__(name: str) -> object:
    if name == "ContainerFactory":
        from fastbox.testing.factory import ContainerFactory

        return ContainerFactory
    raise AttributeError(f"module 'fastbox.testing' has no attribute {name!r}")
