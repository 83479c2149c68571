"""Compressed files of a log: made by a process of their own, which a supervisor starts when it has
rotated (`log_pack.c`), and read back.

PATH.N becomes PATH.N.gz, as docker names it. The header has docker's remark, the time of the last
record, and the number of the file it was: so a reader that follows knows it again. Names change in
two places, here and where files are rotated: each holds the lock on PATH meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import time
import zlib

from fastbox import _native
from fastbox.containers import logfiles
from fastbox.support import json, moments
from fastbox.support.clock import rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCK = 1 << 18
_FIXED = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"  # gzip, deflate, an extra field, no time, no system
_MOST_NUMBERS = 1000
_MOST_RECORD = 1 << 17
_TRIES, _PAUSE = 100, 0.01  # for a name that is missing between two renames; seconds
_NICE = 10
_HELD = 3


def main(words: Sequence[str]) -> None:
    """`KIND PATH`: compress what was rotated away, until nothing is left to do.

    Descriptor 3 is PATH.pack, with the lock on it.
    """
    kind, path = int(words[0]), words[1]
    os.nice(_NICE)
    work = path + ".pack"
    try:
        # Of one that has just ended, and saw all that there was: whoever rotates starts another.
        while _is(_HELD, work) and not _is_done(path, work):
            _pack_oldest(path, kind, work)
    except OSError:
        return  # the container is gone, the disk is full: they stay as they are


def _is_done(path: str, work: str) -> bool:
    """Whether all are compressed; nobody rotates between this look and the end of our lock."""
    lock = _lock(path)
    try:
        if _oldest(path):
            return False
        os.unlink(work)
        return True
    finally:
        os.close(lock)


def _oldest(path: str) -> int:
    """The highest number of a file that is not compressed, 0: none."""
    found = missing = 0
    for number in range(1, _MOST_NUMBERS):
        if os.path.exists(f"{path}.{number}"):
            found, missing = number, 0
        elif os.path.exists(f"{path}.{number}{logfiles.PACKED}"):
            missing = 0
        else:
            missing += 1
        if missing == 2:
            break
    return found


def _lock(path: str) -> int:
    """Hold the lock on the newest file: it is the newest also when we have it.

    However often it is rotated meanwhile, a hundred times in a row when a container writes fast:
    whoever gives up would leave what the last rotation made, as nobody comes after it.
    """
    missing = 0
    while True:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            missing += 1
            if missing > _TRIES:
                raise
            time.sleep(_PAUSE)
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        if _is(fd, path):
            return fd
        os.close(fd)
        missing = 0


def _is(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _pack_oldest(path: str, kind: int, work: str) -> None:
    lock = _lock(path)
    try:
        number = _oldest(path)
        source = os.open(f"{path}.{number}", os.O_RDONLY | os.O_CLOEXEC) if number else -1
    finally:
        os.close(lock)
    if source < 0:
        return
    made = work + logfiles.PACKED
    try:
        _pack(source, kind, made)
        lock = _lock(path)
        try:
            _put(source, path, number, made)
        finally:
            os.close(lock)
    finally:
        os.close(source)
        if os.path.exists(made):
            os.unlink(made)


def _put(source: int, path: str, number: int, made: str) -> None:
    """In place of the file, whatever its number is now; it may be gone."""
    for each in range(number, _MOST_NUMBERS):
        name = f"{path}.{each}"
        if _is(source, name):
            os.rename(made, name + logfiles.PACKED)
            os.unlink(name)
            return
        if not os.path.exists(name) and not os.path.exists(name + logfiles.PACKED):
            return


def _pack(source: int, kind: int, made: str) -> None:
    extra = json.dumps_bytes({"lastTime": _last(source, kind), "inode": os.fstat(source).st_ino})
    packer, crc, size = zlib.compressobj(wbits=-15), 0, 0
    with open(made, "wb") as target:
        os.fchmod(target.fileno(), 0o600)
        target.write(_FIXED + len(extra).to_bytes(2, "little") + extra)
        while data := os.pread(source, _BLOCK, size):
            target.write(packer.compress(data))
            crc, size = zlib.crc32(data, crc), size + len(data)
        target.write(packer.flush())
        target.write(crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"))


def _last(source: int, kind: int) -> str:
    """The time of the last record, by which docker passes over files."""
    size = os.fstat(source).st_size
    data = os.pread(source, _MOST_RECORD, max(size - _MOST_RECORD, 0))
    if size > _MOST_RECORD and kind == logfiles.JSON:
        data = data[data.find(b"\n") + 1 :]
    found = _native.log_records(kind, data, moments.EARLIEST, moments.LATEST)[0]
    return rfc3339(found[-1][0]) if found else "0001-01-01T00:00:00Z"


def inode_of(fd: int) -> int:
    """The number of the file that this is the compressed form of; 0 when it does not say."""
    head = os.pread(fd, 512, 0)
    if len(head) < 12 or head[:4] != _FIXED[:4]:
        return 0
    try:
        found = json.loads_object(head[12 : 12 + int.from_bytes(head[10:12], "little")])
    except ValueError:
        return 0
    inode = found.get("inode")
    return inode if isinstance(inode, int) else 0


def unpacked(fd: int, directory: str) -> int:
    """An unnamed file with what a compressed one holds, as far as it is whole."""
    try:
        made = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # not every file system has them
        made = os.memfd_create("log")
    try:
        reader = zlib.decompressobj(wbits=31)
        at = 0
        while not reader.eof and (data := os.pread(fd, _BLOCK, at)):
            at += len(data)
            while data and not reader.eof:
                view = memoryview(reader.decompress(data, _BLOCK))
                data = reader.unconsumed_tail
                while view:
                    view = view[os.write(made, view) :]
    except zlib.error:
        pass
    except BaseException:
        os.close(made)
        raise
    os.lseek(made, 0, os.SEEK_SET)
    return made
