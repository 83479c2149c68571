"""`builder prune`, what `system df` and `system check` say of the build cache, and who may delete what of it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastbox
from fastbox.errors import DiskFull, InvalidArgument
from fastbox.store import buildcache
from fastbox.store.root import Root

from .buildtool import build, context
from .conftest import Box

pytestmark = pytest.mark.integration

FILE = "FROM busybox\nCOPY a /\nRUN cat a > made\nCOPY b /\n"
FILES = {"Dockerfile": FILE, "a": "a" * 300_000, "b": "b" * 200_000}
STEPS = "build/steps"


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
    box("rmi", "-f", "made", check=False)
    box("image", "prune", "-f")
    box("builder", "prune", "-af")


def steps(box: Box) -> dict[str, Path]:
    """The records of steps with a layer, by the beginning of their names."""
    found = {}
    for path in Path(box.root, STEPS).glob("*/record.json"):
        record = json.loads(path.read_text())
        if record.get("chain"):
            found[" ".join(record["name"].split()[:2])] = path
    return found


def layers(box: Box) -> int:
    return len(os.listdir(f"{box.root}/layers"))


def forget_image(box: Box) -> None:
    """The image of a build without a name goes; what the cache needs stays."""
    box("image", "prune", "-f")


def test_pruned_images_leave_the_cache(box: Box, engine: fastbox.Engine) -> None:
    before = layers(box)
    with context(FILES) as where:
        build(engine, where, network="none")
        forget_image(box)
        assert layers(box) == before + 3
        assert not list(engine.system.check())
        assert not build(engine, where, network="none").ran
        forget_image(box)
        done = box("builder", "prune", "-af").stdout.splitlines()
        assert done[0].split() == ["ID", "RECLAIMABLE", "SIZE", "LAST", "ACCESSED"]
        assert done[-1].startswith("Total:")
        assert all(" true " in line and line.endswith(" ago") for line in done[1:-1])
        assert layers(box) == before
        assert not os.listdir(f"{box.root}/{STEPS}")
        assert len(build(engine, where, network="none").ran) == 3


def test_what_images_have_stays_without_all(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none", tags=("made",))
        assert "kB" not in box("builder", "prune", "-f").stdout
        assert not build(engine, where, network="none").ran
        engine.builds.prune(all=True)
        assert len(build(engine, where, network="none").ran) == 3


def test_the_least_recently_used_goes_first(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none")
        forget_image(box)
        found = steps(box)
        assert set(found) == {"COPY a", "RUN cat", "COPY b"}
        os.utime(found["COPY b"], (2_000, 2_000))
        os.utime(found["RUN cat"], (1_000, 1_000))
        os.utime(found["COPY a"], (3_000, 3_000))
        # Of RUN's step b's was made: that was used when b's was, and is of use without it.
        pruned = engine.builds.prune(all=True, keep=700_000)
        gone = [line.split("\t")[0] for line in pruned.lines]
        assert gone[0] == found["COPY b"].parent.name[:25]
        assert set(steps(box)) == {"COPY a", "RUN cat"}
        assert pruned.reclaimed > 200_000
        assert build(engine, where, network="none").ran == ["COPY b /"]


def test_bounds(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none")
        forget_image(box)
        assert not engine.builds.prune(all=True, max_used=10 << 20).lines
        assert not engine.builds.prune(all=True, min_free=1).lines
        assert not engine.builds.prune(all=True, keep=10 << 20, max_used=0).lines
        assert not engine.builds.prune(all=True, keep=10 << 20, min_free=1 << 60).lines
        assert not engine.builds.prune(all=True, filters=["until=1h"]).lines
        assert engine.builds.prune(all=True, min_free=1 << 60).lines
        assert not steps(box)
        with pytest.raises(InvalidArgument):
            engine.builds.prune(filters=["label=a"])


def test_cache_mounts_are_pruned_unless_a_step_has_them(box: Box, engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo a > /c/a\n"
    with context({"Dockerfile": text}) as where:
        build(engine, where, network="none")
    forget_image(box)
    (name,) = os.listdir(f"{box.root}/build/mounts")
    cache = buildcache.BuildCache(Root.open(box.root, box.run_root))
    fd = cache.hold_mount(name, alone=False)
    engine.builds.prune(all=True)
    assert os.listdir(f"{box.root}/build/mounts") == [name]
    os.close(fd)
    assert not list(engine.system.check())
    engine.builds.prune(all=True)
    assert not os.listdir(f"{box.root}/build/mounts")


def test_a_sweep_waits_for_a_build(box: Box, engine: fastbox.Engine) -> None:
    """A step that a build has found in the cache is there for it, whoever prunes meanwhile."""
    with context(FILES) as where:
        build(engine, where, network="none")
        forget_image(box)
        (where / "Dockerfile").write_text(FILE + "RUN sleep 1 && cat a b made | wc -c > /count\n")
        ended = threading.Event()

        def prune() -> None:
            while not ended.is_set():
                with fastbox.Engine.open() as other:
                    other.builds.prune(all=True)
                    other.images.prune()

        thread = threading.Thread(target=prune)
        thread.start()
        try:
            for _ in range(3):
                told = build(engine, where, network="none", tags=("made",))
                assert told.result.image_id
        finally:
            ended.set()
            thread.join()
        assert box("run", "--rm", "--network=none", "made", "cat", "/count").stdout == "800000\n"
    assert not list(engine.system.check())


def test_a_step_that_can_not_be_remembered_fails_the_build(
    box: Box, engine: fastbox.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = layers(box)

    def full(*_: object) -> None:
        raise DiskFull("cannot write: no space left on device", where="record.json")

    with context(FILES) as where:
        monkeypatch.setattr(buildcache, "write_record", full)
        with pytest.raises(DiskFull):
            build(engine, where, network="none")
        monkeypatch.undo()
        assert layers(box) == before
        assert not os.listdir(f"{box.root}/tmp")
        assert len(build(engine, where, network="none").ran) == 3


def test_df_counts_what_prune_gives_back(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none")
    forget_image(box)
    cache = next(part for part in engine.system.usage().parts if part.kind == "Build Cache")
    assert cache.total == 4  # three steps, and when the image was made
    assert 500_000 < cache.reclaimable <= cache.size
    assert "COPY" not in box("system", "df").stdout
    table = box("system", "df", "-v").stdout.split("Build cache usage:")[1].splitlines()
    assert table[2].split()[:2] == ["CACHE", "ID"]
    assert len(table) == 3 + cache.total
    found = json.loads(box("system", "df", "-v", "--format", "json").stdout)["BuildCache"]
    assert {each["Description"].split()[0] for each in found} == {"COPY", "RUN", "the"}
    assert engine.builds.prune(all=True).reclaimed == cache.reclaimable
    cache = next(part for part in engine.system.usage().parts if part.kind == "Build Cache")
    assert (cache.total, cache.reclaimable) == (0, 0)


def test_system_prune_takes_it(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none", tags=("made",))
        (where / "b").write_text("c")
        build(engine, where, network="none")
        assert len(steps(box)) == 3
        count = len(list(Path(box.root, STEPS).iterdir()))
        done = box("system", "prune", stdin=b"n\n").stdout
        assert "  - unused build cache\n" in done
        done = box("system", "prune", "-f").stdout
        assert "Deleted build cache objects:" in done
        assert len(list(Path(box.root, STEPS).iterdir())) < count
        assert "  - all build cache\n" in box("system", "prune", "-a", stdin=b"n\n").stdout


def test_check_finds_what_is_wrong_with_it(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none")
        forget_image(box)
        assert not list(engine.system.check())
        found = steps(box)
        found["COPY a"].write_text("{")
        record = json.loads(found["COPY b"].read_text())
        shutil.rmtree(f"{box.root}/layers/{record['chain'][7:]}")
        unfinished = Path(box.root, STEPS, "c" * 64)
        unfinished.mkdir()
        Path(box.root, STEPS, "d" * 64).mkdir()  # only a lock
        (unfinished / "record.json.1.abcd.tmp").touch()
        wrong = {each.where: each.what for each in engine.system.check(quick=True)}
        assert "damaged" in wrong[str(found["COPY a"].parent)]
        assert "missing" in wrong[str(found["COPY b"].parent)]
        assert "never finished" in wrong[str(unfinished)]
        box("builder", "prune", "-f")
        assert not list(engine.system.check())
        assert len(build(engine, where, network="none").ran) == 3


def test_check_compares_layers_that_only_the_cache_has(box: Box, engine: fastbox.Engine) -> None:
    with context(FILES) as where:
        build(engine, where, network="none")
    forget_image(box)
    record = json.loads(steps(box)["RUN cat"].read_text())
    Path(box.root, "layers", record["chain"][7:], "tree/made").write_text("x")
    wrong = list(engine.system.check())
    assert {Path(each.where).name for each in wrong} == {"made"}
    assert all("builder prune" in each.hint for each in wrong)


def test_a_layer_that_came_packed_otherwise_is_found(box: Box, engine: fastbox.Engine) -> None:
    """Its record tells of bytes that went with the image that brought it; the step has its own."""
    with context(FILES) as where:
        build(engine, where, network="none")
        for path in steps(box).values():
            chain = json.loads(path.read_text())["chain"][7:]
            record = Path(box.root, "layers", chain, "record.json")
            record.write_text(
                json.dumps(json.loads(record.read_text()) | {"digest": "sha256:" + "0" * 64})
            )
        assert not build(engine, where, network="none").ran


def test_two_builds_make_a_step_once(box: Box, engine: fastbox.Engine) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c echo x >> /c/log; cp /c/log /log\n"
    ids: list[str] = []

    def run(where: Path) -> None:
        with fastbox.Engine.open() as own:
            ids.append(build(own, where, network="none", tags=("made",)).result.image_id)

    with context({"Dockerfile": text}) as where:
        threads = [threading.Thread(target=run, args=(where,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(ids)) == 1
    assert len(ids) == 3
    assert box("run", "--rm", "--network=none", "made", "cat", "/log").stdout == "x\n"
