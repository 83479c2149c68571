"""kill -9 of what changes images, and disks that are full: whole images only, nothing lost, and the same command works afterwards.

test_crashes.py does this to containers.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from . import images_made, stores
from .conftest import Box
from .test_crashes import took
from .trees import Tree

pytestmark = pytest.mark.integration

ROUNDS = pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=pytest.mark.slow)])


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("FASTBOX_TEST_SEED") or random.randrange(1 << 32))
    print(f"FASTBOX_TEST_SEED={seed}")
    return random.Random(seed)


class Made(NamedTuple):
    """One archive of two images that share all layers but the last, and what is in them."""

    archive: Path
    root: Path  # a tar to import
    trees: dict[str, Tree]


@pytest.fixture(scope="module")
def made(box: Box) -> Iterator[Made]:
    with tempfile.TemporaryDirectory(prefix="fastbox-crashes-", dir="/var/tmp") as base:
        work = Path(base)
        chance = random.Random(1)
        layers = []
        for number in range(5):
            path = work / f"{number}.tar"
            with images_made.layer(path) as tar:
                for file in range(40):
                    tar.add(f"layer{number}/file{file}", data=chance.randbytes(4000))
                tar.add(f"layer{number}/large", data=chance.randbytes(200_000))
                tar.add(f"of-all/{number}", data=b"x")
                if number:
                    tar.link(f"layer{number}/again", f"layer{number}/large")
                    tar.add(f"layer0/.wh.file{number}")
            layers.append(path)
        images = {"crash:one": layers[:4], "crash:two": [*layers[:3], layers[4]]}
        archive = images_made.docker_archive(work / "images.tar", images)
        box("load", "-q", "-i", str(archive))
        found = {name: stores.tree_of(box, name) for name in images}
        box("import", str(layers[0]), "crash:imported")
        found["crash:imported"] = stores.tree_of(box, "crash:imported")
        for name in found:
            box("rmi", name)
        yield Made(archive, layers[0], found)


@pytest.fixture(autouse=True)
def emptied(box: Box) -> Iterator[None]:
    yield
    for name in stores.names(box):
        if name.startswith("crash:"):
            box("rmi", "-f", name)


def kill_within(box: Box, seconds: float, *words: str) -> bool:
    """Start a command and kill its whole group at an instant; false when it was over before."""
    client = box.start(*words, stdin=-3, stdout=-3, stderr=-3, start_new_session=True)
    try:
        client.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(client.pid, signal.SIGKILL)
        client.wait(30)
        return True
    return False


@ROUNDS
@pytest.mark.parametrize("there", [False, True], ids=["new", "there already"])
def test_load(box: Box, made: Made, chance: random.Random, rounds: int, there: bool) -> None:
    words = ["load", "-q", "-i", str(made.archive)]
    images = {name for name in made.trees if name != "crash:imported"}
    before = stores.content(box)
    whole = took(lambda: box(*words))
    if there:
        whole = took(lambda: box(*words))
    full = stores.content(box)
    killed = 0
    for _ in range(rounds):
        if not there:
            box("rmi", *images)
            assert stores.content(box) == before
        if kill_within(box, chance.random() * whole, *words):
            killed += 1
        else:  # the one that was measured was slow
            whole /= 2
        listed = {name for name in stores.names(box) if name.startswith("crash:")}
        assert listed <= images
        assert not there or listed == images  # what was acknowledged is not lost
        stores.check_whole(box, made.trees)
        box(*words)
        stores.check_whole(box, made.trees)
        assert stores.content(box) == full
    assert killed
    box("rmi", *images)
    assert stores.content(box) == before


@ROUNDS
def test_import(box: Box, made: Made, chance: random.Random, rounds: int) -> None:
    """Its image is new each time: what it is made at is in its configuration."""
    words = ["import", str(made.root), "crash:imported"]
    before = stores.content(box)
    whole = took(lambda: box(*words))
    for _ in range(rounds):
        box("rmi", "crash:imported")
        kill_within(box, chance.random() * whole, *words)
        if "crash:imported" in stores.names(box):
            assert stores.tree_of(box, "crash:imported") == made.trees["crash:imported"]
            box("rmi", "crash:imported")
        box(*words)
        assert stores.tree_of(box, "crash:imported") == made.trees["crash:imported"]
    box("rmi", "crash:imported")
    assert stores.content(box) == before


@ROUNDS
def test_rmi(box: Box, made: Made, chance: random.Random, rounds: int) -> None:
    """One of two images goes, or does not; the layers that both have stay."""
    before = stores.content(box)
    box("load", "-q", "-i", str(made.archive))
    whole = took(lambda: box("rmi", "crash:one"))
    for _ in range(rounds):
        box("load", "-q", "-i", str(made.archive))
        kill_within(box, chance.random() * whole, "rmi", "crash:one")
        assert "crash:two" in stores.names(box)
        assert stores.tree_of(box, "crash:two") == made.trees["crash:two"]
        if "crash:one" in stores.names(box):
            assert stores.tree_of(box, "crash:one") == made.trees["crash:one"]
            box("rmi", "crash:one")
    box("rmi", "crash:two")
    assert stores.content(box) == before


def test_the_next_removal_ends_a_killed_one(box: Box, made: Made) -> None:
    before = stores.content(box)
    box("load", "-q", "-i", str(made.archive))
    away = Path(box.root, "tmp/0123456789abcdef/swept/layers", "f" * 64)
    away.mkdir(parents=True)
    (away / "file").write_bytes(b"x" * 4096)
    box("rmi", "crash:one", "crash:two")
    assert stores.content(box) == before


@ROUNDS
def test_tag(box: Box, made: Made, chance: random.Random, rounds: int) -> None:
    """A name leads to the old image or the new one, never to none."""
    box("load", "-q", "-i", str(made.archive))
    box("tag", "crash:one", "crash:moving")
    whole = took(lambda: box("tag", "crash:one", "crash:moving"))
    ids = {box("images", "-q", "--no-trunc", name).stdout.strip() for name in made.trees} - {""}
    for number in range(rounds):
        target = ("crash:two", "crash:one")[number % 2]
        kill_within(box, chance.random() * whole, "tag", target, "crash:moving")
        assert box("images", "-q", "--no-trunc", "crash:moving").stdout.strip() in ids
        box("tag", target, "crash:moving")
        assert (
            box("images", "-q", "--no-trunc", "crash:moving").stdout
            == box("images", "-q", "--no-trunc", target).stdout
        )
    box("rmi", "crash:moving")


# Full disks.


class Disk(NamedTuple):
    box: Box
    top: str

    def fill(self, path: str = "filler") -> Path:
        """Take what space is left, to the last block."""
        filler = Path(self.top, path)
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1 << 9):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        return filler

    def fill_inodes(self) -> Path:
        """Take what inodes are left."""
        home = Path(self.top, "fillers")
        home.mkdir()
        with contextlib.suppress(OSError):
            for number in range(1 << 20):
                (home / str(number)).touch()
        return home


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, box: Box) -> Iterator[Disk]:
    """A store on a file system of 24 MiB and 1500 inodes."""
    top = tempfile.mkdtemp(prefix="fastbox-disk-", dir="/var/tmp")
    image = f"{top}.img"
    if request.param == "tmpfs":
        words = ["mount", "-t", "tmpfs", "-o", "size=24m,nr_inodes=1500", "tmpfs", top]
    else:
        with open(image, "wb") as file:
            file.truncate(24 << 20)
        make = ["mkfs.ext4", "-q", "-m", "0", "-N", "1500", "-O", "^has_journal", image]
        subprocess.run(make, check=True)
        words = ["mount", "-o", "loop", image, top]
    subprocess.run(words, check=True)
    try:
        yield Disk(Box(f"{top}/store", box.run_root), top)
    finally:
        subprocess.run(["umount", top], check=True)
        os.rmdir(top)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(image)


def fails_for_space(box: Box, *words: str) -> None:
    """One line that names the store and the reason, and nothing else changed."""
    before, listed = stores.content(box), box("images").stdout
    message = box.fails(*words)
    assert "no space left" in message.lower(), message
    assert box.root in message, message
    assert stores.content(box) == before
    assert box("images").stdout == listed


def archive_of(work: Path, name: str, files: int, size: int) -> Path:
    """An image of `files` files of `size` random bytes."""
    path, chance = work / f"{name}.layer", random.Random(files)
    with images_made.layer(path) as tar:
        for number in range(files):
            tar.add(f"{name}{number}", data=chance.randbytes(size))
    return images_made.docker_archive(work / f"{name}.tar", {f"{name}:made": [path]})


@pytest.mark.parametrize("which", ["blocks", "inodes"])
def test_an_archive_that_does_not_fit(disk: Disk, tmp_path: Path, which: str) -> None:
    box = disk.box
    small = archive_of(tmp_path, "small", 10, 1000)
    box("load", "-q", "-i", str(small))
    wanted = {"small:made": stores.tree_of(box, "small:made")}
    large = archive_of(tmp_path, "large", *((20, 1 << 20) if which == "blocks" else (2000, 10)))
    begin = time.monotonic()
    fails_for_space(box, "load", "-q", "-i", str(large))
    fails_for_space(box, "import", str(tmp_path / "large.layer"), "large:imported")
    assert time.monotonic() - begin < 60
    stores.check_whole(box, wanted)
    fits = archive_of(tmp_path, "fits", 10, 100_000)
    box("load", "-q", "-i", str(fits))
    box("rmi", "fits:made", "small:made")
    empty = stores.content(box)
    assert empty["layers"] == empty["blobs/sha256"] == empty["refs"] == empty["tmp"] == []


@pytest.mark.parametrize("which", ["blocks", "inodes"])
def test_a_disk_without_any_room(disk: Disk, tmp_path: Path, which: str) -> None:
    """What needs no room works; what does works as soon as there is some."""
    box = disk.box
    small, other = (archive_of(tmp_path, name, 10, 9000) for name in ("small", "other"))
    box("load", "-q", "-i", str(small))
    wanted = {name: stores.tree_of(box, "small:made") for name in ("small:made", "small:more")}
    filler = disk.fill() if which == "blocks" else disk.fill_inodes()
    commands = [
        ["load", "-q", "-i", str(other)],
        ["import", str(tmp_path / "other.layer"), "other:imported"],
        ["tag", "small:made", "small:more"],
    ]
    for words in commands:
        fails_for_space(box, *words)
    stores.check_whole(box, wanted)
    if filler.is_dir():
        for path in filler.iterdir():
            path.unlink()
    else:
        filler.unlink()
    for words in commands:
        box(*words)
    stores.check_whole(box, wanted)


@pytest.mark.parametrize("disk", ["tmpfs", "ext4"], indirect=True)
def test_space_is_given_back_on_a_full_disk(disk: Disk, tmp_path: Path) -> None:
    box = disk.box
    for name in ("one", "two"):
        box("load", "-q", "-i", str(archive_of(tmp_path, name, 10, 9000)))
    disk.fill()
    for name in ("one", "two"):
        box("rmi", f"{name}:made")
    empty = stores.content(box)
    assert empty["layers"] == empty["blobs/sha256"] == empty["refs"] == empty["tmp"] == []
