"""Words that nobody knows: the nearest known one, and the flags of docker's that fastbox does not
have yet. Only imported for an error.
"""

from __future__ import annotations

from fastbox.errors import Unsupported
from fastbox.support.nearest import distance, nearest

__all__ = ["distance", "nearest", "unsupported"]

_VOLUMES = "it comes with volumes; use an absolute path of the host"
_LATER = {
    **dict.fromkeys(("volumes-from", "volume-driver"), _VOLUMES),
    **dict.fromkeys(
        ("log-opt", "use-api-socket"),
        "this version of fastbox has no such setting"),
}  # fmt: skip


def unsupported(command: str, name: str) -> Unsupported | None:
    """The error for a flag of `docker run` that fastbox does not have yet, or None."""
    why = _LATER.get(name) if command.split(" ")[-1] in ("run", "create") else None
    dashes = "-" if len(name) == 1 else "--"
    return Unsupported(f"{dashes}{name} is not supported yet", hint=why) if why else None
