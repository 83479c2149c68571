"""Give back what no image and no container needs any more: mark from the records, move to trash,
look again, then delete.

Nothing is swept while somebody adds content (`lease.hold`), nor when a record is damaged, since
what it names can't be known.
"""

from __future__ import annotations

import os

from fastbox.errors import IntegrityError, NotFound, Unsupported, os_error
from fastbox.images import documents
from fastbox.store.content import Content, Descriptor, hex_of
from fastbox.store.layers import Layers, chain_ids
from fastbox.store.lease import Work, try_sweep_lock
from fastbox.store.refs import Refs
from fastbox.store.root import read_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.root import Root


class Live:
    """Digests of blobs and chain ids of layers that something needs."""

    __slots__ = ("blobs", "chains")

    def __init__(self) -> None:
        self.blobs: set[str] = set()
        self.chains: set[str] = set()


def sweep(root: Root) -> None:
    """Delete unneeded blobs and layers, unless somebody adds content: they sweep when done.

    Raises:
        FastboxError: The kernel said no.
    """
    lock = try_sweep_lock(root)
    if lock < 0:
        return
    with Work(root) as trash:
        try:
            _sweep_into(root, trash)
        except OSError as error:
            raise os_error(error, "cannot sweep the store", root.store) from error
        finally:
            os.close(lock)


def find_live(root: Root) -> Live | None:
    """What is needed; None when a damaged record makes that unknowable."""
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
    except (ValueError, IntegrityError, NotFound, Unsupported):
        return None
    return live


def _mark_containers(root: Root, content: Content, live: Live) -> None:
    """A container needs its image's layers, and the configuration that tells which those are."""
    images = set()
    for name in os.listdir(root.path("containers")):
        try:
            record = read_record(root.path("containers", name, "record.json"))
        except NotADirectoryError:
            continue
        if record is not None and record.get("image_id"):
            images.add("sha256:" + hex_of(record["image_id"]))
    for image in images:
        live.blobs.add(image)
        try:
            size = os.stat(content.path(image)).st_size
        except FileNotFoundError:
            continue
        wanted = Descriptor(media_type=documents.OCI_CONFIG, digest=image, size=size)
        config = documents.parse_config(content.read(wanted, documents.MAX_CONFIG))
        live.chains.update(chain_ids(config.diff_ids))


def _sweep_into(root: Root, trash: Work) -> None:
    live = find_live(root)
    if live is None:
        return
    content, layers = Content(root), Layers(root)
    blobs, trees = trash.directory("blobs"), trash.directory("layers")
    moved = [
        (content.path(digest), os.path.join(blobs, hex_of(digest)))
        for digest in content.digests()
        if digest not in live.blobs
    ]
    moved += [
        (layers.path(chain), os.path.join(trees, hex_of(chain)))
        for chain in layers.chains()
        if chain not in live.chains
    ]
    for home, away in moved:
        os.rename(home, away)
    if moved:
        _put_back(find_live(root), moved)


def _put_back(live: Live | None, moved: list[tuple[str, str]]) -> None:
    """Return what a container recorded meanwhile needs, or all when the records can't be read."""
    for home, away in moved:
        name = "sha256:" + os.path.basename(home)
        if live is None or name in live.blobs or name in live.chains:
            os.rename(away, home)
