"""The registry: every suite of the project, in the order of the page.

A new suite is a file beside this one with `SUITES`, a tuple of Suite, and its name in FILES.
"""

from __future__ import annotations

from importlib import import_module

from ..suite import Suite

FILES = (
    *("start", "exec", "output", "overlay", "groups", "extraction", "layers"),
    *("memory", "stats", "logs", "cp", "fork", "network", "build", "bindings"),
)
GROUPS = {"life": ("output", "memory", "stats", "logs", "cp", "fork")}
"""Files that are measured together, by the name of the group."""


def all_suites() -> list[Suite]:
    """Every suite."""
    found: list[Suite] = []
    for name in FILES:
        found += import_module(f"{__name__}.{name}").SUITES
    return found


def choose(names: list[str]) -> list[Suite]:
    """The suites of these names, of files or of groups of these names, each once; all but the long
    ones without any.

    Raises:
        KeyError: There is no such suite.
    """
    if not names:
        return [suite for suite in all_suites() if not suite.apart]
    known = {suite.name: [suite] for suite in all_suites()}
    known |= {name: list(import_module(f"{__name__}.{name}").SUITES) for name in FILES}
    known |= {name: choose([*files]) for name, files in GROUPS.items() if name in names}
    return list({suite.name: suite for name in names for suite in known[name]}.values())
