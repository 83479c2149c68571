"""The last steps of whoever makes an image: its manifest, and making all that was staged appear."""

from __future__ import annotations

from fastbox.images import documents
from fastbox.store.content import Content, Descriptor
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastbox.store.lease import Work
    from fastbox.store.root import Root

_OCI_LAYERS = {
    "diff.tar": "",
    "diff.tar.gzip": "+gzip",
    "diff.tar.zstd": "+zstd",
}


def publish(root: Root, work: Work) -> None:
    """Make all that was staged durable, then visible; it counts once a name leads to it."""
    from fastbox import _bytes
    from fastbox.store.extract import NewLayers

    _bytes.sync_file_system(work.fd)
    Content(root).publish(work)
    NewLayers(root, work).publish()


def stage_manifest(
    content: Content, work: Work, config: Descriptor, layers: Sequence[Descriptor]
) -> Descriptor:
    """Make the manifest that an image came without."""
    return content.stage(work, manifest_data(config, layers), documents.OCI_MANIFEST)


def manifest_data(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """A manifest: the same bytes for the same parts."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": documents.OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    return json.dumps_bytes(document)


def oci_layer(layer: Descriptor) -> Descriptor:
    """The same blob by OCI's name for its type, since the manifest is OCI's."""
    kind = layer.media_type.rpartition(".rootfs.")[2]
    if kind not in _OCI_LAYERS:
        return layer
    return layer.replace(media_type=documents.OCI_LAYER + _OCI_LAYERS[kind])
