"""Layers made to break out, to mislead or to exhaust, by the number of the promise that they try.

The numbers are those of part A of the promises, as in the C tests of extraction: each row loads one image into a store
of its own, beside canaries that nobody may touch: next to the store, in it, and in the layers of another image. What is allowed differs:
`refused` is one error line that names the entry and nothing changed; `inside` is an image whose files are all its own; `either` leaves
the choice, where docker and umoci differ as well.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from . import archives, host, images_made, stores
from .conftest import Box
from .images_made import Writer

pytestmark = pytest.mark.integration

MEMORY = 128 << 10  # KiB, of the whole command
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


class Place(NamedTuple):
    box: Box
    canaries: Path


@pytest.fixture(scope="module")
def place(box: Box) -> Iterator[Place]:
    """A store with an image in it, and canaries around."""
    with tempfile.TemporaryDirectory(prefix="fastbox-hostile-", dir="/var/tmp") as base:
        canaries = Path(base, "canaries")
        for home in (canaries, canaries / "directory"):
            home.mkdir()
            (home / "file").write_text("alive")
        own = Box(f"{base}/store", box.run_root)
        own(
            "load",
            stdin=archive([archives.tar({"bin/tool": b"tool", "etc/config": b"x"})], "kept:1"),
        )
        Path(own.root, "canary").write_text("alive")
        yield Place(own, canaries)


def state(place: Place) -> dict[str, tuple[int, ...]]:
    """Every inode outside the new image, with the time of its last change."""
    found = {}
    for top in (str(place.canaries), place.box.root):
        for directory, names, files in os.walk(top):
            for name in [".", *names, *files]:
                path = os.path.normpath(os.path.join(directory, name))
                status = os.lstat(path)
                found[path] = (status.st_ino, status.st_ctime_ns, status.st_nlink, status.st_mode)
    # What commands on this store change as they should.
    for name in ("", "/tmp", "/layers", "/refs", "/blobs/sha256", "/names", "/index.json"):
        found.pop(place.box.root + name, None)
    return found


def archive(layers: list[bytes], name: str) -> bytes:
    return archives.tar(archives.docker_archive(layers, [name]))


# Layers.


def made(*steps: Callable[[Writer], object]) -> bytes:
    with tempfile.TemporaryDirectory() as base:
        path = Path(base, "layer")
        with images_made.layer(path) as tar:
            for step in steps:
                step(tar)
        return path.read_bytes()


def add(
    name: str | bytes, kind: bytes = tarfile.REGTYPE, **more: object
) -> Callable[[Writer], None]:
    return lambda tar: tar.add(name, kind, **more)  # type: ignore[arg-type]


def named(name: str, way: str) -> bytes:
    """A file of that name, in one of tar's ways to write it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=FORMATS[way]) as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        if way == "pax":
            entry.pax_headers = {"path": name}
        tar.addfile(entry, io.BytesIO(b"x"))
    return out.getvalue()


def poked(offset: int, text: bytes) -> bytes:
    """A plain layer whose first header has other bytes at an offset, and the checksum that fits."""
    data = bytearray(archives.tar({"file": b"x" * 600}))
    data[offset : offset + len(text)] = text
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def claim(kind: bytes, size: int) -> bytes:
    entry = tarfile.TarInfo("claim")
    entry.type, entry.size = kind, size
    return entry.tobuf(tarfile.USTAR_FORMAT) + bytes(4096)


LNK, SYM, DIR, FIFO, CHR = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
)
OPERATIONS = {
    "file": add("link/file", data=b"evil"),
    "directory": add("link/directory", DIR, mode=0o777, mtime=1),
    "symlink": add("link/file", SYM, link="x"),
    "fifo": add("link/file", FIFO),
    "device": add("link/file", CHR, device=(1, 3)),
    "hard link": add("link/new", LNK, link="link/file"),
    "hard link out of": add("new", LNK, link="link/file"),
    "whiteout": add("link/.wh.file"),
    "opaque": add("link/.wh..wh..opq"),
    "opaque below": add("link/directory/.wh..wh..opq"),
    "attributes": add("link/directory", DIR, xattrs={"user.evil": b"x"}, owner=(7, 7)),
    "the link itself as a directory": add("link", DIR, mode=0o777, owner=(7, 7)),
    "a file and what is below it": add("link/file/x", data=b"evil"),
}
WAYS_OUT = {
    "absolute": "{canaries}",
    "relative": "../../../../../../../../../../../..{canaries}",
    "to the store": "../../..",
    "proc root": "/proc/self/root{canaries}",
    "proc cwd": "/proc/self/cwd",
    "proc descriptor": "/proc/self/fd/5",
}


