"""Written tars against other readers: Python's tarfile, GNU tar and our own extractor see the tree that was there."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastbox import _bytes

pytestmark = pytest.mark.integration

CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
ACL = bytes.fromhex(
    "0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000400ffffffff"
)


@contextlib.contextmanager
def directory(path: str | Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def write(root: str | Path, to: Path, **options: Any) -> tuple[str, str, int, int, int]:
    with directory(root) as fd, to.open("w+b") as out:
        return _bytes.write_tree(fd, out.fileno(), **options)


def facts(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """All that an archive should bring back of a tree; of hard links that they are ones."""
    found: dict[bytes, tuple[Any, ...]] = {}
    base = os.fsencode(root)
    for top, directories, files in os.walk(base):
        directories.sort()
        for name in sorted(directories + files):
            path = os.path.join(top, name)
            relative = path[len(base) + 1 :]
            there = os.lstat(path)
            kind = stat.S_IFMT(there.st_mode)
            content: object = None
            if kind == stat.S_IFREG:
                content = hashlib.sha256(Path(os.fsdecode(path)).read_bytes()).hexdigest()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            elif kind in (stat.S_IFCHR, stat.S_IFBLK):
                content = there.st_rdev
            found[relative] = (
                there.st_mode,
                there.st_uid,
                there.st_gid,
                None if kind == stat.S_IFLNK else there.st_mtime_ns,
                content,
                xattrs(path),
                there.st_nlink > 1 and kind != stat.S_IFDIR,
            )
    return found


def xattrs(path: bytes) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.") and name != "security.selinux"
    }


def extracted(archive: Path, to: Path) -> Path:
    to.mkdir()
    with archive.open("rb") as file, directory(to) as fd:
        _bytes.extract(file.fileno(), fd, False)
    return to


def by_gnu_tar(archive: Path, to: Path) -> Path:
    to.mkdir()
    command = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner"]
    subprocess.run([*command, "-xpf", archive, "-C", to], check=True, capture_output=True)
    return to


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)
IDS = st.one_of(
    st.integers(0, 70000), st.integers(0o7777777 - 1, 0o7777777 + 2), st.just(2**32 - 3)
)
TIMES = st.one_of(
    st.integers(0, 2**33 * 10**9),
    st.integers(0, 2**31).map(lambda seconds: seconds * 10**9),
    st.integers(-(10**18), -1),
)
XATTRS = st.dictionaries(
    st.text("abcXYZ0._-%", min_size=1, max_size=20).map("user.".__add__),
    st.binary(max_size=200),
    max_size=3,
)
FILE = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["file", "directory", "symlink", "hard", "fifo", "device", "sparse"]
        ),
        "mode": st.integers(0, 0o7777),
        "uid": IDS,
        "gid": IDS,
        "mtime": TIMES,
        "data": st.binary(max_size=2000),
        "xattrs": XATTRS,
        "deep": st.integers(0, 4),
    }
)


def make(root: Path, entries: dict[str, dict[str, Any]]) -> None:
    below, last = root, root / "none"
    for name, entry in entries.items():
        path = (root if entry["deep"] == 0 else below) / name
        if len(os.fsencode(path)) > 3500 or os.path.lexists(path):
            continue
        kind = entry["kind"]
        if kind == "hard" and last.exists():
            os.link(last, path, follow_symlinks=False)
            continue
        if kind == "directory":
            path.mkdir()
            below = path
        elif kind == "symlink":
            path.symlink_to(name[::-1] * (1 + entry["deep"] * 3))
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(300, 70000))
        else:
            path.write_bytes(entry["data"])
            if kind == "sparse":
                os.truncate(path, 1 << 20)
            last = path
        if kind in ("file", "directory"):
            for key, value in entry["xattrs"].items():
                os.setxattr(path, key, value)
        os.chown(path, entry["uid"], entry["gid"], follow_symlinks=False)
        if kind != "symlink":
            os.chmod(path, entry["mode"])
    for path in sorted(root.rglob("*"), reverse=True):
        entry = entries.get(path.name)
        if entry is not None:
            with contextlib.suppress(OverflowError, OSError):
                os.utime(path, ns=(0, entry["mtime"]), follow_symlinks=False)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(entries=st.dictionaries(NAMES, FILE, min_size=1, max_size=12))
def test_every_reader_sees_the_same_tree(entries: dict[str, dict[str, Any]]) -> None:
    # ext4, whose times end in 2446.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        base = Path(work)
        (base / "tree").mkdir()
        make(base / "tree", entries)
        wanted = facts(base / "tree")
        write(base / "tree", base / "a.tar")
        again = extracted(base / "a.tar", base / "ours")
        assert facts(again) == wanted
        write(again, base / "b.tar")
        assert (base / "b.tar").read_bytes() == (base / "a.tar").read_bytes()
        assert facts(by_gnu_tar(base / "a.tar", base / "gnu")) == wanted
        with tarfile.open(base / "a.tar", errors="surrogateescape") as archive:
            members = archive.getmembers()
        assert {os.fsencode(m.name) for m in members} == set(wanted)
        for member in members:
            mode, uid, gid, mtime, *_ = wanted[os.fsencode(member.name)]
            assert (member.mode, member.uid, member.gid) == (stat.S_IMODE(mode), uid, gid)
            if mtime is not None and "mtime" in member.pax_headers:
                assert member.mtime == pytest.approx(mtime / 1e9)


def furnished(root: Path) -> Path:
    """A tree with one of everything."""
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "file").write_bytes(b"text" * 1000)
    (root / "d" / "e" / ("n" * 200)).write_bytes(b"long name")
    os.link(root / "d" / "file", root / "a link")
    (root / "sym").symlink_to("d/file")
    (root / "big").write_bytes(os.urandom(3 << 20))
    with (root / "holes").open("wb") as file:
        file.truncate(5 << 20)
        file.seek(2 << 20)
        file.write(b"x" * 100_000)
    os.setxattr(root / "d" / "file", "user.b", b"2")
    os.setxattr(root / "d" / "file", "user.a", b"\0=\n")
    for number, path in enumerate(sorted(root.rglob("*"), reverse=True)):
        os.utime(path, ns=(0, 10**18 + number), follow_symlinks=False)
    return root


@pytest.mark.parametrize("packing", ["", "gzip", "zstd"])
def test_the_same_bytes_on_every_file_system(tmp_path: Path, packing: str) -> None:
    results = []
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as disk,
        tempfile.TemporaryDirectory(dir="/dev/shm") as memory,
    ):
        furnished(Path(disk))
        subprocess.run(["cp", "-a", "--sparse=always", f"{disk}/.", memory], check=True)
        for path in (Path(memory) / "big", Path(memory) / "sym"):  # another order on the disk
            path.rename(path.with_name("moved"))
            path.with_name("moved").rename(path)
        for root in (disk, memory):
            for threads in (1, 2, 4):
                archive = tmp_path / "a"
                results.append(write(root, archive, packing=packing, threads=threads))
                results.append((hashlib.sha256(archive.read_bytes()).hexdigest(), *results[-1][1:]))
    # The root's own times differ, and it has no entry.
    assert len(set(results)) == 1, results


def test_other_tools_read_the_packings(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    root = furnished(tmp_path / "tree")
    plain = write(root, tmp_path / "plain")
    for packing, tool in (("gzip", "gzip"), ("zstd", "zstd")):
        packed = write(root, tmp_path / packing, packing=packing)
        assert packed[1] == plain[0] == plain[1]
        done = subprocess.run(
            [tool, "-dc"], input=(tmp_path / packing).read_bytes(), capture_output=True, check=True
        )
        assert hashlib.sha256(done.stdout).hexdigest() == plain[0]
    data = (tmp_path / "gzip").read_bytes()
    assert gzip.decompress(data) == (tmp_path / "plain").read_bytes()
    subprocess.run(["zstd", "-qt", tmp_path / "zstd"], check=True)


def test_capabilities_and_acls_survive(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        tree = Path(work) / "tree"
        (tree / "d").mkdir(parents=True)
        (tree / "ping").write_bytes(b"x")
        os.setxattr(tree / "ping", "security.capability", CAPABILITY)
        os.setxattr(tree / "ping", "trusted.secret", b"of the host")
        os.setxattr(tree / "ping", "user.overlay.origin", b"of overlayfs")
        os.setxattr(tree / "d", "system.posix_acl_default", ACL)
        os.setxattr(tree / "ping", "system.posix_acl_access", ACL)
        write(tree, tmp_path / "a.tar")
        for reader in (extracted, by_gnu_tar):
            back = reader(tmp_path / "a.tar", Path(work) / reader.__name__)
            assert xattrs(bytes(back / "ping")) == {
                "security.capability": CAPABILITY,
                "system.posix_acl_access": ACL,
            }
            assert xattrs(bytes(back / "d")) == {"system.posix_acl_default": ACL}
        with tarfile.open(tmp_path / "a.tar") as archive:
            headers = archive.getmember("ping").pax_headers
        assert not any("trusted" in key or "overlay" in key for key in headers)


def test_a_key_with_an_equals_sign_is_written_as_gnu_tar_does(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
        tree = Path(work) / "tree"
        tree.mkdir()
        (tree / "f").write_bytes(b"")
        os.setxattr(tree / "f", "user.a=b%c", b"v")
        write(tree, tmp_path / "a.tar")
        back = by_gnu_tar(tmp_path / "a.tar", Path(work) / "gnu")
        assert xattrs(bytes(back / "f")) == {"user.a=b%c": b"v"}


def test_sizes_beyond_octal(tmp_path: Path) -> None:
    """A file of 9 GiB that is a hole but for its end: neither its size nor its map fits old fields."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "huge").open("wb") as file:
        file.seek(9 << 30)
        file.write(b"end")
    write(tree, tmp_path / "a.tar")
    assert (tmp_path / "a.tar").stat().st_size < 1 << 20
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getmember("huge").size == (9 << 30) + 3
    back = by_gnu_tar(tmp_path / "a.tar", tmp_path / "gnu") / "huge"
    assert back.stat().st_size == (9 << 30) + 3
    with back.open("rb") as file:
        file.seek(9 << 30)
        assert file.read() == b"end"


