"""`system check`: every kind of damage is found, and what others do meanwhile is none."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastbox.engine import Engine
from fastbox.images import documents
from fastbox.store.lease import Work, hold
from fastbox.store.root import Root, write_record
from fastbox.store.trees import differences, list_tree
from fastbox.system.check import Finding

from . import host
from .archives import docker_archive, link, oci_archive, tar

pytestmark = pytest.mark.integration


def special() -> bytes:
    """A layer with one of everything."""
    device = tarfile.TarInfo("dev/null")
    device.type, device.devmajor, device.devminor, device.mode = tarfile.CHRTYPE, 1, 3, 0o666
    fifo = tarfile.TarInfo("fifo")
    fifo.type = tarfile.FIFOTYPE
    owned = tarfile.TarInfo("owned")
    owned.uid, owned.gid, owned.mode, owned.mtime = 1000, 1001, 0o4755, 1234567890
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info in (device, fifo, link("link", "/etc/passwd"), link("deep/up", "../../x"), owned):
            archive.addfile(info)
        named = tarfile.TarInfo("named")
        named.size = 3
        named.pax_headers = {"SCHILY.xattr.user.key": "value", "mtime": "1234567890.123456789"}
        archive.addfile(named, io.BytesIO(b"abc"))
        archive.addfile(link("other", "named", tarfile.LNKTYPE))
    return out.getvalue()


BASE = tar({"bin/hello": b"#!/bin/sh\n", "etc/gone": b"x", "etc/deep/file": b"y" * 5000})
TOP = tar({"etc/.wh.gone": b"", "etc/deep/.wh..wh..opq": b"", "etc/deep/new": b"new"})


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(documents, "architecture", lambda: "amd64")
    with Engine.open(root=str(tmp_path / "store"), run=str(tmp_path / "run")) as engine:
        load(engine, oci_archive([BASE, TOP, special()], "one:1"))
        load(engine, docker_archive([BASE, special()], ["two:1"]))
        yield engine


def load(engine: Engine, members: dict[str, Any]) -> None:
    engine.images.load(io.BytesIO(tar(members)))


def found(engine: Engine, *, quick: bool = False) -> list[Finding]:
    """What is wrong; everything below the store is as it was."""
    before = snapshot(engine.root)
    findings = list(engine.system.check(quick=quick))
    assert snapshot(engine.root) == before
    for finding in findings:
        assert all((finding.what, finding.where, finding.hint)), finding
    return findings


def snapshot(root: Root) -> list[tuple[str, int, int]]:
    paths = [root.store]
    for directory, names, files in os.walk(root.store):
        paths += [os.path.join(directory, name) for name in names + files]
    tmp = root.path("tmp")
    return sorted(
        (path, st.st_ino, 0 if path == tmp else st.st_ctime_ns)
        for path in paths
        for st in [os.lstat(path)]
    )


def test_nothing_is_wrong(engine: Engine) -> None:
    assert found(engine) == []
    assert found(engine, quick=True) == []
    assert os.listdir(engine.root.path("tmp")) == []


def blob(root: Root, kind: str) -> Path:
    """The path of one:1's manifest, configuration or first packed layer."""
    index = json.loads(Path(root.path("index.json")).read_text())
    entry = next(e for e in index["manifests"] if "one" in str(e["annotations"]))
    manifest = Path(root.path("blobs", "sha256", entry["digest"][7:]))
    document = json.loads(manifest.read_text())
    if kind == "manifest":
        return manifest
    digest = document["config"]["digest"] if kind == "config" else document["layers"][0]["digest"]
    return Path(root.path("blobs", "sha256", digest[7:]))


def tree(engine: Engine, number: int) -> Path:
    return Path(engine.images.resolve("one:1").layers[::-1][number])


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def change_record(path: Path, **members: object) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | members))


def refs(engine: Engine) -> Path:
    return next(p for p in Path(engine.root.path("refs")).iterdir() if "one" in p.name)


def set_xattr(path: Path) -> None:
    os.setxattr(path, "user.key", b"other")


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 1234567890_123456788))


