"""The store's commands: save, history, filters, prunes, df; other tools read what is saved."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastbox.engine import Engine
from fastbox.errors import (
    Conflict,
    DigestMismatch,
    DiskFull,
    ImageNotFound,
    IntegrityError,
    InUse,
    InvalidArgument,
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
    oci_archive,
    tar,
)

pytestmark = pytest.mark.integration

BASE = tar({"bin/hello": b"#!/bin/sh\n", "etc/gone": b"x"})
TOP = tar({"etc/.wh.gone": b"", "etc/new": b"new"})
OTHER = tar({"other": b"other" * 1000})


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "architecture", lambda: "amd64")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.open(root=str(tmp_path / "store"), run=str(tmp_path / "run")) as engine:
        yield engine


@pytest.fixture
def root(engine: Engine) -> Root:
    return engine.root


@pytest.fixture
def images(engine: Engine) -> Images:
    return engine.images


@pytest.fixture
def busybox(box: Any, tmp_path: Path) -> str:
    """An archive of the session's busybox."""
    path = str(tmp_path / "busybox.tar")
    box("save", "-o", path, "busybox")
    return path


def load(images: Images, members: dict[str, Any], **options: str) -> list[str]:
    return images.load(io.BytesIO(tar(members)), **options)


def command(root: Root, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    return subprocess.run(
        ["fastbox", *words], capture_output=True, text=True, env=environ, check=False, **options
    )


def zstd_archive(name: str) -> dict[str, Any]:
    """An OCI archive of one plain, one gzip and one zstd layer."""
    found = oci_archive([BASE, TOP, OTHER], name)
    config = configuration([BASE, TOP, OTHER])
    packed = subprocess.run(["zstd", "-c"], input=OTHER, capture_output=True, check=True).stdout
    gzipped = next(d for n, d in found.items() if d[:2] == b"\x1f\x8b" and _ungzip(d) == TOP)
    layers = [
        descriptor("application/vnd.oci.image.layer.v1.tar", BASE),
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", gzipped),
        descriptor("application/vnd.oci.image.layer.v1.tar+zstd", packed),
    ]
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": layers,
        }
    )
    annotations = {"org.opencontainers.image.ref.name": name}
    members: dict[str, Any] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    for data in (config, manifest, BASE, gzipped, packed):
        members |= blob(data)
    return members | {
        "index.json": index_of(descriptor(MANIFEST, manifest, annotations=annotations))
    }


def _ungzip(data: bytes) -> bytes:
    import gzip

    return gzip.decompress(data)


def members_of(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {
            info.name: archive.extractfile(info).read()  # type: ignore[union-attr]
            for info in archive
            if info.isfile()
        }


# save


def test_a_saved_archive_is_both_formats(images: Images, tmp_path: Path) -> None:
    load(images, docker_archive([BASE, TOP], ["hello:1", "x.io/a/hello:2"]))
    load(images, docker_archive([BASE, OTHER], ["other:1"]))
    images.save(["hello:1", "other", "x.io/a/hello:2"], str(tmp_path / "a.tar"))
    found = members_of(tmp_path / "a.tar")
    assert list(found) == sorted(found)
    for name, data in found.items():
        if name.startswith("blobs/"):
            assert name == "blobs/sha256/" + hashlib.sha256(data).hexdigest()
    described = json.loads(found["manifest.json"])
    assert [image["RepoTags"] for image in described] == [
        ["hello:1", "x.io/a/hello:2"],
        ["other:1"],
    ]
    for image in described:
        assert image["Config"] in found
        assert all(layer in found for layer in image["Layers"])
    index = json.loads(found["index.json"])
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    assert names == [
        "docker.io/library/hello:1",
        "x.io/a/hello:2",
        "docker.io/library/other:1",
    ]
    assert json.loads(found["repositories"])["hello"]["1"] == digest(TOP)[7:]
    assert os.stat(tmp_path / "a.tar").st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path / "store/tmp") == []


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_what_is_saved_can_be_loaded(engine: Engine, tmp_path: Path, form: str) -> None:
    load(engine.images, zstd_archive("hello:1"))
    target = str(tmp_path / "saved")
    engine.images.save(["hello:1"], target, format=form)
    with Engine.open(root=str(tmp_path / "two"), run=str(tmp_path / "run2")) as other:
        assert other.images.load(target) == ["Loaded image: hello:1"]
        assert other.images.inspect("hello:1")["Id"] == engine.images.inspect("hello:1")["Id"]
        ours, theirs = (
            [i.digest for i in images.list()] for images in (engine.images, other.images)
        )
        assert ours == theirs  # the manifest, and so the packed bytes, are the same
        again = str(tmp_path / "again")
        other.images.save(["hello:1"], again, format=form)
        if form != "oci-dir":
            assert Path(again).read_bytes() == Path(target).read_bytes()
        assert list(other.system.check()) == []


