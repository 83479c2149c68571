"""Trees: what is found, in which order, what is ignored, and that nothing leads out of the root."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from fastbox import _native
from fastbox.builder import scan
from fastbox.builder.scan import Tree
from fastbox.errors import ResourceExhausted


def paths(tree: Tree, below: str = "") -> list[str]:
    return [found.path for found in tree.below(below)]


def test_directories_come_before_their_content_and_names_are_in_order(tree) -> None:
    made = tree("b a-c a/z a/b/c .hidden")
    assert paths(made) == [".hidden", "a", "a/b", "a/b/c", "a/z", "a-c", "b"]


def test_an_entry_tells_what_a_stat_tells(tree, tmp_path: Path) -> None:
    made = tree({"file": "12345", "link": "->file", "dir/": None})
    os.chmod(tmp_path / "tree0/file", 0o4751)
    os.utime(tmp_path / "tree0/file", ns=(1, 1_234_567_890))
    file, link, directory = made.get("file"), made.get("link"), made.get("dir")
    assert (file.kind, file.mode, file.size, file.mtime_ns) == (
        stat.S_IFREG,
        0o4751,
        5,
        1_234_567_890,
    )
    assert file.ctime_ns == os.stat(tmp_path / "tree0/file").st_ctime_ns
    assert (link.kind, link.link) == (stat.S_IFLNK, "file")
    assert directory.kind == stat.S_IFDIR
    assert made.get("absent") is None
    assert made.get("").kind == stat.S_IFDIR


def test_names_that_are_no_text_come_back_as_they_were(tree, tmp_path: Path) -> None:
    made = tree("x")
    (tmp_path / os.fsdecode(b"tree0/\xff\n")).write_text("")
    assert [os.fsencode(path) for path in paths(made)] == [b"x", b"\xff\n"]


def test_links_are_entries_and_never_ways(tree, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("")
    made = tree({"out": f"->{tmp_path}/outside", "up": "->../outside", "loop": "->loop"})
    assert paths(made) == ["loop", "out", "up"]
    assert made.below("out") == made.below("up") == made.children("out") == []
    assert made.get("out/secret") is None


def test_a_directory_that_became_a_link_is_empty(tree, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("")
    made = tree("dir/a other/b")
    made.get("dir")
    (tmp_path / "tree0/dir").rename(tmp_path / "tree0/was")
    (tmp_path / "tree0/dir").symlink_to(tmp_path / "outside")
    assert paths(made, "dir") == []


def test_sockets_are_left_out(tree, tmp_path: Path) -> None:
    made = tree("file")
    os.mkfifo(tmp_path / "tree0/pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "tree0/socket"))
    assert paths(made) == ["file", "pipe"]
    assert made.get("socket") is None


def test_what_is_ignored_is_not_there_and_not_walked(tree, tmp_path: Path) -> None:
    made = tree("a/x node_modules/deep/file b.log", ignore="node_modules\n*.log\n")
    (tmp_path / "tree0/node_modules").chmod(0)
    assert paths(made) == ["a", "a/x"]
    assert made.get("b.log") is None
    assert made.excluded("b.log")
    assert not made.excluded("a")
    assert not made.excluded("absent.log")


def test_an_ignored_directory_is_there_for_its_exceptions_alone(tree) -> None:
    made = tree("a/keep a/x b/c/keep b/c/x d/x", ignore="*\n!**/keep\n")
    assert paths(made) == ["a", "a/keep", "b", "b/c", "b/c/keep"]
    assert made.get("b").kind == stat.S_IFDIR
    assert made.get("d") is None
    assert [found.path for found in made.children("")] == ["a", "b"]


def test_before_and_after_a_walk_the_answers_are_the_same(tree) -> None:
    names = "a/x a/y/z b"
    fresh, walked = tree(names), tree(names)
    walked.below("")
    for path in ("a", "a/y", "a/y/z", "b", "c", "a/c"):
        assert repr(fresh.get(path)) == repr(walked.get(path))
    for path in ("", "a", "a/y", "b"):
        assert repr(fresh.children(path)) == repr(walked.children(path))
        assert repr(fresh.below(path)) == repr(walked.below(path))


def test_depth_is_no_recursion(tree, tmp_path: Path) -> None:
    made = tree("x")
    at = os.open(tmp_path / "tree0", os.O_PATH)
    for _ in range(1200):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_PATH, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    try:
        assert len(made.below("")) == 1201
    finally:
        _native.remove_tree(made.root, "d")


def test_a_limit_of_entries(tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_ENTRIES", 3)
    assert len(tree("a b c").below("")) == 3
    with pytest.raises(ResourceExhausted, match="more than 3 files"):
        tree("a b c d").below("")
