"""Many commands on one store at once: each works or says what is true ("no such image", "in use"), and nothing is damaged."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from fastbox import Engine, Mount
from fastbox.errors import ImageNotFound
from fastbox.images.service import Images
from fastbox.store.refs import Refs

from . import host, images_made, stores
from .conftest import Box, busybox_tar
from .trees import Tree

pytestmark = pytest.mark.integration

TRUE = ("no such image", "containers use it")


class Made(NamedTuple):
    """Archives of images that share their lower layers, by name, and what is in each."""

    archives: dict[str, Path]
    trees: dict[str, Tree]


@pytest.fixture(scope="module")
def made(box: Box) -> Iterator[Made]:
    with tempfile.TemporaryDirectory(prefix="fastbox-concurrency-", dir="/var/tmp") as base:
        work, chance = Path(base), random.Random(2)
        busybox = work / "busybox.tar"
        busybox.write_bytes(busybox_tar())
        shared = [
            busybox,
            *(layer(work / f"shared{n}.tar", f"shared{n}", chance) for n in range(3)),
        ]
        found: dict[str, Path] = {}
        trees: dict[str, Tree] = {}
        for number in range(20):
            # Each ends elsewhere: some have all that others have, and one layer more.
            own = layer(work / f"own{number}.tar", f"own{number}", chance)
            layers = [*shared[: 2 + number % 3], own]
            name = f"many:{number}"
            found[name] = images_made.docker_archive(work / f"{number}.archive", {name: layers})
            if number < 3:
                box("load", "-q", "-i", str(found[name]))
                trees[name] = stores.tree_of(box, name)
        for name in trees:
            box("rmi", name)
        yield Made(found, trees)


def layer(path: Path, name: str, chance: random.Random) -> Path:
    with images_made.layer(path) as tar:
        for number in range(20):
            tar.add(f"{name}/file{number}", data=chance.randbytes(3000))
        tar.link(f"{name}/link", f"{name}/file3")
    return path


@pytest.fixture(autouse=True)
def undamaged(box: Box, made: Made) -> Iterator[None]:
    """Whatever ran at once: what is listed is whole, and when all is removed nothing is left."""
    box("image", "prune", "-f")  # nothing that goes with the first removal
    before = stores.content(box)
    yield
    host.quiet(box.run_root)
    stores.check_whole(box, made.trees)
    for name in stores.names(box):
        if name.startswith("many:"):
            box("rmi", "-f", name)
    box("image", "prune", "-f")  # one whose name was forced away lives as long as its containers
    box("load", "-q", "-i", str(made.archives["many:0"]))  # who adds sweeps what others could not
    box("rmi", "many:0")
    assert stores.content(box) == before


def begin(box: Box, *words: str) -> subprocess.Popen[bytes]:
    return box.start(*words, stdin=-3, stdout=-1, stderr=-1)


def end(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its code, and what it said; never a traceback."""
    out, err = process.communicate(timeout=60 * host.SLOW)
    text = err.decode()
    assert len(text.splitlines()) <= 2, text
    return process.returncode, text or out.decode()


def succeeds_or_is_true(process: subprocess.Popen[bytes]) -> bool:
    code, text = end(process)
    assert code == 0 or any(words in text for words in TRUE), text
    return code == 0


def load(box: Box, made: Made, name: str) -> subprocess.Popen[bytes]:
    return begin(box, "load", "-q", "-i", str(made.archives[name]))


def test_the_same_image_by_several(box: Box, made: Made) -> None:
    for process in [load(box, made, "many:0") for _ in range(4)]:
        assert end(process) == (0, "Loaded image: many:0\n")
    assert stores.tree_of(box, "many:0") == made.trees["many:0"]


