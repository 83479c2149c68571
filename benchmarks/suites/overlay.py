"""The overlay of a start, mounted and taken away: libfastbox's operation and one mount(2).

Upper directories are on the file system of the lab, as those of containers are on the store's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..suite import BASE, OURS, Field, Row, Suite
from ..vs_peers.clients import Measure
from ..vs_peers.lab import Lab


def library_bundle(lab: Lab) -> str:
    """A bundle with an `overlay` of the lab's root, and with fastbox's groups."""
    name = "library"
    empty = lab.sub("library-lower")
    upper, work = lab.file("library-upper"), lab.file("library-work")
    overlay: dict[str, Any] = {"lower": [lab.root, empty], "upper": upper, "work": work}
    engine: dict[str, Any] = {**lab.config["fastbox"], "overlay": {**overlay, "volatile": True}}
    return lab.write_bundle(name, ["/bin/true"], fastbox=engine)


def by_library(lab: Lab, mode: str) -> Measure:
    """One mode of floors/library.c."""
    return lab.floor([lab.build_library(), mode, library_bundle(lab)]).measure


def _open(field: Field) -> None:
    field.admit("floor", partial(by_library, field.lab, "overlay-floor"))
    field.admit("library", partial(by_library, field.lab, "overlay"))


SUITES = (
    Suite(
        name="overlay",
        title="overlay, mount and unmount",
        rows=(
            Row("floor", "floor: mount(2), umount2(2)", BASE),
            Row("library", "libfastbox (fb_op_root_overlay), umount2(2)", OURS),
        ),
        open=_open,
        unit="us",
        rounds=300,
        seconds=15.0,
    ),
)
