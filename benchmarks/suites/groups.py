"""The control groups of a start, made and removed: device rule and pids limit, nobody in them."""

from __future__ import annotations

from functools import partial

from ..suite import BASE, OURS, Field, Row, Suite
from .overlay import by_library


def _open(field: Field) -> None:
    field.admit("floor", partial(by_library, field.lab, "groups-floor"))
    field.admit("library", partial(by_library, field.lab, "groups"))


SUITES = (
    Suite(
        name="groups",
        title="control groups, create and remove",
        rows=(
            Row("floor", "floor: mkdir, write, rmdir", BASE),
            Row("library", "libfastbox (fb_cgroup_create, fb_cgroup_remove)", OURS),
        ),
        open=_open,
        unit="us",
        rounds=300,
        seconds=15.0,
    ),
)
