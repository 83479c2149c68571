"""Make the hello image that the wheel carries: an OCI layout in a tar, the same bytes for the same
program.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import sys
import tarfile

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
IMAGE = "application/vnd.oci.image"


def archive(members: dict[str, bytes], mode: int) -> bytes:
    """A tar of regular files, with nothing in it that depends on when or where it is made."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), mode
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def main(program: str, output: str) -> None:
    """Write the image of `program` to `output`."""
    with open(program, "rb") as file:
        layer = archive({"hello": file.read()}, 0o755)
    blobs: dict[str, bytes] = {}

    def blob(media_type: str, data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def document(media_type: str, value: object) -> dict[str, object]:
        return blob(media_type, json.dumps(value, separators=(",", ":")).encode())

    packed = blob(f"{IMAGE}.layer.v1.tar", layer)
    config = document(
        f"{IMAGE}.config.v1+json",
        {
            "created": "1970-01-01T00:00:00Z",
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": ["/hello"], "Env": ["PATH=/"]},
            "rootfs": {"type": "layers", "diff_ids": [packed["digest"]]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "COPY hello /"}],
        },
    )
    manifest = document(
        f"{IMAGE}.manifest.v1+json",
        {
            "schemaVersion": 2,
            "mediaType": f"{IMAGE}.manifest.v1+json",
            "config": config,
            "layers": [packed],
        },
    )
    manifest["annotations"] = {"io.containerd.image.name": "fastbox/hello:latest"}
    index = {"schemaVersion": 2, "mediaType": f"{IMAGE}.index.v1+json", "manifests": [manifest]}
    blobs["index.json"] = json.dumps(index, separators=(",", ":")).encode()
    blobs["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    with open(output, "wb") as file:
        file.write(archive(blobs, 0o644))


if __name__ == "__main__":
    main(*sys.argv[1:])