def test_which_images_a_reference_means(images: Images, tmp_path: Path) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    load(images, docker_archive([TOP], ["a:2"]))
    (one, two) = (images.inspect(name) for name in ("a:1", "a:2"))

    def saved(*references: str) -> list[Any]:
        images.save(references, str(tmp_path / "x.tar"))
        found = json.loads(members_of(tmp_path / "x.tar")["manifest.json"])
        return [image["RepoTags"] for image in found]

    assert saved("a") == [["a:1"], ["a:2"]]  # every tag of the repository, as docker
    assert saved("a:2") == [["a:2"]]
    assert saved(str(one["Id"])) == [None]
    assert saved(str(two["Id"])[7:20]) == [None]
    assert saved(str(one["RepoDigests"][0])) == [None]  # type: ignore[index]
    assert saved(str(one["Id"]), "a:1", "a:1") == [["a:1"]]
    with pytest.raises(ImageNotFound):
        images.save(["a", "b"], str(tmp_path / "y.tar"))
    with pytest.raises(ImageNotFound, match="linux/amd64, not for linux/arm64"):
        images.save(["a"], str(tmp_path / "y.tar"), platform="arm64")
    with pytest.raises(InvalidArgument):
        images.save(["a"], str(tmp_path / "y.tar"), format="zip")
    assert not (tmp_path / "y.tar").exists()


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
@pytest.mark.parametrize("harm", ["flipped", "longer", "missing"])
def test_a_damaged_blob_is_not_saved(
    root: Root, images: Images, tmp_path: Path, form: str, harm: str
) -> None:
    load(images, zstd_archive("hello:1"))
    out = tmp_path / "out"
    out.mkdir()
    (out / "there").write_bytes(b"old")
    for name in os.listdir(root.path("blobs", "sha256")):
        path = Path(root.path("blobs", "sha256", name))
        data = path.read_bytes()
        if harm == "flipped":
            path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        elif harm == "longer":
            path.write_bytes(data + b"x")
        else:
            path.unlink()
        with pytest.raises(IntegrityError):
            images.save(["hello:1"], str(out / "new"), format=form)
        if form != "oci-dir":
            with pytest.raises(IntegrityError):
                images.save(["hello:1"], str(out / "there"), format=form)
        assert os.listdir(out) == ["there"]
        assert (out / "there").read_bytes() == b"old"
        path.write_bytes(data)


