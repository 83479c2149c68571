"""Archives that a build unpacks: contexts, and what ADD finds in one. Their authors are hostile.

Plain, gzip and zstd streams go to the native extractor as they are; bzip2 and xz, which it does not
know, are unpacked by a thread on their way into it.
"""

from __future__ import annotations

import os
import threading

from fastbox import _bytes
from fastbox.errors import FastboxError, IntegrityError, os_error
from fastbox.store.extract import archive_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Callable, Iterator
    from lzma import LZMADecompressor
    from typing import Protocol

    Stop = Callable[[], bool]

    class Readable(Protocol):
        """A stream of bytes."""

        def read(self, size: int, /) -> bytes | None:
            """At most so many bytes; none at the end."""


MAX_ENTRIES = 2_000_000
HEAD = 1024  # bytes that tell what a stream is
_MAX_MEMORY = 256 << 20  # of xz's dictionary: what the tool's strongest preset takes is 65 MiB
_LOOK = 0.1  # seconds between two questions whether to stop
_BLOCK, _CHUNK = 512, 1 << 20
_MAGIC = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
)


def packing_of(head: bytes) -> str:
    """How a stream that begins so is packed: gzip, zstd, bzip2 or xz, else ""."""
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "")


def is_tar(head: bytes) -> bool:
    """Whether a stream that begins so is a tar: its first header's checksum is right."""
    block = head[:_BLOCK]
    if len(block) < _BLOCK or not any(block):
        return False
    try:
        written = int(block[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return written == sum(block) - sum(block[148:156]) + 8 * ord(" ")


def is_archive(head: bytes) -> bool:
    """Whether the stream is packed, or a tar."""
    return bool(packing_of(head)) or is_tar(head)


def is_packed_tar(fd: int) -> bool:
    """Whether a regular file is a tar, packed or not, as ADD asks it; damage after its first header
    is found when it is unpacked.
    """
    head = os.pread(fd, HEAD, 0)
    packing = packing_of(head)
    if not packing:
        return is_tar(head)
    if packing == "gzip":  # the native code would say nothing of a stream that is cut short
        return is_tar(_gzip_head(fd))
    with open(f"/proc/self/fd/{fd}", "rb", buffering=0) as file:

        def write(to: int) -> None:
            if packing == "zstd":
                _bytes.unpack(file.fileno(), to)
            else:
                _write(to, _unpacked(file, b"", packing))

        with _Piped(write) as source:
            block = b""
            while len(block) < _BLOCK and (more := os.read(source, _BLOCK - len(block))):
                block += more
    return is_tar(block)


def _gzip_head(fd: int) -> bytes:
    from zlib import MAX_WBITS, decompressobj, error

    machine = decompressobj(16 + MAX_WBITS)
    block, at = b"", 0
    try:
        while len(block) < _BLOCK and not machine.eof:
            data = machine.unconsumed_tail or os.pread(fd, _CHUNK >> 4, at)
            if not data:
                break
            at += 0 if machine.unconsumed_tail else len(data)
            block += machine.decompress(data, _BLOCK - len(block))
    except error:
        pass
    return block


def unpack(fd: int, root: int, *, merge: bool = False, stop: Stop | None = None) -> None:
    """Extract a tar, packed or not, below a directory.

    Args:
        fd: A regular file, which is read from its beginning.
        root: The directory's descriptor.
        merge: The directory may hold files already; directories of both become one.
        stop: Asked some times a second; true ends it.

    Raises:
        IntegrityError: Damaged, cut short, or it reaches outside the directory.
        ResourceExhausted: It has more in it than an archive may have.
        FastboxError: The kernel said no.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    if packing_of(os.pread(fd, HEAD, 0)) in ("", "gzip", "zstd"):
        _extract(fd, root, merge, stop)
        return
    with open(os.dup(fd), "rb", buffering=0) as file:
        unpack_stream(file, b"", root, merge=merge, stop=stop)


def unpack_stream(
    stream: Readable, head: bytes, root: int, *, merge: bool = False, stop: Stop | None = None
) -> None:
    """The same for a stream of which `head` was read already.

    Raises:
        IntegrityError: As `unpack`.
    """
    head = head or stream.read(HEAD) or b""
    packing = packing_of(head)
    pieces = _unpacked(stream, head, packing) if packing in ("bzip2", "xz") else _all(stream, head)
    with _Piped(lambda to: _write(to, pieces)) as fd:
        try:
            _extract(fd, root, merge, stop)
        except IntegrityError:
            fd.check()  # what made the stream end early tells more
            raise
        fd.check()


def read_head(stream: Readable) -> bytes:
    """The beginning of a stream, as much as it takes to tell what it is."""
    head = b""
    while len(head) < HEAD and (more := stream.read(HEAD - len(head))):
        head += more
    return head


def _extract(fd: int, root: int, merge: bool, stop: Stop | None) -> None:
    """In a thread of its own: this one can be interrupted, though nothing may come for long."""
    from concurrent.futures import ThreadPoolExecutor, wait

    watch = _bytes.Watch()

    def run() -> None:
        _bytes.extract(
            fd, root, False, digests=False, merge=merge, max_entries=MAX_ENTRIES, watch=watch
        )

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(run)
        try:
            while wait((work,), _LOOK if stop else None).not_done:
                if stop and stop():
                    raise FastboxError("canceled")
        except BaseException:
            watch.stop()
            raise
    try:
        work.result()
    except OSError as error:
        raise archive_error(error, "cannot unpack the archive", "") from error


class _Descriptor(int):
    """The reading end of a pipe, which knows what became of the writer."""

    failure: BaseException | None = None

    def check(self) -> None:
        """Raise what ended the writer early."""
        if isinstance(self.failure, OSError) and self.failure.errno:
            raise os_error(self.failure, "cannot read the archive") from self.failure
        if self.failure is not None:
            raise IntegrityError(
                f"cannot unpack the archive: {str(self.failure).lower() or 'cut short'}",
                hint="the archive is damaged or cut short: make or fetch it again",
            ) from self.failure


class _Piped:
    """What a function writes into a descriptor, as a descriptor to read from."""

    __slots__ = ("_fd", "_thread", "_to", "_write")

    def __init__(self, write: Callable[[int], None]) -> None:
        self._write = write

    def __enter__(self) -> _Descriptor:
        source, self._to = os.pipe()
        self._fd = _Descriptor(source)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self._fd

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        os.close(self._fd)
        if kind is None:  # a stream that others hold open may never let go of its reader
            self._thread.join()

    def _run(self) -> None:
        try:
            self._write(self._to)
        except BrokenPipeError:
            pass  # nobody wants the rest
        except Exception as error:
            self._fd.failure = error
        finally:
            os.close(self._to)


def _write(to: int, pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(to, view) :]


def _all(stream: Readable, head: bytes) -> Iterator[bytes]:
    yield head
    while data := stream.read(_CHUNK):
        yield data


def _unpacked(stream: Readable, head: bytes, packing: str) -> Iterator[bytes]:
    machine = _machine(packing)
    data = head
    while True:
        piece = machine.decompress(data, _CHUNK)
        if piece:
            yield piece
        if machine.eof:
            data = machine.unused_data.lstrip(b"\0")  # of several streams the next one, or padding
            while not data:
                more = stream.read(_CHUNK)
                if not more:
                    return
                data = more.lstrip(b"\0")
            machine = _machine(packing)
        elif machine.needs_input:
            data = stream.read(_CHUNK) or b""
            if not data:
                raise EOFError
        else:
            data = b""


def _machine(packing: str) -> BZ2Decompressor | LZMADecompressor:
    if packing == "bzip2":
        from bz2 import BZ2Decompressor

        return BZ2Decompressor()
    from lzma import LZMADecompressor

    return LZMADecompressor(memlimit=_MAX_MEMORY)
