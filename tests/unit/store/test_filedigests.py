"""Digests of a context's files that are kept: what must be read again, damage, how much is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastbox._files import Found, list_tree
from fastbox.store import filedigests
from fastbox.store.filedigests import FileDigests, forget
from fastbox.store.root import Root

A, B = b"a" * 32, b"b" * 32
LATER = 10**10  # nanoseconds after a change


@pytest.fixture
def context(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "context").mkdir()
    for name in ("a", "b"):
        (tmp_path / "context" / name).write_text("1")
    fd = os.open(tmp_path / "context", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def opened(tmp_path: Path, context: int) -> Callable[[], FileDigests]:
    return lambda: FileDigests(Root(str(tmp_path), str(tmp_path)), context)


def files(context: int) -> list[Found]:
    return list_tree(context, b"", deep=True, most=10)


def keep(digests: FileDigests, context: int, after: int = LATER) -> None:
    found = files(context)
    began = max(file.ctime_ns for file in found) + after
    digests.put(found, [read(*each) for each in zip(found, (A, B), strict=True)], began)
    digests.save()


def read(file: Found, digest: bytes) -> tuple[bytes, int, int, int]:
    return digest, file.size, file.mtime_ns, file.ctime_ns


def hashes(digests: FileDigests, context: int) -> dict[str, bytes]:
    return {path: found[0] for path, found in digests.known(files(context)).items()}


def test_what_was_read_is_known(opened: Callable[[], FileDigests], context: int) -> None:
    assert hashes(opened(), context) == {}
    keep(opened(), context)
    assert hashes(opened(), context) == {"a": A, "b": B}


def test_same_size_and_time_are_not_enough(
    opened: Callable[[], FileDigests], context: int, tmp_path: Path
) -> None:
    keep(opened(), context)
    path = tmp_path / "context" / "a"
    before = path.stat()
    path.write_text("2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes(opened(), context) == {"b": B}
    other = tmp_path / "context" / "new"
    other.write_text("1")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    assert hashes(opened(), context) == {"b": B}


def test_what_has_just_been_changed_is_not_kept(
    opened: Callable[[], FileDigests], context: int
) -> None:
    keep(opened(), context, after=10**9)
    assert hashes(opened(), context) == {}


def test_what_another_dockerfile_asked_for_stays(
    opened: Callable[[], FileDigests], context: int
) -> None:
    keep(opened(), context)
    one, other = files(context)
    digests = opened()
    assert digests.known([one]) == {"a": read(one, A)}
    digests.put([one], [read(one, B)], one.ctime_ns + LATER)
    digests.save()
    assert opened().known([one, other]) == {"a": read(one, B), "b": read(other, B)}
    assert opened().known([one]) == {"a": read(one, B)}


def test_anew(opened: Callable[[], FileDigests], context: int, tmp_path: Path) -> None:
    keep(opened(), context)
    digests = FileDigests(Root(str(tmp_path), str(tmp_path)), context, anew=True)
    one, other = files(context)
    assert digests.known([one, other]) == {}
    digests.put([one], [read(one, B)], one.ctime_ns + LATER)
    digests.save()
    assert hashes(opened(), context) == {"a": B}


def test_what_changed_since_it_was_found_is_not_kept(
    opened: Callable[[], FileDigests], context: int
) -> None:
    one, _ = files(context)
    digests = opened()
    digests.put([one], [(A, one.size, one.mtime_ns, one.ctime_ns + 1)], one.ctime_ns + LATER)
    digests.save()
    assert opened().known([one]) == {}


@pytest.mark.parametrize("cut", [0, 7, 32, 33, 104])
def test_a_damaged_file_is_none(
    opened: Callable[[], FileDigests], context: int, tmp_path: Path, cut: int
) -> None:
    keep(opened(), context)
    (path,) = (tmp_path / "build" / "digests").iterdir()
    data = path.read_bytes()
    assert len(data) == 32 + 2 * 72
    path.write_bytes(data[:cut])
    assert hashes(opened(), context) == {}
    path.write_bytes(data[:60] + b"\xff" + data[61:])
    assert hashes(opened(), context) == {}
    keep(opened(), context)
    assert hashes(opened(), context) == {"a": A, "b": B}


def test_few_contexts_are_kept(
    opened: Callable[[], FileDigests],
    context: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(filedigests, "_MOST_CONTEXTS", 3)
    keep(opened(), context)
    directory = tmp_path / "build" / "digests"
    for number in range(5):
        (directory / f"0-{number}").write_bytes(b"")
        os.utime(directory / f"0-{number}", (number, number))
    keep(opened(), context)
    assert sorted(os.listdir(directory))[:2] == ["0-3", "0-4"]
    assert len(os.listdir(directory)) == 3
    forget(Root(str(tmp_path), str(tmp_path)))
    assert os.listdir(directory) == []


def test_a_store_that_can_not_be_written_is_no_failure(
    opened: Callable[[], FileDigests], context: int, tmp_path: Path
) -> None:
    (tmp_path / "build").write_text("no directory")
    keep(opened(), context)
    assert hashes(opened(), context) == {}
