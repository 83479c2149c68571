"""The refusals that a kernel or an old container filter gives, and the program that gives them (deny.c)."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "lanes"
MOUNTS = ("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr")


class Lane:
    """What is refused; where a start is impossible without, the name that the error must say."""

    def __init__(self, *denied: str, answer: str = "", needs: str = "", around: str = "all") -> None:
        self.rules = [f"{name}:{answer}" if answer else name for name in denied]
        self.name = f"{denied[0]}+" if len(denied) > 1 else self.rules[0]
        self.needs = needs
        self.around = around
