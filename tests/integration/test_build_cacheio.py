"""`--cache-to` and `--cache-from`: what one store has built, another takes; damaged and hostile caches."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fastbox
from fastbox.builds import CacheSource
from fastbox.errors import InvalidArgument, Unsupported

from .buildtool import Told, build, cat, context
from .conftest import Box

pytestmark = pytest.mark.integration

FILE = """FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
WORKDIR /src
COPY first .
RUN cat first > made
COPY second .
COPY --from=tools /tool .
ENV A=b
CMD ["cat", "made"]
"""
FILES = {"Dockerfile": FILE, "first": "1\n", "second": "2\n"}


class Place:
    """A store of its own with busybox, and a directory for a cache."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="fastbox-cache-", dir="/var/tmp"))
        self.run = tempfile.mkdtemp(prefix="fastbox-cache-", dir="/run")
        self.engine = fastbox.Engine.open(root=f"{self.base}/store", run=self.run)
        with fastbox.Engine.open() as engine:
            engine.images.save(["busybox"], f"{self.base}/busybox.tar")
        self.engine.images.load(f"{self.base}/busybox.tar")

    def close(self) -> None:
        self.engine.close()
        assert not list((self.base / "store/tmp").iterdir())
        shutil.rmtree(self.base)
        shutil.rmtree(self.run)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
    box("rmi", "-f", "made", check=False)
    box("image", "prune", "-f")
    box("builder", "prune", "-af")


@pytest.fixture
def other(box: Box) -> Iterator[Callable[[], Place]]:
    made: list[Place] = []

    def place() -> Place:
        made.append(Place())
        return made[-1]

    yield place
    for each in made:
        each.close()


@pytest.fixture
def cache(box: Box) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="fastbox-cache-", dir="/var/tmp"))
    yield path / "cache"
    shutil.rmtree(path)


def to(path: Path, mode: str = "max", **attributes: str) -> dict[str, Any]:
    source = CacheSource(kind="local", path=str(path), mode=mode, attributes=attributes)
    return {"cache_to": (source,)}


def of(path: Path, **attributes: str) -> dict[str, Any]:
    return {"cache_from": (CacheSource(kind="local", path=str(path), attributes=attributes),)}


def warnings(told: Told) -> list[str]:
    return [event.text for event in told.events if event.kind == "warning"]


def blob(cache: Path, digest: str) -> Path:
    return cache / "blobs/sha256" / digest.removeprefix("sha256:")


def manifest(cache: Path) -> dict[str, Any]:
    index = json.loads((cache / "index.json").read_bytes())
    found: dict[str, Any] = json.loads(blob(cache, index["manifests"][0]["digest"]).read_bytes())
    return found


