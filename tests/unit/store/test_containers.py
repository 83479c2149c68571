"""Containers on disk: names, locks, records; as any user, since only directories are touched."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from fastbox.errors import ContainerNotFound, InvalidArgument, NameInUse
from fastbox.store import names
from fastbox.store.containers import ContainerRecord, ContainerStore, ExitRecord, new_id
from fastbox.store.root import Root


@pytest.fixture
def store(tmp_path: Path) -> ContainerStore:
    for name in ("containers", "names", "tmp"):
        (tmp_path / name).mkdir()
    return ContainerStore(Root(str(tmp_path), str(tmp_path / "run")))


def record(container: str, name: str) -> ContainerRecord:
    return ContainerRecord(
        id=container, name=name, image="i", image_id="", created="t", start=False, remove=False, argv=("a", "b"), entrypoint=("a",), labels={},
        stop_signal="SIGTERM", stop_timeout=10.0, tty=False, open_stdin=False, options={},
    )  # fmt: skip


def make(store: ContainerStore, name: str = "") -> ContainerRecord:
    container = new_id()
    held, name = store.make(container, name)
    made = record(container, name)
    store.write(made)
    held.close()
    return made


@pytest.mark.parametrize(
    "name", ["", "a", "-ab", ".ab", "a b", "a/b", "ä1", "a" * 129, "..", "ab\n"]
)
def test_invalid_names(name: str) -> None:
    with pytest.raises(InvalidArgument):
        names.check(name)


def test_valid_names() -> None:
    assert names.check("/a1_.-") == "a1_.-"
    assert all(names.check(names.random_name()) for _ in range(200))


def test_a_name_has_one_owner_and_is_free_when_it_dangles(store: ContainerStore) -> None:
    first = make(store, "web")
    with pytest.raises(NameInUse):
        store.make(new_id(), "web")
    assert len(store.ids()) == 1
    os.rename(store.directory(first.id), store.directory(first.id) + ".gone")
    second = make(store, "web")
    assert store.find("web") == second.id


def test_many_claim_one_dangling_name(store: ContainerStore, tmp_path: Path) -> None:
    os.symlink("../containers/gone", tmp_path / "names/one")
    won: list[str] = []

    def claim() -> None:
        try:
            won.append(make(store, "one").id)
        except NameInUse:
            pass

    threads = [threading.Thread(target=claim) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert store.find("one") == won[0]
    assert store.ids() == won


def take_and_release(store: ContainerStore, name: str, rounds: int) -> int:
    """How often a name was lost while its container was there."""
    lost = 0
    for _ in range(rounds):
        try:
            held, _name = store.make(new_id(), name)
        except NameInUse:
            continue
        lost += store.find(name) != held.id
        store.discard(held, name)
        held.close()
    return lost


def test_who_releases_a_name_takes_nobody_elses(store: ContainerStore) -> None:
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        lost = [pool.submit(take_and_release, store, "one", 2000) for _ in range(4)]
        assert [each.result() for each in lost] == [0] * 4
    assert store.ids() == []


def test_find_by_id_name_and_beginning(store: ContainerStore) -> None:
    made = make(store, "web")
    for reference in (made.id, made.id[:12], made.id[:6], "web", "/web"):
        assert store.find(reference) == made.id
    for reference in ("", "x", "..", "../names", "web/", made.id[:5] + "zz", "0" * 64):
        with pytest.raises(ContainerNotFound):
            store.find(reference)


def test_an_ambiguous_beginning(store: ContainerStore, tmp_path: Path) -> None:
    for digit in "12":
        (tmp_path / "containers" / ("ab" + digit * 62)).mkdir()
    with pytest.raises(InvalidArgument):
        store.find("ab")


def test_records_survive_a_round_trip(store: ContainerStore) -> None:
    made = make(store)
    assert store.read(made.id) == made
    store.write_exit(made.id, ExitRecord(code=3, oom=True, error="x"))
    found = store.read_exit(made.id)
    assert found is not None
    assert (found.code, found.oom, found.error) == (3, True, "x")
    store.clear_exit(made.id)
    store.clear_exit(made.id)
    assert store.read_exit(made.id) is None
    assert store.read("0" * 64) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"schema":1}', b'{"schema":"1"}', b'{"schema":1,"id":5}', b"\0" * 100],
)
def test_damaged_records_are_value_errors(store: ContainerStore, data: bytes) -> None:
    made = make(store)
    Path(store.directory(made.id), "record.json").write_bytes(data)
    with pytest.raises(ValueError, match=r"."):
        store.read(made.id)


def test_a_lock_excludes_and_notices_removal(store: ContainerStore) -> None:
    made = make(store)
    held = store.lock(made.id)
    assert held is not None
    assert store.lock(made.id, wait=False) is None
    waited: list[object] = []
    thread = threading.Thread(target=lambda: waited.append(store.lock(made.id, missing_ok=True)))
    thread.start()
    store.discard(held, made.name)
    held.close()
    thread.join(10)
    assert waited == [None]
    with pytest.raises(ContainerNotFound):
        store.lock(made.id)
    assert store.ids() == []
    assert store.trashed() == []


def test_rename(store: ContainerStore) -> None:
    made, other = make(store, "one"), make(store, "two")
    with pytest.raises(NameInUse):
        store.rename(made, "two")
    store.rename(made, "three")
    assert store.find("three") == made.id
    assert store.find("two") == other.id
    with pytest.raises(ContainerNotFound):
        store.find("one")
