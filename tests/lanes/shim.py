"""What kernels and old container filters refuse, and the program that makes this machine refuse it (deny.c)."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("deny.c")
BUILD = Path(__file__).resolve().parents[2] / "build" / "lanes"
MOUNT_CALLS = ("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick")


class Lane(NamedTuple):
    """One kind of refusal."""

    rules: tuple[str, ...]
    needs: str = ""  # a start is impossible without it: the error says this name
    command_only: bool = False  # the C library itself can't do without in a program with threads

    @property
    def name(self) -> str:
        head, _, answer = self.rules[0].partition(":")
        more = "+" if len(self.rules) > 1 else ""
        return f"{head}{more}-{answer or 'ENOSYS'}"


def _both(*names: str, needs: str = "") -> list[Lane]:
    return [Lane(tuple(f"{n}:{e}" for n in names), needs) for e in ("ENOSYS", "EPERM")]


# An old kernel answers ENOSYS; an old container filter, written before the call existed, EPERM.
LANES = [
    Lane(("clone3:ENOSYS",)),
    # glibc takes this answer for clone's own and then makes no thread.
    Lane(("clone3:EPERM",), command_only=True),
    *_both("openat2"),
    *(lane for call in MOUNT_CALLS for lane in _both(call)),
    *_both("mount_setattr"),
    *_both(*MOUNT_CALLS, "mount_setattr"),
    *_both("close_range"),
    *_both("pidfd_send_signal"),
    # For EPERM coreutils, which the tests use, have no other way.
    Lane(("statx:ENOSYS",)),
    # By a kernel from 5.3 (E2BIG: the member is unknown) and from 5.5 (EINVAL: the flag is).
    Lane(("clone-into-cgroup:E2BIG",)),
    Lane(("clone-into-cgroup:EINVAL",)),
    # max_user_namespaces = 0, and Debian's old switch.
    Lane(("new-user-namespace:ENOSPC",)),
    Lane(("new-user-namespace:EPERM",)),
    # Before 5.14.
    Lane(("cgroup.kill:ENOENT",)),
    # 3.17 and 5.3: fastbox needs 5.10, so only a filter can refuse them, and there is no safe other way.
    *_both("memfd_create", needs="memfd_create"),
    *_both("pidfd_open", needs="pidfd_open"),
    Lane(
        tuple(
            f"{name}:ENOSYS"
            for name in (
                *("clone3", "openat2", *MOUNT_CALLS, "mount_setattr"),
                *("close_range", "pidfd_send_signal", "statx", "new-user-namespace"),
            )
        )
    ),
]


@functools.cache
def compiled(source: Path) -> str:
    """The path of a program of one file, compiled when it is older than its source."""
    path = BUILD / source.stem
    if not path.exists() or path.stat().st_mtime < source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        words = ["gcc", "-O1", "-D_GNU_SOURCE", "-o", f"{path}.new", str(source), "-lseccomp"]
        subprocess.run(words, check=True)
        Path(f"{path}.new").rename(path)
    return str(path)


def denying(*rules: str) -> list[str]:
    """The words to put before a command."""
    return [compiled(SOURCE), *rules, "--"]
