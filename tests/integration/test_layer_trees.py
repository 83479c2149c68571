"""The tree that a container sees is the tree that the image's author made: docker's and umoci's of the same archive, entry for entry.

Where one of the three differs from the others, a row below says why; a row that nothing needs any more fails.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import images_made, trees
from .conftest import CACHE, Box, Docker
from .trees import Difference, Tree

pytestmark = pytest.mark.integration

ANY = ".*"
DIFFERENCES = [
    Difference(
        "umoci", ANY, "[.]", "mtime", "0",
        "umoci gives the epoch to a root that no layer lists; the others' is as old as its extraction",
    ),
    Difference(
        "docker", ANY, ANY, "mtime", "new",
        "docker extracts a layer on its own: a directory that it does not list is made, and hides the one below",
    ),
    Difference("docker", "odd", "[.]", "mode", "0755", "as above, for the root"),
    Difference("umoci", "odd", "[.]", "mtime", "new", "its second layer writes there, and does not list it"),
    Difference(
        "umoci", "odd|deep", ANY, "links", r"\d",
        "a file of one layer counts its names in it, also those that an upper layer has replaced; umoci has but one tree",
    ),
    Difference("umoci", "odd|deep", ANY, "group", "", "as above: the only name left, of several"),
    Difference(
        "fastbox", "linked", ".*tool.*", "links", "[23]",
        "the target is copied up as link(2) on an overlay does it, so its names of different layers are different files",
    ),
    Difference("fastbox", "linked", ".*tool.*", "group", "tool.*", "as above"),
    Difference(
        "fastbox", "odd", "attributes/empty", "xattrs", "user.empty=",
        "the others' reader of tar takes a record without a value for none",
    ),
    Difference(
        "docker", "odd", "attributes/default/.*", "xattrs", "system.*",
        "docker lets what it makes inherit the default ACL of the directory, whatever the archive says",
    ),
    Difference(
        "umoci", "odd", "new/nothing", "type|mtime", r"\(absent\)|",
        "overlayfs lists a whiteout in a directory that no layer below has; docker's is such a one, too",
    ),
]  # fmt: skip
USED: set[Difference] = set()
RUN: set[str] = set()

IMAGES: dict[str, Callable[[Path], list[Path]]] = {
    "busybox": images_made.busybox,
    "odd": images_made.odd,
    "deep": images_made.deep,
    "sparse": images_made.sparse,
    "linked": images_made.linked,
    "debian": lambda _work: images_made.debootstrapped(CACHE, "debian-minbase"),
    "tools": lambda _work: images_made.debootstrapped(CACHE, "debian-tools", "python3,git"),
}
SLOW = [pytest.param("tools", marks=pytest.mark.slow)]


@pytest.fixture
def work() -> Iterator[Path]:
    """Where rights of files are what the archives say: on a file system with all their attributes."""
    with tempfile.TemporaryDirectory(prefix="fastbox-trees-", dir="/var/tmp") as path:
        yield Path(path)


def of_fastbox(box: Box, source: Path, name: str) -> Tree:
    box("load", "-q", "-i", str(source), timeout=120)
    driver = json.loads(box("inspect", name).stdout)[0]["GraphDriver"]["Data"]
    found = trees.stacked(
        [driver["UpperDir"], *filter(None, driver.get("LowerDir", "").split(":"))]
    )
    box("rmi", name)
    return found


def of_docker(docker: Docker, archive: Path, name: str) -> Tree:
    docker("load", "-q", "-i", str(archive))
    driver = json.loads(docker("inspect", name).stdout)[0]["GraphDriver"]["Data"]
    found = trees.stacked(
        [driver["UpperDir"], *filter(None, driver.get("LowerDir", "").split(":"))]
    )
    docker("rmi", name)
    return found


def of_umoci(source: Path, tag: str, work: Path) -> Tree:
    bundle = work / "bundle"
    words = ["umoci", "unpack", "--image", f"{source}:{tag}", str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = trees.scan(str(bundle / "rootfs"))
    shutil.rmtree(bundle)
    return found


def age(tree: Tree, begin: int) -> None:
    """Times that the extraction made are all alike."""
    for entry in tree.values():
        if begin - 10**9 < int(entry["mtime"]) < time.time_ns():
            entry["mtime"] = "new"


@pytest.mark.parametrize("image", [*(name for name in IMAGES if name != "tools"), *SLOW])
def test_the_tree_is_everyones(box: Box, docker: Docker, work: Path, image: str) -> None:
    begin = time.time_ns()
    layers = IMAGES[image](work)
    name = f"{image}:made"
    layout = images_made.layout(work / "layout", layers, "made")
    archive = images_made.docker_archive(work / "archive.tar", {name: layers})
    seen = {"fastbox": of_fastbox(box, archive, name), "umoci": of_umoci(layout, "made", work)}
    if image != "linked":
        seen["docker"] = of_docker(docker, archive, name)
    for tree in seen.values():
        age(tree, begin)
    wrong = trees.explain(image, seen, DIFFERENCES, USED)
    RUN.add(image)
    assert not wrong, "\n".join([f"{len(wrong)} differences", *wrong[:40]])


@pytest.mark.parametrize("how", images_made.PACKS)
def test_every_packing_gives_the_same_tree(box: Box, work: Path, how: str) -> None:
    """Also through a tar of the layout, which is the other way in."""
    begin = time.time_ns()
    for image in ("odd", "linked", "busybox"):
        home = work / image
        home.mkdir()
        layers = IMAGES[image](home)
        plain = images_made.docker_archive(home / "archive.tar", {f"{image}:made": layers})
        wanted = of_fastbox(box, plain, f"{image}:made")
        age(wanted, begin)
        layout = images_made.layout(home / "layout", layers, f"{image}:made", how)
        subprocess.run(["tar", "-C", str(layout), "-cf", str(home / "layout.tar"), "."], check=True)
        for source in (layout, home / "layout.tar"):
            found = of_fastbox(box, source, f"{image}:made")
            age(found, begin)
            assert found == wanted


def test_files_with_holes(box: Box, work: Path) -> None:
    """In each of GNU tar's formats: the bytes, the sizes, and no more of the disk than the data take."""
    layers = images_made.sparse(work, images_made.SPARSE)
    archive = images_made.docker_archive(work / "archive.tar", {"sparse:made": layers})
    images_made.holes(work)
    wanted = {path.name: path for path in work.iterdir() if path.is_file() and not path.suffix}
    box("load", "-q", "-i", str(archive))
    driver = json.loads(box("inspect", "sparse:made").stdout)[0]["GraphDriver"]["Data"]
    found = [driver["UpperDir"], *driver.get("LowerDir", "").split(":")]
    for layer, version in zip(reversed(found), images_made.SPARSE, strict=True):
        home = Path(layer, f"sparse-{version}")
        assert {path.name for path in home.iterdir()} == set(wanted)
        for name, path in wanted.items():
            assert (home / name).read_bytes() == path.read_bytes(), (version, name)
            # A reader of tar writes whole segments: no hole is lost, one may begin a page later.
            assert (home / name).stat().st_blocks <= path.stat().st_blocks + 8 * 33
    box("rmi", "sparse:made")


def test_every_row_is_needed() -> None:
    if not {name for name in IMAGES if name != "tools"} <= RUN:
        pytest.skip("not all images were compared")
    assert not [row for row in DIFFERENCES if row not in USED]
