"""Layers on their way into the store.

A layer is extracted into a work directory, both of its digests are checked, the caller syncs the
file system once for all, and a rename makes it visible. Two processes that bring the same layer
both work; the second finds the first's in place and drops its own.
"""

from __future__ import annotations

import errno
import os

from fastbox import _bytes, _native
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
from fastbox.store.content import hex_of
from fastbox.store.layers import Layer, Layers, read_layer
from fastbox.store.root import sync_directory, write_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.store.content import Descriptor
    from fastbox.store.lease import Work
    from fastbox.store.root import Root


class NewLayer:
    """A layer that is being brought, or that is there already.

    Attributes:
        chain_id: Its name.
        diff_id: What the configuration says its uncompressed tar is.
        known: What is known of it when the store or the work directory has it.
        tree: Its files, open as a place (O_PATH): complete when the layer is known or filled.
    """

    __slots__ = ("_work", "chain_id", "diff_id", "home", "known", "tree")

    def __init__(self, work: Work, home: str, chain_id: str, diff_id: str) -> None:
        self._work, self.home = work, home
        self.chain_id, self.diff_id = chain_id, diff_id
        self.known: Layer | None = None
        self.tree = -1

    def fill(
        self,
        fd: int,
        packed: Descriptor | None,
        *,
        lower: Sequence[int] = (),
        gate: int = -1,
        watch: _bytes.Watch | None = None,
    ) -> Layer:
        """Verify the packed layer, and extract it unless it is known.

        Args:
            fd: The packed bytes, from their start.
            packed: What the manifest says they are; None when there is no manifest.
            lower: Trees of the layers below it, topmost first: what the archive needs of them and
                does not bring is taken from there.
            gate: Readable when they are complete; -1: they are.
            watch: How far it is, for another thread.

        Raises:
            IntegrityError: Not what was promised, or not safe to extract.
            DiskFull: No space.
        """
        home = self.home
        if self.known is not None:
            digest, size = _bytes.digest_fd(fd)
            if "sha256:" + digest == self.known.digest:
                _check_packed(self.known.digest, size, packed)
                return self.known
            # The same layer packed in another way: only extraction tells whether it really is.
            os.lseek(fd, 0, os.SEEK_SET)
            home = _make_home(self._work.directory("scratch-" + os.urandom(8).hex()))
        layer = _extract(home, fd, packed, lower=lower, gate=gate, watch=watch)
        if layer.diff_id != self.diff_id:
            raise DigestMismatch(
                f"the layer's digest does not match: its tar is {layer.diff_id}",
                where=self.diff_id,
            )
        return describe(home, layer.replace(chain_id=self.chain_id))

    def close(self) -> None:
        """Let go of the tree."""
        fd, self.tree = self.tree, -1
        if fd >= 0:
            os.close(fd)


class NewLayers:
    """The layers in one work directory."""

    __slots__ = ("_home", "_layers", "_work")

    def __init__(self, root: Root, work: Work) -> None:
        self._layers, self._work = Layers(root), work
        self._home = root.path("layers")

    def begin(self, chain_id: str, diff_id: str) -> NewLayer:
        """A layer to fill, its place made; the caller closes it.

        Args:
            chain_id: Its name.
            diff_id: What the configuration says its uncompressed tar is.

        Raises:
            OSError: The kernel said no.
        """
        home = os.path.join(self._work.directory("layers"), hex_of(chain_id))
        new = NewLayer(self._work, home, chain_id, diff_id)
        known = read_layer(home) or self._layers.get(chain_id)
        if known is not None and known.diff_id == diff_id:
            new.known = known
            home = home if os.path.isdir(home) else self._layers.path(chain_id)
        else:
            _make_home(home)
        new.tree = os.open(os.path.join(home, "tree"), _DIRECTORY | os.O_PATH)
        return new

    def stage_over(
        self, chain_id: str, diff_id: str, fd: int, packed: Descriptor, lower: Sequence[str]
    ) -> Layer:
        """Verify and extract one layer over layers that the store has.

        Args:
            chain_id: Its name.
            diff_id: What its uncompressed tar is.
            fd: The packed bytes, from their start.
            packed: What they are.
            lower: Chain ids of the layers below it, topmost first.

        Raises:
            IntegrityError: Not what was promised, or not safe to extract.
            DiskFull: No space.
        """
        new = self.begin(chain_id, diff_id)
        trees: list[int] = []
        try:
            for tree in map(self._layers.tree, lower):
                trees += [os.open(tree, _DIRECTORY | os.O_PATH)]
            return new.fill(fd, packed, lower=trees)
        finally:
            new.close()
            for number in trees:
                os.close(number)

    def stage_new(self, fd: int, copy: int, watch: _bytes.Watch) -> Layer:
        """Extract a bottom layer of which nobody has said yet what it is.

        Args:
            fd: The packed bytes, from its offset to its end.
            copy: A file to keep them in.
            watch: How far it is, for another thread.

        Raises:
            IntegrityError: Damaged, or not safe to extract.
            DiskFull: No space.
        """
        home = _make_home(self._work.directory("new"))
        layer = _extract(home, fd, None, watch=watch, copy=copy)
        os.rename(home, os.path.join(self._work.directory("layers"), hex_of(layer.chain_id)))
        return describe(os.path.join(self._work.directory("layers"), hex_of(layer.chain_id)), layer)

    def publish(self) -> None:
        """Make all staged layers appear. The caller has synced the file system first.

        Raises:
            FastboxError: The kernel said no.
        """
        staged = self._work.directory("layers")
        try:
            for name in os.listdir(staged):
                self.place(os.path.join(staged, name), "sha256:" + name)
            sync_directory(self._home)
        except OSError as error:
            raise os_error(error, "cannot store a layer", self._home) from error

    def place(self, staged: str, chain_id: str) -> None:
        """Make one layer appear, a directory that is complete and synced; where the store has it
        already, the directory stays where it is.

        Raises:
            OSError: The kernel said no.
        """
        home = os.path.join(self._home, hex_of(chain_id))
        try:
            os.rename(staged, home)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
        if self._layers.get("sha256:" + os.path.basename(home)) is None:
            os.rename(home, os.path.join(self._work.directory("damaged"), os.path.basename(home)))
            os.rename(staged, home)


def describe(home: str, layer: Layer) -> Layer:
    """Write the record of a layer into its directory."""
    write_record(os.path.join(home, "record.json"), layer.as_dict())
    return layer


def _make_home(home: str) -> str:
    """The directory of a layer, with its empty tree."""
    tree = os.path.join(home, "tree")
    os.makedirs(tree, mode=0o755)
    os.chmod(tree, 0o755)
    return home


def _extract(
    home: str,
    fd: int,
    packed: Descriptor | None,
    *,
    lower: Sequence[int] = (),
    gate: int = -1,
    watch: _bytes.Watch | None = None,
    copy: int = -1,
) -> Layer:
    """Extract as if it were a bottom layer, whose chain id is its diff id."""
    tree = os.path.join(home, "tree")
    root_fd = os.open(tree, _DIRECTORY)
    try:
        digest, diff, packed_size, _, size, entries = _bytes.extract(
            fd, root_fd, True, lower=lower, gate=gate, watch=watch, copy=copy
        )
    except OSError as error:
        raise archive_error(error, "cannot extract the layer", tree) from error
    finally:
        os.close(root_fd)
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
