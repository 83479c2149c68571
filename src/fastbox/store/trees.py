"""A tree of files as a list that can be compared with another's: all that a layer's archive says of
each entry.

The tree is somebody else's: links are never followed, mounts never entered, devices never opened.
"""

from __future__ import annotations

import os
import stat

from fastbox import _bytes
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIELDS = (
    "kind", "mode", "uid", "gid", "mtime", "size", "content", "target", "device", "xattrs", "same",
)  # fmt: skip


class Entry(Record):
    """One name in a tree; "" and 0 where the kind has no such thing."""

    path: str  # below the root, which is "."
    kind: str  # file, directory, link, fifo, socket, block or character
    mode: int  # permission bits
    uid: int
    gid: int
    mtime: int  # nanoseconds since 1970
    size: int = 0  # of a file
    content: str = ""  # sha256 of a file, unless it wasn't asked for
    target: str = ""  # of a link
    device: int = 0
    xattrs: Mapping[str, bytes]
    same: str = ""  # the first path of a file that has several


def list_tree(path: str, *, content: bool = True) -> list[Entry]:
    """Every entry of a tree, sorted by path.

    Args:
        path: Its root, a directory.
        content: Read the files, for their digests.

    Raises:
        OSError: The kernel said no.
    """
    root = os.open(path, _DIRECTORY)
    try:
        device = os.fstat(root).st_dev
        names = sorted([".", *_names(root, device)])
        first: dict[int, str] = {}
        return [_entry(root, name, first, content) for name in names]
    finally:
        os.close(root)


def differences(ours: Sequence[Entry], theirs: Sequence[Entry]) -> Iterator[tuple[str, str]]:
    """(path, what differs) of two lists, in order of their paths."""
    left, right = ({entry.path: entry for entry in entries} for entries in (ours, theirs))
    for path in sorted(left.keys() | right.keys()):
        if path not in right:
            yield path, "is there and should not be"
        elif path not in left:
            yield path, "is missing"
        elif left[path] != right[path]:
            one, other = left[path].as_dict(), right[path].as_dict()
            fields = [name for name in _FIELDS if one[name] != other[name]]
            yield path, "differs in " + ", ".join(fields)


def _names(root: int, device: int) -> Iterator[str]:
    """Paths of all entries below; not what is on another file system."""
    waiting = ["."]
    while waiting:
        above = waiting.pop()
        directory = _open(root, above, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if os.fstat(directory).st_dev != device:
                continue
            for name in os.listdir(directory):
                path = name if above == "." else f"{above}/{name}"
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(path)
                yield path
        finally:
            os.close(directory)


def _entry(root: int, path: str, first: dict[int, str], content: bool) -> Entry:
    fd = _open(root, path, os.O_PATH)
    try:
        found = os.fstat(fd)
        kind = _kind(found.st_mode)
        is_file = kind == "file"
        # overlayfs makes all whiteouts one file, which means nothing.
        is_whiteout = kind == "character" and found.st_rdev == 0
        several = found.st_nlink > 1 and kind != "directory" and not is_whiteout
        return Entry(
            path=path,
            kind=kind,
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
            mtime=found.st_mtime_ns,
            size=found.st_size if is_file else 0,
            content=_digest(fd) if is_file and content else "",
            target=os.readlink("", dir_fd=fd) if kind == "link" else "",
            device=found.st_rdev if kind in ("block", "character") else 0,
            xattrs=_xattrs(fd),
            same=first.setdefault(found.st_ino, path) if several else "",
        )
    finally:
        os.close(fd)


def _open(root: int, path: str, how: int) -> int:
    """Name by name, so that no link is followed and no path is too long."""
    directory = os.dup(root)
    try:
        *parents, name = path.split("/")
        for parent in parents:
            below = os.open(parent, _PATH | os.O_DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = below
        return os.open(name, how | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        os.close(directory)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link",
        stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket", stat.S_IFBLK: "block",
    }  # fmt: skip
    return kinds.get(stat.S_IFMT(mode), "character")


def _digest(fd: int) -> str:
    file = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _bytes.digest_fd(file)[0]
    finally:
        os.close(file)


def _xattrs(fd: int) -> dict[str, bytes]:
    # By /proc: a descriptor of a path alone has no xattr calls of its own. The last link is the
    # kernel's and leads to the entry itself, be it a link.
    place = f"/proc/self/fd/{fd}"
    return {name: os.getxattr(place, name) for name in sorted(os.listxattr(place))}