class Row(NamedTuple):
    promise: int
    what: str
    layers: list[bytes]
    outcome: str = "refused"
    named: str = ""  # in the error


def rows() -> Iterator[Row]:
    for name in ("../evil", "a/../../evil", "/../evil", "a/b/../../../evil"):
        for way in FORMATS:
            yield Row(1, f"{name} in {way}", [named(name, way)], named="evil")
    long = "d/" * 60
    yield Row(1, "climbing behind a prefix", [named(f"{long}../../../evil", "ustar")], named="evil")
    yield Row(1, "climbing in a long name", [named(f"{'d/' * 90}../evil", "gnu")], named="evil")
    for way in FORMATS:
        yield Row(1, f"absolute in {way}", [named("/etc/evil", way)], "inside")
    for out, target in WAYS_OUT.items():
        promise = 4 if out.startswith("proc") else 2
        for what, step in OPERATIONS.items():
            link = add("link", SYM, link=target)
            yield Row(promise, f"{what} through a link, {out}", [made(link, step)], "either")
            if out == "absolute":
                below = [made(link), made(step)]
                yield Row(3, f"{what} through a lower layer's link", below, "either")
    for name in (".", "./", "/", "/."):
        yield Row(5, f"the root as a link, {name}", [made(add(name, SYM, link="/"))])
    for target in ("../../../canary", "nothing", "self", "./self", "directory", "/", "file/x"):
        layer = made(add("directory", DIR), add("file"), add("self", LNK, link=target))
        yield Row(6, f"hard link to {target}", [layer], named="self")
        below = made(add("directory", DIR), add("file"))
        yield Row(
            6,
            f"hard link to {target} below",
            [below, made(add("self", LNK, link=target))],
            named="self",
        )
    hidden = [made(add("file")), made(add(".wh.file")), made(add("self", LNK, link="file"))]
    yield Row(6, "hard link to what is hidden", hidden, named="self")
    outward = made(add("out", SYM, link="{canaries}/file"), add("hard", LNK, link="out"))
    yield Row(6, "hard link to an outward link", [outward], "inside")
    for name in (".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh.."):
        yield Row(8, f"whiteout {name}", [made(add(name))])
    yield Row(8, "below a whiteout", [made(add(".wh.d/file"))], named="wh.d")
    yield Row(11, "a device 0:0", [made(add("gone", CHR, device=(0, 0)))], named="gone")
    yield Row(12, "fifos replaced, linked and linked to", [made(
        add("f", FIFO), add("f", data=b"x"), add("g", FIFO), add("h", LNK, link="g"), add("g", SYM, link="h"),
    )], "inside")  # fmt: skip
    for number in (2**32 - 1, 2**32, 2**64, -1):
        yield Row(13, f"uid {number}", [made(add("owned", owner=(number, 0)))])
        yield Row(13, f"gid {number}", [made(add("owned", owner=(0, number)))])
    for text in (
        b"77777777777\0",
        b"\x80" + b"\xff" * 11,
        b"\xff" * 12,
        b"garbage----\0",
        b"-0000000001\0",
    ):
        yield Row(14, f"size {text!r}", [poked(124, text)])
    yield Row(15, "a wrong checksum", [archives.tar({"file": b"x"}).replace(b"ustar", b"ustaR", 1)])
    for cut in (1, 511, 512, 700, 1024):
        yield Row(15, f"cut at {cut}", [archives.tar({"file": b"x" * 600})[:cut]])
    for kind in (b"x", b"g", b"L", b"K"):
        yield Row(16, f"{kind!r} of a GiB", [claim(kind, 1 << 30)])
    packed = gzip.compress(archives.tar({"file": b"x" * 5000}))
    yield Row(
        24,
        "an archive after the end",
        [archives.tar({"a": b"x"}) + archives.tar({"hidden": b"x"})],
        "inside",
    )
    yield Row(19, "gzip in gzip", [gzip.compress(packed)])
    yield Row(
        22,
        "control bytes in a refused name",
        [made(add(b"\x1b[2J\x07\xff/../../evil"))],
        named="evil",
    )
    yield Row(23, "2000 levels", [made(add("d/" * 2000 + "f"))], "inside")
    yield Row(23, "3000 levels", [made(add("d/" * 3000 + "f"))])
    yield Row(23, "a name of 300 bytes", [made(add("n" * 300))])
    attributes = {f"user.n{number}": b"x" for number in range(300)}
    yield Row(16, "300 extended attributes", [made(add("file", xattrs=attributes))])


ROWS = list(rows())


