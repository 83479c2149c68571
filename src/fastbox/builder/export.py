"""A result as files: a directory of the host, or a tar."""

from __future__ import annotations

import os

from fastbox import _bytes
from fastbox.errors import Conflict, FastboxError, os_error

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def to_directory(root: int, path: str) -> tuple[int, int]:
    """Copy a tree's files into a directory, made when it is missing; what is there stays, or is
    replaced by a file of the same name. Owners are kept when this is root.

    Args:
        root: The tree's descriptor.
        path: The directory's path on the host.

    Returns:
        How many entries were copied, and their size in bytes.

    Raises:
        Conflict: A directory where a file comes, or the other way round.
        FastboxError: The kernel said no.
    """
    try:
        os.makedirs(path, mode=0o755, exist_ok=True)
        target = os.open(path, _DIRECTORY)
    except (FileExistsError, NotADirectoryError):
        raise Conflict("not a directory", where=path) from None
    except OSError as error:
        raise os_error(error, "cannot make the directory", path) from error
    ids = (os.geteuid(), os.getegid())
    try:
        was = os.fstat(target)
        done = _bytes.copy_tree(root, target, b".", owner=None if ids[0] == 0 else ids, xattrs=True)
        # The directory is the user's: it gets files, and not the attributes of an image's root.
        os.fchown(target, was.st_uid, was.st_gid)
        os.fchmod(target, was.st_mode & 0o7777)
        os.utime(target)
    except OSError as error:
        raise _failure(error, path) from error
    finally:
        os.close(target)
    return done


def to_tar(root: int, fd: int, max_mtime: int | None = None) -> int:
    """Write a tree as a plain tar; its size in bytes.

    Args:
        root: The tree's descriptor.
        fd: Where it is written to, from its offset on.
        max_mtime: Seconds since 1970 that no time in it is later than, for the same tar each time.

    Raises:
        FastboxError: The kernel said no.
    """
    try:
        return _bytes.write_tree(root, fd, max_mtime=max_mtime)[2]
    except OSError as error:
        raise os_error(error, "cannot write the tar", getattr(error, "path", "")) from error


def _failure(error: OSError, path: str) -> FastboxError:
    detail = getattr(error, "detail", "")
    where = os.path.join(path, getattr(error, "path", "") or "")
    return Conflict(detail, where=where) if detail else os_error(error, "cannot write", where)
