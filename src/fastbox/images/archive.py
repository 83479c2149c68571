"""An image archive as a place to read members from by name; its author is hostile.

A tar (plain, gzip or zstd) is unpacked in one pass, below a private work directory, by the native
extractor, so a pipe will do; a directory is read where it is. Either way a member's name is
resolved component by component without following links out, and only regular files are read.
"""

from __future__ import annotations

import errno
import os
import stat

from fastbox import _bytes
from fastbox.errors import (
    IntegrityError,
    InvalidArgument,
    ResourceExhausted,
    SizeMismatch,
    UnsafePath,
    os_error,
)
from fastbox.images.watched import watched
from fastbox.store.content import Descriptor, staged_path, verify
from fastbox.store.extract import archive_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Self

    from fastbox.store.lease import Work

MAX_MEMBERS = 200_000
_MAX_LINKS = 8
_MAX_NAME, _MAX_PART = 4096, 255
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PATH = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Archive:
    """The members of an archive, for a `with` block."""

    __slots__ = ("_owned", "_root", "_work")

    def __init__(self, work: Work, source: str | int | BinaryIO) -> None:
        """Open a directory, or unpack an archive from a path, a descriptor or a binary stream.

        Raises:
            IntegrityError: The archive is cut short, damaged, or reaches outside itself.
            FastboxError: The kernel said no.
        """
        self._work = work
        fd = open_source(source, work)
        try:
            self._owned = not stat.S_ISDIR(os.fstat(fd).st_mode)
            self._root = _unpack(work, fd) if self._owned else os.dup(fd)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        os.close(self._root)

    def has(self, name: str) -> bool:
        """Whether there is anything of that name at the top."""
        return os.access(name, os.F_OK, dir_fd=self._root, follow_symlinks=False)

    def open(self, name: str) -> int:
        """A descriptor of a regular member, which the caller closes.

        Raises:
            UnsafePath: The name leaves the archive, or isn't a regular file's.
            IntegrityError: There is no such member.
        """
        parts = _parts(name, [])
        for _ in range(_MAX_LINKS):
            fd, target = self._open_once(name, parts)
            if target is None:
                return fd
            parts = _parts(target, parts[:-1])
        raise UnsafePath("a chain of links", where=name)

    def check(self, name: str) -> None:
        """Fail now rather than later when there is no such member.

        Raises:
            IntegrityError: As `open` does.
        """
        os.close(self.open(name))

    def read(self, name: str, limit: int) -> bytes:
        """A small member, whole.

        Raises:
            ResourceExhausted: More than `limit` bytes.
        """
        with open(self.open(name), "rb", buffering=0) as file:
            data = file.read(limit + 1)
            while len(data) <= limit and (more := file.read(limit + 1 - len(data))):
                data += more
        if len(data) > limit:
            raise ResourceExhausted(f"more than {limit} bytes", where=name)
        return data

    def read_blob(self, wanted: Descriptor, limit: int) -> bytes:
        """A document of an OCI layout, verified.

        Raises:
            IntegrityError: Missing, or not what the descriptor says.
        """
        if wanted.size > limit:
            raise SizeMismatch(f"{wanted.size} bytes, {limit} at most", where=wanted.digest)
        return verify(self.read(blob_name(wanted.digest), limit), wanted)

    def stage(self, name: str) -> str:
        """A member in the work directory: a hard link where the archive is ours, else a copy."""
        name_here = os.urandom(8).hex()
        path = os.path.join(self._work.directory("members"), name_here)
        fd = self.open(name)
        try:
            if self._owned:
                os.fchmod(fd, 0o600)
                os.fchown(fd, 0, 0)
                # Only with a directory's descriptor does Python call linkat, which can follow.
                work = self._work.fd
                os.link(f"/proc/self/fd/{fd}", f"members/{name_here}", dst_dir_fd=work)
            else:
                _copy(fd, path)
        finally:
            os.close(fd)
        return path

    def keep(self, staged: str, digest: str) -> None:
        """Make a staged member a blob that waits for publication."""
        os.rename(staged, staged_path(self._work, digest))

    def _open_once(self, name: str, parts: list[str]) -> tuple[int, str | None]:
        """(descriptor of the regular file, None), or (-1, what the link there says)."""
        directory = os.dup(self._root)
        try:
            for part in parts[:-1]:
                below = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = below
            leaf = os.open(parts[-1], _PATH, dir_fd=directory)
            try:
                mode = os.fstat(leaf).st_mode
                if stat.S_ISLNK(mode):
                    return -1, os.readlink(parts[-1], dir_fd=directory)
                if not stat.S_ISREG(mode):  # told before it is opened: a device's open may act
                    raise UnsafePath("not a regular file", where=name)
                return os.open(f"/proc/self/fd/{leaf}", os.O_RDONLY | os.O_CLOEXEC), None
            finally:
                os.close(leaf)
        except FileNotFoundError:
            raise IntegrityError(
                "the archive lacks a member that it names",
                where=name,
                hint="the archive is incomplete (urls in a manifest are never fetched)",
            ) from None
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise UnsafePath("not below a directory of the archive", where=name) from None
            raise
        finally:
            os.close(directory)


def blob_name(digest: str) -> str:
    """Where an OCI layout keeps a blob."""
    return "blobs/sha256/" + digest.removeprefix("sha256:")


def open_source(source: str | int | BinaryIO, work: Work) -> int:
    """A descriptor of an archive's bytes, or of a directory; the caller closes it.

    Raises:
        FastboxError: It can't be opened.
    """
    if isinstance(source, int):
        return os.dup(source)
    if isinstance(source, str):
        try:
            return os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise os_error(error, "cannot open the archive", source) from error
    return _spool(source, work)


def _spool(stream: BinaryIO, work: Work) -> int:
    fd = os.open(os.path.join(work.path, "stream"), _NEW, 0o600)
    with open(os.dup(fd), "wb") as file:
        while data := stream.read(1 << 20):
            file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _unpack(work: Work, fd: int) -> int:
    root = os.open(work.directory("archive"), _DIRECTORY)
    try:
        watched(
            lambda watch: _bytes.extract(
                fd, root, False, digests=False, watch=watch, max_entries=MAX_MEMBERS
            )
        )
    except OSError as error:
        os.close(root)
        raise archive_error(error, "cannot read the archive", work.path) from error
    return root


def _parts(name: str, base: list[str]) -> list[str]:
    """The components of a member's name; of a link's text, those after its directory's (`base`)."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _MAX_NAME or name.startswith("/") or "\0" in name:
        raise UnsafePath("not the name of a member", where=name[:200])
    parts = list(base)
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise UnsafePath("a name that leaves the archive", where=name)
            parts.pop()
        elif len(os.fsencode(part)) > _MAX_PART:
            raise UnsafePath("not the name of a member", where=name[:200])
        elif part not in ("", "."):
            parts.append(part)
    if not parts:
        raise UnsafePath("not the name of a member", where=name)
    return parts


def _copy(fd: int, path: str) -> None:
    out = os.open(path, _NEW, 0o600)
    try:
        _bytes.copy_digest(fd, out, 1 << 62)
    finally:
        os.close(out)


def no_archive(source: str) -> InvalidArgument:
    """The error for a tar without an image in it."""
    return InvalidArgument(
        f"{source}: neither index.json nor manifest.json is in it, so it is not an image archive",
        hint="the tar of a root file system is brought in with: fastbox import",
    )
