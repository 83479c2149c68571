"""A file tree as a table, to compare what different programs make of one image.

Run as a program it shows layer directories the way a container sees them: stacked by overlayfs, read-only, in a mount namespace of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Entry = dict[str, str]
Tree = dict[str, Entry]
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}


def scan(root: str) -> Tree:
    """Every entry below `root` and itself, by its path; names are decoded as Python does file names."""
    found: Tree = {}
    links: dict[tuple[int, int], list[str]] = {}
    for directory, names, files in os.walk(root):
        rest = [name for name in names if os.path.islink(os.path.join(directory, name))]
        for path in (directory, *(os.path.join(directory, name) for name in files + rest)):
            name = os.path.relpath(path, root)
            try:
                status = os.lstat(path)
            except (
                FileNotFoundError
            ):  # overlayfs lists a whiteout where no layer below has the directory
                found[name] = {"type": "listed, but not there", "mtime": "0"}
                continue
            found[name] = describe(path, status)
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                links.setdefault((status.st_dev, status.st_ino), []).append(name)
    for group in links.values():
        for name in group:
            found[name]["group"] = " ".join(sorted(group))
    return found


def describe(path: str, status: os.stat_result) -> Entry:
    kind = stat.S_IFMT(status.st_mode)
    entry = {
        "type": KINDS[kind],
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": f"{status.st_uid}:{status.st_gid}",
        "mtime": str(status.st_mtime_ns),
        "xattrs": " ".join(f"{name}={value}" for name, value in sorted(xattrs(path).items())),
    }
    if kind != stat.S_IFDIR:  # how a file system keeps a directory is its own affair
        entry["links"] = str(status.st_nlink)
        entry["size"] = str(status.st_size)
    if kind == stat.S_IFLNK:
        entry["target"] = os.readlink(path)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        entry["device"] = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    elif kind == stat.S_IFREG:
        with open(path, "rb", buffering=0) as file:
            entry["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    return entry


def xattrs(path: str) -> dict[str, str]:
    """All but overlayfs's own, which a directory of one layer has and a mounted tree has not."""
    return {
        name: os.getxattr(path, name, follow_symlinks=False).hex()
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.overlay.")
    }


def stacked(layers: Iterable[str]) -> Tree:
    """The tree of layer directories, topmost first."""
    words = ["unshare", "--mount", sys.executable, __file__, *layers]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def main(layers: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="fastbox-trees-", dir="/var/tmp") as base:
        os.chdir(base)
        os.mkdir("mounted")
        os.mkdir("empty")  # overlayfs wants two, and its options are at most a page of short names
        for number, layer in enumerate(layers):
            os.symlink(layer, str(number))
        lower = ":".join([*map(str, range(len(layers))), "empty"])
        words = ["mount", "-t", "overlay", "-o", f"ro,lowerdir={lower}", "overlay", "mounted"]
        subprocess.run(words, check=True)
        try:
            print(json.dumps(scan("mounted")))
        finally:
            os.chdir("/")
            subprocess.run(["umount", f"{base}/mounted"], check=True)


class Difference(NamedTuple):
    """`party` shows `value` where the others agree on another one."""

    party: str
    image: str  # regular expressions, matched in full
    path: str
    field: str
    value: str
    reason: str


def explain(
    image: str, trees: Mapping[str, Tree], rows: Iterable[Difference], used: set[Difference]
) -> list[str]:
    """The differences among the parties' trees that no row excuses; `used` gains the rows that were needed."""
    wrong = []
    for path in sorted({path for tree in trees.values() for path in tree}):
        entries = {party: tree.get(path, {"type": "(absent)"}) for party, tree in trees.items()}
        for field in sorted({field for entry in entries.values() for field in entry}):
            values = {party: entry.get(field, "") for party, entry in entries.items()}
            if len(set(values.values())) == 1:
                continue
            excused = {
                party: row
                for party, value in values.items()
                if (row := row_for(rows, (party, image, path, field, value)))
            }
            rest = {value for party, value in values.items() if party not in excused}
            used.update(row for party, row in excused.items() if values[party] not in rest)
            if len(rest) != 1:
                listed = [f"    {party:8} {value!r}" for party, value in values.items()]
                wrong.append("\n".join([f"{path!r} {field}:", *listed]))
    return wrong


def row_for(rows: Iterable[Difference], seen: tuple[str, ...]) -> Difference | None:
    for row in rows:
        if all(re.fullmatch(want, has, re.DOTALL) for want, has in zip(row[:5], seen, strict=True)):
            return row
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
