"""Volumes and mounts of real containers: what is in them, who owns it, and what is left afterwards."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.containers import mountpoints
from fastbox.store.containers import ContainerStore
from fastbox.types import Mount

from .host import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box

pytestmark = pytest.mark.integration


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    made.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def layer() -> bytes:
    """Busybox, and directories that volumes are to be filled from."""
    out = io.BytesIO()
    capability = "\x01\0\0\x02\0\x04" + "\0" * 14  # net_bind_service
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("bin", "etc", "tmp", "srv", "srv/deep", "srv/deep/er"):
            tar.addfile(entry(name, tarfile.DIRTYPE))
        binary = Path("/bin/busybox").read_bytes()
        tar.addfile(entry("bin/busybox", mode=0o755, size=len(binary)), io.BytesIO(binary))
        for applet in ("sh", "cat", "ls", "echo", "touch", "true", "stat", "sleep", "df", "find",
                       "mount", "grep", "id", "rm", "mkdir", "dd", "readlink"):  # fmt: skip
            tar.addfile(entry(f"bin/{applet}", tarfile.SYMTYPE, linkname="busybox"))
        owned = {"uid": 999, "gid": 998, "mode": 0o1750, "mtime": 1_000_000_000}
        tar.addfile(entry("data", tarfile.DIRTYPE, **owned))
        tar.addfile(entry("data/file", uid=999, mode=0o600, size=5), io.BytesIO(b"image"))
        tar.addfile(entry("data/twin", tarfile.LNKTYPE, linkname="data/file"))
        tar.addfile(entry("data/link", tarfile.SYMTYPE, linkname="/etc/shadow"))
        tar.addfile(entry("data/up", tarfile.SYMTYPE, linkname="../../../../etc"))
        tar.addfile(entry("data/sub", tarfile.DIRTYPE, mode=0o700, uid=7))
        tar.addfile(entry("data/sub/suid", mode=0o4755, uid=7, size=1), io.BytesIO(b"x"))
        tar.addfile(entry("data/pipe", tarfile.FIFOTYPE))
        tar.addfile(
            entry("data/able", size=0, pax_headers={"SCHILY.xattr.security.capability": capability})
        )
        tar.addfile(entry("empty", tarfile.DIRTYPE, uid=5, gid=6, mode=0o711))
        tar.addfile(entry("out", tarfile.SYMTYPE, linkname="/../../../../../srv/deep"))
        tar.addfile(entry("srv/deep/here", size=0))
        tar.addfile(entry("plain", size=0))
        text = b"root:x:0:0:root:/:/bin/sh\n"
        tar.addfile(entry("etc/passwd", size=len(text)), io.BytesIO(text))
    return out.getvalue()


def load(box: Box, name: str, *changes: str) -> str:
    words = [word for change in changes for word in ("--change", change)]
    box("import", *words, "-", name, stdin=layer())
    return name


@pytest.fixture(scope="session")
def full(box: Box) -> str:
    return load(box, "full", "VOLUME /data")


@pytest.fixture(autouse=True)
def no_volumes(box: Box, full: str) -> Iterator[None]:
    """The names that these tests give are removed; what is left otherwise is told by `nothing_left`."""
    yield
    for name in box("ps", "-aq").stdout.split():
        box("rm", "-fv", name)
    box("volume", "prune", "-af")


def data(box: Box, name: str) -> Path:
    return Path(box("volume", "inspect", "-f", "{{.Mountpoint}}", name).stdout.strip())


def volumes(box: Box) -> list[str]:
    return box("volume", "ls", "-q").stdout.split()


# Named and anonymous


def test_what_one_container_writes_another_reads(box: Box) -> None:
    box("run", "--rm", "-v", "shared:/a", "busybox", "sh", "-c", "echo hello > /a/x")
    assert box("run", "--rm", "-v", "shared:/b:ro", "busybox", "cat", "/b/x").stdout == "hello\n"
    done = box("run", "--rm", "-v", "shared:/b:ro", "busybox", "touch", "/b/x", check=False)
    assert "Read-only file system" in done.stderr
    words = ("--mount", "source=shared,target=/b/,readonly")
    done = box("run", "--rm", *words, "busybox", "touch", "/b/x", check=False)
    assert "Read-only file system" in done.stderr
    assert (data(box, "shared") / "x").read_text() == "hello\n"
    assert volumes(box) == ["shared"]


@pytest.mark.parametrize("words", [("-v", "/anon"), ("--mount", "type=volume,dst=/anon")])
def test_an_anonymous_volume_ends_with_its_container_if_asked(
    box: Box, words: tuple[str, ...]
) -> None:
    out = box("run", "--rm", *words, "busybox", "sh", "-c", "echo 1 > /anon/x; cat /anon/x")
    assert out.stdout == "1\n"
    assert volumes(box) == []
    for flags, left in (((), 1), (("-v",), 0)):
        box("run", "--name", "kept", *words, "busybox", "touch", "/anon/y")
        (name,) = volumes(box)
        assert re.fullmatch("[0-9a-f]{64}", name)
        assert (data(box, name) / "y").exists()
        box("start", "-a", "kept")
        box("rm", *flags, "kept")
        assert len(volumes(box)) == left
        box("volume", "prune", "-f")
        assert volumes(box) == []


def test_rm_leaves_what_has_a_name_and_what_others_use(box: Box) -> None:
    box("create", "--name", "one", "-v", "/anon", "-v", "named:/n", "busybox", "true")
    box("create", "--name", "two", "--volumes-from", "one", "busybox", "true")
    box("rm", "-v", "one")
    assert len(volumes(box)) == 2
    box("rm", "-v", "two")
    assert volumes(box) == ["named"]


def test_the_last_of_several_that_remove_themselves(box: Box) -> None:
    box("run", "-d", "--rm", "--name", "one", "-v", "/anon", "busybox", "sleep", "600")
    box("run", "-d", "--rm", "--name", "two", "--volumes-from", "one", "busybox", "sleep", "600")
    box("exec", "one", "touch", "/anon/x")
    box("rm", "-f", "one")
    assert box("exec", "two", "ls", "/anon").stdout == "x\n"
    assert len(volumes(box)) == 1
    box("kill", "two")
    box("wait", "two", check=False)
    until(lambda: not volumes(box))


def test_a_start_that_fails_leaves_no_anonymous_volume(box: Box, full: str) -> None:
    box.fails("run", "--rm", full, "/not/there", code=127)
    box.fails("create", "--name", "x" * 200, full, "true")
    box.fails("run", "-v", "/new", "--workdir", "relative", full, "true")
    box.fails("run", "--volume-driver", "other", full, "true")
    assert volumes(box) == []


def test_image_volumes(box: Box, full: str) -> None:
    out = box("run", "--name", "one", full, "sh", "-c", "cat /data/file; echo mine > /data/file")
    assert out.stdout == "image"
    assert "mine" in box("start", "-a", "one", check=False).stdout
    (described,) = json.loads(box("inspect", "one").stdout)
    assert described["Config"]["Volumes"] == {"/data": {}}
    (mount,) = described["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/data", True)
    assert volumes(box) == [mount["Name"]]
    assert box("run", "--rm", full, "cat", "/data/file").stdout == "image"
    # What was asked for at the same place goes before it.
    for words in (("-v", "own:/data/"), ("--tmpfs", "/data"), ("-v", "/srv:/data")):
        box("run", "--rm", *words, full, "true")
    assert sorted(volumes(box)) == sorted([mount["Name"], "own"])
    assert box("run", "--rm", "--read-only", full, "touch", "/data/x").returncode == 0


@pytest.mark.parametrize("place", ["/", "/proc", "//", "/data/.."])
def test_image_volumes_at_places_that_are_not_theirs(box: Box, place: str) -> None:
    load(box, "odd", f"VOLUME {place}")
    assert "the image has a VOLUME at" in box.fails("run", "--rm", "odd", "true")
    box("rmi", "odd")


def test_an_image_volume_at_a_link_stays_in_the_image(box: Box) -> None:
    """PROMISES 43: the link leads out of every root but its own."""
    load(box, "odd", "VOLUME /out", "VOLUME /data/link/x")
    out = box("run", "--rm", "odd", "find", "/srv").stdout.split()
    assert "/srv/deep/here" in out
    assert not Path("/srv/deep").exists()
    assert not os.path.lexists("/etc/shadow/x")
    box("rmi", "odd")


# Copy-up


def listing(path: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for name in [*sorted(str(p.relative_to(path)) for p in path.rglob("*")), "."]:
        status = (path / name).lstat()
        kind = stat.S_IFMT(status.st_mode)
        what = os.readlink(path / name) if kind == stat.S_IFLNK else ""
        found[name] = (oct(status.st_mode), status.st_uid, status.st_gid, status.st_nlink, what)
    return found


def test_copy_up(box: Box, full: str) -> None:
    """Contents, owners, modes, links as links, capabilities: as the image has them."""
    box("run", "--rm", "-v", "new:/data", full, "true")
    found = listing(data(box, "new"))
    assert found["."][:3] == ("0o41750", 999, 998)
    assert found["link"][4] == "/etc/shadow"
    assert found["up"][4] == "../../../../etc"
    assert found["file"][:4] == ("0o100600", 999, 0, 2)
    assert found["sub/suid"][:3] == ("0o104755", 7, 0)
    assert found["pipe"][0].startswith("0o1")
    assert os.getxattr(data(box, "new") / "able", "security.capability")[0] == 1
    assert (data(box, "new") / "file").stat().st_ino == (data(box, "new") / "twin").stat().st_ino
    assert int(data(box, "new").stat().st_mtime) == 1_000_000_000
    assert sorted(os.listdir(data(box, "new").parent)) == ["_data", "record.json"]


def test_copy_up_only_into_an_empty_volume(box: Box, full: str) -> None:
    box("run", "--rm", "-v", "used:/elsewhere", full, "touch", "/elsewhere/x")
    assert box("run", "--rm", "-v", "used:/data", full, "ls", "/data").stdout == "x\n"
    box("run", "--rm", "-v", "used:/data", full, "rm", "/data/x")
    assert "file" in box("run", "--rm", "-v", "used:/data", full, "ls", "/data").stdout


def test_no_copy(box: Box, full: str) -> None:
    assert box("run", "--rm", "-v", "bare:/data:nocopy", full, "ls", "/data").stdout == ""
    words = ("--mount", "src=bare,dst=/data,volume-nocopy")
    assert box("run", "--rm", *words, full, "ls", "/data").stdout == ""
    assert box("run", "--rm", "-v", "/usr:/data", full, "ls", "/data").stdout != ""


def test_copy_up_of_an_empty_directory_takes_its_owner(box: Box, full: str) -> None:
    box("run", "--rm", "-v", "none:/empty", full, "true")
    assert listing(data(box, "none"))["."][:3] == ("0o40711", 5, 6)


def test_copy_up_through_a_link_of_the_image(box: Box, full: str) -> None:
    assert box("run", "--rm", "-v", "via:/out", full, "ls", "/srv/deep").stdout == "er\nhere\n"
    assert sorted(os.listdir(data(box, "via"))) == ["er", "here"]


def test_a_volume_over_a_file(box: Box, full: str) -> None:
    assert "over a file of the image" in box.fails("run", "--rm", "-v", "/plain", full, "true")


def test_copy_up_when_the_disk_is_full(box: Box, full: str, tmp_path: Path) -> None:
    """A clear error, nothing in the volume, and the next start copies."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "small", small], check=True)
    place = {"FASTBOX_ROOT": f"{small}/store", "FASTBOX_RUN": f"{small}/run"}
    try:
        out = io.BytesIO(layer())
        with tarfile.open(fileobj=out, mode="a") as tar:
            tar.addfile(entry("data/large", size=2 << 20), io.BytesIO(os.urandom(2 << 20)))
        box("import", "-", "large", stdin=out.getvalue(), **place)
        box("volume", "create", "vol", **place)
        (small / "fill").write_bytes(bytes(os.statvfs(small).f_bavail * 4096 - (1 << 20)))
        words = ("run", "--rm", "-v", "vol:/data", "large", "ls", "/data")
        done = box(*words, check=False, **place)
        assert done.returncode == 125
        assert "cannot copy the image's files into the volume" in done.stderr
        assert "no space left" in done.stderr
        assert os.listdir(small / "store/volumes/vol/_data") == []
        assert sorted(os.listdir(small / "store/volumes/vol")) == ["_data", "record.json"]
        assert os.listdir(small / "store/containers") == []
        (small / "fill").unlink()
        assert "large" in box(*words, **place).stdout
        box("volume", "rm", "vol", **place)
        until(lambda: not os.listdir(small / "run/supervisors"))
    finally:
        subprocess.run(["umount", "-l", small], check=True)


