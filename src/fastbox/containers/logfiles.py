"""The files of one log while its writer rotates them: PATH is the newest, PATH.1 the one before.

A file is known by what it is, not by its name, which a rotation changes at any moment. Nothing here
takes a lock: the writer must never wait for a reader.
"""

from __future__ import annotations

import os

JSON, LOCAL = 0, 1  # as _native has them
PACKED = ".gz"  # behind the name of a predecessor that is compressed
_BLOCK = 1 << 20
_GAP = 2  # so many names missing in a row: a rotation leaves only one unused at a time
_MAX_FILES = 1000
_TRIES = 100  # of looking at names that change meanwhile


class Part:
    """One file of a log, open. What is compressed is read from an unnamed copy that is not.

    Attributes:
        inode: Of the file as it was written, which its compressed form says, too.
        packed: The compressed form, held: while it is, no other file has its number, as another may
            have that of the file as it was written. -1: this is no such form.
    """

    __slots__ = ("_directory", "fd", "inode", "packed")

    def __init__(self, fd: int, inode: int, directory: str = "", *, packed: bool = False) -> None:
        self.fd, self.inode, self.packed = (-1 if packed else fd), inode, (fd if packed else -1)
        self._directory = directory

    def read(self, size: int) -> bytes:
        """The next bytes, b"" at the end."""
        self._unpack()
        return os.read(self.fd, size)

    def pread(self, size: int, offset: int) -> bytes:
        """Bytes of a place."""
        self._unpack()
        return os.pread(self.fd, size, offset)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        """Let `read` go on from here."""
        self._unpack()
        os.lseek(self.fd, offset, whence)

    def size(self) -> int:
        """In bytes, of what can be read."""
        self._unpack()
        return os.fstat(self.fd).st_size

    def close(self) -> None:
        """Give it up."""
        for fd in (self.fd, self.packed):
            if fd >= 0:
                os.close(fd)

    def _unpack(self) -> None:
        if self.fd < 0:
            from fastbox.containers import logpack

            self.fd = logpack.unpacked(self.packed, self._directory)


def _open_file(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def _open(path: str) -> Part | None:
    fd = _open_file(path)
    if fd is not None:
        return Part(fd, os.fstat(fd).st_ino)
    fd = _open_file(path + PACKED)
    if fd is None:
        return None
    from fastbox.containers import logpack

    return Part(fd, logpack.inode_of(fd), os.path.dirname(path), packed=True)


def _name(path: str, number: int) -> str:
    return f"{path}.{number}" if number else path


def _same(part: Part, path: str) -> bool | None:
    """Whether this is the file of that name; None: there is none."""
    if part.packed >= 0:
        try:
            return os.path.samestat(os.fstat(part.packed), os.lstat(path + PACKED))
        except FileNotFoundError:
            return False if os.path.exists(path) else None
    try:
        return part.inode == os.stat(path, follow_symlinks=False).st_ino
    except FileNotFoundError:
        pass
    fd = _open_file(path + PACKED)
    if fd is None:
        return None
    from fastbox.containers import logpack

    try:
        return part.inode == logpack.inode_of(fd)
    finally:
        os.close(fd)


def _exists(path: str) -> bool:
    return os.path.exists(path) or os.path.exists(path + PACKED)


def snapshot(path: str) -> list[Part]:
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
        # A name is unused between two renames, and stays so where they were cut short.
        older = _open(_name(path, number + 1)) or _open(_name(path, number + 2))
        if older is None:
            break
        if _same(found[-1], _name(path, number)):
            found.append(older)
            number += 1
        else:
            older.close()
    return found[::-1]


def successor(path: str, part: Part) -> Part | None:
    """The file that was begun when this one was full; None while this is the newest, or while the
    names are about to change.

    When this one is gone from all names, so may be others after it: the oldest there is comes next.
    """
    for _ in range(_TRIES):
        number, oldest = _number(path, part)
        if number == 0 or (number is None and oldest is None):
            return None
        newer = _open(_name(path, oldest or 0)) if number is None else _open_after(path, number)
        if newer is None:
            continue
        # Both names may have moved on between our two looks.
        if number is None or _same(part, _name(path, number)):
            return newer
        newer.close()
    return None


def _open_after(path: str, number: int) -> Part | None:
    """The file begun when this one was full; a rotation cut short leaves a name unused between."""
    newer = _open(_name(path, number - 1))
    if newer is None and number > 1:
        newer = _open(_name(path, number - 2))
        if newer is not None and _exists(_name(path, number - 1)):
            newer.close()  # a rotation goes on: perhaps this is one further
            newer = None
    return newer


def _number(path: str, part: Part, number: int = 0) -> tuple[int | None, int | None]:
    """Which number a file has now, looked for from `number` on, and the highest that was met on the
    way. Files move upwards only, so none that is there is missed.
    """
    missing = 0
    oldest = None
    while missing < _GAP:
        same = _same(part, _name(path, number))
        if same:
            return number, oldest
        if same is None:
            missing += 1
        else:
            missing, oldest = 0, number
        number += 1
    return None, oldest


def tail(parts: list[Part], kind: int, count: int) -> tuple[int, int]:
    """Where the last `count` records begin: which of the files, and where in it."""
    for index in range(len(parts) - 1, -1, -1):
        offset, count = (_tail_lines if kind == JSON else _tail_frames)(parts[index], count)
        if count == 0:
            return index, offset
    return 0, 0


def _tail_lines(part: Part, count: int) -> tuple[int, int]:
    """Where the last `count` lines begin, and how many are missing before them."""
    end = part.size()
    if count <= 0:
        return end, 0
    position, first = end, True
    while position > 0:
        size = min(_BLOCK if not first else 65536, position)
        position -= size
        data = part.pread(size, position)
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


def _tail_frames(part: Part, count: int) -> tuple[int, int]:
    """The same for records that say their size at both ends."""
    position = part.size()
    begin, data = position, b""  # a block that ends at or after `position`
    while count > 0 and position >= 8:
        if position - 4 < begin:
            begin = max(position - _BLOCK, 0)
            data = part.pread(position - begin, begin)
        size = int.from_bytes(data[position - 4 - begin : position - begin], "big")
        if not 0 < size <= position - 8:
            break  # a record that is being written, or damage: all that is before it
        position -= size + 8
        count -= 1
    return (position, count) if position >= 8 else (0, count)
