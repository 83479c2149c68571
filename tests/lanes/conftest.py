"""The containers of tests/integration, and its proof that nothing is left."""

from ..integration.conftest import box, nothing_left

__all__ = ["box", "nothing_left"]
