"""Images on a real store, as root: load, import, removal; hostile archives; crashes and races."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from fastbox.errors import (
    Conflict,
    DigestMismatch,
    DiskFull,
    FastboxError,
    ImageNotFound,
    IntegrityError,
    InUse,
    InvalidArgument,
    InvalidReference,
    InvalidSpec,
    ResourceExhausted,
    SizeMismatch,
    UnsafePath,
    Unsupported,
)
from fastbox.images import documents
from fastbox.images.service import Images
from fastbox.store.root import Root, write_record

from .archives import (
    INDEX,
    MANIFEST,
    blob,
    configuration,
    descriptor,
    digest,
    docker_archive,
    encode,
    index_of,
    link,
    manifest_of,
    oci_archive,
    tar,
)

pytestmark = pytest.mark.integration

BASE = tar({"bin/hello": b"#!/bin/sh\n", "etc/gone": b"x"})
TOP = tar({"etc/.wh.gone": b"", "etc/new": b"new"})


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The archives of these tests say amd64, whatever they run on."""
    monkeypatch.setattr(documents, "architecture", lambda: "amd64")


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root.open(str(tmp_path / "store"), str(tmp_path / "run"))


@pytest.fixture
def images(root: Root) -> Images:
    return Images(root)


def load(images: Images, members: dict[str, Any]) -> list[str]:
    return images.load(io.BytesIO(tar(members)))


def tree(root: Root) -> list[str]:
    """Every path of the store, so that nothing half-done goes unseen."""
    found = []
    for directory, names, files in os.walk(root.store):
        found += [
            os.path.relpath(os.path.join(directory, name), root.store) for name in names + files
        ]
    return sorted(found)


# What works.


def test_docker_archive(root: Root, images: Images) -> None:
    lines = load(images, docker_archive([BASE, TOP], ["hello:1", "x.io/a/hello:2"]))
    assert lines == ["Loaded image: hello:1", "Loaded image: x.io/a/hello:2"]
    found = images.resolve("hello:1")
    assert found.cmd == ("/bin/hello",)
    assert found.env == ("PATH=/bin",)
    assert found.labels == {"a": "b"}
    top, base = found.layers
    assert Path(base, "bin/hello").read_bytes() == b"#!/bin/sh\n"
    assert Path(top, "etc/new").read_bytes() == b"new"
    gone = os.stat(os.path.join(top, "etc/gone"), follow_symlinks=False)
    assert (gone.st_mode, gone.st_rdev) == (0o020000, 0)
    assert os.listdir(root.path("tmp")) == []
    assert images.resolve(found.id[7:15]) == found == images.resolve(found.id)
    assert images.resolve("x.io/a/hello:2").id == found.id


def test_oci_archive_equals_docker_archive(images: Images) -> None:
    assert load(images, oci_archive([BASE, TOP], "hello:1")) == ["Loaded image: hello:1"]
    one = images.resolve("hello:1")
    load(images, docker_archive([BASE, TOP], ["hello:2"]))
    assert images.resolve("hello:2") == one


@pytest.mark.parametrize("pack", ["gzip", "zstd", "plain"])
def test_packed_archives_through_a_pipe(images: Images, pack: str) -> None:
    data = tar(oci_archive([BASE], "hello"))
    if pack == "gzip":
        data = gzip.compress(data)
    elif pack == "zstd":
        data = subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout
    reader, writer = os.pipe()
    with open(writer, "wb") as file:
        if len(data) <= 65536:
            file.write(data)
    assert images.load(reader) == ["Loaded image: hello:latest"]
    os.close(reader)


def test_oci_directory(images: Images, tmp_path: Path) -> None:
    for name, data in oci_archive([BASE], "hello:1").items():
        path = tmp_path / "layout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert images.load(str(tmp_path / "layout")) == ["Loaded image: hello:1"]
    assert (tmp_path / "layout" / "index.json").exists()


def test_nested_index_picks_this_platform(images: Images) -> None:
    members: dict[str, Any] = {"oci-layout": b"{}"}
    entries = []
    for architecture in ("arm64", "amd64"):
        parts = oci_archive(
            [BASE, TOP] if architecture == "amd64" else [TOP], "", architecture=architecture
        )
        entry = json.loads(parts.pop("index.json"))["manifests"][0]
        entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
        members |= parts
    inner = index_of(*entries)
    names = {"io.containerd.image.name": "docker.io/library/multi:3"}
    outer = index_of(descriptor(INDEX, inner, annotations=names))
    assert load(images, members | blob(inner) | {"index.json": outer}) == ["Loaded image: multi:3"]
    assert len(images.resolve("multi:3").layers) == 2


