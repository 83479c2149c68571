"""The build cache's records: damage, races of forgetting with remembering, locks of cache mounts."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from fastbox.store.buildcache import BuildCache, Step
from fastbox.store.root import Root

KEY, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    return BuildCache(Root(str(tmp_path), str(tmp_path)))


def test_a_step_is_remembered(cache: BuildCache) -> None:
    step = Step(chain="sha256:" + KEY, created="now", size=5, media_type="x")
    cache.put(KEY, step)
    assert cache.get(KEY) == step
    assert cache.get(OTHER) is None
    assert list(cache.steps()) == [(KEY, step)]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"schema":1,"what":2}', b'{"schema":"x"}'])
def test_a_damaged_record_is_none(cache: BuildCache, tmp_path: Path, data: bytes) -> None:
    cache.put(KEY, Step(name="x"))
    (tmp_path / f"build/steps/{KEY}/record.json").write_bytes(data)
    assert cache.get(KEY) is None
    cache.tidy()
    assert cache.keys() == []


def test_a_step_that_is_being_made_stays(cache: BuildCache) -> None:
    claim = cache.try_claim(KEY)
    assert claim is not None
    assert cache.try_claim(KEY) is None
    assert not cache.drop(KEY)
    cache.tidy()
    assert cache.keys() == [KEY]
    claim.close()
    cache.tidy()
    assert cache.keys() == []


def test_other_names_go_with_their_step(cache: BuildCache) -> None:
    cache.put(KEY, Step(name="x"))
    cache.put(OTHER, Step(same=KEY))
    cache.tidy()
    assert len(cache.keys()) == 2
    cache.drop(KEY)
    cache.tidy()
    assert cache.keys() == []


def test_forgetting_races_with_remembering(cache: BuildCache) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def forget() -> None:
        try:
            while not stop.is_set():
                cache.drop(KEY)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        for _ in range(50):
            cache.put(KEY, Step(name="x"))
            cache.touch(KEY)
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert cache.get(KEY) in (None, Step(name="x"))


def test_a_mount_that_is_held_stays(cache: BuildCache) -> None:
    fd = cache.hold_mount(KEY, alone=False)
    assert cache.hold_mount(KEY, alone=True, wait=0) == -1
    assert not cache.drop_mount(KEY)
    os.close(fd)
    assert cache.drop_mount(KEY)
    assert not cache.drop_mount(KEY)
    assert cache.mounts() == []


def test_a_mount_that_is_held_is_there(cache: BuildCache) -> None:
    stop = threading.Event()

    def forget() -> None:
        while not stop.is_set():
            cache.drop_mount(KEY)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        for _ in range(30):
            fd = cache.hold_mount(KEY, alone=False)
            assert os.path.isdir(cache.mount(KEY))
            os.close(fd)
    finally:
        stop.set()
        thread.join()