@pytest.mark.parametrize("promise", sorted({row.promise for row in ROWS}))
def test_hostile_layers(place: Place, promise: int) -> None:
    box, before = place.box, state(place)
    for row in (row for row in ROWS if row.promise == promise):
        # The same length, so that headers stay what they are.
        layers = [fill(data, place) for data in row.layers]
        begin = time.monotonic()
        done = box("load", "-q", check=False, stdin=archive(layers, "hostile:1"), timeout=30)
        assert time.monotonic() - begin < 10 * host.SLOW, row.what
        allowed = {"refused": (125,), "inside": (0,), "either": (0, 125)}[row.outcome]
        assert done.returncode in allowed, (row.what, done.stdout, done.stderr)
        if done.returncode:
            check_refused(done.stderr, row)
        else:
            box("rmi", "hostile:1")
        assert state(place) == before, row.what
        assert stores.names(box) == ["kept:1"], row.what


def fill(layer: bytes, place: Place) -> bytes:
    """Links that mean the canaries name them: what was written for `{canaries}` is a pax record, which says its own length."""
    mark, path = b"{canaries}", os.fsencode(place.canaries)
    at = layer.find(mark)
    if at < 0:
        return layer
    start = layer.rindex(b"\0", 0, at) + 1
    block = start // 512 * 512
    size = int(layer[block - 512 + 124 : block - 512 + 135], 8)
    records = layer[block : block + size]
    lines = []
    while records:
        length = int(records.split(b" ", 1)[0])
        key, _, value = records[:length].split(b" ", 1)[1][:-1].partition(b"=")
        lines.append(images_made.record(key.decode(), value.replace(mark, path)))
        records = records[length:]
    data = b"".join(lines)
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(data)
    rest = layer[block + size + -size % 512 :]
    whole = (
        layer[: block - 512] + header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
    )
    return whole + rest


def check_refused(message: str, row: Row) -> None:
    lines = message.strip().splitlines()
    assert lines[0].startswith("fastbox: "), (row.what, message)
    assert all(line.startswith("hint: ") for line in lines[1:]), (row.what, message)
    assert row.named in lines[0], (row.what, message)
    assert message.isprintable() or message.replace("\n", "").isprintable(), (row.what, message)


def test_control_attributes_are_dropped(place: Place) -> None:
    """10: what steers overlayfs is not an archive's to say, so that lower files stay to be seen."""
    lower = archives.tar({"d/file": b"seen", "e/file": b"seen"})
    names = ("trusted.overlay.opaque", "user.overlay.opaque", "trusted.overlay.redirect")
    upper = made(*(add(d, DIR, xattrs={name: b"y" for name in names}) for d in ("d", "e")))
    place.box("load", stdin=archive([lower, upper], "hostile:1"))
    found = stores.tree_of(place.box, "hostile:1")
    assert found["d/file"]["size"] == found["e/file"]["size"] == "4"
    assert found["d"]["xattrs"] == ""
    place.box("rmi", "hostile:1")


def test_names_of_one_file_and_the_layer_below(place: Place) -> None:
    """7: one inode for a chain of links; a name that is written anew leaves the others, and the layer below, alone."""
    lower = made(add("a", data=b"old"), add("b", LNK, link="a"), add("c", LNK, link="b"))
    upper = made(add("d", LNK, link="a"), add("a", data=b"new"), add("d", data=b"newer"))
    for layers, links in (([lower], "3"), ([lower, upper], "3")):
        place.box("load", stdin=archive(layers, f"hostile:{len(layers)}"))
        found = stores.tree_of(place.box, f"hostile:{len(layers)}")
        assert found["b"]["links"] == found["c"]["links"] == links
        assert found["b"]["size"] == "3"
    assert found["d"]["size"] == "5"
    before = stores.tree_of(place.box, "hostile:1")
    place.box("rmi", "hostile:2")
    assert stores.tree_of(place.box, "hostile:1") == before
    place.box("rmi", "hostile:1")


# Bombs.


class Outcome(NamedTuple):
    code: int
    error: str
    memory: int  # KiB, at most
    seconds: float


# A process has the largest size of its life, and that includes the one that it was forked from: this one is small.
MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def measured(box: Box, *words: str) -> Outcome:
    """Run a command and ask the kernel what it took."""
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE, box.program, *words],
        env=box.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    code, memory = map(int, done.stdout.splitlines()[-1].split())
    return Outcome(code, done.stderr, memory, time.monotonic() - begin)


@pytest.fixture
def small(box: Box) -> Iterator[Box]:
    """A store on a disk of 64 MiB and 4000 inodes."""
    top = tempfile.mkdtemp(prefix="fastbox-bombs-", dir="/var/tmp")
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,nr_inodes=4000", "tmpfs", top], check=True
    )
    try:
        yield Box(f"{top}/store", box.run_root)
    finally:
        subprocess.run(["umount", top], check=True)
        os.rmdir(top)


