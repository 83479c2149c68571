"""cp: docker's rules of what goes where, mounts, every state, and a container that swaps links meanwhile."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import tarfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.errors import PermissionDenied, StateConflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box, Docker

# In order, on one container; {c} is its name. Docker 28's answers are in the comparison below.
COMMANDS = """
h/f {c}:/tmp/
h/f {c}:/tmp/named
h/f {c}:tmp/relative
h/dir {c}:/tmp
h/dir {c}:/tmp/made
h/dir/. {c}:/tmp/content
h/dir {c}:/tmp/content
h/dir/ {c}:/tmp/slash
h/lf {c}:/tmp/lf
-L h/lf {c}:/tmp/lf-followed
h/ld {c}:/tmp/ld
-L h/ld {c}:/tmp/ld-followed
h/ld/ {c}:/tmp/ld-slash
h/f {c}:/tmp/dir
h/dir {c}:/tmp/made/sub
h/f {c}:/tmp/lf-new
h/f {c}:/tmp/ld
h/other {c}:/tmp/lf
h/f {c}:/tmp/new/
h/f {c}:/nosuch/x
h/dir {c}:/nosuch/x
h/dir {c}:/etc/passwd
h/f {c}:/etc/passwd/
h/f/ {c}:/tmp
h/nosuch {c}:/tmp
h/clash {c}:/tmp/dir/clash
h/clash-file {c}:/tmp/over
h/over {c}:/tmp
h/over2 {c}:/tmp
{c}:/nosuch hd
{c}:/etc/passwd/ hd
{c}:/etc/passwd nosuchdir/
{c}:/etc/passwd nosuchdir/x
{c}:/etc h/f
{c}:/etc/passwd hd
{c}:etc/passwd hd/relative
{c}:/tmp/f hd/named
{c}:/tmp/dir hd
{c}:/tmp/dir hd/made
{c}:/tmp/dir/. hd/content
{c}:/tmp/dir hd/content
{c}:/tmp/dir/l hd/
-L {c}:/tmp/dir/l hd/followed
{c}:/bin/sh hd/sh
-L {c}:/bin/sh hd/
{c}:/tmp/ld/f hd/through
{c}:/etc/../etc/passwd hd/dots
-q {c}:/tmp/f hd/quiet
h/f hd
{c}:/tmp/f {c}:/tmp/g
""".strip().splitlines()


def make_host(base: Path) -> None:
    (base / "h/dir/sub").mkdir(parents=True)
    (base / "hd").mkdir()
    for name, text in (("f", "hi"), ("other", "other"), ("dir/a", "a"), ("dir/sub/q", "q")):
        (base / "h" / name).write_text(text)
    os.link(base / "h/dir/a", base / "h/dir/z")
    (base / "h/dir/l").symlink_to("a")
    (base / "h/lf").symlink_to("f")
    (base / "h/ld").symlink_to("dir")
    (base / "h/clash").mkdir()
    (base / "h/clash-file").write_text("file")
    (base / "h/over").mkdir()  # over a file of that name
    (base / "h/over2").mkdir()
    os.chown(base / "h/f", 1000, 1000)
    os.chown(base / "h/dir", 33, 34)
    (base / "h/f").chmod(0o4751)
    (base / "h/dir").chmod(0o2775)
    os.utime(base / "h/f", (10**9, 10**9))


def listing(archive: bytes, below: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            if entry.name.startswith(below) and "/l" not in entry.name:
                link = entry.linkname if entry.issym() else ""
                size = entry.size if not entry.islnk() else tar.getmember(entry.linkname).size
                kind = entry.isdir(), entry.issym(), link
                found.append((entry.name, *kind, entry.mode & 0o7777, entry.uid, entry.gid, size))
    return sorted(found)


def host_listing(base: Path) -> list[tuple[object, ...]]:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(base, "hd")
    return listing(out.getvalue(), "hd")


def words_of(stderr: str) -> str:
    """The message without who says it, and without the paths of this machine."""
    line = [one for one in stderr.splitlines() if not one.startswith(("time=", "hint:"))][-1]
    line = line.removeprefix("fastbox: ").removeprefix("Error response from daemon: ")
    for word in ("no such directory", "not a directory", "cannot copy directory", "lstat "):
        if word in line:
            return word
    return re.sub(r'"/.*/', '"', line).partition(": /")[0]


@pytest.fixture
def source(box: Box) -> Iterator[str]:
    box("create", "--name", "source", "busybox", "sleep", "1000")
    yield "source"
    box("rm", "-f", "source")


def test_as_docker(box: Box, docker: Docker, source: str, tmp_path: Path) -> None:
    """The same commands, one after the other, on both: what works, what is said, what is there."""
    docker("create", "--name", source, "busybox", "sleep", "1000")
    results: list[list[tuple[int, str]]] = []
    for engine in ("fastbox", "docker"):
        base = tmp_path / engine
        make_host(base)
        program, environ = (
            (box.program, box.environ) if engine == "fastbox" else ("docker", docker.environ)
        )
        answers = []
        for line in COMMANDS:
            words = line.format(c=source).split()
            done = subprocess.run(
                [program, "cp", *words], cwd=base, env=environ, capture_output=True, text=True
            )
            assert not done.stdout
            answers.append(
                (int(bool(done.returncode)), words_of(done.stderr) if done.returncode else "")
            )
        results.append(answers)
    for line, ours, theirs in zip(COMMANDS, *results, strict=True):
        assert ours[0] == theirs[0], (line, ours, theirs)
        if "/etc/passwd/" not in line and "clash" not in line and "over" not in line:
            assert ours[1] == theirs[1], line
    trees = [
        listing(box_export(box, source), "tmp/"),
        listing(docker("export", source).stdout, "tmp/"),
    ]
    assert trees[0] == trees[1]
    assert host_listing(tmp_path / "fastbox/hd") == host_listing(tmp_path / "docker/hd")
    docker("rm", source)


def box_export(box: Box, name: str) -> bytes:
    return subprocess.run(
        [box.program, "export", name], env=box.environ, capture_output=True, check=True
    ).stdout


@pytest.mark.parametrize("state", ["created", "running", "exited"])
def test_in_every_state(box: Box, tmp_path: Path, state: str) -> None:
    """In and out, with a bind mount, a read-only one, and a tmpfs where it runs."""
    (tmp_path / "bind").mkdir()
    (tmp_path / "bind/old").write_text("old")
    (tmp_path / "fixed").mkdir()
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    words = [
        "-v",
        f"{tmp_path}/bind:/bind",
        "-v",
        f"{tmp_path}/fixed:/fixed:ro",
        "--tmpfs",
        "/memory",
    ]
    box("create", "--name", "cc", *words, "busybox", "sleep", "1000")
    if state != "created":
        box("start", "cc")
    if state == "exited":
        box("kill", "cc")
        box("wait", "cc")
    box("cp", f"{tmp_path}/in", "cc:/tmp/in")
    box("cp", f"{tmp_path}/in", "cc:/bind/new")
    assert (tmp_path / "bind/new").read_bytes() == b"x" * 100_000
    box("cp", "cc:/bind/old", f"{tmp_path}/old")
    assert (tmp_path / "old").read_text() == "old"
    assert "mounted volume is marked read-only" in box.fails("cp", f"{tmp_path}/in", "cc:/fixed/")
    box("cp", "cc:/tmp/in", f"{tmp_path}/out")
    assert (tmp_path / "out").read_bytes() == b"x" * 100_000
    box("cp", "cc:/etc/hostname", f"{tmp_path}/hostname")
    assert len((tmp_path / "hostname").read_text()) == 13
    box("cp", "cc:/bind", f"{tmp_path}/bound")
    assert sorted(os.listdir(tmp_path / "bound")) == ["new", "old"]
    if state == "running":
        box("cp", f"{tmp_path}/in", "cc:/memory/in")
        assert (
            box("exec", "cc", "sh", "-c", "wc -c < /memory/in; cmp /tmp/in /memory/in").stdout
            == "100000\n"
        )
        box("cp", "cc:/", f"{tmp_path}/all")
        assert os.listdir(tmp_path / "all/proc") == []
        assert (tmp_path / "all/memory/in").exists()
    assert "A /tmp/in" in box("diff", "cc").stdout
    assert not [
        name
        for name in os.listdir(Path(box.root, "containers", containers(box)[0]))
        if "work-" in name
    ]
    box("rm", "-f", "cc")


def containers(box: Box) -> list[str]:
    return box("ps", "-aq", "--no-trunc").stdout.split()


def test_read_only_root(box: Box, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    for running in (False, True):
        box(
            "create",
            "--name",
            "cc",
            "--read-only",
            "--tmpfs",
            "/memory",
            "busybox",
            "sleep",
            "1000",
        )
        if running:
            box("start", "cc")
            box("cp", f"{tmp_path}/f", "cc:/memory/")
        assert "container rootfs is marked read-only" in box.fails(
            "cp", f"{tmp_path}/f", "cc:/tmp/"
        )
        with fastbox.Engine.open() as engine, pytest.raises(PermissionDenied):
            engine.containers.copy_in("cc", f"{tmp_path}/f", "/tmp/f")
        box("cp", "cc:/etc/passwd", f"{tmp_path}/passwd")
        box("rm", "-f", "cc")


def test_tar_streams(box: Box, source: str) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("d/x")
        entry.size, entry.uid, entry.gid, entry.mode = 3, 7, 8, 0o640
        tar.addfile(entry, io.BytesIO(b"abc"))
    with fastbox.Engine.open() as engine:
        made.seek(0)
        engine.containers.copy_to(source, "/tmp", made)
        out = io.BytesIO()
        engine.containers.copy_from(source, "/tmp/d", out)
        out.seek(0)
        with tarfile.open(fileobj=out) as tar:
            assert tar.getnames() == ["d", "d/x"]
            there = tar.getmember("d/x")
            assert (there.uid, there.gid, there.mode, there.size) == (7, 8, 0o640, 3)
        # A directory gives way to no file.
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("d"))
        made.seek(0)
        with pytest.raises(StateConflict, match="cannot overwrite directory"):
            engine.containers.copy_to(source, "/tmp", made)
    archive = subprocess.run(
        [box.program, "cp", f"{source}:/tmp/d/.", "-"],
        env=box.environ,
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        assert tar.getnames() == [".", "./x"]
    box("cp", "-", f"{source}:/home", stdin=archive.stdout)
    assert "A /home/x" in box("diff", source).stdout
    assert "must be a directory" in box.fails(
        "cp", "-", f"{source}:/etc/passwd", stdin=archive.stdout
    )
    assert "must be a directory" in box.fails("cp", "-", f"{source}:/nosuch", stdin=archive.stdout)


def test_what_files_have(box: Box, source: str, tmp_path: Path) -> None:
    """Holes, nodes, links, modes, times, capabilities; with `archive` owners and attributes too."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "holes").open("wb") as file:
        file.truncate(1 << 30)
        file.seek(500 << 20)
        file.write(b"x" * 4096)
    (tree / "cap").write_text("program")
    subprocess.run(["setcap", "cap_net_raw+ep", str(tree / "cap")], check=True)
    os.setxattr(tree / "cap", "user.note", b"kept")
    os.link(tree / "cap", tree / "cap2")
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "null", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tree / "socket"))
    os.chown(tree / "holes", 5, 6)
    os.utime(tree / "holes", ns=(10**18 + 5, 10**18 + 7))
    with fastbox.Engine.open() as engine:
        engine.containers.copy_in(source, str(tree), "/tmp/", archive=True)
        engine.containers.copy_out(source, "/tmp/tree", str(tmp_path / "back"), archive=True)
    box("cp", f"{source}:/tmp/tree", str(tmp_path / "plain"))
    for name, owner, note in (("back", (5, 6), True), ("plain", (0, 0), False)):
        back = tmp_path / name
        assert sorted(os.listdir(back)) == ["cap", "cap2", "fifo", "holes", "null"]
        there = (back / "holes").stat()
        assert (there.st_uid, there.st_gid) == owner
        assert there.st_size == 1 << 30
        assert there.st_blocks < 100
        assert there.st_mtime_ns == 10**18 + 7
        assert (back / "fifo").is_fifo()
        assert (back / "null").stat().st_rdev == os.makedev(1, 3)
        assert (back / "cap").stat().st_ino == (back / "cap2").stat().st_ino
        assert os.getxattr(back / "cap", "security.capability") == os.getxattr(
            tree / "cap", "security.capability"
        )
        assert ("user.note" in os.listxattr(back / "cap")) == note
    with (tmp_path / "back/holes").open("rb") as file:
        file.seek(500 << 20)
        assert file.read(4097) == b"x" * 4096 + b"\0"