# A part of a volume


def test_subpath(box: Box, full: str) -> None:
    box("run", "--rm", "-v", "whole:/data", full, "sh", "-c", "echo 1 > /data/sub/x")
    words = ("--mount", "src=whole,dst=/part,volume-subpath=sub")
    assert box("run", "--rm", *words, full, "ls", "/part").stdout == "suid\nx\n"
    words = ("--mount", "src=whole,dst=/part,volume-subpath=/sub/x")
    assert box("run", "--rm", *words, full, "cat", "/part").stdout == "1\n"
    words = ("--mount", "src=whole,dst=/part,volume-subpath=none")
    assert 'the volume has no "none"' in box.fails("run", "--rm", *words, full, "true")


@pytest.mark.parametrize("link", ["../../../../../../../etc", "/etc"])
def test_a_subpath_never_leads_out_of_the_volume(box: Box, full: str, link: str) -> None:
    """The volume's users can put links into it, at any time."""
    box("run", "--rm", "-v", "trap:/t", full, "sh", "-c", f"busybox ln -s {link} /t/way")
    words = ("--mount", "src=trap,dst=/part,volume-subpath=way")
    assert 'the volume has no "way"' in box.fails("run", "--rm", *words, full, "true")
    box("run", "--rm", "-v", "trap:/t", full, "sh", "-c", "rm /t/way; mkdir /t/way /t/etc")
    box("create", "--name", "later", *words, full, "ls", "/part")
    (data(box, "trap") / "way").rmdir()
    (data(box, "trap") / "way").symlink_to(link)
    out = box("start", "-a", "later")
    assert out.stdout == ""  # the volume's own etc


