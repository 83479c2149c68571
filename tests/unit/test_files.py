"""The face of the native work on many files: values, order, errors as the engine tells them."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from fastbox import _files
from fastbox._native import NativeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRECTORY, FILE, LINK = stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK


@contextmanager
def held(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def entry(source: str, target: str, kind: int = FILE, *, ctime_ns: int = 0) -> _files.Entry:
    return (os.fsencode(source), os.fsencode(target), kind, -1, -1, -1, ctime_ns)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    (made / "sub").mkdir(parents=True)
    (made / "a").write_bytes(b"first")
    (made / "sub" / "b\udcff").write_bytes(b"second" * 100000)
    (made / "link").symlink_to("a")
    return made


@pytest.fixture
def target(tmp_path: Path) -> Path:
    made = tmp_path / "target"
    made.mkdir()
    return made


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_digests_come_in_the_order_of_the_paths(source: Path, threads: int) -> None:
    paths = [source / "sub" / "b\udcff", source / "a", source / "sub" / "b\udcff"]
    with held(source) as fd:
        found = _files.digest_files(
            fd, [os.fsencode(p.relative_to(source)) for p in paths], threads=threads
        )
    assert found == [
        (
            hashlib.sha256(p.read_bytes()).digest(),
            p.stat().st_size,
            p.stat().st_mtime_ns,
            p.stat().st_ctime_ns,
        )
        for p in paths
    ]


def test_nothing_to_digest(source: Path) -> None:
    with held(source) as fd:
        assert _files.digest_files(fd, []) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"link", errno.ELOOP),
        (b"sub", errno.EINVAL),
        (b"none", errno.ENOENT),
        (b"../target", errno.EINVAL),
    ],
)
def test_what_is_no_file_is_told_by_its_path(source: Path, path: bytes, code: int) -> None:
    with held(source) as fd, pytest.raises(NativeError) as told:
        _files.digest_files(fd, [b"a", path])
    assert (told.value.errno, told.value.path) == (code, os.fsdecode(path))


def test_a_path_holds_no_nul(source: Path, target: Path) -> None:
    with held(source) as fd, held(target) as to:
        with pytest.raises(ValueError, match="NUL"):
            _files.digest_files(fd, [b"a\0b"])
        with pytest.raises(ValueError, match="NUL"):
            _files.copy_entries(fd, to, [entry("a", "b\0")])
        with pytest.raises(TypeError):
            _files.digest_files(fd, ["a"])  # type: ignore[list-item]


def test_a_copy_is_the_source_again(source: Path, target: Path) -> None:
    os.utime(source / "sub", ns=(5, 123456789))
    looked = (source / "a").stat().st_ctime_ns
    entries = [
        entry(".", ".", DIRECTORY),
        entry("sub", "into", DIRECTORY),
        entry("sub/b\udcff", "into/b"),
        entry("a", "a", ctime_ns=looked),
        entry("link", "link", LINK),
    ]
    with held(source) as fd, held(target) as to:
        assert _files.copy_entries(fd, to, entries) == (5, 5 + 600000)
    assert (target / "into" / "b").read_bytes() == b"second" * 100000
    assert (target / "into").stat().st_mtime_ns == 123456789
    assert (target / "a").stat().st_mtime_ns == (source / "a").stat().st_mtime_ns
    assert os.readlink(target / "link") == "a"


def test_a_source_that_changed_since_is_told(source: Path, target: Path) -> None:
    before = (source / "a").stat().st_ctime_ns - 1
    with held(source) as fd, held(target) as to, pytest.raises(NativeError) as told:
        _files.copy_entries(fd, to, [entry("a", "copy", ctime_ns=before)])
    assert told.value.errno == errno.ESTALE
    assert told.value.path == "a"
    assert str(told.value).endswith("changed while the build read it")
    assert not (target / "copy").exists()


def test_a_tree_is_settled(target: Path) -> None:
    (target / "early").write_text("ab")
    os.utime(target / "early", (1, 1))
    (target / "late").touch()
    with held(target) as fd:
        assert _files.settle_tree(fd, None) == 2
        assert (target / "late").stat().st_mtime_ns > 1000 * 10**9
        assert _files.settle_tree(fd, 1000) == 2
    assert (target / "early").stat().st_mtime_ns == 10**9
    assert (target / "late").stat().st_mtime_ns == 1000 * 10**9
    assert target.stat().st_mtime_ns == 1000 * 10**9


def test_stubs_go_the_deepest_first(target: Path) -> None:
    (target / "mnt" / "a" / "b").mkdir(parents=True)
    (target / "kept").write_text("x")
    (target / "file").touch()
    stubs = [
        (b"mnt", DIRECTORY),
        (b"mnt/a/b", DIRECTORY),
        (b"mnt/a", DIRECTORY),
        (b"file", FILE),
        (b"kept", FILE),
        (b"none/none", FILE),
    ]
    with held(target) as fd:
        assert _files.remove_stubs(fd, stubs) == 4
    assert os.listdir(target) == ["kept"]


def test_a_directory_is_listed(target: Path) -> None:
    (target / "file").write_text("abc")
    (target / "d").mkdir(mode=0o700)
    (target / "link").symlink_to("a b")
    (target / os.fsdecode(b"\xff")).touch()
    os.mknod(target / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with held(target) as fd:
        found = _files.list_tree(fd, b"", deep=False, most=5)
        with pytest.raises(NativeError) as caught:
            _files.list_tree(fd, b"", deep=False, most=4)
        assert caught.value.errno == errno.E2BIG
    assert [each.path for each in found] == ["d", "file", "link", "null", os.fsdecode(b"\xff")]
    for each in found:
        name, there = each.path, (target / each.path).lstat()
        wanted = there.st_rdev if name == "null" else there.st_size
        assert each.kind | each.mode == there.st_mode
        assert (each.uid, each.gid, each.size) == (there.st_uid, there.st_gid, wanted)
        assert (each.mtime_ns, each.ctime_ns) == (there.st_mtime_ns, there.st_ctime_ns)
        assert each.link == ("a b" if name == "link" else "")
    with pytest.raises(NativeError):
        _files.list_tree(-1, b"", deep=False, most=9)


def test_a_tree_is_listed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "b.c/x", "b/y/z", "b/a", "a/1"):
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if name == "b" else path.touch()
    (target / "out").symlink_to("/")
    (target / "in").symlink_to("b")
    with socket.socket(socket.AF_UNIX) as server, held(target) as fd:
        monkeypatch.chdir(target)
        server.bind("b/socket")

        def names(start: bytes, *, deep: bool = True, most: int = 100) -> str:
            return " ".join(each.path for each in _files.list_tree(fd, start, deep=deep, most=most))

        everything = "a a/1 b b/a b/y b/y/z b.c b.c/x in out"
        assert names(b"") == names(b"", most=10) == everything
        assert names(b"", deep=False) == "a b b.c in out"
        assert names(b"b") == "b/a b/y b/y/z"
        assert names(b"b/y") == "b/y/z"
        assert names(b"in") == names(b"out") == names(b"a/1") == names(b"none") == ""
        assert names(b"in/y") == "in/y/z"  # a link on the way is followed within the root
        with pytest.raises(NativeError):
            names(b"", most=9)


def test_a_deep_tree_is_listed(target: Path) -> None:
    path = target
    for _ in range(200):
        path /= "d"
        path.mkdir()
    with held(target) as fd:
        found = _files.list_tree(fd, b"", deep=True, most=200)
    assert len(found) == 200
    assert found[-1].path == "/".join("d" * 200)
