"""What the prunes share: the question before, the account after."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.cli.output import Output
    from fastbox.types import Pruned


def agreed(out: Output, warning: str) -> bool:
    """Whether stdin's next line says yes to what the warning says; its end is a no."""
    out.raw(f"{warning}\nAre you sure you want to continue? [y/N] ")
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        out.raw("\n")
    return answer.strip().lower() in ("y", "yes")


def show_pruned(out: Output, groups: Mapping[str, Pruned]) -> None:
    """What went, under its heading, and how much that gave back."""
    from fastbox.cli.render import human

    for heading, pruned in groups.items():
        if pruned.lines:
            out.line(f"{heading}:")
            for line in pruned.lines:
                out.line(line)
            out.line("")
    total = sum(pruned.reclaimed for pruned in groups.values())
    out.line(f"Total reclaimed space: {human.size(total)}")
