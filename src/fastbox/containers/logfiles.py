"""The files of one log while its writer rotates them: PATH is the newest, PATH.1 the one before.

A file is known by what it is, not by its name, which a rotation changes at any moment. Nothing here
takes a lock: the writer must never wait for a reader.
"""

from __future__ import annotations

import os

JSON, LOCAL = 0, 1  # as _native has them
_BLOCK = 1 << 20
_GAP = 2  # so many names missing in a row: a rotation leaves only one unused at a time
_MAX_FILES = 1000
_TRIES = 100  # of looking at names that change meanwhile


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def _name(path: str, number: int) -> str:
    return f"{path}.{number}" if number else path


def _same(fd: int, path: str) -> bool | None:
    """Whether this is the file of that name; None: there is none."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return None


def snapshot(path: str) -> list[int]:
    """All files as they are now, oldest first.

    Each is opened as the one after another, which then is asked for its number again: if that is
    the same as before, nothing came between the two.
    """
    newest = _open(path)
    if newest is None:
        newest = _open(_name(path, 1))
    if newest is None:
        return []
    found, number = [newest], 0
    for _ in range(_TRIES + _MAX_FILES):
        now, _ = _number(path, found[-1], number)
        if now is None:
            break  # it is gone, and all before it are
        number = now
        older = _open(_name(path, number + 1))
        if older is None:
            # Perhaps the name is unused only for the moment between two renames.
            if not os.path.exists(_name(path, number + 2)):
                break
        elif _same(found[-1], _name(path, number)):
            found.append(older)
            number += 1
        else:
            os.close(older)
    return found[::-1]


def successor(path: str, fd: int) -> int | None:
    """The file that was begun when this one was full; None while this is the newest, or while the
    names are about to change.

    When this one is gone from all names, so may be others after it: the oldest there is comes next.
    """
    for _ in range(_TRIES):
        number, oldest = _number(path, fd)
        if number == 0 or (number is None and oldest is None):
            return None
        wanted = oldest if number is None else number - 1
        newer = _open(_name(path, wanted or 0))
        if newer is None:
            continue
        # Both names may have moved on between our two looks.
        if number is None or _same(fd, _name(path, number)):
            return newer
        os.close(newer)
    return None


def _number(path: str, fd: int, number: int = 0) -> tuple[int | None, int | None]:
    """Which number a file has now, looked for from `number` on, and the highest that was met on the
    way. Files move upwards only, so none that is there is missed.
    """
    missing = 0
    oldest = None
    while missing < _GAP:
        same = _same(fd, _name(path, number))
        if same:
            return number, oldest
        if same is None:
            missing += 1
        else:
            missing, oldest = 0, number
        number += 1
    return None, oldest


def tail(fds: list[int], kind: int, count: int) -> tuple[int, int]:
    """Where the last `count` records begin: which of the files, and where in it."""
    for index in range(len(fds) - 1, -1, -1):
        offset, count = (_tail_lines if kind == JSON else _tail_frames)(fds[index], count)
        if count == 0:
            return index, offset
    return 0, 0


def _tail_lines(fd: int, count: int) -> tuple[int, int]:
    """Where the last `count` lines begin, and how many are missing before them."""
    end = os.fstat(fd).st_size
    if count <= 0:
        return end, 0
    position, first = end, True
    while position > 0:
        size = min(_BLOCK if not first else 65536, position)
        position -= size
        data = os.pread(fd, size, position)
        # The newline at the very end closes the last record: it does not begin another.
        limit = len(data) - 1 if first and data.endswith(b"\n") else len(data)
        first = False
        there = data.count(b"\n", 0, limit)
        if there < count:
            count -= there
            continue
        for _ in range(count):
            limit = data.rfind(b"\n", 0, limit)
        return position + limit + 1, 0
    return 0, count - (end > 0)


def _tail_frames(fd: int, count: int) -> tuple[int, int]:
    """The same for records that say their size at both ends."""
    position = os.fstat(fd).st_size
    begin, data = position, b""  # a block that ends at or after `position`
    while count > 0 and position >= 8:
        if position - 4 < begin:
            begin = max(position - _BLOCK, 0)
            data = os.pread(fd, position - begin, begin)
        size = int.from_bytes(data[position - 4 - begin : position - begin], "big")
        if not 0 < size <= position - 8:
            break  # a record that is being written, or damage: all that is before it
        position -= size + 8
        count -= 1
    return (position, count) if position >= 8 else (0, count)