def test_a_user_namespace(box: Box, full: str) -> None:
    """The container's root owns what is in a volume, as it would without one."""
    run = ("run", "--rm", "--userns", "200000:65536")
    words = ("-v", "ours:/data", full, "sh", "-c", "stat -c %u /data/file /data; touch /data/x")
    assert box(*run, *words).stdout == "999\n999\n"
    assert (data(box, "ours") / "x").stat().st_uid == 0
    words = ("--mount", "src=ours,dst=/part,volume-subpath=sub", full, "touch", "/part/y")
    box(*run, *words)
    assert (data(box, "ours") / "sub/y").stat().st_uid == 0


# Options of the driver


def test_a_volume_that_is_a_tmpfs(box: Box) -> None:
    box(
        "volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=7", "mem"
    )
    out = box(
        "run", "--rm", "-v", "mem:/m", "busybox", "sh", "-c", "stat -c %u /m; df -k /m"
    ).stdout
    assert out.startswith("7\n")
    assert " 1024 " in out
    done = box("run", "--rm", "-v", "mem:/m:ro", "busybox", "touch", "/m/x", check=False)
    assert "Read-only file system" in done.stderr


def test_a_volume_that_is_a_directory_of_the_host(box: Box, full: str, tmp_path: Path) -> None:
    words = ("-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind")
    box("volume", "create", *words, "host")
    box("run", "--rm", "-v", "host:/data", full, "touch", "/data/made")
    assert {"made", "file"} <= set(os.listdir(tmp_path))  # copied up, as docker does
    box("volume", "rm", "host")
    assert "made" in os.listdir(tmp_path)
    options = f"volume-opt=type=none,volume-opt=device={tmp_path},volume-opt=o=bind"
    words = ("--mount", f"src=again,dst=/m,volume-label=a=b,{options}")
    assert "made" in box("run", "--rm", *words, "busybox", "ls", "/m").stdout
    (described,) = json.loads(box("volume", "inspect", "again").stdout)
    assert described["Labels"] == {"a": "b"}
    assert described["Options"] == {"type": "none", "device": str(tmp_path), "o": "bind"}


