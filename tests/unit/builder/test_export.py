"""Results as a directory, and as a tar."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fastbox.builder.export import to_directory, to_tar
from fastbox.errors import Conflict, FastboxError
from tests.unit.builder.conftest import fill


@pytest.fixture
def result(tmp_path: Path):
    place = fill(tmp_path / "result", {"a": "1", "d/b": "2", "l": "->a"})
    os.chmod(place, 0o700)
    os.chmod(place / "d/b", 0o4755)
    os.utime(place / "a", (2_000_000_000, 2_000_000_000))
    fd = os.open(place, os.O_PATH)
    yield fd
    os.close(fd)


def test_a_new_directory(result, tmp_path) -> None:
    to_directory(result, str(tmp_path / "x/y"))
    made = tmp_path / "x/y"
    assert (made / "d/b").read_text() == "2"
    assert (made / "d/b").stat().st_mode & 0o7777 == 0o4755
    assert (made / "l").readlink() == Path("a")
    assert (made / "a").stat().st_mtime == 2_000_000_000


def test_an_existing_directory_keeps_what_it_has_and_is(result, tmp_path) -> None:
    made = fill(tmp_path / "made", {"other": "", "a": "old", "d/c": ""})
    os.chmod(made, 0o751)
    if os.geteuid() == 0:
        os.chown(made, 7, 8)
    before = made.stat()
    to_directory(result, str(made))
    after = made.stat()
    assert (before.st_mode, before.st_uid, before.st_gid) == (
        after.st_mode,
        after.st_uid,
        after.st_gid,
    )
    assert sorted(os.listdir(made)) == ["a", "d", "l", "other"]
    assert sorted(os.listdir(made / "d")) == ["b", "c"]
    assert (made / "a").read_text() == "1"


def test_links_in_the_directory_are_replaced_and_not_followed(result, tmp_path) -> None:
    (tmp_path / "victim").write_text("whole")
    made = fill(tmp_path / "made", {"a": "->../victim"})
    to_directory(result, str(made))
    assert (tmp_path / "victim").read_text() == "whole"
    assert (made / "a").read_text() == "1"


@pytest.mark.parametrize("there", [{"d": ""}, {"a/x": ""}, {"d": "->.."}])
def test_what_is_in_the_way(result, tmp_path, there) -> None:
    made = fill(tmp_path / "made", there)
    with pytest.raises(Conflict):
        to_directory(result, str(made))


def test_a_file_in_place_of_the_directory(result, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with pytest.raises(Conflict):
            to_directory(result, str(tmp_path / path))


def test_a_tar(result, tmp_path) -> None:
    def write(name: str, max_mtime: int | None) -> bytes:
        with open(tmp_path / name, "wb") as file:
            size = to_tar(result, file.fileno(), max_mtime)
        data = (tmp_path / name).read_bytes()
        assert size == len(data)
        return data

    listed = subprocess.run(
        ["tar", "-tvf", "-"], input=write("one", None), capture_output=True, check=True
    ).stdout.decode()
    assert [line.split()[5] for line in listed.splitlines() if line.split()[5] != "./"] == [
        "a",
        "d/",
        "d/b",
        "l",
    ]
    assert "2033-05-18" in listed
    os.utime(tmp_path / "result/d")
    assert write("two", 1) == write("three", 1)


def test_a_tar_that_nobody_reads(result) -> None:
    source, to = os.pipe()
    os.close(source)
    with pytest.raises(FastboxError, match="cannot write the tar"):
        to_tar(result, to)
    os.close(to)