def test_an_image_without_a_name(images: Images) -> None:
    (line,) = load(images, docker_archive([BASE], None))
    assert line.startswith("Loaded image ID: sha256:")
    (info,) = images.list()
    assert (info.repository, info.tag) == ("<none>", "<none>")
    images.tag(info.id, "named")
    assert [i.repository for i in images.list()] == ["named"]


def test_list_and_inspect(images: Images) -> None:
    load(images, docker_archive([BASE, TOP], ["hello:1", "other:1"]))
    assert [(i.repository, i.tag) for i in images.list("hel*")] == [("hello", "1")]
    assert {i.repository for i in images.list()} == {"hello", "other"}
    assert images.list()[0].size == len(b"#!/bin/sh\n") + 1 + 3
    found = images.inspect("hello:1")
    assert found["RepoTags"] == ["hello:1", "other:1"]
    assert found["RootFS"] == {"Type": "layers", "Layers": [digest(BASE), digest(TOP)]}
    assert found["Config"]["Cmd"] == ["/bin/hello"]  # type: ignore[index]
    by_digest = found["RepoDigests"][0]  # type: ignore[index]
    assert images.resolve(by_digest).id == found["Id"]


def test_import(root: Root, images: Images) -> None:
    archive = gzip.compress(tar({"bin/hello": b"hi"}))
    id_ = images.import_tar(
        io.BytesIO(archive), "made:1", changes=['CMD ["/bin/hello"]', "ENV A=b"], message="by hand"
    )
    found = images.resolve("made:1")
    assert (found.id, found.cmd, found.env) == (id_, ("/bin/hello",), ("A=b",))
    assert Path(found.layers[0], "bin/hello").read_bytes() == b"hi"
    assert images.inspect(id_)["Comment"] == "by hand"
    nameless = images.import_tar(io.BytesIO(tar({"a": b"b"})))
    assert images.resolve(nameless).id == nameless
    assert os.listdir(root.path("tmp")) == []


def test_a_torn_import_changes_nothing(root: Root, images: Images) -> None:
    before = tree(root)
    with pytest.raises(IntegrityError):
        images.import_tar(io.BytesIO(gzip.compress(os.urandom(9000))[:5000]))
    assert tree(root) == before


def test_moving_a_name(images: Images) -> None:
    load(images, docker_archive([BASE], ["x:1"]))
    old = images.resolve("x:1").id
    load(images, docker_archive([TOP], ["x:1"]))
    assert images.resolve("x:1").id != old
    assert [i.id for i in images.list() if i.repository == "<none>"] == [old]
    assert images.resolve(old).id == old


def test_120_layers(images: Images) -> None:
    load(images, docker_archive([tar({f"f{n}": b"x"}) for n in range(120)], ["deep"]))
    assert len(images.resolve("deep").layers) == 120


# Removal.


def test_remove_gives_everything_back(root: Root, images: Images) -> None:
    before = tree(root)
    load(images, docker_archive([BASE, TOP], ["a:1"]))
    id_ = images.resolve("a:1").id
    lines = images.remove("a:1")
    assert lines[:2] == ["Untagged: a:1", f"Deleted: {id_}"]
    assert len(lines) == 4
    assert tree(root) == before
    with pytest.raises(ImageNotFound):
        images.remove("a:1")


def test_shared_layers_stay(images: Images) -> None:
    load(images, docker_archive([BASE], ["base"]))
    load(images, docker_archive([BASE, TOP], ["both"]))
    assert len([line for line in images.remove("both") if line.startswith("Deleted")]) == 2
    assert Path(images.resolve("base").layers[0], "bin/hello").exists()


