"""The files that `build` reads and writes on the command line's side: the Dockerfile for messages,
the image's id, the metadata.
"""

from __future__ import annotations

import os

from fastbox.errors import os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builds import BuildOptions, Built

_MAX_SOURCE = 16 << 20


def name(wanted: BuildOptions) -> str:
    """What messages call the Dockerfile."""
    return os.path.basename(wanted.file) if wanted.file not in ("", "-") else "Dockerfile"


def source(wanted: BuildOptions) -> list[str]:
    """The Dockerfile's lines; [] when it is not a file of this host, or can't be read."""
    if wanted.file == "-" or (not wanted.file and not os.path.isdir(wanted.context)):
        return []
    # A context is anybody's: a link in it must not show lines of a file elsewhere, and opening a
    # pipe must not wait.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    path = wanted.file or os.path.join(wanted.context, "Dockerfile")
    try:
        descriptor = os.open(path, flags if wanted.file else flags | os.O_NOFOLLOW)
    except OSError:
        return []
    with open(descriptor, "rb") as file:
        import stat

        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        return file.read(_MAX_SOURCE).decode("utf-8", "replace").split("\n")


def forget(path: str) -> None:
    """Take away what an earlier build wrote, so that a failed one leaves no old id.

    Raises:
        FastboxError: It can't be removed.
    """
    try:
        if path:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise os_error(error, "cannot remove the old file", path) from error


def replace(path: str, data: bytes) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        FastboxError: It can't be written.
    """
    folder, base = os.path.split(path)
    new = os.path.join(folder, f".{base}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, 0o644), "wb") as file:
            file.write(data)
        os.replace(new, path)
    except OSError as error:
        _remove(new)
        raise os_error(error, "cannot write the file", path) from error


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def metadata(built: Built) -> bytes:
    """What --metadata-file gets: docker's names for what was made."""
    from fastbox.support import json

    found: dict[str, object] = {}
    if built.image_id:
        found["containerimage.config.digest"] = built.image_id
    if built.digest:
        found["containerimage.digest"] = built.digest
    if built.tags:
        found["image.name"] = ",".join(built.tags)
    found |= built.metadata or {}
    return (json.dumps_pretty(found, 2) + "\n").encode("utf-8", "replace")
