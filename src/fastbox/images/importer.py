"""`import`: the tar of a root file system becomes an image of one layer."""

from __future__ import annotations

import os
import stat

from fastbox.errors import FastboxError, InvalidArgument, Unsupported, os_error
from fastbox.images import documents
from fastbox.images.archive import open_source
from fastbox.images.changes import apply_changes
from fastbox.images.documents import Platform
from fastbox.images.publishing import publish, stage_manifest
from fastbox.images.reference import familiar, parse_tagged
from fastbox.images.sweep import sweep, tidy
from fastbox.images.watched import watched
from fastbox.store.content import Content, Descriptor, staged_path
from fastbox.store.extract import NewLayers
from fastbox.store.lease import Work, hold
from fastbox.store.refs import Ref, Refs
from fastbox.support import clock, json
from fastbox.types import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO

    from fastbox import _bytes
    from fastbox.store.layers import Layer
    from fastbox.store.root import Root

_PART = "layer"  # its digests are not known before the end


def import_tar(
    root: Root,
    source: str | int | BinaryIO,
    reference: str,
    changes: Sequence[str],
    message: str,
    platform: Platform | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> str:
    """Import one root file system; see `Images.import_tar`."""
    name = str(parse_tagged(reference)) if reference else ""
    run = apply_changes({}, changes)
    try:
        tidy(root)
        with hold(root), Work(root) as work:
            layer, packed = _stage_layer(root, work, source, progress)
            ref = _stage_image(root, work, layer, packed, _document(layer, run, message, platform))
            publish(root, work)
            Refs(root).assign(ref.replace(reference=name or ref.reference), familiar=familiar)
        sweep(root)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot import the archive", root.store) from error
    return ref.config.digest


def _stage_layer(
    root: Root,
    work: Work,
    source: str | int | BinaryIO,
    progress: Callable[[Progress], None] | None,
) -> tuple[Layer, Descriptor]:
    """One pass over the source extracts it and keeps its bytes."""
    kept = os.path.join(work.path, "import")
    fd = open_source(source, work)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise InvalidArgument("a directory: import takes a tar")
        with open(kept, "x+b", buffering=0) as copy:
            layer = watched(
                lambda watch: NewLayers(root, work).stage_new(fd, copy.fileno(), watch),
                progress and (lambda watch: progress(_part(watch, status.st_size))),
            )
            copy.seek(0)
            packing = documents.packing_of(copy.read(4))
    finally:
        os.close(fd)
    if progress:
        size = layer.packed_size
        progress(Progress(id=_PART, status="complete", current=size, total=size))
    packed = Descriptor(
        media_type=documents.OCI_LAYER + packing, digest=layer.digest, size=layer.packed_size
    )
    os.rename(kept, staged_path(work, packed.digest))
    return layer, packed


def _part(watch: _bytes.Watch, size: int) -> Progress:
    return Progress(id=_PART, status="extracting", current=watch.packed, total=size)


def _stage_image(
    root: Root, work: Work, layer: Layer, packed: Descriptor, document: dict[str, Any]
) -> Ref:
    content = Content(root)
    config = content.stage(work, json.dumps_bytes(document), documents.OCI_CONFIG)
    return Ref(
        reference=config.digest,
        manifest=stage_manifest(content, work, config, [packed]),
        config=config,
        chains=(layer.chain_id,),
        size=layer.size,
        created=document["created"],
        time=clock.now(),
    )


def _document(
    layer: Layer, run: dict[str, Any], message: str, platform: Platform | None
) -> dict[str, Any]:
    now = clock.now()
    comment = message or "Imported from -"
    made_for = platform or Platform(os="linux", architecture=documents.architecture())
    if made_for.os != "linux":
        raise Unsupported(f"an image for {made_for}: only Linux images can be kept")
    return {
        "created": now,
        "architecture": made_for.architecture,
        **({"variant": made_for.variant} if made_for.variant else {}),
        "os": made_for.os,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": now, "comment": comment}],
    }