def test_several_names(images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1", "b:1"]))
    id_ = images.resolve("a:1").id
    with pytest.raises(Conflict):
        images.remove(id_)
    assert images.remove("a:1") == ["Untagged: a:1"]
    images.tag("b:1", "c:1")
    assert images.remove(id_[7:19], force=True)[:3] == [
        "Untagged: b:1",
        "Untagged: c:1",
        f"Deleted: {id_}",
    ]
    assert images.list() == []


def test_containers_keep_what_they_use(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    found = images.resolve("a:1")
    os.mkdir(root.path("containers", "c1"))
    write_record(root.path("containers", "c1", "record.json"), {"id": "c1", "image_id": found.id})
    with pytest.raises(InUse) as caught:
        images.remove("a:1", in_use=lambda image: ["c" * 64] if image == found.id else [])
    assert "c" * 12 in str(caught.value)
    images.remove("a:1", force=True, in_use=lambda _: ["c" * 64])
    assert images.list() == []
    assert Path(found.layers[0], "bin/hello").exists()
    shutil.rmtree(root.path("containers", "c1"))
    images.sweep()
    assert not os.path.exists(found.layers[0])
    assert os.listdir(root.path("blobs", "sha256")) == []


def test_damaged_records(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1", "b:1"]))
    record = Path(root.path("refs", "docker.io%2Flibrary%2Fa:1"))
    record.write_bytes(record.read_bytes()[:40])
    with pytest.raises(IntegrityError):
        images.resolve("a:1")
    assert images.resolve("b:1")
    images.sweep()
    assert images.resolve("b:1")
    assert images.remove("a:1") == ["Untagged: a:1"]


def test_a_damaged_blob_is_told_and_loading_heals_it(root: Root, images: Images) -> None:
    archive = docker_archive([BASE], ["a:1"])
    load(images, archive)
    path = root.path("blobs", "sha256", images.resolve("a:1").id[7:])
    Path(path).write_bytes(b"{}")
    with pytest.raises(IntegrityError):
        images.resolve("a:1")
    load(images, archive)
    assert images.resolve("a:1")


def test_a_missing_layer_is_told_and_loading_heals_it(images: Images) -> None:
    archive = docker_archive([BASE], ["a:1"])
    load(images, archive)
    shutil.rmtree(os.path.dirname(images.resolve("a:1").layers[0]))
    with pytest.raises(IntegrityError, match="missing"):
        images.resolve("a:1")
    load(images, archive)
    assert Path(images.resolve("a:1").layers[0], "bin/hello").exists()


# Hostile and broken archives: refused in one line, and nothing changes.


def without(members: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in members.items() if key != name}


def config_name(members: dict[str, Any]) -> str:
    return str(json.loads(members["manifest.json"])[0]["Config"])


def docker_with(**entry: Any) -> dict[str, Any]:
    members = docker_archive([BASE], ["a:1"])
    (old,) = json.loads(members["manifest.json"])
    return members | {"manifest.json": encode([old | entry])}


def oci_with_entry(**changes: Any) -> dict[str, Any]:
    members = oci_archive([BASE], "a:1")
    (entry,) = json.loads(members["index.json"])["manifests"]
    return members | {"index.json": index_of(entry | changes)}


def oci_with_manifest(**changes: Any) -> dict[str, Any]:
    members = oci_archive([BASE], "a:1")
    (entry,) = json.loads(members["index.json"])["manifests"]
    old = json.loads(members["blobs/sha256/" + entry["digest"][7:]])
    new = encode(old | changes)
    return members | blob(new) | {"index.json": index_of(descriptor(MANIFEST, new))}


def tampered(which: str) -> dict[str, Any]:
    """An OCI archive with one byte of one blob changed, its name kept."""
    members = oci_archive([BASE], "a:1")
    (entry,) = json.loads(members["index.json"])["manifests"]
    manifest = json.loads(members["blobs/sha256/" + entry["digest"][7:]])
    wanted = {
        "manifest": entry["digest"],
        "config": manifest["config"]["digest"],
        "layer": manifest["layers"][0]["digest"],
    }
    name = "blobs/sha256/" + wanted[which][7:]
    data = bytearray(members[name])
    data[4] ^= 1  # in a gzip header: the time, so that only the digest can tell
    return members | {name: bytes(data)}


def member_as(kind: str, which: str) -> dict[str, Any]:
    members = docker_archive([BASE], ["a:1"])
    name = config_name(members) if which == "config" else "0/layer.tar"
    target = {
        "symlink out": "../../../../../../etc/passwd",
        "absolute symlink": "/etc/passwd",
        "loop": name,
    }
    if kind == "fifo":
        return members | {name: link(name, "", tarfile.FIFOTYPE)}
    return members | {
        name: link(name, os.path.basename(target[kind]) if kind == "loop" else target[kind])
    }


def cycle() -> dict[str, Any]:
    """Sixteen times the same index, six levels deep: each digest is visited once."""
    members: dict[str, Any] = {"oci-layout": b"{}"}
    level = [index_of()]
    for depth in range(6):
        entries = [descriptor(INDEX, data) for data in level] * 16
        level = [index_of(*entries, descriptor(INDEX, b"x" * depth, platform={"os": "x"}))]
        members |= blob(level[0])
    members |= blob(index_of())
    return members | {"index.json": index_of(descriptor(INDEX, level[0]))}


def nested(depth: int) -> dict[str, Any]:
    members = oci_archive([BASE], "")
    data = members["index.json"]
    for _ in range(depth):
        members |= blob(data)
        data = index_of(descriptor(INDEX, data))
    return members | {"index.json": data}


def wrong_diff_ids(ids: list[str]) -> dict[str, Any]:
    return docker_archive([BASE, TOP], ["a:1"], rootfs={"type": "layers", "diff_ids": ids})


BROKEN = {
    "nothing in it": ({"x": b"y"}, InvalidArgument),
    "manifest.json not JSON": ({"manifest.json": b"{"}, InvalidSpec),
    "manifest.json deep": ({"manifest.json": b"[" * 100_000}, InvalidSpec),
    "manifest.json empty list": ({"manifest.json": b"[]"}, InvalidSpec),
    "manifest.json too large": ({"manifest.json": b" " * (5 << 20)}, ResourceExhausted),
    "no Config": (docker_with(Config=None), InvalidSpec),
    "Config absolute": (docker_with(Config="/etc/passwd"), UnsafePath),
    "Config above": (docker_with(Config="../../../../../etc/passwd"), UnsafePath),
    "Config a directory": (docker_with(Config="0"), UnsafePath),
    "Config missing": (docker_with(Config="x.json"), IntegrityError),
    "Config longer than a name": (docker_with(Config="a" * 256), UnsafePath),
    "Config with NUL": (docker_with(Config="a\0b"), UnsafePath),
    "Config a lone surrogate": (docker_with(Config="\ud800"), UnsafePath),
    "Config below a file": (docker_with(Config="manifest.json/x"), UnsafePath),
    "Layers too many": (docker_with(Layers=["0/layer.tar"] * 600), ResourceExhausted),
    "Layers too few": (docker_with(Layers=[]), InvalidSpec),
    "Layers not strings": (docker_with(Layers=[{}]), InvalidSpec),
    "tag with a space": (docker_with(RepoTags=["ok:1", "a b:1"]), InvalidReference),
    "tag as an option": (docker_with(RepoTags=["--rm"]), InvalidReference),
    "tag with escapes": (docker_with(RepoTags=["\x1b[2Ja:1"]), InvalidReference),
    "tag above": (docker_with(RepoTags=["../../a:1"]), InvalidReference),
    "config a symlink out": (member_as("symlink out", "config"), UnsafePath),
    "config a symlink to a file": (member_as("absolute symlink", "config"), UnsafePath),
    "config a loop": (member_as("loop", "config"), UnsafePath),
    "config a fifo": (member_as("fifo", "config"), UnsafePath),
    "layer a symlink out": (member_as("symlink out", "layer"), UnsafePath),
    "layer a symlink to a file": (member_as("absolute symlink", "layer"), UnsafePath),
    "layer a fifo": (member_as("fifo", "layer"), UnsafePath),
    "layer missing": (without(docker_archive([BASE], ["a:1"]), "0/layer.tar"), IntegrityError),
    "diff id wrong": (wrong_diff_ids([digest(BASE), digest(b"x")]), DigestMismatch),
    "diff ids out of order": (wrong_diff_ids([digest(TOP), digest(BASE)]), DigestMismatch),
    "diff id missing": (wrong_diff_ids([digest(BASE)]), InvalidSpec),
    "diff id extra": (wrong_diff_ids([digest(BASE), digest(TOP), digest(TOP)]), InvalidSpec),
    "diff id a path": (wrong_diff_ids([digest(BASE), "sha256:../../../../etc"]), InvalidSpec),
    "another system": (docker_archive([BASE], ["a:1"], os="windows"), Unsupported),
    "manifest tampered": (tampered("manifest"), DigestMismatch),
    "config tampered": (tampered("config"), DigestMismatch),
    "layer tampered": (tampered("layer"), DigestMismatch),
    "manifest's size wrong": (oci_with_entry(size=5), SizeMismatch),
    "manifest too large": (oci_with_entry(size=5 << 20), SizeMismatch),
    "manifest of another type": (oci_with_entry(mediaType=INDEX), InvalidSpec),
    "manifest of no type": (oci_with_entry(mediaType="text/plain"), InvalidSpec),
    "entry with a digest as a path": (
        oci_with_entry(digest="sha256:../../../../../etc/passwd"),
        InvalidSpec,
    ),
    "name refused": (
        oci_with_entry(annotations={"org.opencontainers.image.ref.name": "a b"}),
        InvalidReference,
    ),
    "manifests and layers": (oci_with_manifest(manifests=[]), InvalidSpec),
    "media types disagree": (oci_with_manifest(mediaType=INDEX), InvalidSpec),
    "layer not in the archive": (
        oci_with_manifest(
            layers=[
                descriptor(
                    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                    b"x",
                    urls=["http://127.0.0.1:1/"],
                )
            ]
        ),
        IntegrityError,
    ),
    "not an image": (oci_with_manifest(config=descriptor("application/wasm", b"x")), InvalidSpec),
    "16^6 manifests": (cycle(), Unsupported),
    "nested too deep": (nested(9), ResourceExhausted),
    "too many entries": (
        {"index.json": index_of(*[descriptor(MANIFEST, b"x")] * 10_001)},
        ResourceExhausted,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_archives(root: Root, images: Images, case: str) -> None:
    members, wanted = BROKEN[case]
    load(images, docker_archive([TOP], ["there:1"]))
    before, start = tree(root), time.monotonic()
    with pytest.raises(FastboxError) as caught:
        load(images, members)
    assert time.monotonic() - start < 5
    assert isinstance(caught.value, wanted), repr(caught.value)
    assert str(caught.value).isprintable()
    assert tree(root) == before
    assert images.resolve("there:1")


def test_symlinks_within_the_archive_work(images: Images) -> None:
    """Old versions of docker saved a repeated layer as a link."""
    members = docker_archive([BASE, BASE], ["a:1"])
    members["1/layer.tar"] = link("1/layer.tar", "../0/layer.tar")
    assert load(images, members) == ["Loaded image: a:1"]
    assert len(images.resolve("a:1").layers) == 2


def test_hard_links_within_the_archive_work(images: Images) -> None:
    members = docker_archive([BASE, BASE], ["a:1"])
    members["1/layer.tar"] = link("1/layer.tar", "0/layer.tar", tarfile.LNKTYPE)
    assert load(images, members) == ["Loaded image: a:1"]


def test_no_platform_lists_those_present(images: Images) -> None:
    members = oci_with_entry(platform={"os": "linux", "architecture": "s390x"})
    with pytest.raises(Unsupported, match="present: linux/s390x"):
        load(images, members)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_torn_anywhere(root: Root, images: Images, pack: Any) -> None:
    data, before = pack(tar(oci_archive([os.urandom(3000) and BASE, TOP], "a:1"))), tree(root)
    step = max(1, len(data) // 40)
    end = data.rstrip(b"\0")  # a tar may lack its padding
    for length in range(0, len(end) - 1, step):
        with pytest.raises(FastboxError) as caught:
            images.load(io.BytesIO(data[:length]))
        assert "\n" not in str(caught.value)
    assert tree(root) == before


def test_layers_that_reach_out(root: Root, images: Images, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_bytes(b"x")
    evil = {"a": link("a", str(tmp_path)), "a/canary": b"overwritten", "../canary": b"overwritten"}
    try:
        load(images, docker_archive([tar(evil)], ["evil:1"]))
    except IntegrityError:
        assert os.listdir(root.path("layers")) == []
    assert canary.read_bytes() == b"x"
    assert not os.path.exists(root.path("canary"))


# Crashes, races, full disks.


def worker(root: Root, archive: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys\n"
        "from fastbox.images import documents\n"
        "from fastbox.images.service import Images\n"
        "from fastbox.store.root import Root\n"
        "documents.architecture = lambda: 'amd64'\n"
        "print(*Images(Root.open(sys.argv[1], sys.argv[2])).load(sys.argv[3]), sep='\\n')\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, root.store, root.run, str(archive)], stdout=subprocess.PIPE
    )


def big_archive(path: Path) -> Path:
    layers = [tar({f"d{n}/f{m}": os.urandom(2000) for m in range(300)}) for n in range(4)]
    path.write_bytes(tar(docker_archive(layers, ["big:1"])))
    return path


def test_two_loads_at_once(root: Root, images: Images, tmp_path: Path) -> None:
    archive = big_archive(tmp_path / "big.tar")
    workers = [worker(root, archive) for _ in range(4)]
    for one in workers:
        out, _ = one.communicate(timeout=60)
        assert (one.returncode, out) == (0, b"Loaded image: big:1\n")
    assert len(images.resolve("big:1").layers) == 4
    assert os.listdir(root.path("tmp")) == []
    images.remove("big:1")
    assert os.listdir(root.path("layers")) == os.listdir(root.path("blobs", "sha256")) == []


def test_killed_at_any_instant(root: Root, images: Images, tmp_path: Path) -> None:
    archive = big_archive(tmp_path / "big.tar")
    load(images, docker_archive([TOP], ["there:1"]))
    started = time.monotonic()
    worker(root, archive).communicate(timeout=60)
    whole = time.monotonic() - started
    images.remove("big:1")
    for n in range(12):
        one = worker(root, archive)
        time.sleep(whole * (0.2 + 0.8 * n / 12))
        one.send_signal(signal.SIGKILL)
        one.communicate(timeout=60)
        assert images.resolve("there:1")
        for info in images.list():
            for layer in images.resolve(info.id).layers:
                assert os.path.isdir(layer)
                assert os.path.exists(os.path.join(os.path.dirname(layer), "record.json"))
    load(images, docker_archive([BASE], ["after:1"]))
    assert os.listdir(root.path("tmp")) == []
    for name in [f"{i.repository}:{i.tag}" for i in images.list()]:
        images.remove(name)
    assert os.listdir(root.path("layers")) == os.listdir(root.path("blobs", "sha256")) == []


def test_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", small], check=True)
    try:
        root = Root.open(str(small / "store"), str(tmp_path / "run"))
        images = Images(root)
        load(images, docker_archive([BASE], ["small:1"]))
        before = tree(root)
        archive = big_archive(tmp_path / "big.tar")
        with pytest.raises(DiskFull) as caught:
            images.load(str(archive))
        assert "no space left" in str(caught.value)
        assert root.store in str(caught.value)
        assert tree(root) == before
        subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
        assert images.load(str(archive)) == ["Loaded image: big:1"]
    finally:
        subprocess.run(["umount", small], check=True)


# Other tools.


@pytest.fixture
def busybox(tmp_path: Path) -> Path:
    """A directory that skopeo reads: busybox as an OCI layout made by umoci."""
    layout = tmp_path / "layout"
    bundle = tmp_path / "bundle"
    for command in (
        ["umoci", "init", "--layout", layout],
        ["umoci", "new", "--image", f"{layout}:bb"],
        ["umoci", "unpack", "--image", f"{layout}:bb", bundle],
    ):
        subprocess.run(command, check=True, capture_output=True)
    os.mkdir(bundle / "rootfs" / "bin")
    shutil.copy(str(shutil.which("busybox")), bundle / "rootfs" / "bin" / "busybox")
    os.symlink("busybox", bundle / "rootfs" / "bin" / "sh")
    for command in (
        ["umoci", "repack", "--image", f"{layout}:bb", bundle],
        ["umoci", "config", "--image", f"{layout}:bb", "--config.cmd", "/bin/sh"],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return layout


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_archives_of_other_tools(root: Root, images: Images, busybox: Path, tmp_path: Path) -> None:
    assert images.load(str(busybox)) == ["Loaded image: bb:latest"]
    skopeo("copy", f"oci:{busybox}:bb", f"docker-archive:{tmp_path}/d.tar:bb:docker")
    skopeo("copy", f"oci:{busybox}:bb", f"oci-archive:{tmp_path}/o.tar:bb:oci")
    assert images.load(f"{tmp_path}/d.tar") == ["Loaded image: bb:docker"]
    assert images.load(f"{tmp_path}/o.tar") == ["Loaded image: bb:oci"]
    trees = {images.resolve(name).layers for name in ("bb", "bb:docker", "bb:oci")}
    assert len(trees) == 1
    assert images.resolve("bb:docker").cmd == ("/bin/sh",)
    found = json.loads(skopeo("inspect", "--override-os=linux", f"oci:{root.store}:bb:latest"))
    assert found["Architecture"] == images.inspect("bb")["Architecture"]
    for name in ("latest", "docker", "oci"):
        skopeo("copy", f"oci:{root.store}:bb:{name}", f"oci:{tmp_path}/out:{name}")


def test_a_config_of_the_seldom_kind(images: Images) -> None:
    config = configuration([BASE], config={"Cmd": "one", "Entrypoint": [], "User": None})
    manifest = manifest_of([BASE], [gzip.compress(BASE)], config)
    members = blob(config) | blob(manifest) | blob(gzip.compress(BASE))
    load(images, members | {"index.json": index_of(descriptor(MANIFEST, manifest))})
    (info,) = images.list()
    assert images.resolve(info.id).cmd == ("one",)
