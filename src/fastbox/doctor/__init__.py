"""What this machine lets fastbox do: every feature tried, what stands in for one that is missing,
and the line that mends it. Makes nothing that stays.
"""

from __future__ import annotations

import os

from fastbox.doctor import cgroups, kernel, places, probe, rights
from fastbox.store.root import Root
from fastbox.support import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.doctor.check import Check


def examine() -> list[Check]:
    """Every check, in the order in which people read them.

    Raises:
        FastboxError: The program that tries the kernel's features is not there or hangs.
    """
    root = Root(paths.store_root(), paths.run_root())
    hierarchies = cgroups.hierarchies()
    with probe.Scratch(root) as scratch, cgroups.Group(hierarchies) as group:
        results = probe.run(scratch.path, group.unified)
        groups = cgroups.checks(hierarchies, group)
    machine = kernel.Machine(
        release=os.uname().release,
        root=os.geteuid() == 0,
        mode=hierarchies.mode,
        unified=bool(group.unified),
        file_system=scratch.file_system,
    )
    return [
        *rights.checks(results),
        *kernel.checks(machine, results),
        *groups,
        *kernel.groups(machine, results),
        *rights.users(results),
        *places.checks(root),
    ]


def can_run(checks: list[Check]) -> bool:
    """Whether nothing is missing that every container needs."""
    return not any(check.required and check.state == "missing" for check in checks)
