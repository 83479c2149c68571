"""A real image: Debian with python3, git and ruby, 300 MB in 15,000 entries, made once and kept.

As one layer and as five of about equal size, packed by gzip and by zstd as images usually are; each
as an OCI layout, as an OCI archive, and as an archive of docker's. Everything is below
build/bench-cache; what is there is whole, since it comes by a rename.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from .clients import HERE
from .image import add
from .lab import Missing

CACHE = os.path.join(HERE, "build", "bench-cache", "debian-1")
NAME = "bench-debian:latest"
PACKAGES = "python3,git,ruby"
NOT_KEPT = ("var/cache/apt", "var/lib/apt/lists")
PACK = {"gzip": ["gzip", "-n", "-6", "-c"], "zstd": ["zstd", "-q", "-3", "-c"]}
ENTRY_COST = 4096
"""What an entry weighs beside its bytes, when layers are to be of equal size."""
OCI = "application/vnd.oci.image."
Json = dict[str, Any]


class Image(NamedTuple):
    """Paths of one image: layers bottom first."""

    plain: list[str]
    packed: list[str]
    layout: str
    archive: str
    docker: str


def image(packing: str, layers: int) -> Image:
    """The image in one packing (gzip, zstd) and 1 or 5 layers.

    Raises:
        Missing: It is not there yet and can't be made.
    """
    os.makedirs(CACHE, exist_ok=True)
    plain = _plain(layers)
    home = os.path.join(CACHE, f"{packing}-{layers}")
    _once(home, lambda part: _layout(part, plain, packing))
    archive, docker = home + ".oci.tar", home + ".docker.tar"
    packed = _layers_of(home)
    _once(archive, lambda part: _oci_archive(part, home))
    _once(docker, lambda part: _docker_archive(part, home, packed))
    return Image(plain, packed, home, archive, docker)


def _once(path: str, make: Callable[[str], None]) -> None:
    """Make a file or a directory, unless it is there."""
    if not os.path.exists(path):
        with _part(path) as part:
            make(part)
            os.rename(part, path)


@contextlib.contextmanager
def _part(path: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="part.") as place:
        yield os.path.join(place, os.path.basename(path))


def _run(words: Sequence[str], **more: Any) -> None:
    if not shutil.which(words[0]):
        raise Missing(f"{words[0]} is not installed: it is not on the PATH")
    done = subprocess.run(words, stderr=subprocess.PIPE, check=False, **more)
    if done.returncode:
        raise Missing(f"{' '.join(words)}: {done.stderr.decode(errors='replace')[-400:]}")


def _plain(layers: int) -> list[str]:
    whole = os.path.join(CACHE, "1-0.tar")
    _once(whole, _root)
    paths = [os.path.join(CACHE, f"{layers}-{number}.tar") for number in range(layers)]
    if not all(map(os.path.exists, paths)):
        _split(whole, paths)
    return paths


def _root(path: str) -> None:
    """Plain ustar in the order of names, parents first; hard links after what they link to."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bench-debian.") as root:
        words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root]
        _run(words, stdout=subprocess.DEVNULL)
        for name in NOT_KEPT:
            shutil.rmtree(os.path.join(root, name))
            os.mkdir(os.path.join(root, name))
        words = ["tar", "-C", root, "--sort=name", "--numeric-owner", "--format=ustar"]
        _run([*words, "-cf", path, *sorted(os.listdir(root))], env={**os.environ, "LC_ALL": "C"})


def groups(members: Sequence[tarfile.TarInfo], count: int) -> list[list[tarfile.TarInfo]]:
    """Runs of members that weigh about the same; a hard link is where its target is, and before a
    run's members come the directories above them.
    """
    share = sum(member.size + ENTRY_COST for member in members) / count
    by_name = {member.name: member for member in members}
    found: list[dict[str, tarfile.TarInfo]] = [{} for _ in range(count)]
    place_of: dict[str, int] = {}
    weight = 0.0
    for member in members:
        place = min(int(weight / share), count - 1)
        weight += member.size + ENTRY_COST
        if member.islnk():
            place = place_of[member.linkname]
        place_of[member.name] = place
        parts = member.name.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            found[place].setdefault(above, by_name[above])
        found[place][member.name] = member
    return [list(group.values()) for group in found]


