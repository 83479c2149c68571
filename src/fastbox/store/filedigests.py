"""The digests of a build context's files, kept for the next build: build/digests/<device>-<inode>
of the directory that the context is.

A file's digest counts while its device, inode, size and times are what they were when it was read:
a change of the content changes the time of the inode, which nobody can set. Two changes within one
tick of the file system's clock have the same time, so what was changed shortly before it was read
is not kept. Writes through a mapping that was written through already are told when the kernel
writes the page out; `--no-cache` reads every file anew.

Nothing is synced: the file begins with the digest of the rest, and one that a crash has damaged is
as good as none.
"""

from __future__ import annotations

import os
from _struct import iter_unpack

from fastbox._files import known_digests
from fastbox.errors import FastboxError
from fastbox.store.content import sha256
from fastbox.store.root import write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastbox._files import Found
    from fastbox.store.root import Root

    Digest = tuple[bytes, int, int, int]  # SHA-256, size, mtime_ns and ctime_ns as of the read

_ENTRY, _ENTRY_SIZE = "40s32s", 72  # what a file's `stamp` is, SHA-256
_DIGEST = 32
# Two seconds are the coarsest clock of a file system (vfat's).
_SETTLED_NS = 2_000_000_000
_MOST_FILES, _MOST_CONTEXTS = 200_000, 32


class FileDigests:
    """What is known of the files of one context. For one thread at a time."""

    __slots__ = ("_directory", "_known", "_new", "_path", "_seen")

    def __init__(self, root: Root, context: int, *, anew: bool = False) -> None:
        """Those of the directory that a descriptor leads to; `anew`: nothing of before counts."""
        self._directory = root.path("build", "digests")
        status = os.fstat(context)
        self._path = f"{self._directory}/{status.st_dev:x}-{status.st_ino:x}"
        self._known: dict[bytes, bytes] | None = {} if anew else None
        self._new: dict[bytes, bytes] = {}
        self._seen: list[Found] = []

    def known(self, files: Iterable[Found]) -> dict[str, Digest]:
        """What those files hold, by their paths, that are as they were when they were read."""
        if self._known is None:
            self._known = _read(self._path)
        return known_digests(files, self._known, self._seen) if self._known else {}

    def put(self, files: Iterable[Found], digests: Iterable[Digest], began: int) -> None:
        """Keep what was read, unless a file had been changed shortly before, or since it was found.

        Args:
            files: As they were found.
            digests: Of each what was read then.
            began: When they began to be read, in nanoseconds since 1970.
        """
        for file, digest in zip(files, digests, strict=True):
            as_found = digest[1:] == (file.size, file.mtime_ns, file.ctime_ns)
            if as_found and file.ctime_ns + _SETTLED_NS < began:
                self._new[file.stamp] = digest[0]

    def save(self) -> None:
        """Leave what was read for the next build; a disk that is full is no reason to fail."""
        if not self._new:
            return
        known = self._known or {}
        kept = {file.stamp: known[file.stamp] for file in self._seen} | self._new
        # What this build did not ask for may be another Dockerfile's, or of files that are no more.
        most = min(2 * len(kept) + 10_000, _MOST_FILES)
        others = [each for each in known.items() if each[0] not in kept]
        body = b"".join([stamp + digest for stamp, digest in [*kept.items(), *others][:most]])
        self._new = {}
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            write_file(self._path, sha256(body).digest() + body)
            _forget(self._directory, _MOST_CONTEXTS)
        except (FastboxError, OSError):
            pass


def forget(root: Root) -> None:
    """Remove all of them."""
    _forget(root.path("build", "digests"), 0)


def _forget(directory: str, most: int) -> None:
    """All but the last that were written."""
    try:
        with os.scandir(directory) as entries:
            times = [(entry.stat().st_mtime_ns, entry.path) for entry in entries]
        for _, path in sorted(times, reverse=True)[most:]:
            os.unlink(path)
    except FileNotFoundError:  # another build does the same
        pass


def _read(path: str) -> dict[bytes, bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return {}
    with open(fd, "rb", buffering=0) as file:
        data = file.read(_DIGEST + _MOST_FILES * _ENTRY_SIZE) or b""
    body = data[_DIGEST:]
    if sha256(body).digest() != data[:_DIGEST] or len(body) % _ENTRY_SIZE:
        return {}
    return dict(iter_unpack(_ENTRY, body))