def test_options_that_the_driver_refuses(box: Box) -> None:
    for words, part in (
        (("-o", "size=1m"), "can't be limited"),
        (("-o", "colour=red"), 'unknown volume option "colour"'),
        (("-o", "type=tmpfs"), '"type" needs "device"'),
        (("-o", "o=bind"), '"o" needs "device"'),
        (("-d", "flocker"), 'volume driver "flocker" is not there'),
        (("--scope", "multi"), "volumes of a cluster"),
    ):
        assert part in box.fails("volume", "create", *words, "odd")


# Binds and tmpfs


def test_bind_mounts(box: Box, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here\n")
    run = ("run", "--rm")
    assert box(*run, "-v", f"{tmp_path}/file:/f:ro,z", "busybox", "cat", "/f").stdout == "here\n"
    assert box(*run, "-v", f"{tmp_path}/new:/n", "busybox", "ls", "/n").stdout == ""
    assert (tmp_path / "new").is_dir()
    missing = f"type=bind,src={tmp_path}/no,dst=/n"
    assert "bind source path does not exist" in box.fails(
        *run, "--mount", missing, "busybox", "true"
    )
    over = ("-v", f"{tmp_path}:/proc/sys")
    assert "/proc" in box.fails(*run, *over, "busybox", "true")
    os.mkdir(tmp_path / "sub")
    done = subprocess.run(
        [box.program, *run, "-v", "./sub:/s", "busybox", "touch", "/s/x"],
        env=box.environ, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert (tmp_path / "sub/x").exists()


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory with a file system mounted in it, shared with peers."""
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    subprocess.run(["mount", "--make-shared", tree], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "below", tree / "below"], check=True)
    (tree / "below/there").touch()
    yield tree
    subprocess.run(["umount", "-R", tree], check=True)


@pytest.mark.parametrize(
    ("words", "there", "writable"),
    [
        ("readonly", True, False),
        ("readonly,bind-recursive=writable", True, True),
        ("readonly,bind-recursive=readonly,bind-propagation=rprivate", True, False),
        ("readonly,bind-recursive=disabled", False, False),
        ("bind-nonrecursive", False, True),
        ("bind-recursive=enabled", True, True),
    ],
)
def test_what_is_mounted_below_a_bind(
    box: Box, tree: Path, words: str, there: bool, writable: bool
) -> None:
    script = "ls /t/below; touch /t/below/x 2>/dev/null && echo written; true"
    mount = f"type=bind,src={tree},dst=/t,{words}"
    out = box("run", "--rm", "--mount", mount, "busybox", "sh", "-c", script).stdout.split()
    assert ("there" in out) is there
    assert ("written" in out) is writable


def test_ro_of_a_short_bind_reaches_what_is_below(box: Box, tree: Path) -> None:
    words = ("-v", f"{tree}:/t:ro", "busybox", "touch", "/t/below/x")
    assert "Read-only file system" in box("run", "--rm", *words, check=False).stderr


def test_propagation(box: Box, tree: Path, tmp_path: Path) -> None:
    words = ("-v", f"{tree}:/t:rshared", "busybox", "grep", " /t ", "/proc/self/mountinfo")
    assert " shared:" in box("run", "--rm", *words).stdout
    words = ("-v", f"{tree}:/t:rslave", "busybox", "grep", " /t ", "/proc/self/mountinfo")
    assert " master:" in box("run", "--rm", *words).stdout


def test_tmpfs(box: Box) -> None:
    words = ("--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770")
    out = box("run", "--rm", *words, "busybox", "sh", "-c", "stat -c %a /t; df -k /t").stdout
    assert out.startswith("1770\n")
    assert " 1024 " in out
    words = ("--mount", "type=tmpfs,dst=/t,readonly")
    done = box("run", "--rm", *words, "busybox", "touch", "/t/x", check=False)
    assert "Read-only file system" in done.stderr
    words = ("--tmpfs", "/t:rw,size=64k,mode=700,exec")
    out = box("run", "--rm", *words, "busybox", "grep", " /t ", "/proc/self/mountinfo").stdout
    assert "size=64k,mode=700" in out
    assert "noexec" not in out


# --volumes-from


def test_volumes_from(box: Box, full: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    words = ("-v", f"{tmp_path}:/bound", "-v", "named:/named", "-v", "/anon")
    box("create", "--name", "one", *words, full, "true")
    box("create", "--name", "two", "-v", "other:/named", full, "true")
    for target in ("/named", "/anon", "/data"):
        box("run", "--rm", "--volumes-from", "one", "busybox", "touch", f"{target}/x")
    out = box("run", "--rm", "--volumes-from", "one:ro", "busybox", "sh", "-c",
              "cat /bound/file; ls /named /anon; touch /anon/y", check=False)  # fmt: skip
    assert out.stdout == "bound\n/anon:\nx\n\n/named:\nx\n"
    assert "Read-only file system" in out.stderr
    # The later container goes before the earlier one, and -v before both.
    both = ("--volumes-from", "one", "--volumes-from", "two")
    assert box("run", "--rm", *both, "busybox", "ls", "/named").stdout == ""
    out = box("run", "--rm", *both, "-v", "third:/named", full, "ls", "/named")
    assert "third" in volumes(box)
    assert "no such container" in box.fails("run", "--volumes-from", "none", "busybox", "true")
    assert "volumes-from" in box.fails("run", "--volumes-from", "one:rx", "busybox", "true")
    box("rm", "-v", "one", "two")


# What is told of them


def record(box: Box, name: str) -> mountpoints.ContainerRecord:  # type: ignore[name-defined]
    store = ContainerStore(fastbox.Engine.open(root=box.root, run=box.run_root).root)
    found = store.read(store.find(name))
    assert found is not None
    return found


def test_mount_points(box: Box, full: str, tmp_path: Path) -> None:
    words = ("-v", f"{tmp_path}:/b/c:ro", "-v", "named:/b", "--tmpfs", "/t", "-v", "/anon")
    box("create", "--name", "one", *words, full, "true")
    found = record(box, "one")
    places = {
        target: (path, read_only) for target, path, read_only in mountpoints.mount_points(found)
    }
    assert places["/b/c"] == (str(tmp_path), True)
    assert places["/b"] == (str(data(box, "named")), False)
    assert places["/t"] == ("", False)
    assert set(places) == {"/b", "/b/c", "/t", "/anon", "/data"}
    assert mountpoints.uses_volume(found, "named")
    assert mountpoints.uses_volume(found, "/anon")
    assert not mountpoints.uses_volume(found, "other")
    box("rm", "-v", "one")


def test_inspect_as_docker(box: Box, docker: object, tmp_path: Path) -> None:
    """Mounts, Binds and Mounts of HostConfig, and Config.Volumes, beside a real dockerd's."""
    words = (
        "-v", f"{tmp_path}:/bind:ro,z", "-v", "named:/named", "-v", "other:/other:ro", "-v", "/anon",
        "--mount", f"type=bind,src={tmp_path},dst=/long,readonly", "--tmpfs", "/t:size=1m",
        "--mount", "type=volume,src=long,dst=/v,volume-nocopy,volume-label=a=b",
    )  # fmt: skip

    def told(text: str) -> tuple[object, ...]:
        (found,) = json.loads(text)
        mounts = found["Mounts"]
        for mount in mounts:
            if mount["Type"] == "volume":
                mount["Source"] = mount["Source"].rsplit("/", 2)[2]
                mount["Name"] = mount["Name"] if len(mount["Name"]) < 64 else "anonymous"
        host = found["HostConfig"]
        host["Binds"].sort()  # docker's client sends them in the order of a map
        return (
            sorted(mounts, key=lambda mount: mount["Destination"]),
            {key: host[key] for key in ("Binds", "Mounts", "Tmpfs", "VolumesFrom", "VolumeDriver")},
            found["Config"]["Volumes"],
        )

    docker("create", "--name", "one", *words, "busybox", "true")  # type: ignore[operator]
    theirs = docker("inspect", "one").stdout  # type: ignore[operator]
    docker("rm", "-v", "one")  # type: ignore[operator]
    box("create", "--name", "one", *words, "busybox", "true")
    for ours, other in zip(told(box("inspect", "one").stdout), told(theirs), strict=True):
        assert ours == other
    box("rm", "-v", "one")


# The Python API


def test_api(box: Box) -> None:
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        with engine.volumes.create("api", labels={"a": "b"}) as volume:
            assert volume.info.labels == {"a": "b"}
            with engine.run("busybox", ["sleep", "60"], volumes={"api": "/a"}) as container:
                container.exec(["touch", "/a/x"]).check()
                assert os.listdir(volume.mountpoint) == ["x"]
                assert engine.volumes.get("api").info.containers == (container.id,)
                with pytest.raises(fastbox.errors.InUse, match=container.id):
                    volume.remove()
            assert [info.name for info in engine.volumes.list(filters=["label=a=b"])] == ["api"]
        assert engine.volumes.list() == []
        with pytest.raises(fastbox.errors.NotFound):
            engine.volumes.get("api")
        with engine.run("busybox", ["sleep", "60"], volumes=["/anon"]) as container:
            assert len(engine.volumes.list()) == 1
        until(lambda: not engine.volumes.list())
        engine.volumes.create()
        (info,) = engine.volumes.list(filters=["dangling=true"])
        assert info.anonymous
        assert engine.volumes.prune().lines == (info.name,)
        mount = Mount(kind="volume", source="api", target="/a", read_only=True)
        with engine.run("busybox", ["sleep", "60"], mounts=[mount]) as container:
            assert container.exec(["touch", "/a/x"]).exit_code == 1
        engine.volumes.remove("api")
