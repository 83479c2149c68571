"""Image archives for tests, made member by member so that each part can be wrong on its own."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def tar(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    """A tar of regular files, or of ready headers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def configuration(layers: list[bytes], **members: Any) -> bytes:
    base = {
        "created": "2026-01-02T03:04:05Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/hello"], "Labels": {"a": "b"}},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    return encode(base | members)


def docker_archive(layers: list[bytes], tags: list[str] | None, **members: Any) -> dict[str, Any]:
    config = configuration(layers, **members)
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    entry = {"Config": digest(config)[7:] + ".json", "RepoTags": tags, "Layers": names}
    found: dict[str, Any] = dict(zip(names, layers, strict=True))
    return found | {entry["Config"]: config, "manifest.json": encode([entry])}


def blob(data: bytes) -> dict[str, bytes]:
    return {"blobs/sha256/" + digest(data)[7:]: data}


def descriptor(media_type: str, data: bytes, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(data), "size": len(data)} | members


def manifest_of(layers: list[bytes], packed: list[bytes], config: bytes) -> bytes:
    return encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER + "+gzip", data) for data in packed],
        }
    )


def index_of(*entries: dict[str, Any]) -> bytes:
    return encode({"schemaVersion": 2, "manifests": list(entries)})


def oci_archive(layers: list[bytes], name: str, **members: Any) -> dict[str, Any]:
    packed = [gzip.compress(layer, mtime=0) for layer in layers]
    config = configuration(layers, **members)
    manifest = manifest_of(layers, packed, config)
    annotations = {"org.opencontainers.image.ref.name": name} if name else {}
    found: dict[str, Any] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    for data in (config, manifest, *packed):
        found |= blob(data)
    entry = descriptor(MANIFEST, manifest, annotations=annotations)
    return found | {"index.json": index_of(entry)}