def packed_zeros(head: bytes, way: str, count: int) -> bytes:
    """`head` and `count` times 64 MiB of zeros: members of gzip, or frames of zstd, one after the other."""

    def pack(data: bytes) -> bytes:
        if way == "gzip":
            return gzip.compress(data, 6)
        words = ["zstd", "-q", "-c"]
        return subprocess.run(words, input=data, capture_output=True, check=True).stdout

    return pack(head) + pack(bytes(64 << 20)) * count


def check_bomb(box: Box, outcome: Outcome, why: str) -> None:
    assert outcome.code == 125, outcome
    assert why in outcome.error.lower(), outcome
    assert len(outcome.error.splitlines()) <= 2, outcome
    assert outcome.memory < MEMORY, outcome
    assert outcome.seconds < 30 * host.SLOW, outcome
    found = stores.content(box)
    assert found["layers"] == found["blobs/sha256"] == found["refs"] == found["tmp"] == []


@pytest.mark.parametrize("way", ["gzip", "zstd"])
def test_ten_gigabytes_of_zeros(small: Box, tmp_path: Path, way: str) -> None:
    """They fill the disk, as whatever does not fit, and no memory; then all is as before."""
    entry = tarfile.TarInfo("zeros")
    entry.size = 160 * (64 << 20)
    layer = packed_zeros(entry.tobuf(tarfile.GNU_FORMAT), way, 160)
    assert len(layer) < 12 << 20
    target = tmp_path / "bomb.tar"
    target.write_bytes(archive([layer], "bomb:1"))
    check_bomb(small, measured(small, "load", "-q", "-i", str(target)), "no space left")
    target.write_bytes(layer)
    check_bomb(small, measured(small, "load", "-q", "-i", str(target)), "no space left")


def test_more_members_than_an_archive_may_have(small: Box, tmp_path: Path) -> None:
    """One name, again and again: it takes no room, so that only the count can stop it."""
    header = tarfile.TarInfo("again").tobuf()
    target = tmp_path / "bomb.tar"
    target.write_bytes(gzip.compress(header * 10_000) * 101)
    check_bomb(
        small, measured(small, "load", "-q", "-i", str(target)), "more entries than the limit"
    )


def test_a_million_files(small: Box, tmp_path: Path) -> None:
    one = io.BytesIO()
    with tarfile.open(fileobj=one, mode="w") as tar:
        for number in range(20_000):
            tar.addfile(tarfile.TarInfo(f"file{number}"))
    target = tmp_path / "bomb.tar"
    layer = gzip.compress(one.getvalue()[: 20_000 * 512], 1) * 50
    target.write_bytes(archive([layer], "bomb:1"))
    check_bomb(small, measured(small, "load", "-q", "-i", str(target)), "no space left")


def test_ten_thousand_layers(small: Box, tmp_path: Path) -> None:
    members = archives.docker_archive([b""] * 10_000, ["bomb:1"])
    members = {name: data for name, data in members.items() if not name.endswith("/layer.tar")}
    target = tmp_path / "bomb.tar"
    target.write_bytes(archives.tar(members))
    check_bomb(small, measured(small, "load", "-q", "-i", str(target)), "layers")


@pytest.mark.parametrize(("depth", "width"), [(9, 1), (2000, 1), (8, 16), (2, 20_000)])
def test_indexes_of_indexes(small: Box, tmp_path: Path, depth: int, width: int) -> None:
    """Each is named `width` times by the one above it, and the last leads to nothing."""
    members: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    entry = archives.descriptor(archives.MANIFEST, b"none")
    for _ in range(depth):
        index = archives.index_of(*[entry] * width)
        members |= archives.blob(index)
        entry = archives.descriptor(archives.INDEX, index)
    target = tmp_path / "bomb.tar"
    target.write_bytes(archives.tar(members | {"index.json": archives.index_of(*[entry] * width)}))
    check_bomb(small, measured(small, "load", "-q", "-i", str(target)), "")


def test_a_sparse_file_of_a_terabyte(small: Box, tmp_path: Path) -> None:
    """17: holes take no room, in the store and in what it counts."""
    home = tmp_path / "home"
    home.mkdir()
    with (home / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    layer = tmp_path / "layer.tar"
    subprocess.run(
        ["tar", "-C", str(home), "--format=pax", "-S", "-cf", str(layer), "sparse"], check=True
    )
    target = images_made.docker_archive(tmp_path / "bomb.tar", {"bomb:1": [layer]})
    outcome = measured(small, "load", "-q", "-i", str(target))
    assert outcome.code == 0, outcome
    assert outcome.memory < MEMORY
    assert shutil.disk_usage(small.root).used < 1 << 20
    small("rmi", "bomb:1")
