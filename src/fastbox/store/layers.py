"""Layers as directories: layers/<chain id hex>/ is tree/ and record.json, there complete or not at
all.

A layer is extracted into a work directory, both of its digests are checked, the caller syncs the
file system once for all, and a rename makes it visible. Two processes that bring the same layer
both work; the second finds the first's in place and drops its own.
"""

from __future__ import annotations

import errno
import os

from fastbox import _native
from fastbox.errors import (
    DigestMismatch,
    FastboxError,
    IntegrityError,
    ResourceExhausted,
    SizeMismatch,
    UnsafePath,
    Unsupported,
    os_error,
)
from fastbox.store.content import digest_of, hex_of, is_hex64
from fastbox.store.root import read_record, sync_directory, write_record
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastbox.store.content import Descriptor
    from fastbox.store.lease import Work
    from fastbox.store.root import Root


class Layer(Record):
    """What is known of an extracted layer: digests with algorithm, sizes in bytes."""

    chain_id: str
    diff_id: str
    digest: str  # of the packed bytes
    packed_size: int
    size: int  # of the files' data
    entries: int


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first, by OCI's formula."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(digest_of(f"{chains[-1]} {diff_id}".encode()) if chains else diff_id)
    return tuple(chains)


class Layers:
    """The layers of one store."""

    __slots__ = ("_directory",)

    def __init__(self, root: Root) -> None:
        self._directory = root.path("layers")

    def path(self, chain_id: str) -> str:
        """A layer's directory."""
        return os.path.join(self._directory, hex_of(chain_id))

    def tree(self, chain_id: str) -> str:
        """A layer's files."""
        return os.path.join(self._directory, hex_of(chain_id), "tree")

    def chains(self) -> list[str]:
        """Every layer's chain id."""
        return ["sha256:" + name for name in os.listdir(self._directory) if is_hex64(name)]

    def get(self, chain_id: str) -> Layer | None:
        """What is known of a layer; None when it is absent, or damaged and so as good as absent."""
        try:
            layer = _read_layer(self.path(chain_id))
        except (ValueError, NotADirectoryError):
            return None
        return layer if os.path.isdir(self.tree(chain_id)) else None

    def stage(
        self,
        work: Work,
        chain_id: str,
        diff_id: str,
        fd: int,
        packed: Descriptor | None,
        lower: Sequence[str],
    ) -> Layer:
        """Verify one packed layer, and extract it unless the store or the work directory has it.

        Args:
            work: Where it is extracted.
            chain_id: Its name.
            diff_id: What the configuration says its uncompressed tar is.
            fd: The packed bytes, from their start.
            packed: What the manifest says they are; None when there is no manifest.
            lower: Chain ids of the layers below it, topmost first: a directory that the archive
                needs but does not list is as it is there.

        Raises:
            IntegrityError: Not what was promised, or not safe to extract.
            DiskFull: No space.
        """
        home = os.path.join(work.directory("layers"), hex_of(chain_id))
        known = _read_layer(home) or self.get(chain_id)
        if known is not None and known.diff_id == diff_id:
            from fastbox import _bytes

            digest, size = _bytes.digest_fd(fd)
            if "sha256:" + digest == known.digest:
                _check_packed(known.digest, size, packed)
                return known
            # The same layer packed in another way: only extraction tells whether it really is.
            os.lseek(fd, 0, os.SEEK_SET)
            home = work.directory("scratch-" + os.urandom(8).hex())
        layer = _extract(home, fd, packed, [self._staged_tree(work, chain) for chain in lower])
        if layer.diff_id != diff_id:
            raise DigestMismatch(
                f"the layer's digest does not match: its tar is {layer.diff_id}",
                where=diff_id,
            )
        return _record(home, layer.replace(chain_id=chain_id))

    def stage_new(self, work: Work, fd: int, packed: Descriptor) -> Layer:
        """Extract a bottom layer whose diff id nobody has said yet.

        Raises:
            IntegrityError: Not what was promised, or not safe to extract.
            DiskFull: No space.
        """
        home = work.directory("new")
        layer = _extract(home, fd, packed, [])
        os.rename(home, os.path.join(work.directory("layers"), hex_of(layer.chain_id)))
        return _record(os.path.join(work.directory("layers"), hex_of(layer.chain_id)), layer)

    def _staged_tree(self, work: Work, chain_id: str) -> str:
        staged = os.path.join(work.directory("layers"), hex_of(chain_id), "tree")
        return staged if os.path.isdir(staged) else self.tree(chain_id)

    def publish(self, work: Work) -> None:
        """Make all staged layers appear. The caller has synced the file system first.

        Raises:
            FastboxError: The kernel said no.
        """
        staged = work.directory("layers")
        try:
            for name in os.listdir(staged):
                self._publish_one(
                    work, os.path.join(staged, name), os.path.join(self._directory, name)
                )
            sync_directory(self._directory)
        except OSError as error:
            raise os_error(error, "cannot store a layer", self._directory) from error

    def _publish_one(self, work: Work, staged: str, home: str) -> None:
        try:
            os.rename(staged, home)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        if self.get("sha256:" + os.path.basename(home)) is None:
            os.rename(home, os.path.join(work.directory("damaged"), os.path.basename(home)))
            os.rename(staged, home)


