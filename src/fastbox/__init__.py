"""fastbox: containers in milliseconds, from Python. Everything public is here, loaded when it is
first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from fastbox import aio, errors, types, wait
    from fastbox.containers.container import Container
    from fastbox.containers.process import Process
    from fastbox.engine import Engine
    from fastbox.errors import FastboxError

__version__ = "0.1.0"
PIPE, STDOUT, DEVNULL = -1, -2, -3  # the standard library's numbers
__all__ = [
    "DEVNULL", "PIPE", "STDOUT", "Container", "Engine", "FastboxError", "Process", "__version__",
    "aio", "errors", "types", "wait",
]  # fmt: skip

_HOME = {
    "Engine": "engine",
    "Container": "containers.container",
    "Process": "containers.process",
}
_MODULES = ("errors", "types", "units", "engine", "wait", "aio")


def __getattr__(name: str) -> object:
    # An import hook calls this with names like __path__; those are nobody's.
    if name.startswith("_"):
        raise AttributeError(f"module 'fastbox' has no attribute {name!r}")
    if name in _MODULES:
        return _module(name)
    homes = (_HOME[name],) if name in _HOME else ("errors", "types")
    for home in homes:
        module = _module(home)
        if hasattr(module, name) and getattr(module, name).__module__ == module.__name__:
            value = globals()[name] = getattr(module, name)
            return value
    raise AttributeError(f"module 'fastbox' has no attribute {name!r}")


def _module(name: str) -> ModuleType:
    """One of ours; `importlib` would load `warnings`, for every command that comes here."""
    module: ModuleType = __import__("fastbox." + name, fromlist=("*",))
    return module