# A user of the image, one of whom the image knows nothing, and none.
@pytest.mark.parametrize("user", ["", "root", "0", "1000", "1"])
@pytest.mark.parametrize("runs", [False, True])
def test_archive_as_docker(box: Box, docker: Docker, tmp_path: Path, user: str, runs: bool) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    for name, owner, mode in (("f", (1234, 2345), 0o4755), ("g", (0, 5), 0o644)):
        (tree / name).write_text(name)
        os.chown(tree / name, *owner)
        (tree / name).chmod(mode)
    (tree / "s").symlink_to("f")
    os.lchown(tree / "s", 9, 9)
    os.chown(tree / "d", 7, 8)
    os.setxattr(tree / "f", "user.note", b"x")
    named = ["--user", user] if user else []
    if user == "1":
        # Docker looks for the group of a number in the host's passwd, ours is in the image's.
        named = ["--user", "1:1"]
    found = []
    for number, (engine, program, environ) in enumerate(
        ((box, box.program, box.environ), (docker, "docker", docker.environ))
    ):
        words = [*named] if number == 0 or user != "1" else ["--user", user]
        engine("create", "--network", "none", "--name", "cc", *words, "busybox", "sleep", "1000")
        if runs:
            engine("start", "cc")
        engine("cp", str(tree), "cc:/tmp/plain")
        engine("cp", "-a", str(tree), "cc:/tmp/archived")
        engine("cp", "-a", str(tree / "f"), "cc:/tmp/file")
        out = tmp_path / str(number)
        out.mkdir()
        engine("cp", "-a", "cc:/tmp/plain", str(out / "hd"))
        engine("cp", "-a", "cc:/home/app", str(out / "hd"))
        tar = subprocess.run(
            [program, "export", "cc"], env=environ, capture_output=True, check=True
        ).stdout
        found.append((listing(tar, "tmp/"), host_listing(out / "hd")))
        assert "user.note" not in os.listxattr(out / "hd/f")
        engine("rm", "-f", "cc")
    assert found[0] == found[1]
    assert len(found[0][0]) == 11


