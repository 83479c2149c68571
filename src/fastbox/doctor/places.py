"""Where the store and the live state lie."""

from __future__ import annotations

import os

from fastbox.doctor.check import FALLBACK, MISSING, OK, Check
from fastbox.doctor.probe import existing
from fastbox.store.root import file_system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.root import Root

_GROUP = "Places"
_LEAST_BYTES, _LEAST_FILES = 256 << 20, 10_000
_FREE = "remove images and containers that nobody needs (fastbox rm, fastbox rmi), or enlarge it"


def checks(root: Root) -> list[Check]:
    """The store: its place, its space, its inodes; and the live state."""
    return [_place(root.store), *_space(root.store), _live(root.run)]


def _place(store: str) -> Check:
    there = existing(store)
    kind = _type(there)
    made = "" if there == store else ", made by the first command"
    check = Check(
        group=_GROUP, name="store", state=OK, required=True, detail=f"{store} on {kind}{made}"
    )
    if os.statvfs(there).f_flag & os.ST_RDONLY:
        return check.replace(
            state=MISSING,
            detail=f"{there} is on a read-only file system",
            mend="set FASTBOX_ROOT to a directory that can be written",
        )
    if os.geteuid() == 0 or os.access(there, os.W_OK | os.X_OK):
        return check
    return check.replace(
        state=MISSING,
        detail=f"{there} can't be written by this user",
        mend="run it as root, or set FASTBOX_ROOT to a directory of yours",
    )


def _type(path: str) -> str:
    try:
        return file_system(path) or "an unknown file system"
    except OSError:
        return "an unknown file system"


def _space(store: str) -> list[Check]:
    found = os.statvfs(existing(store))
    free, files = found.f_bavail * found.f_frsize, found.f_favail
    space = Check(
        group=_GROUP, name="free space", state=OK, required=True, detail=f"{free / 1e9:.1f} GB"
    )
    if free < _LEAST_BYTES:
        space = space.replace(
            state=MISSING, detail=f"only {free / 1e6:.0f} MB are left", mend=_FREE
        )
    # Where they are made as needed there is no number of them.
    words = f"{files} can still be made" if found.f_files else "made as needed"
    inodes = Check(group=_GROUP, name="files", state=OK, required=True, detail=words)
    if found.f_files and files < _LEAST_FILES:
        inodes = inodes.replace(
            state=MISSING, detail=f"only {files} files can still be made", mend=_FREE
        )
    return [space, inodes]


def _live(run: str) -> Check:
    kind = _type(existing(run))
    check = Check(group=_GROUP, name="live state", state=OK, detail=f"{run} on {kind}")
    if kind in ("tmpfs", "ramfs"):
        return check
    return check.replace(
        state=FALLBACK,
        detail=f"{run} on {kind}: what a crash leaves outlasts a boot, until a command heals it",
        mend=f"mount -t tmpfs -o mode=700 tmpfs {run}, or set FASTBOX_RUN to a place on a tmpfs",
    )