def test_a_tree_that_changes_meanwhile_gives_a_whole_archive(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    script = (
        "import os, random, sys\n"
        "os.chdir(sys.argv[1])\n"
        "while True:\n"
        "    n = str(random.randrange(20))\n"
        "    try:\n"
        "        k = random.randrange(5)\n"
        "        if k == 0: open(n, 'wb').write(os.urandom(random.randrange(300000)))\n"
        "        elif k == 1: os.mkdir(n)\n"
        "        elif k == 2: os.symlink('/etc', n)\n"
        "        elif k == 3: os.rename(n, str(random.randrange(20)))\n"
        "        else: os.unlink(n)\n"
        "    except OSError:\n"
        "        try: os.rmdir(n)\n"
        "        except OSError: pass\n"
    )
    busy = subprocess.Popen([shutil.which("python3") or "python3", "-c", script, str(tree)])
    try:
        for _ in range(60):
            write(tree, tmp_path / "a.tar")
            with tarfile.open(tmp_path / "a.tar") as archive:
                for member in archive:
                    assert "/" not in member.name  # nothing of /etc
            subprocess.run(["tar", "-tf", tmp_path / "a.tar"], check=True, capture_output=True)
    finally:
        busy.kill()
        busy.wait()


def test_a_full_disk_and_a_closed_pipe(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(os.urandom(2 << 20))
    for packing in ("", "gzip", "zstd"):
        with directory(tmp_path) as root, open("/dev/full", "wb", buffering=0) as full:
            with pytest.raises(OSError, match="no space") as failed:
                _bytes.write_tree(root, full.fileno(), packing=packing)
            assert failed.value.errno == errno.ENOSPC
        reading, writing = os.pipe()
        os.close(reading)
        with directory(tmp_path) as root, pytest.raises(OSError, match="broken pipe"):
            _bytes.write_tree(root, writing, packing=packing)
        os.close(writing)


def test_wrong_arguments(tmp_path: Path) -> None:
    with directory(tmp_path) as root, (tmp_path / "out").open("wb") as out:
        with pytest.raises(ValueError, match="packing"):
            _bytes.write_tree(root, out.fileno(), packing="bzip2")
        with pytest.raises(OSError, match="not a directory"):
            _bytes.write_tree(out.fileno(), out.fileno())