def rewrite(cache: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the cache's document, with digests that fit."""
    made = manifest(cache)
    document = json.loads(blob(cache, made["config"]["digest"]).read_bytes())
    change(document["steps"])
    made["config"].update(_put(cache, document))
    index = json.loads((cache / "index.json").read_bytes())
    index["manifests"][0].update(_put(cache, made))
    (cache / "index.json").write_text(json.dumps(index))


def _put(cache: Path, document: object) -> dict[str, Any]:
    data = json.dumps(document).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    blob(cache, digest).write_bytes(data)
    return {"digest": digest, "size": len(data)}


def test_another_store_builds_nothing(
    engine: fastbox.Engine, other: Callable[[], Place], cache: Path
) -> None:
    with context(FILES) as where:
        first = build(engine, where, network="none", **to(cache))
        assert len(first.ran) == 6
        place = other()
        second = build(place.engine, where, network="none", tags=("made",), **of(cache))
        assert not warnings(second)
        assert not second.ran
        assert second.result.image_id == first.result.image_id
        assert cat(place.engine, "made", "/src/made", "/src/tool") == ["1\n", "tool\n"]
        # What came in is known from now on without the cache.
        assert not build(place.engine, where, network="none").ran
        assert not list(place.engine.system.check())
        (where / "second").write_text("3\n")
        place = other()
        third = build(place.engine, where, network="none", **of(cache))
        assert [name.split()[0] for name in third.ran] == ["COPY", "COPY"]


def test_it_is_an_oci_layout(engine: fastbox.Engine, cache: Path) -> None:
    with context(FILES) as where:
        build(engine, where, network="none", **to(cache))
    assert json.loads((cache / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    made = manifest(cache)
    assert len(made["layers"]) == 6
    for each in [made["config"], *made["layers"]]:
        data = blob(cache, each["digest"]).read_bytes()
        assert len(data) == each["size"]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == each["digest"]
    assert not [path for path in cache.rglob("*") if path.name.endswith(".tmp")]


def test_only_what_is_asked_for_comes_in(
    engine: fastbox.Engine, other: Callable[[], Place], cache: Path
) -> None:
    with context(FILES) as where:
        build(engine, where, network="none", **to(cache))
        place = other()
        build(place.engine, where, network="none", target="tools", **of(cache))
    layers = os.listdir(place.base / "store/layers")
    assert len(layers) == 2  # busybox, and the tool


def test_min_has_the_steps_of_the_result(engine: fastbox.Engine, cache: Path) -> None:
    with context(FILES) as where:
        build(engine, where, network="none", **to(cache, "min"))
        assert len(manifest(cache)["layers"]) == 5
        # What is there stays, and a second name is beside the first.
        before = {path: path.stat().st_ino for path in cache.rglob("*") if path.is_file()}
        build(engine, where, network="none", **to(cache, "max", tag="all"))
    index = json.loads((cache / "index.json").read_bytes())
    tags = [each["annotations"]["org.opencontainers.image.ref.name"] for each in index["manifests"]]
    assert tags == ["latest", "all"]
    for layer in manifest(cache)["layers"]:
        path = blob(cache, layer["digest"])
        assert path.stat().st_ino == before[path]


def test_min_of_a_plain_file_is_enough(
    engine: fastbox.Engine, other: Callable[[], Place], cache: Path
) -> None:
    plain = "FROM busybox\nCOPY first /\nRUN cat first > made\n"
    with context({**FILES, "Dockerfile": plain}) as where:
        first = build(engine, where, network="none", **to(cache, "min"))
        second = build(other().engine, where, network="none", **of(cache))
    assert not second.ran
    assert second.result.image_id == first.result.image_id


def test_a_cache_that_is_not_there_is_a_warning(engine: fastbox.Engine, cache: Path) -> None:
    with context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}) as where:
        told = build(engine, where, **of(cache))
        assert warnings(told) == [f"cache local:{cache}: no such file or directory"]
        source = CacheSource(kind="registry", ref="example.org/none:1")
        told = build(engine, where, cache_from=(source,))
        assert len(warnings(told)) == 1
        assert "example.org/none:1" in warnings(told)[0]
        with pytest.raises(Unsupported):
            build(engine, where, cache_to=(source,))
        with pytest.raises(InvalidArgument):
            build(engine, where, cache_to=(CacheSource(kind="gha"),))


PLAIN = {
    "Dockerfile": "FROM busybox\nCOPY first /\nRUN cat first > made\n",
    "first": "1\n",
}


def _flip(cache: Path) -> None:
    path = blob(cache, manifest(cache)["layers"][0]["digest"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)


def _cut(cache: Path) -> None:
    path = blob(cache, manifest(cache)["layers"][0]["digest"])
    path.write_bytes(path.read_bytes()[:-1])


def _link(cache: Path) -> None:
    path = blob(cache, manifest(cache)["layers"][0]["digest"])
    away = cache.parent / "away"
    path.rename(away)
    path.symlink_to(away)


def _fifo(cache: Path) -> None:
    path = blob(cache, manifest(cache)["layers"][0]["digest"])
    path.unlink()
    os.mkfifo(path)


def _gone(cache: Path) -> None:
    blob(cache, manifest(cache)["layers"][0]["digest"]).unlink()


def _with_layers(steps: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for step in steps.values() if "chain" in step]


def _swap_chains(cache: Path) -> None:
    """The key of one step leads to the layer of another, under its chain id."""

    def change(steps: dict[str, Any]) -> None:
        first, second = _with_layers(steps)
        first["diff_id"], second["diff_id"] = second["diff_id"], first["diff_id"]
        first["digest"], second["digest"] = second["digest"], first["digest"]

    rewrite(cache, change)


def _other_diff_id(cache: Path) -> None:
    """A chain id that follows, of a tar that the layer isn't."""

    def change(steps: dict[str, Any]) -> None:
        step = _with_layers(steps)[0]
        step["diff_id"] = "sha256:" + "5" * 64
        text = f"{step['parent']} {step['diff_id']}".encode()
        step["chain"] = "sha256:" + hashlib.sha256(text).hexdigest()

    rewrite(cache, change)


@pytest.mark.parametrize("harm", [_flip, _cut, _link, _fifo, _gone, _swap_chains, _other_diff_id])
def test_a_layer_that_does_not_verify_is_a_miss(
    engine: fastbox.Engine,
    other: Callable[[], Place],
    cache: Path,
    harm: Callable[[Path], None],
) -> None:
    with context(PLAIN) as where:
        build(engine, where, network="none", **to(cache))
        harm(cache)
        place = other()
        told = build(place.engine, where, network="none", tags=("made",), **of(cache))
        assert "COPY first /" in told.ran
        assert warnings(told)
        assert cat(place.engine, "made", "/made") == ["1\n"]
        assert not list(place.engine.system.check())


@pytest.mark.parametrize(
    "member",
    [
        {"digest": "../../../etc/passwd"},
        {"digest": "sha256:" + "../" * 21 + "x"},
        {"packed_size": -1},
        {"packed_size": True},
        {"created": "yesterday"},
        {"created": "2026-01-01T00:00:00.000000000Z\n"},
        {"name": 5},
        {"same": "../x"},
    ],
)
def test_documents_that_lie(
    engine: fastbox.Engine, other: Callable[[], Place], cache: Path, member: dict[str, Any]
) -> None:
    with context(PLAIN) as where:
        build(engine, where, network="none", **to(cache))
        rewrite(cache, lambda steps: _with_layers(steps)[0].update(member))
        told = build(other().engine, where, network="none", **of(cache))
        assert len(told.ran) == 2
        assert len(warnings(told)) == 1


@pytest.mark.parametrize(
    "index", [b"", b"{", b"[" * 10_000, b'{"manifests":5}', b'{"manifests":[7]}', b" " * (5 << 20)]
)
def test_indexes_that_are_none(engine: fastbox.Engine, cache: Path, index: bytes) -> None:
    with context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}) as where:
        build(engine, where, **to(cache))
        (cache / "index.json").write_bytes(index)
        told = build(engine, where, **of(cache), no_cache_filter=("stage-0",))
        assert len(warnings(told)) == 1
        build(engine, where, **to(cache))  # and writing it again mends it
        assert not warnings(build(engine, where, **of(cache)))


def test_inline(engine: fastbox.Engine, other: Callable[[], Place], cache: Path) -> None:
    inline = (CacheSource(kind="inline"),)
    with context(PLAIN) as where:
        first = build(engine, where, network="none", tags=("made",), cache_to=inline)
        again = build(engine, where, network="none", cache_to=inline)
        assert again.result.image_id == first.result.image_id
        archive = str(cache) + ".tar"
        engine.images.save(["made"], archive)
        place = other()
        place.engine.images.load(archive)
        source = (CacheSource(kind="registry", ref="made"),)
        second = build(place.engine, where, network="none", cache_to=inline, cache_from=source)
        assert not warnings(second)
        assert not second.ran
        assert second.result.image_id == first.result.image_id
        (where / "Dockerfile").write_text(PLAIN["Dockerfile"] + "RUN echo 2 > more\n")
        third = build(place.engine, where, network="none", cache_from=source)
        assert third.ran == ["RUN echo 2 > more"]


def test_a_layer_has_the_root_of_what_is_below(engine: fastbox.Engine, box: Box) -> None:
    """As it has when it is loaded elsewhere: an archive doesn't list its root."""
    with context(PLAIN) as where:
        build(engine, where, network="none", tags=("made",))
    assert not list(engine.system.check())