def test_twenty_that_share_layers(box: Box, made: Made) -> None:
    names = list(made.archives)
    before = {f"{box.root}/layers/{name}" for name in stores.content(box)["layers"]}
    for name, process in [(name, load(box, made, name)) for name in names]:
        assert end(process) == (0, f"Loaded image: {name}\n")
    assert set(names) <= set(stores.names(box))
    own = {f"{box.root}/layers/{name}" for name in stores.content(box)["layers"]}
    assert len(own - before) == 3 + 20  # the session's busybox has the lowest one as well
    done = [
        begin(box, "run", "--rm", name, "wc", "-c", f"/own{name[5:]}/link") for name in names[::5]
    ]
    for process in done:
        assert end(process)[0] == 0
    for process in [begin(box, "rmi", name) for name in names[3:]]:
        assert end(process)[0] == 0
    assert {name for name in stores.names(box) if name.startswith("many:")} == set(names[:3])


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_one_loads_what_another_removes(box: Box, made: Made, rounds: int) -> None:
    """They share all layers but one, and at times the image itself."""
    for number in range(rounds):
        box("load", "-q", "-i", str(made.archives["many:0"]))
        others = [load(box, made, f"many:{1 + number % 2}"), load(box, made, "many:0")]
        removers = [begin(box, "rmi", "many:0") for _ in range(2)]
        for process in others:
            assert end(process)[0] == 0
        for process in removers:
            succeeds_or_is_true(process)
        assert f"many:{1 + number % 2}" in stores.names(box)
        stores.check_whole(box, made.trees)


@pytest.mark.parametrize("rounds", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_run_while_the_image_is_removed(box: Box, made: Made, rounds: int) -> None:
    """A container that starts has all of its files; one that does not says why."""
    for _ in range(rounds):
        box("load", "-q", "-i", str(made.archives["many:1"]))
        words = ["run", "--rm", "many:1", "/bin/busybox", "cat", "/own1/file3", "/shared0/link"]
        runs = [begin(box, *words) for _ in range(3)]
        remover = begin(box, "rmi", "-f", "many:1")
        for process in runs:
            out, err = process.communicate(timeout=60)
            if process.returncode:
                assert b"no such image" in err, err
                assert len(err.splitlines()) <= 2, err
            else:
                assert len(out) == 6000
        succeeds_or_is_true(remover)
        host.quiet(box.run_root)


@pytest.mark.parametrize("where", [Images, Refs], ids=["found", "named"])
@pytest.mark.parametrize("use", ["image", "mount"])
def test_an_image_that_is_removed_as_it_is_used(
    box: Box, made: Made, monkeypatch: pytest.MonkeyPatch, where: type[object], use: str
) -> None:
    """Just after it was found, before a container's record says that it is needed."""
    box("load", "-q", "-i", str(made.archives["many:1"]))
    method = "resolve" if where is Images else "get"
    find: Callable[[object, str], object] = getattr(where, method)

    def find_and_remove(self: object, reference: str) -> object:
        found = find(self, reference)
        if found is not None and reference.endswith("many:1"):
            box("rmi", "many:1")
        return found

    monkeypatch.setattr(where, method, find_and_remove)
    mounts = [Mount(kind="image", source="many:1", target="/mnt")] if use == "mount" else []
    with Engine.open() as engine, pytest.raises(ImageNotFound, match="no such image: many:1"):
        engine.run("many:1" if use == "image" else "busybox", ["true"], mounts=mounts)
    assert not [line for line in box("ps", "-aq").stdout.split() if line]


def test_containers_keep_what_is_removed_meanwhile(box: Box, made: Made) -> None:
    box("load", "-q", "-i", str(made.archives["many:2"]))
    name = box("create", "many:2", "/bin/busybox", "wc", "-c", "/own2/link").stdout.strip()
    loaders = [load(box, made, "many:0"), load(box, made, "many:1")]
    box("rmi", "-f", "many:2")
    for process in loaders:
        assert end(process)[0] == 0
    box("rmi", "many:0", "many:1")
    assert box("start", "-a", name).stdout == "3000 /own2/link\n"
    box("rm", name)


def test_names_that_move(box: Box, made: Made) -> None:
    """Two give the same name to different images, again and again; it always leads to one."""
    for name in ("many:0", "many:1"):
        box("load", "-q", "-i", str(made.archives[name]))
    ids = {box("images", "-q", "--no-trunc", n).stdout.strip() for n in ("many:0", "many:1")}
    for _ in range(4):
        movers = [begin(box, "tag", f"many:{n % 2}", "many:moving") for n in range(4)]
        for process in movers:
            assert end(process)[0] == 0
        assert box("images", "-q", "--no-trunc", "many:moving").stdout.strip() in ids