def test_archive_for_a_user_of_the_image(box: Box, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    os.chown(tmp_path / "f", 5, 6)
    for user, owner in (("app", "1000 1000"), ("app:wheel", "1000 10"), ("77", "77 0")):
        box("run", "-d", "--name", "cc", "--user", user, "busybox", "sleep", "1000")
        box("cp", "-a", f"{tmp_path}/f", "cc:/tmp/f")
        assert box("exec", "cc", "stat", "-c", "%u %g", "/tmp/f").stdout == owner + "\n"
        box("rm", "-f", "cc")
    box("create", "--name", "cc", "--user", "nobody-here", "busybox", "true")
    assert 'no user or group "nobody-here"' in box.fails("cp", "-a", f"{tmp_path}/f", "cc:/tmp/f")
    box("rm", "cc")


SWAP = (
    "mkdir -p /a/real/in; echo mine > /a/real/file; ln -s {out} /a/link; cd /a; touch /started; "
    "while :; do mv real moved; mv link real; mv real link; mv moved real; "
    "ln -sfn {out} /a/real/in2; rm -rf /a/real/in2; mkdir -p /a/real/in2; done"
)


def test_a_container_that_swaps_links(box: Box, tmp_path: Path) -> None:
    """CVE-2018-15664: nothing of the host's is read or written while names change all the time."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("canary")
    (canary / "in").mkdir()
    (tmp_path / "tree/in2").mkdir(parents=True)
    for number in range(5):
        (tmp_path / f"tree/in2/{number}").write_text("written")
    (tmp_path / "payload").write_text("written")
    places = tmp_path / "out"
    places.mkdir()
    before = snapshot(canary)
    box("run", "-d", "--name", "cc", "busybox", "sh", "-c", SWAP.format(out=canary))
    while box("exec", "cc", "test", "-e", "/started", check=False).returncode:
        time.sleep(0.02)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(tmp_path / "tree", ".")
    seen: set[bytes] = set()
    done = {"in": 0, "out": 0}
    with fastbox.Engine.open() as engine:
        end = time.monotonic() + 6

        def write() -> None:
            while time.monotonic() < end:
                for copy in (
                    lambda: engine.containers.copy_in("cc", f"{tmp_path}/payload", "/a/real/file"),
                    lambda: engine.containers.copy_in("cc", f"{tmp_path}/tree/.", "/a/real"),
                    lambda: engine.containers.copy_to(
                        "cc", "/a/real", io.BytesIO(archive.getvalue())
                    ),
                ):
                    try:
                        copy()
                        done["in"] += 1
                    except fastbox.FastboxError:
                        pass

        thread = threading.Thread(target=write)
        thread.start()
        while time.monotonic() < end:
            out = io.BytesIO()
            try:
                engine.containers.copy_from("cc", "/a/real/file", out, follow=True)
                seen.add(content(out.getvalue()))
                # Each to a place of its own: what was copied may be a link to the canary.
                engine.containers.copy_out("cc", "/a/real", str(places / str(done["out"])))
                done["out"] += 1
            except fastbox.FastboxError:
                continue
        thread.join()
    box("rm", "-f", "cc")
    assert done["in"] > 10
    assert done["out"] > 3
    assert snapshot(canary) == before
    assert b"canary" not in seen
    for path in places.rglob("*"):
        assert path.is_symlink() or not path.is_file() or "canary" not in path.read_text()


def snapshot(base: Path) -> list[tuple[str, str, int]]:
    return sorted(
        (str(p), p.read_text() if p.is_file() else "", p.stat().st_mtime_ns)
        for p in [base, *base.rglob("*")]
    )


def content(archive: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        (entry,) = tar.getmembers()
        file = tar.extractfile(entry) if entry.isreg() else None
        return file.read() if file else b""


def test_fork_waits_for_no_writer(box: Box, source: str, tmp_path: Path) -> None:
    """What is copied into a container is in its copies, and no copy of one is written to later."""
    (tmp_path / "f").write_text("one")
    box("cp", f"{tmp_path}/f", f"{source}:/f")
    (copy,) = box("fork", "--create", source).stdout.split()
    (tmp_path / "f").write_text("two")
    box("cp", f"{tmp_path}/f", f"{source}:/f")
    box("cp", f"{copy}:/f", f"{tmp_path}/seen")
    assert (tmp_path / "seen").read_text() == "one"
    box("rm", copy)
