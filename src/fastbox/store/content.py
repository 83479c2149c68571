"""Content named by its digest: blobs/sha256/<hex>. Bytes enter hashed and leave verified; there is
no other way out.

New content is staged below a work directory (`store/lease.py`) and appears by one rename when
`publish` is called.
"""

from __future__ import annotations

import os

from fastbox.errors import DigestMismatch, IntegrityError, InvalidSpec, SizeMismatch, os_error
from fastbox.store.root import sync_directory
from fastbox.support.record import Record

try:  # `hashlib` loads OpenSSL's library; what is hashed by it is short
    from _sha256 import sha256 as sha256  # type: ignore[import-not-found]
except ImportError:
    from hashlib import sha256 as sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.lease import Work
    from fastbox.store.root import Root

MAX_SIZE = 1 << 62
_HEX = "0123456789abcdef"
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def is_hex64(text: str) -> bool:
    """Whether the text is 64 lower-case hex digits."""
    return len(text) == 64 and not text.strip(_HEX)


def hex_of(digest: object) -> str:
    """The 64 digits of a sha256 digest; the only door from outside text to a path in the store.

    Raises:
        InvalidSpec: Anything but "sha256:" and 64 lower-case hex digits.
    """
    if isinstance(digest, str) and digest.startswith("sha256:") and is_hex64(digest[7:]):
        return digest[7:]
    raise InvalidSpec(f"not a sha256 digest: {str(digest)[:100]!r}")


def digest_of(data: bytes) -> str:
    """The sha256 digest of bytes, with its algorithm in front."""
    return "sha256:" + str(sha256(data).hexdigest())


class Descriptor(Record):
    """What a document says about a blob: media type, digest, size in bytes."""

    media_type: str
    digest: str
    size: int

    def as_json(self) -> dict[str, object]:
        """The descriptor as OCI documents write it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def verify(data: bytes, wanted: Descriptor) -> bytes:
    """The bytes, when they are the descriptor's.

    Raises:
        SizeMismatch: Another number of bytes.
        DigestMismatch: Other bytes.
    """
    if len(data) != wanted.size:
        raise SizeMismatch(
            f"{len(data)} bytes where {wanted.size} were promised", where=wanted.digest
        )
    if digest_of(data) != wanted.digest:
        raise DigestMismatch("the content is not what its digest says", where=wanted.digest)
    return data


class Content:
    """The blobs of one store."""

    __slots__ = ("_directory",)

    def __init__(self, root: Root) -> None:
        self._directory = root.path("blobs", "sha256")

    def path(self, digest: str) -> str:
        """Where a blob is or would be."""
        return os.path.join(self._directory, hex_of(digest))

    def has(self, digest: str) -> bool:
        """Whether the store holds the blob."""
        return os.path.exists(self.path(digest))

    def digests(self) -> list[str]:
        """Every blob's digest."""
        return ["sha256:" + name for name in os.listdir(self._directory) if is_hex64(name)]

    def read(self, wanted: Descriptor, limit: int) -> bytes:
        """The whole blob, verified before the caller sees a byte.

        Args:
            wanted: What it must be.
            limit: The most bytes that a document of its kind may have.

        Raises:
            IntegrityError: Missing, too large, or not what the descriptor says.
        """
        if wanted.size > limit:
            raise SizeMismatch(f"{wanted.size} bytes, {limit} at most", where=wanted.digest)
        try:
            fd = os.open(self.path(wanted.digest), _OPEN)
        except FileNotFoundError:
            raise IntegrityError(
                "content is missing from the store",
                where=wanted.digest,
                hint="load the image again",
            ) from None
        with open(fd, "rb", buffering=0) as file:
            return verify(file.read(wanted.size + 1), wanted)

    def stage(self, work: Work, data: bytes, media_type: str) -> Descriptor:
        """Put bytes into the work directory, under their digest."""
        found = descriptor_of(data, media_type)
        fd = os.open(
            staged_path(work, found.digest),
            os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC,
            0o600,
        )
        with open(fd, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        return found

    def publish(self, work: Work) -> None:
        """Make all staged blobs appear. The caller has synced the file system first.

        Raises:
            FastboxError: The kernel said no.
        """
        staged = work.directory("blobs")
        try:
            for name in os.listdir(staged):
                os.rename(os.path.join(staged, name), os.path.join(self._directory, name))
            sync_directory(self._directory)
        except OSError as error:
            raise os_error(error, "cannot store content", self._directory) from error


def descriptor_of(data: bytes, media_type: str) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_of(data), size=len(data))


def staged_path(work: Work, digest: str) -> str:
    """Where a blob waits within a work directory."""
    return os.path.join(work.directory("blobs"), hex_of(digest))
