"""The root that everybody starts: one static program; and the image made of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile

IMAGE = "bench:latest"


def make_root(root: str) -> None:
    """Busybox, and the directories that images have.

    Raises:
        RuntimeError: There is no static busybox.
    """
    busybox = shutil.which("busybox")
    if not busybox:
        raise RuntimeError("busybox (static) is needed for the root file system")
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "usr"):
        os.makedirs(os.path.join(root, name), mode=0o755, exist_ok=True)
    shutil.copyfile(busybox, os.path.join(root, "bin/busybox"))
    os.chmod(os.path.join(root, "bin/busybox"), 0o755)
    for name in ("sh", "true", "sleep", "cat"):
        os.symlink("busybox", os.path.join(root, "bin", name))
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(os.path.join(root, "etc", name), "wb"):
            pass
    for line, name in (("root:x:0:0:root:/root:/bin/sh\n", "passwd"), ("root:x:0:\n", "group")):
        with open(os.path.join(root, "etc", name), "w", encoding="ascii") as file:
            file.write(line)


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """A member of these bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def make_image(root: str, path: str) -> None:
    """The root as an archive that `docker load`, `podman load` and `fastbox load` read."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(root, arcname=".")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "busybox"}],  # buildah counts the layers by it
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [IMAGE], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        add(archive, name, config)
        add(archive, f"{digest}/layer.tar", layer.getvalue())
        add(archive, "manifest.json", json.dumps(manifest).encode())
