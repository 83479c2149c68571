"""The mount of an image's files: an overlay of its layers without a writable one, made by the
container's own start; one layer is bound.
"""

from __future__ import annotations

import os

from fastbox.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.types import Mount

# As of a container's root (overlay.c): an image's metadata never redirects a lookup.
_FIXED = ("redirect_dir=nofollow", "metacopy=off", "index=off")

_STRING_MAX = 255


def mount(mount: Mount, target: str, mapped: bool) -> dict[str, Any]:
    """What the runtime specification says of it.

    Args:
        mount: Of an image, its layers known.
        target: Where.
        mapped: Whether the container has a user namespace.

    Raises:
        Unsupported: Several layers, and a user namespace, in which overlayfs can't read whiteouts.
    """
    made: dict[str, Any] = {"destination": target}
    if len(mount.layers) == 1:
        options = ["bind", "rprivate", "ro", *(["idmap"] if mapped else [])]
        return made | {"type": "bind", "source": mount.layers[0], "options": options}
    if mapped:
        raise Unsupported(
            "an image of several layers can't be mounted in a user namespace", where=target
        )
    options = ["ro", *_lower(mount), *_FIXED]
    return made | {"type": "overlay", "source": "overlay", "options": options}


def _lower(mount: Mount) -> list[str]:
    """One string of fsconfig(2) for each layer, where overlayfs takes them so (6.7); else all are
    one word of mount(2), for which a page is there.
    """
    numbers = os.uname().release.split(".")
    short = all(len(os.fsencode(layer)) <= _STRING_MAX for layer in mount.layers)
    if short and (int(numbers[0]), int(numbers[1])) >= (6, 7):
        return [f"lowerdir+={layer}" for layer in mount.layers]
    escaped = (
        layer.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
        for layer in mount.layers
    )
    return ["lowerdir=" + ":".join(escaped)]
