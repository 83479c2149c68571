"""`commit`: a container's image, one more layer of what the container changed, and its options."""

from __future__ import annotations

import os

from fastbox.errors import FastboxError, ImageNotFound, os_error
from fastbox.images import documents
from fastbox.images.changes import apply_changes
from fastbox.images.publishing import oci_layer, publish, stage_manifest
from fastbox.images.reference import familiar, parse_tagged
from fastbox.images.sweep import sweep, tidy
from fastbox.store.content import Content, Descriptor, staged_path
from fastbox.store.extract import NewLayers
from fastbox.store.layers import chain_ids
from fastbox.store.lease import Work, hold
from fastbox.store.refs import Ref, Refs
from fastbox.support import clock, json
from fastbox.support.ids import short
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fastbox.images.documents import Config
    from fastbox.store.root import Root
    from fastbox.types import Committed

# A tar with nothing in it: an image gets no layer of it, as docker's do not.
EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


class NewLayer(Record):
    """The layer of the container's changes, staged."""

    packed: Descriptor
    diff_id: str
    chain_id: str
    size: int


def commit(
    root: Root,
    find: Callable[[str], Ref],
    made: Committed,
    reference: str,
    changes: Sequence[str],
    *,
    author: str,
    message: str,
) -> str:
    """Make an image of a container; see `Images.commit`."""
    name = str(parse_tagged(reference)) if reference else ""
    apply_changes({}, changes)  # refused before anything is read
    try:
        tidy(root)
        with hold(root), Work(root) as work:
            parent = _parent(find, made.image_id)
            content = Content(root)
            config = documents.parse_config(content.read(parent.config, documents.MAX_CONFIG))
            run = apply_changes(merged_run(config.run, made.run), changes)
            layer = _stage_layer(root, work, parent, config, made)
            history = _history(layer, made, author=author, message=message)
            document = _document(config, run, layer, history)
            ref = _stage_image(content, work, parent, layer, document)
            publish(root, work)
            Refs(root).assign(ref.replace(reference=name or ref.reference), familiar=familiar)
        sweep(root)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot commit the container", root.store) from error
    return ref.config.digest


def merged_run(image: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An image's options with a container's in their place, variables one by one."""
    run = {key: value for key, value in image.items() if key != "OnBuild"}
    run.update(given)
    mine = {entry.partition("=")[0] for entry in given.get("Env") or ()}
    kept = [e for e in documents.strings(image, "Env") if e.partition("=")[0] not in mine]
    run["Env"] = [*(entry for entry in given.get("Env") or () if "=" in entry), *kept]
    return {key: value for key, value in run.items() if value not in ([], {}, "", None)}


def _parent(find: Callable[[str], Ref], image_id: str) -> Ref:
    try:
        return find(image_id)
    except ImageNotFound:
        raise ImageNotFound(
            f"the container's image {short(image_id)} was removed", hint="load it again"
        ) from None


def _stage_layer(
    root: Root, work: Work, parent: Ref, config: Config, made: Committed
) -> NewLayer | None:
    """The packed changes, verified by the extraction that every layer goes through."""
    documents.check_layer_count(len(parent.chains) + 1)
    path = os.path.join(work.path, "commit")
    with open(path, "x+b", buffering=0) as file:
        written = made.write(file.fileno())
        if written is None or "sha256:" + written[1] == EMPTY:
            return None
        file.seek(0)
        digest, diff_id = "sha256:" + written[0], "sha256:" + written[1]
        packed = Descriptor(
            media_type=documents.OCI_LAYER + "+gzip", digest=digest, size=written[2]
        )
        chain = chain_ids((*config.diff_ids, diff_id))[-1]
        lower = tuple(reversed(parent.chains))
        layer = NewLayers(root, work).stage_over(chain, diff_id, file.fileno(), packed, lower)
    os.rename(path, staged_path(work, digest))
    return NewLayer(packed=packed, diff_id=diff_id, chain_id=chain, size=layer.size)


def _stage_image(
    content: Content, work: Work, parent: Ref, layer: NewLayer | None, document: dict[str, Any]
) -> Ref:
    config = content.stage(work, json.dumps_bytes(document), documents.OCI_CONFIG)
    data = content.read(parent.manifest, documents.MAX_MANIFEST)
    below = documents.parse_manifest(data, parent.manifest.media_type).layers
    layers = [oci_layer(packed) for packed in below] + ([layer.packed] if layer else [])
    return Ref(
        reference=config.digest,
        manifest=stage_manifest(content, work, config, layers),
        config=config,
        chains=(*parent.chains, *((layer.chain_id,) if layer else ())),
        size=parent.size + (layer.size if layer else 0),
        created=document["created"],
        time=clock.now(),
    )


def _history(
    layer: NewLayer | None, made: Committed, *, author: str, message: str
) -> dict[str, Any]:
    date = clock.source_date()
    entry: dict[str, Any] = {
        "created": clock.now() if date is None else clock.rfc3339(date * 1_000_000_000),
        "created_by": " ".join(documents.strings({"Cmd": made.run.get("Cmd")}, "Cmd")),
        "author": author,
        "comment": message,
    }
    if layer is None:
        entry["empty_layer"] = True
    return {key: value for key, value in entry.items() if value}


def _document(
    config: Config, run: dict[str, Any], layer: NewLayer | None, entry: dict[str, Any]
) -> dict[str, Any]:
    before = config.document
    kept = {key: before[key] for key in _KEPT if before.get(key)}
    history = before.get("history")
    diff_ids = [*config.diff_ids, *((layer.diff_id,) if layer else ())]
    return {
        **kept,
        "created": entry["created"],
        **({"author": entry["author"]} if "author" in entry else {}),
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(history if isinstance(history, list) else []), entry],
    }


_KEPT = ("architecture", "os", "variant", "os.version", "os.features")