def test_save_to_odd_places(
    root: Root, images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    images.save(["a:1"], str(tmp_path / "a.tar"))
    wanted = (tmp_path / "a.tar").read_bytes()
    streamed = subprocess.run(
        ["fastbox", "save", "a:1"],
        capture_output=True,
        check=True,
        env={**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run},
    )
    assert streamed.stdout == wanted
    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.chdir(tmp_path)
    images.save(["a:1"], "old")
    assert (tmp_path / "old").read_bytes() == wanted
    images.save(["a:1"], "/dev/null")
    with pytest.raises(InvalidArgument):
        images.save(["a:1"], str(tmp_path))
    with pytest.raises(InvalidArgument):
        images.save(["a:1"], str(tmp_path / "no" / "where"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    with pytest.raises(Conflict):
        images.save(["a:1"], str(tmp_path / "full"), format="oci-dir")
    with pytest.raises(InvalidArgument):
        images.save(["a:1"], 1, format="oci-dir")
    (tmp_path / "empty").mkdir()
    images.save(["a:1"], str(tmp_path / "empty"), format="oci-dir")
    assert sorted(os.listdir(tmp_path)) == [
        "a.tar", "empty", "full", "old", "run", "store",
    ]  # fmt: skip
    script = "set -o pipefail; fastbox save a:1 | head -c 100 >/dev/null"
    big = docker_archive([tar({"big": os.urandom(1 << 20)})], ["a:1"])
    load(images, big)
    environ = {**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (141, b"")
    # A terminal is refused.
    main, side = os.openpty()
    done = subprocess.run(
        ["fastbox", "save", "a:1"],
        stdout=side,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run},
        check=False,
    )
    os.close(main)
    os.close(side)
    assert done.returncode == 125
    assert "terminal" in done.stderr


def test_a_killed_save_leaves_nothing(root: Root, images: Images, tmp_path: Path) -> None:
    load(images, docker_archive([tar({"big": os.urandom(60 << 20)})], ["big:1"]))
    out = tmp_path / "out"
    out.mkdir()
    environ = {**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    for n in range(8):
        one = subprocess.Popen(["fastbox", "save", "-o", str(out / "x"), "big:1"], env=environ)
        time.sleep(0.03 * (n + 1))
        one.send_signal(signal.SIGKILL)
        one.wait(60)
        for name in os.listdir(out):  # it was whole before the signal came
            assert name == "x"
            assert len(members_of(out / name)) >= 6
            os.unlink(out / name)


def test_save_onto_a_full_disk(images: Images, tmp_path: Path) -> None:
    load(images, docker_archive([tar({"big": os.urandom(4 << 20)})], ["big:1"]))
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        for form in ("docker-archive", "oci-dir"):
            with pytest.raises(DiskFull):
                images.save(["big:1"], str(small / "x"), format=form)
            assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", small], check=True)


# Other tools read it.


def run(*words: str, **options: Any) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def test_docker_loads_what_is_saved(images: Images, docker: Any, tmp_path: Path) -> None:
    load(images, zstd_archive("zipped:1"))
    load(images, docker_archive([BASE, OTHER], ["plain:1", "plain:2"]))
    images.save(["zipped:1", "plain"], str(tmp_path / "a.tar"))
    out = docker("load", "-i", str(tmp_path / "a.tar")).stdout.decode()
    assert sorted(re.findall("Loaded image: (.*)", out)) == ["plain:1", "plain:2", "zipped:1"]
    for name in ("zipped:1", "plain:1"):
        (theirs,) = json.loads(docker("image", "inspect", name).stdout)
        ours = images.inspect(name)
        assert theirs["Id"] == ours["Id"]
        assert theirs["RootFS"] == ours["RootFS"]
        assert theirs["Size"] == ours["Size"]
        # Every member of docker's object is there, and of the same type.
        assert set(theirs) <= set(ours)
        assert set(theirs["Config"]) <= set(ours["Config"])
        assert set(theirs["GraphDriver"]["Data"]) <= set(ours["GraphDriver"]["Data"])
        assert theirs["Config"] == ours["Config"]
        for key, value in theirs.items():
            assert type(value) is type(ours[key]), key
    # And back.
    docker("save", "-o", str(tmp_path / "b.tar"), "plain:1")
    docker("rmi", "zipped:1", "plain:1", "plain:2")
    before = images.inspect("plain:1")["Id"]
    images.remove("plain:2")
    images.remove("plain:1")
    assert images.load(str(tmp_path / "b.tar")) == ["Loaded image: plain:1"]
    assert images.inspect("plain:1")["Id"] == before


def test_history_is_dockers(root: Root, images: Images, docker: Any, tmp_path: Path) -> None:
    steps = [
        {"created": "2026-01-02T03:04:05Z", "created_by": "/bin/sh -c #(nop) ADD file:abc in / "},
        {"created": "2026-01-02T03:04:06Z", "created_by": "ENV A=b", "empty_layer": True},
        {"created": "2026-01-02T03:04:07Z", "created_by": "RUN\tx " * 30, "comment": "buildkit"},
    ]
    load(images, docker_archive([BASE, OTHER], ["old:1"], history=steps))
    images.save(["old:1"], str(tmp_path / "a.tar"))
    docker("load", "-i", str(tmp_path / "a.tar"))
    try:
        for flags in ([], ["--no-trunc"], ["-q"], ["-H=false"], ["--format", "{{json .}}"],
                      ["--format", "{{.ID}} {{.CreatedAt}} {{.CreatedBy}} {{.Size}} {{.Comment}}"],
                      ["--format", "table {{.ID}}\t{{.Size}}"]):  # fmt: skip
            theirs = docker("history", *flags, "old:1").stdout.decode()
            ours = command(root, "history", *flags, "old:1").stdout
            if "json" in str(flags):
                decode = [json.loads(line) for line in theirs.splitlines()]
                assert [json.loads(line) for line in ours.splitlines()] == decode
            else:
                assert [line.rstrip() for line in ours.splitlines()] == [
                    line.rstrip() for line in theirs.splitlines()
                ], flags
    finally:
        docker("rmi", "old:1")
    assert command(root, "history", "nope").returncode == 125
    refused = command(root, "image", "history", "--platform", "linux/s390x", "old:1")
    assert "is for linux/amd64, not for linux/s390x" in refused.stderr


def test_skopeo_and_umoci_read_it(root: Root, images: Images, tmp_path: Path) -> None:
    load(images, zstd_archive("zipped:1"))
    load(images, docker_archive([BASE, TOP], ["plain:1"]))
    hybrid, plain, layout = (str(tmp_path / name) for name in ("a.tar", "b.tar", "layout"))
    images.save(["zipped:1", "plain:1"], hybrid)
    images.save(["plain:1"], plain, format="oci-archive")
    images.save(["zipped:1", "plain:1"], layout, format="oci-dir")
    for source in (
        f"docker-archive:{hybrid}:plain:1",
        f"docker-archive:{hybrid}:zipped:1",
        f"oci-archive:{hybrid}:plain:1",
        f"oci-archive:{hybrid}:zipped:1",
        f"oci-archive:{plain}",
        f"oci:{layout}:plain:1",
        f"oci:{root.store}:zipped:1",
        f"oci:{root.store}:plain:1",
    ):
        copy = tmp_path / "copy"
        run("skopeo", "copy", source, f"oci:{copy}:x")
        config = json.loads(run("skopeo", "inspect", "--config", f"oci:{copy}:x"))
        ours = images.inspect("zipped:1" if "zipped" in source else "plain:1")
        assert config["rootfs"]["diff_ids"] == ours["RootFS"]["Layers"], source  # type: ignore[index]
        run("rm", "-r", str(copy))
    run("umoci", "unpack", "--image", f"{layout}:plain:1", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/etc/new").read_bytes() == b"new"
    assert not (tmp_path / "bundle/rootfs/etc/gone").exists()


def test_podman_loads_it(images: Images, tmp_path: Path) -> None:
    load(images, zstd_archive("zipped:1"))
    images.save(["zipped:1"], str(tmp_path / "a.tar"))
    with tempfile.TemporaryDirectory(prefix="fastbox-p-", dir="/var/tmp") as base:
        podman = ["podman", f"--root={base}/p", f"--runroot={base}/r", "--storage-driver=vfs"]
        out = run(*podman, "load", "-q", "-i", str(tmp_path / "a.tar"))
        assert "zipped:1" in out
        (found,) = json.loads(run(*podman, "image", "inspect", "zipped:1"))
        assert "sha256:" + found["Id"] == images.inspect("zipped:1")["Id"]
        run(*podman, "rmi", "-a", "-f")


# Platforms


def two_platforms() -> dict[str, Any]:
    """An image for arm64 and one for s390x below a nested index, under one name."""
    members: dict[str, Any] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    entries = []
    for machine, layer in (("arm64", BASE), ("s390x", TOP)):
        found = oci_archive([layer], "", architecture=machine)
        (entry,) = json.loads(found.pop("index.json"))["manifests"]
        entries.append(entry | {"platform": {"os": "linux", "architecture": machine}})
        members |= found
    nested = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    annotations = {"org.opencontainers.image.ref.name": "multi:1"}
    index = index_of(descriptor(INDEX, nested, annotations=annotations))
    return members | blob(nested) | {"index.json": index}


def test_platforms(root: Root, images: Images, tmp_path: Path) -> None:
    (tmp_path / "multi.tar").write_bytes(tar(two_platforms()))
    archive = str(tmp_path / "multi.tar")
    with pytest.raises(Unsupported, match="present: linux/arm64, linux/s390x"):
        images.load(archive)
    with pytest.raises(Unsupported, match="no image for linux/ppc64le"):
        images.load(archive, platform="linux/ppc64le")
    assert images.load(archive, platform="linux/s390x") == ["Loaded image: multi:1"]
    assert images.inspect("multi:1")["Architecture"] == "s390x"
    assert images.load(archive, platform="linux/arm64/v8") == ["Loaded image: multi:1"]
    assert images.inspect("multi:1", platform="arm64")["Architecture"] == "arm64"
    for call in (images.inspect, images.history, images.remove):
        with pytest.raises(ImageNotFound, match="is for linux/arm64, not for linux/amd64"):
            call("multi:1", platform="linux/amd64")  # type: ignore[operator]
    done = command(root, "image", "inspect", "--platform", "linux/amd64", "multi:1")
    assert (done.returncode, done.stdout) == (1, "[]\n")
    assert len(done.stderr.splitlines()) == 2
    images.remove("multi:1", platform="linux/arm64")
    with pytest.raises(InvalidArgument):
        images.load(archive, platform="a/b/c/d")


def test_platforms_of_docker_archives_and_imports(images: Images) -> None:
    members = docker_archive([BASE], ["a:1"], architecture="arm64")
    with pytest.raises(Unsupported):
        load(images, members, platform="linux/amd64")
    assert load(images, members, platform="linux/arm64") == ["Loaded image: a:1"]
    images.import_tar(io.BytesIO(BASE), "b", platform="linux/arm/v7", message="by hand")
    found = images.inspect("b")
    assert (found["Os"], found["Architecture"], found["Variant"]) == ("linux", "arm", "v7")
    assert found["Comment"] == "by hand"
    with pytest.raises(Unsupported):
        images.import_tar(io.BytesIO(BASE), "c", platform="windows/amd64")


# Lists and removal


def names(found: list[Any]) -> list[str]:
    return sorted(f"{info.repository}:{info.tag}" for info in found)


def test_filters_of_images(images: Images) -> None:
    load(images, docker_archive([BASE], ["old:1"], created="2025-01-01T00:00:00Z"))
    load(images, docker_archive([TOP], ["mid:1", "mid:2"], created="2025-06-01T00:00:00Z"))
    config = {"Labels": {"a": "b", "k": "v"}}
    load(images, docker_archive([OTHER], ["new:1"], created="2026-01-01T00:00:00Z", config=config))
    nameless = docker_archive([BASE, TOP], None, created="2025-03-01T00:00:00Z", config={})
    load(images, nameless)

    def found(*filters: str, pattern: str = "") -> list[str]:
        return names(images.list(pattern, filters=filters))

    everything = ["<none>:<none>", "mid:1", "mid:2", "new:1", "old:1"]
    assert found() == everything
    assert found("dangling=true") == ["<none>:<none>"]
    assert found("dangling=false") == everything[1:]
    assert found("label=a") == ["mid:1", "mid:2", "new:1", "old:1"]
    assert found("label=a=b", "label=k=v") == ["new:1"]
    assert found("before=mid:1") == ["<none>:<none>", "old:1"]
    assert found("since=old:1") == ["<none>:<none>", "mid:1", "mid:2", "new:1"]
    assert found("since=old:1", "before=new:1") == ["<none>:<none>", "mid:1", "mid:2"]
    assert found("until=2025-02-01") == ["old:1"]
    assert found("reference=m*") == ["mid:1", "mid:2"]
    assert found("reference=*:1", "reference=mid") == ["mid:1", "mid:2", "new:1", "old:1"]
    assert found("dangling=false", pattern="mid:2") == ["mid:2"]
    for wrong in ("x=y", "dangling=maybe", "label", "until=soon"):
        with pytest.raises(InvalidArgument):
            found(wrong)
    with pytest.raises(ImageNotFound):
        found("before=nope")


def test_lists_are_dockers(root: Root, images: Images, docker: Any, tmp_path: Path) -> None:
    load(images, docker_archive([BASE], ["listed:1", "listed:2"], created="2026-01-02T03:04:05Z"))
    images.save(["listed"], str(tmp_path / "a.tar"))
    docker("load", "-i", str(tmp_path / "a.tar"))
    try:
        for flags in ([], ["-q"], ["--no-trunc"], ["-q", "--no-trunc"], ["-a"],
                      ["--format", "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}} {{.CreatedAt}} "
                       "{{.CreatedSince}} {{.VirtualSize}} {{.Containers}} {{.SharedSize}}"],
                      ["--format", "table {{.ID}}\t{{.Repository}}:{{.Tag}}"],
                      ["--filter", "reference=list*:2"], ["--filter", "dangling=true"],
                      ["--filter", "label=a=b"], ["--filter", "label=a=c"]):  # fmt: skip
            words = ["images", *flags, *([] if "--filter" in flags else ["listed"])]
            theirs = docker(*words).stdout.decode()
            ours = command(root, *words).stdout
            lines = [[line.rstrip() for line in text.splitlines()] for text in (ours, theirs)]
            assert lines[0] == lines[1], flags
        theirs = docker("images", "--format", "{{json .}}", "listed").stdout.decode()
        ours = command(root, "images", "--format", "json", "listed").stdout
        for our, their in zip(ours.splitlines(), theirs.splitlines(), strict=True):
            mine, other = json.loads(our), json.loads(their)
            assert set(mine) == set(other)
            del mine["Digest"], other["Digest"]  # docker 20.10 knows none of a loaded image
            assert mine == other
    finally:
        docker("rmi", "listed:1", "listed:2")


def test_removal(engine: Engine, root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    load(images, docker_archive([TOP], ["b:1", "b:2"]))
    identity = str(images.inspect("b:1")["Id"])
    done = command(root, "rmi", "nope", "b:2", "nah")
    assert done.returncode == 1
    assert done.stdout == "Untagged: b:2\n"
    assert done.stderr.count("no such image") == 2
    assert command(root, "rmi", "-f", "nope").returncode == 0
    done = command(root, "rmi", "--no-prune", "b:1", "a:1")
    assert done.stdout.startswith(f"Untagged: b:1\nDeleted: {identity}\n")
    assert images.list() == []


def test_force_spares_what_runs(engine: Engine, root: Root, images: Images, busybox: str) -> None:
    images.load(busybox)
    identity = str(images.inspect("busybox")["Id"])
    with engine.run("busybox", ["sleep", "600"]) as container:
        done = command(root, "rmi", identity)
        assert "containers use it" in done.stderr
        done = command(root, "rmi", "-f", identity)
        assert (done.returncode, done.stdout) == (1, "")
        assert "containers run from it" in done.stderr
        done = command(root, "rmi", "-f", "busybox")
        assert (done.returncode, done.stdout) == (0, "Untagged: busybox:latest\n")
        assert names(images.list()) == ["<none>:<none>"]
        assert command(root, "image", "prune", "-a", "-f").stdout == "Total reclaimed space: 0B\n"
        assert command(root, "container", "prune", "-f").stdout == "Total reclaimed space: 0B\n"
        assert container.exec(["ls", "/bin/busybox"]).check().stdout == b"/bin/busybox\n"
    pruned = images.prune()
    assert pruned.lines[0] == f"deleted: {identity}"
    assert os.listdir(root.path("layers")) == []


# Prunes


def test_image_prune(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1"], created="2025-01-01T00:00:00Z"))
    load(images, docker_archive([BASE, OTHER], ["a:1"], created="2026-01-01T00:00:00Z"))
    load(images, docker_archive([TOP], ["b:1"], config={"Labels": {"keep": "yes"}}))
    kept = os.path.basename(images.inspect("a:1")["GraphDriver"]["Data"]["LowerDir"])  # type: ignore[index]
    assert kept == "tree"
    for wrong in (["x=y"], ["until=soon"]):
        with pytest.raises(InvalidArgument):
            images.prune(filters=wrong)
    assert images.prune(filters=["until=2024-01-01"]).lines == ()
    before = int(run("du", "-s", "--block-size=1", root.store).split()[0])
    done = command(root, "image", "prune", input="n\n")
    assert done.stdout == (
        "WARNING! This will remove all dangling images.\nAre you sure you want to continue? [y/N] "
    )
    assert len(images.list()) == 3
    done = command(root, "image", "prune", input="y\n")
    assert "Deleted Images:\ndeleted: sha256:" in done.stdout
    assert done.stdout.count("deleted:") == 1  # its layer is the other image's, too
    assert names(images.list()) == ["a:1", "b:1"]
    assert done.stdout.splitlines()[-1].startswith("Total reclaimed space: ")
    pruned = images.prune(all=True, filters=["label!=keep"])
    assert pruned.lines[0] == "untagged: a:1"
    assert names(images.list()) == ["b:1"]
    done = command(root, "image", "prune", "-a", "-f")
    assert "untagged: b:1" in done.stdout
    after = int(run("du", "-s", "--block-size=1", root.store).split()[0])
    assert before - after >= pruned.reclaimed > len(OTHER)
    assert os.listdir(root.path("layers")) == os.listdir(root.path("blobs", "sha256")) == []


def test_container_and_system_prune(box: Any, root: Root, busybox: str) -> None:
    place = {"FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    box("load", "-i", busybox, **place)
    box(
        "run",
        "--name",
        "done",
        "busybox",
        "dd",
        "if=/dev/zero",
        "of=/x",
        "bs=1M",
        "count=3",
        **place,
    )
    box("create", "--name", "made", "--label", "keep=1", "busybox", "true", **place)
    box("run", "-d", "--name", "up", "busybox", "sleep", "600", **place)
    ids = {
        name: json.loads(box("inspect", name, **place).stdout)[0]["Id"]
        for name in ("done", "made", "up")
    }
    out = box("container", "prune", "-f", "--filter", "label!=keep", **place).stdout
    assert out.startswith(f"Deleted Containers:\n{ids['done']}\n\nTotal reclaimed space: ")
    assert float(re.findall(r"([\d.]+)MB", out)[0]) >= 3.1
    assert box("container", "prune", "-f", "--filter", "until=1h", **place).stdout.startswith(
        "Total"
    )
    text = box(
        "system", "prune", "-a", "--volumes", "--filter", "label=keep", stdin=b"n\n", **place
    )
    assert (
        "  - all stopped containers\n"
        "  - all networks not used by at least one container\n"
        "  - all anonymous volumes not used by at least one container\n"
        "  - all images without at least one"
    ) in text.stdout
    assert "filtered with:\n  - label=keep\n" in text.stdout
    assert len(box("ps", "-aq", **place).stdout.split()) == 2
    out = box("system", "prune", "-a", "-f", **place).stdout
    assert out.startswith(f"Deleted Containers:\n{ids['made']}\n\nTotal reclaimed space: ")
    assert "busybox" in box("images", **place).stdout  # a container runs from it
    box("rm", "-f", "up", **place)
    out = box("system", "prune", "-a", "-f", **place).stdout
    assert "Deleted Images:\nuntagged: busybox:latest\n" in out
    assert box("images", "-aq", **place).stdout == ""
    assert (
        box(
            "system", "prune", "--volumes", "--filter", "until=1h", "-f", check=False, **place
        ).returncode
        == 125
    )


# df


def total(engine: Engine) -> int:
    return sum(part.size for part in engine.system.usage().parts)


def test_df_is_du(engine: Engine, images: Images, root: Root, box: Any, busybox: str) -> None:
    """Images that share layers, a container with data, files with holes and with several names."""
    shared = tar({f"d/{n}": os.urandom(3000) for n in range(500)})
    load(images, docker_archive([shared, BASE], ["one:1", "one:2"]))
    load(images, docker_archive([shared, OTHER], ["two:1"]))
    images.load(busybox)
    script = (
        "dd if=/dev/zero of=/data bs=1M count=5; ln /data /again; "
        "dd if=/dev/zero of=/hole bs=1 count=1 seek=1G; sync"
    )
    place = {"FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    box("run", "--name", "full", "busybox", "sh", "-c", script, **place)
    box("run", "-d", "--name", "up", "busybox", "sleep", "600", **place)
    try:
        wanted = int(run("du", "-sx", "--block-size=1", root.store).split()[0])
        usage = engine.system.usage()
        assert abs(total(engine) - wanted) <= wanted / 100
        kinds = {part.kind: part for part in usage.parts}
        assert list(kinds) == ["Images", "Containers", "Local Volumes", "Build Cache"]
        assert (kinds["Images"].total, kinds["Images"].active) == (3, 1)
        assert (kinds["Containers"].total, kinds["Containers"].active) == (2, 1)
        if not root.layers_in_memory:
            assert 5 << 20 <= kinds["Containers"].reclaimable < 6 << 20
        by_name = {f"{i.info.repository}:{i.info.tag}": i for i in usage.images}
        assert by_name["one:1"].shared == by_name["two:1"].shared > 500 * 4096
        assert by_name["one:1"].unique < by_name["two:1"].unique + (1 << 20)
        assert by_name["busybox:latest"].containers == 2
        box("rm", "full", **place)
        freed = images.prune(all=True).reclaimed
        assert abs(kinds["Images"].reclaimable - freed) <= freed / 100
        assert kinds["Images"].size - freed == pytest.approx(
            engine.system.usage().parts[0].size, rel=0.02
        )
        text = box("system", "df", **place).stdout.splitlines()
        assert text[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
        assert [line.split()[0] for line in text[1:]] == ["Images", "Containers", "Local", "Build"]
        lines = box("system", "df", "--format", "json", **place).stdout.splitlines()
        assert set(json.loads(lines[0])) == {"Type", "TotalCount", "Active", "Size", "Reclaimable"}
        text = "".join(box("system", "df", "-v", **place).stdout)
        for heading in ("SHARED SIZE", "UNIQUE SIZE", "LOCAL VOLUMES", "CACHE TYPE"):
            assert heading in text
        whole = json.loads(box("system", "df", "-v", "--format", "json", **place).stdout)
        assert whole["Images"][0]["Containers"] == "1"
    finally:
        box("rm", "-f", "up", **place)


# Sweeping, and dying while at it.


def test_a_sweeper_killed_between_renames_loses_nothing(engine: Engine, root: Root) -> None:
    """A container is recorded just after the sweeper's first look, which then moves its layers away
    and dies.
    """
    images = engine.images
    load(images, docker_archive([BASE, TOP], ["a:1"]))
    resolved = images.resolve("a:1")
    code = (
        "import os, sys\n"
        "from fastbox.images import sweep\n"
        "from fastbox.images.service import Images\n"
        "from fastbox.images.reference import familiar\n"
        "from fastbox.store.refs import Refs\n"
        "from fastbox.store.root import Root, write_record\n"
        "root = Root.open(sys.argv[1], sys.argv[2])\n"
        "Refs(root).drop('docker.io/library/a:1', familiar=familiar)\n"
        "look = sweep.find_live\n"
        "def after_look(root):\n"
        "    live = look(root)\n"
        "    home = root.path('containers', 'c' * 64)\n"
        "    if not os.path.isdir(home):\n"
        "        os.mkdir(home)\n"
        "        write_record(home + '/record.json', {'image_id': sys.argv[3]})\n"
        "    return live\n"
        "sweep.find_live = after_look\n"
        "moved = []\n"
        "rename = os.rename\n"
        "def dying(a, b):\n"
        "    rename(a, b)\n"
        "    if '/swept/' in b: moved.append(b)\n"
        "    if moved and len(moved) == int(sys.argv[4]): os.kill(os.getpid(), 9)\n"
        "os.rename = dying\n"
        "sweep.sweep(root)\n"
    )
    # Two layers; manifest, configuration and two packed layers. 0: it isn't killed at all.
    for count in range(7):
        done = subprocess.run(
            [sys.executable, "-c", code, root.store, root.run, resolved.id, str(count)], check=False
        )
        assert done.returncode == (-signal.SIGKILL if count else 0)
        load(images, docker_archive([OTHER], ["other:1"]))  # heals on its way
        assert os.listdir(root.path("tmp")) == []
        assert all(os.path.isdir(tree) for tree in resolved.layers), count
        load(images, docker_archive([BASE, TOP], ["a:1"]))
        run("rm", "-r", root.path("containers", "c" * 64))


def test_a_start_puts_back_what_a_dead_sweeper_took(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    tree = images.resolve("a:1").layers[0]
    home = os.path.dirname(tree)
    os.makedirs(root.path("tmp", "dead", "swept", "layers"))
    os.rename(home, root.path("tmp", "dead", "swept", "layers", os.path.basename(home)))
    assert images.resolve("a:1").layers == (tree,)
    assert os.path.isdir(tree)
    # What nobody needs is not put back.
    os.makedirs(root.path("tmp", "dead", "swept", "layers", "ab" * 32))
    images.sweep()
    assert not os.path.exists(root.path("layers", "ab" * 32))


def test_a_sweep_that_fails_half_way_puts_back(
    root: Root, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastbox.images import sweep

    load(images, docker_archive([BASE, TOP], ["a:1"]))
    layers = images.resolve("a:1").layers
    look, looks = sweep.find_live, []

    def blind_once(root: Root) -> Any:
        live = look(root)
        if not looks and live is not None:
            live.chains.clear()
            live.blobs.clear()
        looks.append(live)
        return live

    rename, renamed = os.rename, []

    def failing(a: str, b: str) -> None:
        if "/swept/" in b:
            renamed.append(b)
            if len(renamed) == 4:
                raise OSError(5, "Input/output error")
        rename(a, b)

    monkeypatch.setattr(sweep, "find_live", blind_once)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(Exception, match="cannot sweep the store"):
        images.sweep()
    monkeypatch.undo()
    assert images.resolve("a:1").layers == layers
    assert all(os.path.isdir(tree) for tree in layers)
    images.save(["a:1"], "/dev/null")


def mounting(root: Root, mounts: object) -> None:
    home = root.path("containers", "c" * 64)
    os.makedirs(home, exist_ok=True)
    write_record(home + "/record.json", {"image_id": "", "options": {"mounts": mounts}})


def test_a_mounted_image_is_needed(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE, TOP], ["a:1"]))
    image = images.resolve("a:1")
    mounting(root, [{"kind": "image", "image_id": image.id}])
    images.remove("a:1")
    images.sweep()
    assert images.pinned(image.id).layers == image.layers
    assert all(os.path.isdir(tree) for tree in image.layers)


@pytest.mark.parametrize("mounts", [[1], 5, "x", [{"image_id": "sha256:no"}]])
def test_damaged_mounts_keep_everything(root: Root, images: Images, mounts: object) -> None:
    from fastbox.images import sweep

    load(images, docker_archive([BASE], ["a:1"]))
    mounting(root, mounts)
    assert sweep.find_live(root) is None
    with pytest.raises(IntegrityError, match="a container's record is damaged"):
        images.prune()


def test_two_removals_at_once_leave_nothing(root: Root, images: Images) -> None:
    for _ in range(5):
        for n in range(6):
            load(images, docker_archive([tar({f"f{n}": os.urandom(100)})], [f"n{n}:1"]))
        environ = {**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
        all_at_once = [
            subprocess.Popen(["fastbox", "rmi", f"n{n}:1"], env=environ, stdout=subprocess.DEVNULL)
            for n in range(6)
        ]
        assert [one.wait(60) for one in all_at_once] == [0] * 6
        assert os.listdir(root.path("layers")) == os.listdir(root.path("blobs", "sha256")) == []


def test_a_prune_and_many_starts(box: Any, root: Root, busybox: str) -> None:
    """A container either starts or is told that its image is gone; one that runs keeps its files."""
    place = {"FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    environ = {**os.environ, **place}
    started = 0
    for n in range(8):
        box("load", "-i", busybox, **place)
        runs = [
            subprocess.Popen(
                ["fastbox", "run", "-d", "busybox", "sleep", "600"],
                env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for _ in range(3)
        ]  # fmt: skip
        time.sleep(0.01 * n)
        box("image", "prune", "-a", "-f", **place)
        for one in runs:
            out, error = one.communicate(timeout=60)
            if one.returncode == 0:
                started += 1
                done = box("exec", out.strip(), "ls", "/bin/busybox", **place)
                assert done.stdout == "/bin/busybox\n"
            else:
                assert error.startswith("fastbox: "), error
                assert "internal" not in error
        for container in box("ps", "-aq", **place).stdout.split():
            box("rm", "-f", container, **place)
    assert started
    box("image", "prune", "-a", "-f", **place)
    assert os.listdir(root.path("layers")) == []


def test_loads_and_removals_at_once(root: Root, images: Images, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(docker_archive([BASE, TOP, OTHER], ["a:1"])))
    environ = {**os.environ, "FASTBOX_ROOT": root.store, "FASTBOX_RUN": root.run}
    for _ in range(6):
        many = [
            subprocess.Popen(["fastbox", *words], env=environ, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
            for words in (["load", "-i", str(tmp_path / "a.tar")], ["rmi", "a:1"]) * 3
        ]  # fmt: skip
        for one in many:
            assert one.wait(60) in (0, 1)
        for info in images.list():
            assert all(os.path.isdir(tree) for tree in images.resolve(info.id).layers)
            images.save([info.id], "/dev/null")
    images.load(str(tmp_path / "a.tar"))
    images.remove("a:1")
    assert os.listdir(root.path("layers")) == os.listdir(root.path("blobs", "sha256")) == []


def test_in_use_is_told(root: Root, images: Images) -> None:
    load(images, docker_archive([BASE], ["a:1"]))
    home = root.path("containers", "d" * 64)
    os.mkdir(home)
    write_record(home + "/record.json", {"image_id": images.inspect("a:1")["Id"]})
    with pytest.raises(InUse):
        images.remove("a:1", in_use=lambda _: ["d" * 64])
    assert images.prune(all=True).lines == ()
    (Path(home) / "record.json").write_text("{")
    with pytest.raises(IntegrityError, match="record is damaged"):
        images.prune(all=True)
    assert images.resolve("a:1")
    tampered = Path(root.path("blobs", "sha256", str(images.inspect("a:1")["Id"])[7:]))
    tampered.write_bytes(tampered.read_bytes()[:-1] + b" ")
    with pytest.raises(DigestMismatch):
        images.inspect("a:1")
