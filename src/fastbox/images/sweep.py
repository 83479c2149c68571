"""Give back what no image and no container needs any more: mark from the records, move to trash,
look again, then delete.

Nothing is swept while somebody adds content (`lease.hold`), nor when a record is damaged, since
what it names can't be known. Containers are recorded without a lease, so the second look may find
that one needs what was moved: it is put back, if need be by whoever comes after a sweeper's death.
One that is recorded after that look finds that its layers are gone, and is not made.
"""

from __future__ import annotations

import os

from fastbox.errors import DiskFull, IntegrityError, NotFound, Unsupported, os_error
from fastbox.images import documents
from fastbox.images.reference import familiar
from fastbox.store.buildcache import BuildCache
from fastbox.store.content import Content, Descriptor, hex_of, is_hex64
from fastbox.store.layers import Layers, chain_ids
from fastbox.store.lease import Work, dead_work, heal, try_sweep_lock
from fastbox.store.refs import Refs
from fastbox.store.root import read_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet
    from typing import Any

    from fastbox.store.root import Root

_SWEPT = "swept"  # within a sweeper's work directory: blobs/ and layers/ that it moved away


class Live:
    """Digests of blobs and chain ids of layers that something needs."""

    __slots__ = ("blobs", "chains")

    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.chains: set[str] = set()


def sweep(root: Root, *, measure: bool = False, spare: AbstractSet[str] = frozenset()) -> int:
    """Delete unneeded blobs and layers, unless somebody adds content: they sweep when done.

    Args:
        root: The store.
        measure: Count what that gives back.
        spare: Digests and chain ids to leave alone.

    Returns:
        With `measure`: how many bytes of the disk that gave back.

    Raises:
        FastboxError: The kernel said no.
    """
    recover(root)
    lock = try_sweep_lock(root)
    if lock < 0:
        return 0
    try:
        try:
            trash = _swept(root, spare)
        except DiskFull:
            if not _make_room(root, spare):
                raise
            trash = _swept(root, spare)
    finally:
        os.close(lock)
    with trash:
        return _usage(root, trash) if measure else 0


def _swept(root: Root, spare: AbstractSet[str]) -> Work:
    """A work directory with all that nobody needs in it."""
    trash = Work(root)
    try:
        _sweep_into(root, trash, spare)
    except OSError as error:
        with trash:
            raise os_error(error, "cannot sweep the store", root.store) from error
    except BaseException:
        with trash:
            raise
    return trash


def _make_room(root: Root, spare: AbstractSet[str]) -> bool:
    """On a full disk not even the trash can be made. Packed bytes are needed by images only, not by
    containers, which are recorded without a lease: those of layers that no image has go at once.
    """
    live = find_live(root)
    content, layers = Content(root), Layers(root)
    made = False
    for chain in layers.chains() if live else ():
        layer = layers.get(chain)
        if live and layer and not {chain, layer.digest} & (live.chains | live.blobs | spare):
            try:
                os.unlink(content.path(layer.digest))
                made = True
            except FileNotFoundError:  # of another layer, too
                pass
    return made


def tidy(root: Root) -> None:
    """Remove what the dead have left, but not what is needed again.

    Raises:
        FastboxError: The kernel said no.
    """
    Refs(root).tidy(familiar=familiar)
    recover(root)
    heal(root.path("tmp"))


def recover(root: Root) -> None:
    """Put back what sweepers that were killed had moved away, and somebody needs: a container that
    was recorded between their first look and their second.

    Raises:
        FastboxError: The kernel said no.
    """
    for path, fd in dead_work(root):
        try:
            moved = _moved_by(root, path)
            if moved:
                _put_back(root, moved)
        except OSError as error:
            raise os_error(error, "cannot put back what was swept", path) from error
        finally:
            os.close(fd)


def _moved_by(root: Root, trash: str) -> list[tuple[str, str]]:
    """(home, where it is now) of all that a sweeper moved away."""
    content, layers = Content(root), Layers(root)
    found = []
    for kind, home_of in (("blobs", content.path), ("layers", layers.path)):
        try:
            names = os.listdir(os.path.join(trash, _SWEPT, kind))
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += [
            (home_of("sha256:" + name), os.path.join(trash, _SWEPT, kind, name))
            for name in names
            if is_hex64(name)
        ]
    return found


