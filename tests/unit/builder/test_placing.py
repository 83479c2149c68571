"""Digests of selections, the list that native code copies by, and what a target refuses."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from fastbox.builder.placing import Digests, check_target, copy_list, digest_of_selection, ways
from fastbox.builder.scan import Tree
from fastbox.builder.selection import select
from fastbox.errors import Conflict, FastboxError


def pick(tree: Tree, source: str = ".", target: str = "/"):
    return select(tree, [source], target, is_directory=lambda _: False)


def digest(tree: Tree, source: str = ".", target: str = "/", *, owners: bool = False) -> str:
    return digest_of_selection(pick(tree, source, target), Digests(tree.root), owners=owners)


def test_equal_trees_have_one_digest_whatever_their_times(tree, tmp_path: Path) -> None:
    files = {"a": "1", "d/b": "2", "l": "->a"}
    one, other = tree(files), tree(dict(reversed(files.items())))
    os.utime(tmp_path / "tree1/a", (1, 1))
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "files",
    [
        {"a": "2", "d/b": "2", "l": "->a"},
        {"a": "1", "d/c": "2", "l": "->a"},
        {"a": "1", "d/b": "2", "l": "->b"},
        {"a": "1", "d/b": "2", "l": "a"},
        {"a": "1", "d/b": "2", "l": "->a", "e/": None},
        {"a": "1", "d/b": "2"},
    ],
)
def test_every_difference_makes_another_digest(tree, files) -> None:
    assert digest(tree({"a": "1", "d/b": "2", "l": "->a"})) != digest(tree(files))


def test_modes_and_targets_count_and_owners_when_they_are_kept(tree, tmp_path: Path) -> None:
    first = digest(tree({"a": "1"}))
    assert first != digest(tree({"a": "1"}), target="/x/")
    changed = tree({"a": "1"})
    os.chmod(tmp_path / "tree2/a", 0o700)
    assert first != digest(changed)
    if os.geteuid() == 0:
        owned = tree({"a": "1"})
        os.chown(tmp_path / "tree3/a", 5, 5)
        assert digest(owned) == first
        assert digest(owned, owners=True) != first


def test_what_a_digest_is_made_of(tree, tmp_path: Path) -> None:
    """Caches are kept: the same files must come to the same digest tomorrow."""
    made = tree({"a": "1", "d/\udcff": "2", "l": "->a"})
    os.chmod(tmp_path / "tree0/a", 0o750)
    os.chmod(tmp_path / "tree0/d", 0o755)
    os.chmod(tmp_path / "tree0/d/\udcff", 0o4644)
    one, two = (hashlib.sha256(text).digest() for text in (b"1", b"2"))
    text = b"selection 1\0/x\0"
    text += b"x/a\x00100000 750 0 0\0" + one + b"0\0"
    text += b"x/d\x0040000 755 0 0\0"
    text += b"x/d/\xff\x00100000 4644 0 0\0" + two + b"0\0"
    text += b"x/l\x00120000 0 0 0\0a\0"
    assert digest(made, target="/x/") == hashlib.sha256(text).hexdigest()


@pytest.mark.skipif(os.geteuid() != 0, reason="file capabilities need root")
def test_capabilities_of_programs_count(tree, tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        made = tree({"a": "1"})
        path = tmp_path / f"tree{number}/a"
        os.chmod(path, 0o755)
        if number:
            value = bytes.fromhex("0100000200040000000000000000000000000000")
            os.setxattr(path, "security.capability", value)
        digests.append(digest(made))
    assert digests[0] != digests[1]


def test_each_file_is_read_once(tree, tmp_path: Path) -> None:
    calls: list[bytes] = []

    def digest_files(root: int, paths):
        calls.extend(paths)
        contents = [(tmp_path / "tree0" / os.fsdecode(path)).read_bytes() for path in paths]
        return [(hashlib.sha256(data).digest(), len(data), 0, 7) for data in contents]

    made = tree({"go.mod": "1", "main.go": "2"})
    digests = Digests(made.root, digest_files=digest_files)
    digest_of_selection(pick(made, "go.mod"), digests, owners=False)
    digest_of_selection(pick(made), digests, owners=False)
    assert calls == [b"go.mod", b"main.go"]
    assert [entry[6] for entry in copy_list(pick(made), digests, owner=(0, 0))] == [7, 7]


def test_what_can_not_be_read_is_an_error_with_its_path(tree, tmp_path: Path) -> None:
    made = tree({"a": "1"})
    picked = pick(made)
    (tmp_path / "tree0/a").unlink()
    with pytest.raises(FastboxError, match="a"):
        digest_of_selection(picked, Digests(made.root), owners=False)


def test_the_list_of_copies(tree) -> None:
    made = tree({"d/a": "1", "l": "->d"})
    digests = Digests(made.root)
    picked = pick(made, target="/x/")
    digest_of_selection(picked, digests, owners=False)
    ctime = made.get("d/a").ctime_ns
    directory, link, file = stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG
    assert copy_list(picked, digests, owner=None) == [
        (b"d", b"x/d", directory, -1, -1, -1, 0),
        (b"d/a", b"x/d/a", file, -1, -1, -1, ctime),
        (b"l", b"x/l", link, -1, -1, -1, 0),
    ]
    changed = copy_list(picked, digests, owner=(3, 4), mode=lambda kind, mode: mode | 0o4000)
    assert [entry[3:6] for entry in changed] == [
        (0o4000 | made.get("d").mode, 3, 4),
        (0o4000 | made.get("d/a").mode, 3, 4),
        (-1, 3, 4),
    ]


def test_native_code_copies_by_the_list(tree, tmp_path: Path) -> None:
    from fastbox._files import copy_entries

    made = tree({"d/a": "1", "l": "->d", "d/e/": None})
    digests = Digests(made.root)
    picked = pick(made)
    digest_of_selection(picked, digests, owners=False)
    entries = copy_list(picked, digests, owner=(os.geteuid(), os.getegid()))
    (tmp_path / "out").mkdir()
    target = os.open(tmp_path / "out", os.O_RDONLY)
    assert copy_entries(made.root, target, entries)[0] == 4
    os.close(target)
    assert (tmp_path / "out/l").readlink() == Path("d")
    assert (tmp_path / "out/d/a").read_text() == "1"
    (tmp_path / "tree0/d/a").write_text("2")
    target = os.open(tmp_path / "out", os.O_RDONLY)
    with pytest.raises(OSError, match="changed while the build read it"):
        copy_entries(made.root, target, entries)
    os.close(target)


def test_directories_never_take_the_place_of_other_things_nor_files_theirs(tree) -> None:
    picked = pick(tree("lib/x bin"), target="/usr/")

    def kinds(**there: int):
        return lambda path: there.get(path.replace("/", "_"), 0)

    check_target(picked, kinds())
    check_target(picked, kinds(usr=stat.S_IFDIR, usr_lib=stat.S_IFDIR, usr_bin=stat.S_IFLNK))
    for there in (
        {"usr": stat.S_IFLNK},
        {"usr": stat.S_IFDIR, "usr_lib": stat.S_IFLNK},
        {"usr": stat.S_IFDIR, "usr_lib": stat.S_IFREG},
        {"usr": stat.S_IFDIR, "usr_bin": stat.S_IFDIR},
    ):
        with pytest.raises(Conflict):
            check_target(picked, kinds(**there))


def test_what_is_below_an_absent_directory_is_not_looked_at(tree) -> None:
    asked: list[str] = []

    def kind(path: str) -> int:
        asked.append(path)
        return 0

    check_target(pick(tree("d/a d/b d/e/f d-x")), kind)
    assert asked == ["d", "d-x"]


def test_ways() -> None:
    assert ways(["a/b/c", "a/d", "", "e"]) == ["a", "a/b", "a/b/c", "a/d", "e"]
