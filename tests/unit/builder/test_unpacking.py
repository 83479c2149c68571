"""Archives by GNU tar, whole, damaged and hostile."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from fastbox.builder import unpacking
from fastbox.errors import FastboxError, IntegrityError, UnsafePath

PACKINGS = {"": "", "gzip": "-z", "zstd": "--zstd", "bzip2": "-j", "xz": "-J"}


def tar(directory: Path, packing: str = "") -> bytes:
    command = ["tar", "-c", *filter(None, [PACKINGS[packing]]), "-C", str(directory), "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    (place / "d").mkdir(parents=True)
    (place / "d/file").write_bytes(os.urandom(300_000))
    (place / "link").symlink_to("d/file")
    return place


@pytest.fixture
def out(tmp_path: Path):
    (tmp_path / "out").mkdir()
    fd = os.open(tmp_path / "out", os.O_RDONLY)
    yield fd
    os.close(fd)


class Trickle(io.RawIOBase):
    """A stream that gives little at a time, as a network does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, 7000))


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_from_a_file(source, out, tmp_path, packing) -> None:
    path = tmp_path / "archive"
    path.write_bytes(tar(source, packing))
    with open(path, "rb") as file:
        assert unpacking.packing_of(file.read(unpacking.HEAD)) == packing
        assert unpacking.is_packed_tar(file.fileno())
        unpacking.unpack(file.fileno(), out)
    assert (tmp_path / "out/link").read_bytes() == (source / "d/file").read_bytes()


@pytest.mark.parametrize("packing", PACKINGS)
def test_every_packing_from_a_stream(source, out, tmp_path, packing) -> None:
    stream = Trickle(tar(source, packing))
    head = unpacking.read_head(stream)
    assert unpacking.is_archive(head)
    unpacking.unpack_stream(stream, head, out)
    assert (tmp_path / "out/d/file").read_bytes() == (source / "d/file").read_bytes()


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_that_is_cut_short(source, out, packing) -> None:
    data = tar(source, packing)
    with pytest.raises(IntegrityError):
        unpacking.unpack_stream(Trickle(data[: len(data) // 2]), b"", out)


@pytest.mark.parametrize("packing", ["gzip", "zstd", "bzip2", "xz"])
def test_one_that_is_damaged(source, out, packing) -> None:
    data = bytearray(tar(source, packing))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(IntegrityError):
        unpacking.unpack_stream(Trickle(bytes(data)), b"", out)


@pytest.mark.parametrize("packing", ["bzip2", "xz"])
def test_several_streams_one_after_another(source, out, tmp_path, packing) -> None:
    tool = ["bzip2", "-c"] if packing == "bzip2" else ["xz", "-c"]
    plain = tar(source)
    halves = (plain[: len(plain) // 2], plain[len(plain) // 2 :])
    packed = [
        subprocess.run(tool, input=half, check=True, capture_output=True).stdout for half in halves
    ]
    unpacking.unpack_stream(Trickle(b"".join(packed)), b"", out)
    assert (tmp_path / "out/d/file").read_bytes() == (source / "d/file").read_bytes()


@pytest.mark.parametrize(
    "data",
    [b"", b"FROM scratch\n", b"\0" * 2048, b"\x1f\x8b\x08", b"x" * 512, b"BZh91AY", b"7" * 1024],
)
def test_what_is_no_tar(tmp_path, data) -> None:
    (tmp_path / "file").write_bytes(data)
    with open(tmp_path / "file", "rb") as file:
        assert not unpacking.is_packed_tar(file.fileno())


@pytest.mark.parametrize("tool", ["gzip", "zstd", "bzip2", "xz"])
def test_a_packed_file_that_is_no_tar(tmp_path, tool) -> None:
    packed = subprocess.run(
        [tool, "-c"], input=os.urandom(200_000), check=True, capture_output=True
    )
    (tmp_path / "file").write_bytes(packed.stdout)
    with open(tmp_path / "file", "rb") as file:
        assert not unpacking.is_packed_tar(file.fileno())


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", data: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    return info.tobuf() + data + b"\0" * (-len(data) % 512)


@pytest.mark.parametrize(
    "members",
    [
        [member("../escaped", data=b"x")],
        [member("a/../../escaped", data=b"x")],
        [member("up", tarfile.SYMTYPE, ".."), member("up/escaped", data=b"x")],
        [member("hard", tarfile.LNKTYPE, "../victim")],
        [member("hard", tarfile.LNKTYPE, "/etc/passwd"), member("hard", data=b"x")],
    ],
)
def test_one_that_reaches_out(out, tmp_path, members) -> None:
    (tmp_path / "victim").write_text("whole")
    data = b"".join(members) + b"\0" * 1024
    try:
        unpacking.unpack_stream(io.BytesIO(data), b"", out)
    except UnsafePath:
        pass
    assert not (tmp_path / "escaped").exists()
    assert (tmp_path / "victim").read_text() == "whole"
    assert (tmp_path / "victim").stat().st_nlink == 1


def test_an_absolute_name_and_link_stay_inside(out, tmp_path) -> None:
    data = member("/etc/file", data=b"in") + member("l", tarfile.SYMTYPE, "/etc") + b"\0" * 1024
    unpacking.unpack_stream(io.BytesIO(data), b"", out)
    assert (tmp_path / "out/etc/file").read_bytes() == b"in"


def test_too_many_entries(out, monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 2)
    data = b"".join(member(str(number)) for number in range(3)) + b"\0" * 1024
    with pytest.raises(FastboxError, match="entries"):
        unpacking.unpack_stream(io.BytesIO(data), b"", out)


def test_a_stream_that_never_goes_on_can_be_stopped(out) -> None:
    gone = threading.Event()

    class Endless:
        sent = False

        def read(self, size: int) -> bytes:
            if self.sent:
                gone.wait(60)
                return b""
            self.sent = True
            return member("x", data=b"x") + b"\1" * 4096

    with pytest.raises(FastboxError, match="canceled"):
        unpacking.unpack_stream(Endless(), b"", out, stop=lambda: True)
    assert not gone.is_set()
    gone.set()


def test_a_gzip_that_is_cut_short_is_an_archive_still(tmp_path: Path) -> None:
    """ADD must not take it for a plain file: its damage is found when it is unpacked."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_bytes(os.urandom(3000))
    path = tmp_path / "a.tar.gz"
    path.write_bytes(tar(source, "gzip")[:-100])
    with path.open("rb") as file:
        assert unpacking.is_packed_tar(file.fileno())
    path.write_bytes(b"\x1f\x8b\x08" + bytes(100))
    with path.open("rb") as file:
        assert not unpacking.is_packed_tar(file.fileno())
