"""A selection made concrete: what decides about its cache key, what the target refuses, and the
list that native code copies by.
"""

from __future__ import annotations

import _thread
import os
import posixpath
import stat
import sys
import time

from fastbox._files import content_pieces
from fastbox.errors import Conflict, os_error
from fastbox.store.content import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastbox._files import Found
    from fastbox.builder.selection import Selection
    from fastbox.store.filedigests import Digest, FileDigests

    DigestFiles = Callable[[int, Sequence[bytes]], list[Digest]]
    Entry = tuple[bytes, bytes, int, int, int, int, int]

_CAPABILITY = "security.capability"
_ENCODING = sys.getfilesystemencoding()  # with which os.fsencode() encodes, in three calls


class Digests:
    """The digests of a tree's files, each read once. For several threads."""

    __slots__ = ("_digest_files", "_kept", "_known", "_lock", "_root")

    def __init__(
        self, root: int, kept: FileDigests | None = None, digest_files: DigestFiles | None = None
    ) -> None:
        """Those below a descriptor, which stays the caller's; `kept` knows some already."""
        self._root, self._kept, self._digest_files = root, kept, digest_files
        self._known: dict[str, Digest] = {}
        self._lock = _thread.allocate_lock()

    def read(self, files: Iterable[Found]) -> dict[str, Digest]:
        """All that is known by paths, with these files among it.

        Raises:
            FastboxError: One can't be read, or is no regular file any more.
        """
        with self._lock:
            missing = {found.path: found for found in files if found.path not in self._known}
            if missing and self._kept is not None:
                kept = self._kept.known(missing.values())
                self._known.update(kept)
                if len(kept) < len(missing):
                    missing = {path: found for path, found in missing.items() if path not in kept}
                else:
                    missing = {}
            if missing:
                began = time.time_ns()
                digests = self._digest(list(missing))
                self._known.update(zip(missing, digests, strict=True))
                if self._kept is not None:
                    self._kept.put(missing.values(), digests, began)
        return self._known

    def place(self, path: str) -> str:
        """A path of the host for calls that take one; it may end in a link."""
        return f"/proc/self/fd/{self._root}/{path}"

    def capability(self, found: Found) -> bytes:
        """A program's file capabilities: they are content that no byte of the file tells of."""
        try:
            value = os.getxattr(self.place(found.path), _CAPABILITY, follow_symlinks=False)
        except OSError:  # none, as nearly always
            return b"0\0"
        return b"%d\0%s" % (len(value), value)

    def _digest(self, paths: list[str]) -> list[Digest]:
        if self._digest_files is None:
            from fastbox._files import digest_files

            self._digest_files = digest_files
        try:
            names = [path.encode(_ENCODING, "surrogateescape") for path in paths]
            return self._digest_files(self._root, names)
        except OSError as error:
            raise os_error(error, "cannot read", str(getattr(error, "path", ""))) from error


def digest_of_selection(selection: Selection, digests: Digests, *, owners: bool) -> str:
    """What a selection's content comes to, in hex: SHA-256 over where each entry lands, its type,
    permissions, content and link text, and over its owner when `owners` (files of a context belong
    to nobody; they become root's). No times.

    Raises:
        FastboxError: A file can't be read.
    """
    files = [found for _, _, found in selection.entries if found.kind == stat.S_IFREG]
    contents = digests.read(files)
    pieces = [b"selection 1\0"]
    pieces += [b"/%s\0" % os.fsencode(directory) for directory in selection.directories]
    pieces += content_pieces(
        selection.entries, contents, owners=owners, capability=digests.capability
    )
    return str(sha256(b"".join(pieces)).hexdigest())


def copy_list(
    selection: Selection,
    digests: Digests,
    *,
    owner: tuple[int, int] | None,
    mode: Callable[[int, int], int] | None = None,
) -> list[Entry]:
    """What `_files.copy_entries` takes: (source, target, type, mode, uid, gid, ctime_ns).

    Args:
        selection: What is copied.
        digests: Those that its key was made of: files must not have changed since.
        owner: Whose everything becomes; None: whose it is.
        mode: From (type, permissions) to the permissions that `--chmod` makes of them.
    """
    uid, gid = owner or (-1, -1)
    known = digests.read(())
    entries: list[Entry] = []
    for source, target, found in selection.entries:
        permissions = -1
        if mode is not None and found.kind != stat.S_IFLNK:
            permissions = mode(found.kind, found.mode)
        digest = known.get(found.path)
        entries.append(
            (
                source.encode(_ENCODING, "surrogateescape"),
                target.encode(_ENCODING, "surrogateescape"),
                found.kind,
                permissions,
                uid,
                gid,
                digest[3] if digest else 0,
            )
        )
    return entries


def check_target(selection: Selection, kind_at: Callable[[str], int]) -> None:
    """Refuse what would put a directory in a file's place, or a file in a directory's, as docker
    does.

    Args:
        selection: What is copied.
        kind_at: The type of a path in the target, links not followed; 0 when there is nothing.

    Raises:
        Conflict: It would.
    """
    absent = "\0"  # a directory that is not there, with a slash: nothing below it is
    for directory in selection.directories:
        if directory and kind_at(directory) not in (0, stat.S_IFDIR):
            raise Conflict("cannot copy to non-directory", where=f"/{directory}")
    for _, target, found in selection.entries:
        if target.startswith(absent):
            continue
        kind = kind_at(target)
        if found.kind != stat.S_IFDIR and kind == stat.S_IFDIR:
            raise Conflict("cannot replace to directory with file", where=f"/{target}")
        if found.kind == stat.S_IFDIR and kind not in (0, stat.S_IFDIR):
            raise Conflict("cannot copy to non-directory", where=f"/{target}")
        if found.kind == stat.S_IFDIR and kind == 0:
            absent = target + "/"


def ways(directories: Iterable[str]) -> list[str]:
    """The directories with all those above them, each once, from the top."""
    found: dict[str, None] = {}
    for directory in directories:
        above = []
        while directory and directory not in found:
            above.append(directory)
            directory = posixpath.dirname(directory)
        found.update(dict.fromkeys(reversed(above)))
    return list(found)