def remake(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


DAMAGE: dict[str, tuple[Callable[[Engine], object], str, bool]] = {
    # what is done, part of what is found, and whether --quick sees it, too
    "manifest": (lambda e: flip(blob(e.root, "manifest")), "not what its digest says", True),
    "manifest gone": (lambda e: blob(e.root, "manifest").unlink(), "missing", True),
    "config": (lambda e: flip(blob(e.root, "config")), "not what its digest says", True),
    "config gone": (lambda e: blob(e.root, "config").unlink(), "missing", True),
    "blob": (lambda e: flip(blob(e.root, "layer")), "not what its digest says", False),
    "blob gone": (lambda e: blob(e.root, "layer").unlink(), "is missing", True),
    "blob longer": (lambda e: longer(blob(e.root, "layer")), "bytes where", True),
    "blob a link": (
        lambda e: remake(blob(e.root, "layer"), lambda p: p.symlink_to("/etc/passwd")),
        "not a file",
        True,
    ),
    "blob misnamed": (
        lambda e: Path(e.root.path("blobs", "sha256", "x")).touch(),
        "not the name of a blob",
        True,
    ),
    "ref": (lambda e: refs(e).write_text("{"), "record of an image is damaged", True),
    "ref of the future": (lambda e: change_record(refs(e), schema=99), "newer version", True),
    "ref renamed": (lambda e: refs(e).rename(refs(e).with_name("one:9")), "is damaged", True),
    "index": (lambda e: Path(e.root.path("index.json")).write_text("{}"), "does not agree", True),
    "layer gone": (lambda e: shutil.rmtree(tree(e, 0).parent), "is missing", True),
    "tree gone": (lambda e: shutil.rmtree(tree(e, 0)), "no tree", True),
    "layer's record": (
        lambda e: (tree(e, 0).parent / "record.json").write_text("x"),
        "record is damaged",
        True,
    ),
    "layer's record gone": (
        lambda e: (tree(e, 0).parent / "record.json").unlink(),
        "no record",
        True,
    ),
    "layer's record another's": (
        lambda e: change_record(tree(e, 0).parent / "record.json", diff_id="sha256:" + "0" * 64),
        "of another",
        True,
    ),
    "file changed": (lambda e: flip(tree(e, 0) / "bin/hello"), "differs in mtime, content", False),
    "file gone": (lambda e: (tree(e, 0) / "bin/hello").unlink(), "is missing", False),
    "file added": (lambda e: (tree(e, 0) / "bin/new").touch(), "should not be", False),
    "mode": (lambda e: (tree(e, 0) / "bin/hello").chmod(0o700), "differs in mode", False),
    "owner": (lambda e: os.chown(tree(e, 2) / "owned", 1, 1), "differs in mode, uid, gid", False),
    "mtime": (lambda e: touch(tree(e, 2) / "named"), "differs in mtime", False),
    "xattr": (lambda e: set_xattr(tree(e, 2) / "named"), "differs in xattrs", False),
    "link": (
        lambda e: remake(tree(e, 2) / "link", lambda p: p.symlink_to("/etc/shadow")),
        "differs in mtime, target",
        False,
    ),
    "device": (
        lambda e: remake(
            tree(e, 2) / "dev/null", lambda p: os.mknod(p, 0o020666, os.makedev(1, 5))
        ),
        "differs in",
        False,
    ),
    "hard link": (
        lambda e: remake(
            tree(e, 2) / "other", lambda p: shutil.copy2(tree(e, 2) / "named", p)
        ),
        "differs in same",
        False,
    ),
    "whiteout": (lambda e: (tree(e, 1) / "etc/gone").unlink(), "is missing", False),
    "opaque": (
        lambda e: os.removexattr(tree(e, 1) / "etc/deep", "trusted.overlay.opaque"),
        "differs in xattrs",
        False,
    ),
    "orphan blob": (
        lambda e: Path(e.root.path("blobs", "sha256", "e3b0c44298fc1c149afbf4c8996fb924"
                                   "27ae41e4649b934ca495991b7852b855")).touch(),
        "a blob that nothing needs",
        True,
    ),
    "orphan layer": (
        lambda e: shutil.copytree(
            tree(e, 0).parent, Path(e.root.path("layers", "ab" * 32)), symlinks=True
        ),
        "a layer that nothing needs",
        True,
    ),
    "remains": (
        lambda e: os.makedirs(e.root.path("tmp", "0123456789abcdef", "x")),
        "process that is gone left",
        True,
    ),
    "trash": (
        lambda e: os.makedirs(e.root.path("tmp", "rm-" + "ab" * 32)),
        "process that is gone left",
        True,
    ),
    "temporary": (
        lambda e: Path(e.root.path("index.json.1.ab.tmp")).touch(),
        "not written to its end",
        True,
    ),
    "temporary ref": (
        lambda e: Path(e.root.path("refs", "x.1.ab.tmp")).touch(),
        "not written to its end",
        True,
    ),
    "name": (
        lambda e: os.symlink("../containers/" + "ab" * 32, e.root.path("names", "gone")),
        "leads to no container",
        True,
    ),
    "half-made container": (
        lambda e: os.mkdir(e.root.path("containers", "ab" * 32)),
        "whose maker died",
        True,
    ),
    "container": (
        lambda e: write_record(make_directory(e.root) + "/record.json", {"id": "x"}),
        "container's record is damaged",
        True,
    ),
}  # fmt: skip


def make_directory(root: Root) -> str:
    path = root.path("containers", "ab" * 32)
    os.mkdir(path)
    return path


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_found(engine: Engine, case: str) -> None:
    damage, wanted, seen_quickly = DAMAGE[case]
    damage(engine)
    whole = found(engine)
    assert any(wanted in finding.what for finding in whole), whole
    quick = found(engine, quick=True)
    assert any(wanted in finding.what for finding in quick) is seen_quickly, quick


def test_the_command(engine: Engine) -> None:
    environ = {**os.environ, "FASTBOX_ROOT": engine.root.store, "FASTBOX_RUN": engine.root.run}

    def check(*flags: str) -> subprocess.CompletedProcess[str]:
        words = ["fastbox", "system", "check", *flags]
        return subprocess.run(words, capture_output=True, text=True, env=environ, check=False)

    done = check()
    assert (done.returncode, done.stdout, done.stderr) == (0, "nothing is wrong\n", "")
    assert check("--format", "json").stdout == ""
    flip(tree(engine, 0) / "bin/hello")
    os.mkdir(engine.root.path("tmp", "left"))
    done = check()
    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout.splitlines()) == 2
    lines = check("--format", "json").stdout.splitlines()
    assert {tuple(json.loads(line)) for line in lines} == {
        ("Hint", "What", "Where")
    }  # sorted, as docker's
    assert check("--quick").stdout.count("\n") == 1


