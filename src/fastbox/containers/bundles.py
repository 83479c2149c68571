"""Changing a bundle that is there: read, change, put in place by one rename."""

from __future__ import annotations

import os

from fastbox.errors import os_error
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def replace(directory: str, bundle: dict[str, Any]) -> None:
    """Put a container's config.json in place of the one that is there; the container is locked.

    Raises:
        DiskFull: No space; the old one stays.
    """
    path, work = directory + "/config.json", directory + "/config.json.new"
    try:
        fd = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            data = json.dumps(bundle).encode("utf-8", "surrogateescape")
            if os.write(fd, data) != len(data):
                raise OSError(28, os.strerror(28), work)
        finally:
            os.close(fd)
        os.rename(work, path)
    except OSError as error:
        raise os_error(error, "cannot change the bundle", path) from error
