"""Reading a container's log: json-file lines, all or the last few, and on as it grows."""

from __future__ import annotations

import os
import time

from fastbox.support import json
from fastbox.types import LogLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 65536
_PAUSE_SECONDS = 0.05
_MAX_LINE = 1 << 20


def read(
    path: str,
    *,
    tail: int | None = None,
    since: str = "",
    until: str = "",
    running: Callable[[], bool] | None = None,
) -> Iterator[LogLine]:
    """The lines of a log; none when there is no log.

    Args:
        path: The log file.
        tail: Only the last so many; None for all.
        since: Leave out what is earlier: RFC 3339 in UTC with nanoseconds, or "".
        until: Leave out what is later, in the same form.
        running: To follow: asked at the end of the file, whether more may come.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        if tail is not None:
            os.lseek(fd, _tail_offset(fd, tail), os.SEEK_SET)
        for raw in _raw_lines(fd, running):
            line = _parse(raw)
            if line is None or (since and line.time < since):
                continue
            if until and line.time > until:
                return
            yield line
    finally:
        os.close(fd)


def _raw_lines(fd: int, running: Callable[[], bool] | None) -> Iterator[bytes]:
    rest = b""
    last_look = False
    while True:
        data = os.read(fd, _CHUNK)
        if data:
            last_look = False
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
            if len(rest) > _MAX_LINE:
                rest = b""
        elif running is None or last_look:
            return  # an unfinished line is being written, or its writer was killed
        elif running():
            time.sleep(_PAUSE_SECONDS)
        else:
            last_look = True  # it may have written between our read and its end


def _parse(raw: bytes) -> LogLine | None:
    """One record; a damaged one is left out, since what follows it is still good."""
    try:
        found = json.loads_object(raw)
        text, stream, when = found["log"], found["stream"], found["time"]
    except (ValueError, KeyError):
        return None
    if not (isinstance(text, str) and isinstance(stream, str) and isinstance(when, str)):
        return None
    ended = text.endswith("\n")
    return LogLine(time=when, stream=stream, text=text[:-1] if ended else text, partial=not ended)


def _tail_offset(fd: int, count: int) -> int:
    """Where the last `count` records begin."""
    end = os.fstat(fd).st_size
    if count <= 0:
        return end
    wanted, position = count, end
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        data = os.pread(fd, size, position)
        # The newline at the very end closes the last record: it does not begin another.
        limit = len(data) - 1 if position + size == end and data.endswith(b"\n") else len(data)
        while (at := data.rfind(b"\n", 0, limit)) >= 0:
            wanted -= 1
            if wanted == 0:
                return position + at + 1
            limit = at
    return 0
