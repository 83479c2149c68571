"""`import`: the tar of a root file system becomes an image of one layer."""

from __future__ import annotations

import os
import stat

from fastbox import _bytes
from fastbox.errors import FastboxError, InvalidArgument, Unsupported, os_error
from fastbox.images import documents
from fastbox.images.archive import open_source
from fastbox.images.changes import apply_changes
from fastbox.images.documents import Platform
from fastbox.images.load import publish, stage_manifest
from fastbox.images.reference import familiar, parse_tagged
from fastbox.images.sweep import sweep, tidy
from fastbox.store.content import Content, Descriptor, staged_path
from fastbox.store.extract import NewLayers
from fastbox.store.lease import Work, hold
from fastbox.store.refs import Ref, Refs
from fastbox.support import clock, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO

    from fastbox.store.layers import Layer
    from fastbox.store.root import Root


def import_tar(
    root: Root,
    source: str | int | BinaryIO,
    reference: str,
    changes: Sequence[str],
    message: str,
    platform: Platform | None = None,
) -> str:
    """Import one root file system; see `Images.import_tar`."""
    name = str(parse_tagged(reference)) if reference else ""
    run = apply_changes({}, changes)
    try:
        tidy(root)
        with hold(root), Work(root) as work:
            layer, packed = _stage_layer(root, work, source)
            ref = _stage_image(root, work, layer, packed, _document(layer, run, message, platform))
            publish(root, work)
            Refs(root).assign(ref.replace(reference=name or ref.reference), familiar=familiar)
        sweep(root)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot import the archive", root.store) from error
    return ref.config.digest


def _stage_layer(root: Root, work: Work, source: str | int | BinaryIO) -> tuple[Layer, Descriptor]:
    """One pass over the source keeps its bytes; a second, over what was kept, extracts them."""
    kept = os.path.join(work.path, "import")
    with open(kept, "xb", buffering=0) as out:
        fd = open_source(source, work)
        try:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise InvalidArgument("a directory: import takes a tar")
            digest, size = _bytes.copy_digest(fd, out.fileno(), 1 << 62)
        finally:
            os.close(fd)
    with open(kept, "rb", buffering=0) as file:
        media_type = documents.OCI_LAYER + documents.packing_of(file.read(4))
        file.seek(0)
        packed = Descriptor(media_type=media_type, digest="sha256:" + digest, size=size)
        layer = NewLayers(root, work).stage_new(file.fileno(), packed)
    os.rename(kept, staged_path(work, packed.digest))
    return layer, packed


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
