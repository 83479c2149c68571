"""Bad input: one line that says what, where and what next; exit 125; nothing changed on disk."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration


def archive(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
    return out.getvalue()


def docker_archive(layer: bytes, *, diff_id: str = "", tag: str = "bad:latest") -> bytes:
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["true"]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [diff_id or "sha256:" + sha256(layer).hexdigest()],
            },
        }
    ).encode()
    name = sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    return archive({name: config, "layer.tar": layer, "manifest.json": manifest})


@pytest.mark.parametrize("cut", [1, 511, 512, 5000, -20000, -700000])
def test_a_torn_archive(box: Box, cut: int) -> None:
    whole = docker_archive(busybox_tar())
    assert box.fails("load", stdin=whole[:cut])


def test_a_torn_root_tar(box: Box) -> None:
    assert box.fails("import", "-", "torn", stdin=busybox_tar()[:-700000])


def test_a_digest_that_does_not_match(box: Box) -> None:
    message = box.fails("load", stdin=docker_archive(busybox_tar(), diff_id="sha256:" + "0" * 64))
    assert "digest" in message


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/../evil", "x/../../../evil"])
def test_members_that_climb(box: Box, name: str) -> None:
    message = box.fails("load", stdin=docker_archive(archive({name: b"x"})))
    assert "evil" in message


@pytest.mark.parametrize(
    "target", ["/var/tmp", "../../../../../var/tmp", "/proc/self/root/var/tmp"]
)
def test_members_through_a_link_stay_inside(box: Box, target: str) -> None:
    """A link planted earlier in the layer is followed inside the image's root at most; the host's directory gains nothing."""
    canary = f"fastbox-canary-{os.getpid()}"
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        tar.addfile(entry)
        entry = tarfile.TarInfo(f"link/{canary}")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    done = box("load", check=False, stdin=docker_archive(layer.getvalue(), tag="linked:latest"))
    assert done.returncode in (0, 125)
    if done.returncode == 0:
        box("rmi", "linked")
    assert not os.path.exists(f"/var/tmp/{canary}")


def test_absolute_members_stay_inside(box: Box) -> None:
    canary = f"/var/tmp/fastbox-canary-{os.getpid()}"
    done = box(
        "load", check=False, stdin=docker_archive(archive({canary: b"x"}), tag="absolute:latest")
    )
    if done.returncode == 0:
        box("rmi", "absolute")
    assert not os.path.exists(canary)


@pytest.mark.parametrize(
    "members",
    [
        {"manifest.json": b"[]"},
        {"manifest.json": b"{"},
        {"manifest.json": b'[{"Config":"../../etc/passwd","RepoTags":null,"Layers":[]}]'},
        {"manifest.json": b'[{"Config":"missing.json","RepoTags":null,"Layers":[]}]'},
        {"manifest.json": b"[" * 100000},
        {"manifest.json": b'[{"Config":1}]'},
        {"other": b""},
        {
            "index.json": b'{"schemaVersion":2,"manifests":[]}',
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        },
        {
            "index.json": b'{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../x","size":1}]}',
            "oci-layout": b"{}",
        },
    ],
)
def test_hostile_documents(box: Box, members: dict[str, bytes]) -> None:
    assert box.fails("load", stdin=archive(members))


def test_a_config_that_is_a_link(box: Box) -> None:
    manifest = json.dumps([{"Config": "config.json", "RepoTags": None, "Layers": []}]).encode()
    assert box.fails(
        "load", stdin=archive({"manifest.json": manifest}, {"config.json": "/etc/passwd"})
    )


def test_not_an_archive(box: Box) -> None:
    assert box.fails("load", stdin=b"hello" * 1000)
    assert box.fails("load", stdin=b"")
    assert "no-such-file" in box.fails("load", "-i", "/no-such-file")


def test_a_missing_image(box: Box) -> None:
    message = box.fails("run", "--rm", "nowhere:1.0", "true")
    assert "nowhere:1.0" in message
    assert "hint: " in message


BAD_FLAGS: list[tuple[list[str], str]] = [
    (["--no-such-flag"], "--no-such-flag"),
    (["-Z"], "Z"),
    (["-v", "relative/path:/x"], "relative/path"),
    (["-v", "/a:b:c:d"], "/a:b:c:d"),
    (["-v", "/tmp:relative"], "relative"),
    (["-v", "/tmp:/x:sideways"], "sideways"),
    (["--memory", "lots"], "lots"),
    (["--memory", "1"], "memory"),
    (["--memory", "-5m"], "-5m"),
    (["--cpus", "many"], "many"),
    (["--cpus", "-1"], "-1"),
    (["--pids-limit", "x"], "x"),
    (["--ulimit", "nofile"], "nofile"),
    (["--ulimit", "wings=3"], "wings"),
    (["--ulimit", "nofile=20:10"], "nofile"),
    (["--cap-add", "FLY"], "FLY"),
    (["--security-opt", "magic"], "magic"),
    (["--security-opt", "seccomp=/no/such/profile"], "/no/such/profile"),
    (["--network", "moon"], "moon"),
    (["--tmpfs", "relative"], "relative"),
    (["--mount", "type=bind,target=/x"], "source"),
    (["--mount", "type=bind,source=/no-such-dir,target=/x"], "/no-such-dir"),
    (["--mount", "type=magic,target=/x"], "magic"),
    (["-e", "=x"], "=x"),
    (["--env-file", "/no/such/file"], "/no/such/file"),
    (["--name", "bad/name"], "bad/name"),
    (["--name", "../x"], "../x"),
    (["--workdir", "relative"], "relative"),
    (["--sysctl", "kernel.core_pattern=x"], "kernel.core_pattern"),
    (["--cpuset-cpus", "99"], "99"),
    (["--shm-size", "-1"], "-1"),
    (["--stop-signal", "SIGWHAT"], "SIGWHAT"),
]


@pytest.mark.parametrize(("flags", "named"), BAD_FLAGS, ids=[" ".join(f) for f, _ in BAD_FLAGS])
def test_bad_flags(box: Box, flags: list[str], named: str) -> None:
    assert named in box.fails("run", "--rm", *flags, "busybox", "true")


@pytest.mark.parametrize(
    "reference", ["UPPER", "a//b", "x:tag with space", "x@sha256:12", "-x", "x:" + "y" * 200, "é"]
)
def test_bad_references(box: Box, reference: str) -> None:
    assert box.fails("run", "--rm", "--", reference, "true")
    assert box.fails("tag", "busybox", reference)


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["run"],
        ["exec", "x"],
        ["logs"],
        ["logs", "no-such"],
        ["exec", "no-such", "true"],
    ],
)
def test_bad_commands(box: Box, words: list[str]) -> None:
    done = box(*words, check=False)
    assert done.returncode in (1, 125)
    assert len(done.stderr.strip().splitlines()) <= 2
    assert done.stderr.startswith("fastbox")


def test_a_directory_in_the_place_of_root(box: Box) -> None:
    assert "/no/such/root" in box.fails("run", "--rm", "--rootfs", "/no/such/root", "--", "true")


def test_without_root_rights(box: Box) -> None:
    """From a prefix that everybody can read: the tests' own may lie in root's home."""
    import shutil
    import sys

    import fastbox

    prefix = Path("/var/tmp") / f"fastbox-prefix-{os.getpid()}"
    version = f"python3.{sys.version_info.minor}"
    try:
        (prefix / "bin").mkdir(parents=True)
        shutil.copy(box.program, prefix / "bin")
        (prefix / "bin" / version).symlink_to("/usr/bin/python3")
        package = prefix / "lib" / version / "site-packages" / "fastbox"
        shutil.copytree(Path(fastbox.__file__).parent, package)
        ids = ["--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run(
            ["setpriv", *ids, str(prefix / "bin/fastbox"), "run", "--rm", "busybox", "true"],
            env=box.environ,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(prefix)
    assert done.returncode == 125
    assert "root rights" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2


@pytest.mark.parametrize("size", [0, 3, 20, 200])
@pytest.mark.parametrize("which", ["config.json", "record.json"])
def test_a_damaged_record_is_one_line(box: Box, which: str, size: int) -> None:
    name = box("create", "--name", "damaged", "busybox", "true").stdout.strip()
    path = f"{box.root}/containers/{name}/{which}"
    with open(path, "r+b") as file:
        file.truncate(size)
    done = box("start", "damaged", check=False)
    assert done.returncode in (1, 125)
    assert len(done.stderr.strip().splitlines()) <= 2, done.stderr
    assert box("ps", "-a").returncode == 0
    box("rm", "-f", name)


HOSTILE_ROOTS: dict[str, Callable[[str], None]] = {
    "proc is a link": lambda root: os.symlink("/var/tmp", f"{root}/proc"),
    "sys is a link": lambda root: os.symlink("../../../var/tmp", f"{root}/sys"),
    "dev is a link": lambda root: os.symlink("/dev", f"{root}/dev"),
    "etc is a link": lambda root: os.symlink("/etc", f"{root}/etc"),
    "etc/hosts is a link": lambda root: (
        os.mkdir(f"{root}/etc"),
        os.symlink("/etc/hosts", f"{root}/etc/hosts"),
    )[0],
    "etc/passwd is a fifo": lambda root: (os.mkdir(f"{root}/etc"), os.mkfifo(f"{root}/etc/passwd"))[
        0
    ],
    "etc/passwd is huge": lambda root: (
        os.mkdir(f"{root}/etc"),
        Path(f"{root}/etc/passwd").write_text("x" * 20_000_000),
    )[0],
    "dev/null is a link": lambda root: (
        os.mkdir(f"{root}/dev"),
        os.symlink("/etc/passwd", f"{root}/dev/null"),
    )[0],
}


@pytest.mark.parametrize("which", HOSTILE_ROOTS)
def test_hostile_roots_change_nothing_outside(box: Box, which: str, tmp_path: object) -> None:
    import shutil

    root = f"{tmp_path}/root"
    os.makedirs(f"{root}/bin")
    shutil.copy("/bin/busybox", f"{root}/bin/busybox")
    HOSTILE_ROOTS[which](root)
    watched = {
        path: os.stat(path) for path in ("/etc/hosts", "/etc/passwd", "/dev/null", "/var/tmp")
    }
    listing = sorted(os.listdir("/dev")), sorted(os.listdir("/etc"))
    done = box(
        "run",
        "--rm",
        "--rootfs",
        root,
        "--user",
        "root",
        "--",
        "/bin/busybox",
        "true",
        check=False,
        timeout=20,
    )
    assert done.returncode in (0, 125), done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert (sorted(os.listdir("/dev")), sorted(os.listdir("/etc"))) == listing
    for path, old in watched.items():
        new = os.stat(path)
        assert (new.st_ino, new.st_mode, new.st_uid, new.st_size if path != "/var/tmp" else 0) == (
            old.st_ino,
            old.st_mode,
            old.st_uid,
            old.st_size if path != "/var/tmp" else 0,
        )
