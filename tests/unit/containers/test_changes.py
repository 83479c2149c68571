"""Two directories compared in docker's terms; removals need an overlay and are in the integration tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastbox import _native
from fastbox.containers.changes import MAX_DEPTH, compare
from fastbox.errors import ResourceExhausted


def changes(upper: Path, lower: Path) -> list[str]:
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (upper, lower)]
    try:
        return [f"{change.kind} {change.path}" for change in compare(*fds)]
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("upper", "lower"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc" / "same").write_text("x")
        os.utime(tmp_path / name / "etc" / "same", ns=(0, 10**18))
    return tmp_path / "upper", tmp_path / "lower"


def test_a_copy_without_a_change_is_none(pair: tuple[Path, Path]) -> None:
    assert changes(*pair) == []


def test_a_directory_counts_as_changed_with_what_is_in_it(pair: tuple[Path, Path]) -> None:
    (pair[0] / "etc" / "new").mkdir()
    (pair[0] / "etc" / "new" / "b").write_text("")
    (pair[0] / "etc" / "new" / "a").write_text("")
    assert changes(*pair) == ["C /etc", "A /etc/new", "A /etc/new/a", "A /etc/new/b"]


def test_mode_size_and_time(pair: tuple[Path, Path]) -> None:
    upper = pair[0] / "etc" / "same"
    upper.chmod(0o600)
    assert changes(*pair) == ["C /etc", "C /etc/same"]
    upper.chmod((pair[1] / "etc" / "same").stat().st_mode & 0o7777)
    assert changes(*pair) == []
    os.utime(upper, ns=(0, 10**18 + 500))  # an archive without fractions of seconds
    assert changes(*pair) == []
    os.utime(upper, ns=(0, 10**18 + 10**9))
    assert changes(*pair) == ["C /etc", "C /etc/same"]
    (pair[0] / "etc").chmod(0o700)
    upper.unlink()
    assert changes(*pair) == ["C /etc"]


def test_another_type(pair: tuple[Path, Path]) -> None:
    (pair[0] / "etc" / "same").unlink()
    (pair[0] / "etc" / "same").mkdir()
    (pair[0] / "etc" / "same" / "inner").write_text("")
    assert changes(*pair) == ["C /etc", "C /etc/same", "A /etc/same/inner"]
    assert changes(pair[1], pair[0]) == ["C /etc", "C /etc/same"]


def test_a_link_is_never_followed(pair: tuple[Path, Path]) -> None:
    (pair[0] / "out").symlink_to("/")
    (pair[1] / "out").symlink_to("/")
    os.utime(pair[0] / "out", ns=(0, 1), follow_symlinks=False)
    assert changes(*pair) == ["C /out"]


def test_too_deep_is_an_error(pair: tuple[Path, Path]) -> None:
    path = pair[0]
    fd = os.open(path, os.O_RDONLY)
    for _ in range(MAX_DEPTH + 2):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    with pytest.raises(ResourceExhausted, match="deep"):
        changes(*pair)
    fd = os.open(path, os.O_RDONLY)
    _native.remove_tree(fd, "d")  # pytest's own removal goes deeper by calling itself
    os.close(fd)
