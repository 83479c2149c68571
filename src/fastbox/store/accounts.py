"""/etc/passwd and /etc/group below a root that is not trusted: regular files, and no more of them
than a MiB.
"""

from __future__ import annotations

import os
import stat

from fastbox import _native

_MOST = 1 << 20  # bytes


def entry(view: int, path: bytes, value: str, field: int = 0) -> list[str] | None:
    """The fields of the first line that has the value in this field; None without one.

    Args:
        view: A descriptor of the root; -1 for none.
        path: The file, below the root.
        value: What is looked for, such as a name.
        field: Where; 0 is the name.
    """
    if view < 0:
        return None
    try:
        fd = _native.open_in_root(view, path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        data = file.read(_MOST)
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(":")
        if len(fields) > field and fields[field] == value:
            return fields
    return None