def _split(whole: str, paths: Sequence[str]) -> None:
    with tarfile.open(whole, "r:") as source:
        for path, group in zip(paths, groups(source.getmembers(), len(paths)), strict=True):
            with _part(path) as part:
                with tarfile.open(part, "w:", format=tarfile.USTAR_FORMAT) as tar:
                    for member in group:
                        tar.addfile(member, source.extractfile(member) if member.isreg() else None)
                os.rename(part, path)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _keep(blobs: str, path: str) -> Json:
    digest, size = _digest(path), os.path.getsize(path)
    os.rename(path, os.path.join(blobs, digest))
    return {"digest": f"sha256:{digest}", "size": size}


def _keep_json(blobs: str, document: Json, kind: str) -> Json:
    path = os.path.join(blobs, "new")
    _write(path, document)
    return {"mediaType": OCI + kind, **_keep(blobs, path)}


def _write(path: str, document: Json) -> None:
    with open(path, "w", encoding="ascii") as file:
        json.dump(document, file)


def _layout(home: str, plain: Sequence[str], packing: str) -> None:
    blobs = os.path.join(home, "blobs", "sha256")
    os.makedirs(blobs)
    layers = []
    for path in plain:
        packed = os.path.join(blobs, "new")
        with open(path, "rb") as source, open(packed, "wb") as target:
            _run(PACK[packing], stdin=source, stdout=target)
        layers.append({"mediaType": OCI + f"layer.v1.tar+{packing}", **_keep(blobs, packed)})
    machine = "amd64" if os.uname().machine == "x86_64" else "arm64"
    diff_ids = [f"sha256:{_digest(path)}" for path in plain]
    config: Json = {"architecture": machine, "os": "linux", "config": {"Cmd": ["bash"]}}
    config["rootfs"] = {"type": "layers", "diff_ids": diff_ids}
    manifest: Json = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json"}
    manifest["config"] = _keep_json(blobs, config, "config.v1+json")
    manifest["layers"] = layers
    entry = _keep_json(blobs, manifest, "manifest.v1+json")
    entry["annotations"] = {
        "org.opencontainers.image.ref.name": "latest",
        "io.containerd.image.name": f"docker.io/library/{NAME}",
    }
    _write(os.path.join(home, "index.json"), {"schemaVersion": 2, "manifests": [entry]})
    _write(os.path.join(home, "oci-layout"), {"imageLayoutVersion": "1.0.0"})


def _blob(home: str, descriptor: Json) -> str:
    return os.path.join(home, "blobs", "sha256", descriptor["digest"].partition(":")[2])


def _read(path: str) -> Json:
    with open(path, encoding="ascii") as file:
        document: Json = json.load(file)
    return document


def _manifest_of(home: str) -> Json:
    return _read(_blob(home, _read(os.path.join(home, "index.json"))["manifests"][0]))


def _layers_of(home: str) -> list[str]:
    return [_blob(home, layer) for layer in _manifest_of(home)["layers"]]


def _oci_archive(path: str, home: str) -> None:
    with tarfile.open(path, "w:") as tar:
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(os.path.join(home, name), arcname=name)


def _docker_archive(path: str, home: str, packed: Sequence[str]) -> None:
    config = _blob(home, _manifest_of(home)["config"])
    names = [f"{number}/layer.tar" for number in range(len(packed))]
    entry = {"Config": os.path.basename(config) + ".json", "RepoTags": [NAME], "Layers": names}
    with tarfile.open(path, "w:") as tar:
        tar.add(config, arcname=entry["Config"])
        for name, layer in zip(names, packed, strict=True):
            tar.add(layer, arcname=name)
        add(tar, "manifest.json", json.dumps([entry]).encode())