def _read_layer(home: str) -> Layer | None:
    record: dict[str, Any] | None = read_record(os.path.join(home, "record.json"))
    if record is None:
        return None
    record.pop("schema")
    try:
        return Layer(**record)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _record(home: str, layer: Layer) -> Layer:
    write_record(os.path.join(home, "record.json"), layer.as_dict())
    return layer


def _extract(home: str, fd: int, packed: Descriptor | None, lower: list[str]) -> Layer:
    """Extract as if it were a bottom layer, whose chain id is its diff id."""
    from fastbox import _bytes

    tree = os.path.join(home, "tree")
    os.makedirs(tree, mode=0o755)
    os.chmod(tree, 0o755)
    below = [os.open(path, _DIRECTORY) for path in lower]
    root_fd = os.open(tree, _DIRECTORY)
    try:
        digest, diff, packed_size, _, size, entries = _bytes.extract(fd, root_fd, True, below)
    except OSError as error:
        raise archive_error(error, "cannot extract the layer", tree) from error
    finally:
        for number in (root_fd, *below):
            os.close(number)
    _check_packed("sha256:" + digest, packed_size, packed)
    return Layer(
        chain_id="sha256:" + diff,
        diff_id="sha256:" + diff,
        digest="sha256:" + digest,
        packed_size=packed_size,
        size=size,
        entries=entries,
    )


def _check_packed(digest: str, size: int, packed: Descriptor | None) -> None:
    if packed is None:
        return
    if size != packed.size:
        raise SizeMismatch(f"{size} bytes where {packed.size} were promised", where=packed.digest)
    if digest != packed.digest:
        raise DigestMismatch("the content is not what its digest says", where=packed.digest)


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DAMAGED = (errno.EBADMSG, errno.EINVAL)
_TOO_MUCH = (errno.EFBIG, errno.ENAMETOOLONG)
_ASTRAY = (
    errno.EXDEV,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOENT,
    errno.ELOOP,
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EMLINK,
)


def archive_error(error: OSError, doing: str, directory: str) -> FastboxError:
    """The tree's class for a failed extraction; `where` is the archive's member, if any.

    Args:
        error: What native code or the kernel said.
        doing: What was attempted, for the message.
        directory: Where it was written, for failures that are the host's.
    """
    if not isinstance(error, _native.NativeError):
        return os_error(error, doing, directory)
    line = f"{doing}: {error.strerror}"
    if error.errno in _DAMAGED:
        hint = "the archive is damaged or cut short: make or fetch it again"
        return IntegrityError(line, where=error.path, hint=hint)
    if error.errno in _TOO_MUCH:
        return ResourceExhausted(line, where=error.path)
    if error.errno in _ASTRAY:
        return UnsafePath(line, where=error.path)
    if error.errno == errno.ENOTSUP:
        return Unsupported(line, where=error.path)
    return os_error(error, doing, directory)