def test_what_others_do_is_no_finding(engine: Engine) -> None:
    """A load under way: content that no record names yet, and its work directory."""
    with hold(engine.root), Work(engine.root) as work:
        os.mkdir(work.directory("layers") + "/x")
        load_path = engine.root.path("blobs", "sha256", "e3b0c44298fc1c149afbf4c8996fb924"
                                     "27ae41e4649b934ca495991b7852b855")  # fmt: skip
        Path(load_path).touch()
        Path(engine.root.path("blobs", "sha256", "ab" * 32)).write_bytes(b"")
        assert found(engine, quick=True) == []
    os.unlink(engine.root.path("blobs", "sha256", "ab" * 32))
    with hold(engine.root):
        findings = engine.system.check()
        assert next(findings, None) is None
    assert [f.what for f in found(engine)] == ["a blob that nothing needs"]


def test_a_removal_during_a_check(engine: Engine) -> None:
    """It can't sweep just then, and that is no finding either."""
    Path(engine.root.path("index.json")).write_text("{}")
    findings = engine.system.check()
    assert "does not agree" in next(findings).what
    engine.images.remove("one:1")
    assert [f.what for f in findings if "needs" in f.what] == []
    assert found(engine) == []
    assert len(os.listdir(engine.root.path("layers"))) == 2  # two:1's: the rest was swept


def test_while_everything_happens(engine: Engine, tmp_path: Path, box: Any) -> None:
    """Loads, removals, containers that come and go: a check finds nothing wrong in between."""
    box("save", "-o", str(tmp_path / "x.tar"), "busybox")
    engine.images.load(str(tmp_path / "x.tar"))
    place = {"FASTBOX_ROOT": engine.root.store, "FASTBOX_RUN": engine.root.run}
    script = (
        f"while :; do fastbox load -q -i {tmp_path}/x.tar; fastbox tag busybox b:2; "
        "fastbox run --rm busybox true; fastbox run -d --name r1 busybox sleep 60; "
        "fastbox rm -f r1; fastbox rmi b:2 busybox; done >/dev/null 2>&1"
    )
    loop = subprocess.Popen(["sh", "-c", script], env={**os.environ, **place}, process_group=0)
    try:
        end = time.monotonic() + 8 * host.SLOW
        while time.monotonic() < end:
            findings = list(engine.system.check(quick=True))
            assert findings == []
    finally:
        os.killpg(loop.pid, 9)
        loop.wait()
    for container in box("ps", "-aq", **place).stdout.split():
        box("rm", "-f", container, **place)
    engine.images.prune(all=True)
    assert [f.what for f in found(engine) if "name" not in f.what] == []


def test_trees_are_listed_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        deep = tmp_path / name
        deep.mkdir()
        for _ in range(60):
            deep = deep / "directory"
            deep.mkdir()
        (deep / "file").write_bytes(b"x")
        os.utime(deep / "file", ns=(0, 5))
    one, two = (list_tree(str(tmp_path / name)) for name in ("a", "b"))
    assert len(one) == 62
    assert [e.path for e in one] == sorted(e.path for e in one)
    assert one[-1].content == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert {what for _, what in differences(one, two)} <= {"differs in mtime"}
    assert list_tree(str(tmp_path / "a"), content=False)[-1].content == ""


def test_an_image_that_only_a_container_needs_leaves_no_blob(engine: Engine) -> None:
    """The bottom layer of two:1 is not packed: its blob and its chain have the same digest."""
    from fastbox.types import RunOptions

    container = engine.containers.create(RunOptions(image="two:1", argv=("true",)))
    engine.images.remove("two:1", force=True)
    engine.images.remove("one:1")
    assert found(engine) == []
    assert len(os.listdir(engine.root.path("layers"))) == 2
    engine.containers.remove(container)
    engine.images.prune(all=True)
    assert found(engine) == []