def _usage(root: Root, trash: Work) -> int:
    from fastbox import _bytes

    usage = _bytes.DiskUsage()
    total = 0
    for _, away in _moved_by(root, trash.path):
        directory, name = os.path.split(away)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            total += usage.add(fd, name)
        finally:
            os.close(fd)
    return total


def find_live(root: Root, *, builds: bool = True) -> Live | None:
    """What is needed; None when a damaged record makes that unknowable.

    Args:
        root: The store.
        builds: By the cache of builds, too.
    """
    live = Live()
    try:
        refs, damaged = Refs(root).all()
        if damaged:
            return None
        content = Content(root)
        for ref in refs:
            live.chains.update(ref.chains)
            live.blobs.update((ref.manifest.digest, ref.config.digest))
            data = content.read(ref.manifest, documents.MAX_MANIFEST)
            manifest = documents.parse_manifest(data, ref.manifest.media_type)
            live.blobs.update(layer.digest for layer in manifest.layers)
        _mark_containers(root, content, live)
        for _, step in BuildCache(root).steps() if builds else ():
            live.chains.add(step.chain)
            live.blobs.add(step.digest)
    except (ValueError, IntegrityError, NotFound, Unsupported):
        return None
    return live


def _mark_containers(root: Root, content: Content, live: Live) -> None:
    """A container needs its image's layers, and the configuration that tells which those are."""
    for image in used_images(root):
        live.blobs.add(image)
        try:
            size = os.stat(content.path(image)).st_size
        except FileNotFoundError:
            continue
        wanted = Descriptor(media_type=documents.OCI_CONFIG, digest=image, size=size)
        config = documents.parse_config(content.read(wanted, documents.MAX_CONFIG))
        live.chains.update(chain_ids(config.diff_ids))


def used_images(root: Root) -> set[str]:
    """The ids of the images that containers were made from, or that they mount.

    Raises:
        ValueError: A record is damaged.
    """
    images: set[str] = set()
    for name in os.listdir(root.path("containers")):
        try:
            record = read_record(root.path("containers", name, "record.json"))
        except NotADirectoryError:
            continue
        if record is not None:
            ids = [record.get("image_id"), *_mounted(record)]
            images.update("sha256:" + hex_of(each) for each in ids if each)
    return images


def _mounted(record: Mapping[str, Any]) -> list[object]:
    try:
        mounts = record.get("mounts") or record.get("options", {}).get("mounts") or ()
        return [mount.get("image_id") for mount in mounts]
    except (AttributeError, TypeError):
        raise ValueError("its mounts are not a list of objects") from None


def _sweep_into(root: Root, trash: Work, spare: AbstractSet[str]) -> None:
    live = find_live(root)
    if live is None:
        return
    content, layers = Content(root), Layers(root)
    blobs, trees = trash.directory(_SWEPT + "/blobs"), trash.directory(_SWEPT + "/layers")
    unneeded = [
        (content.path(digest), os.path.join(blobs, hex_of(digest)))
        for digest in content.digests()
        if digest not in live.blobs and digest not in spare
    ]
    unneeded += [
        (layers.path(chain), os.path.join(trees, hex_of(chain)))
        for chain in layers.chains()
        if chain not in live.chains and chain not in spare
    ]
    moved: list[tuple[str, str]] = []
    try:
        for home, away in unneeded:
            os.rename(home, away)
            moved.append((home, away))
    finally:  # after a failure, too, since then all in the trash is deleted as well
        if moved:
            _put_back(root, moved)


def _put_back(root: Root, moved: list[tuple[str, str]]) -> None:
    """Return what a container recorded meanwhile needs, or all when the records can't be read.

    Twice: which layers it needs is told by a configuration that may be among what was moved.
    """
    for _ in range(2):
        live = find_live(root)
        for home, away in moved:
            name = "sha256:" + os.path.basename(home)
            # A layer that is not packed has one digest as a blob and, at the bottom, as a chain.
            is_layer = os.path.basename(os.path.dirname(home)) == "layers"
            needed = live is None or name in (live.chains if is_layer else live.blobs)
            if needed and os.path.exists(away) and not os.path.exists(home):
                os.rename(away, home)
