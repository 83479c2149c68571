"""The registry: every suite of the project, in the order of the page.

A new suite is a file beside this one with `SUITES`, a tuple of Suite, and its name in FILES.
"""

from __future__ import annotations

from importlib import import_module

from ..suite import Suite

FILES = (
    "start",
    "exec",
    "overlay",
    "groups",
    "extraction",
    "layers",
    "memory",
    "stats",
    "fork",
    "cp",
    "bindings",
)


def all_suites() -> list[Suite]:
    """Every suite."""
    found: list[Suite] = []
    for name in FILES:
        found += import_module(f"{__name__}.{name}").SUITES
    return found


def choose(names: list[str]) -> list[Suite]:
    """The suites of these names, or of files of these names; all but the long ones without any.

    Raises:
        KeyError: There is no such suite.
    """
    if not names:
        return [suite for suite in all_suites() if not suite.apart]
    known = {suite.name: [suite] for suite in all_suites()}
    known |= {name: list(import_module(f"{__name__}.{name}").SUITES) for name in FILES}
    return [suite for name in names for suite in known[name]]
