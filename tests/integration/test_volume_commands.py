"""`volume create ls inspect rm prune`, what `system` says of volumes, and what kills and races leave."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.store.volumes import VolumeStore

from . import host
from .host import until
from .test_volumes import data, full, layer, load, no_volumes, volumes  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session", autouse=True)
def _full(full: str) -> str:  # noqa: F811
    """Made before anything is looked at."""
    return full


def test_create(box: Box) -> None:
    assert box("volume", "create", "--label", "a=b", "one").stdout == "one\n"
    assert box("volume", "create", "one").stdout == "one\n"  # it stays as it is
    (found,) = json.loads(box("volume", "inspect", "one").stdout)
    assert found.pop("CreatedAt").endswith("Z")
    assert found == {
        "Driver": "local",
        "Labels": {"a": "b"},
        "Mountpoint": f"{box.root}/volumes/one/_data",
        "Name": "one",
        "Options": None,
        "Scope": "local",
    }
    assert json.loads(box("inspect", "one").stdout)[0]["Name"] == "one"
    name = box("volume", "create").stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", name)
    label = box("volume", "inspect", "-f", "{{json .Labels}}", name).stdout
    assert label == '{"com.docker.volume.anonymous":""}\n'
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs")
    assert "with other options" in box.fails("volume", "create", *options, "one")


@pytest.mark.parametrize("name", ["x", "../x", "a/b", ".rm-a", "-a", "a b", "ä", "a" * 256])
def test_names_that_are_refused(box: Box, name: str) -> None:
    assert "volume name" in box.fails("volume", "create", "--", name)
    done = box("volume", "rm", "--", name, check=False)
    assert done.returncode == 1
    assert "no such volume" in done.stderr
    if "/" not in name and ":" not in name:
        assert "volume name" in box.fails("run", "--rm", "-v", f"{name}:/x", "busybox", "true")


def test_ls(box: Box) -> None:
    box("volume", "create", "--label", "tier=db", "--label", "x", "alpha")
    box("volume", "create", "--label", "tier=web", "beta")
    box("create", "--name", "user", "-v", "beta:/b", "-v", "gamma:/g", "busybox", "true")

    def ls(*filters: str) -> list[str]:
        words = [word for text in filters for word in ("--filter", text)]
        return box("volume", "ls", "-q", *words).stdout.split()

    assert ls() == ["alpha", "beta", "gamma"]
    assert ls("dangling=true") == ["alpha"]
    assert ls("dangling=false") == ["beta", "gamma"]
    assert ls("label=tier") == ["alpha", "beta"]
    assert ls("label=tier=db", "label=x") == ["alpha"]
    assert ls("name=et", "name=amm") == ["beta", "gamma"]
    assert ls("driver=local", "name=al") == ["alpha"]
    assert ls("driver=other") == []
    assert "invalid filter" in box.fails("volume", "ls", "-f", "colour=red")
    lines = box("volume", "ls").stdout.splitlines()
    assert lines[:2] == ["DRIVER    VOLUME NAME", "local     alpha"]
    out = box("volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Mountpoint}}").stdout
    assert f"alpha local {box.root}/volumes/alpha/_data\n" in out


def test_rm(box: Box) -> None:
    box("volume", "create", "one")
    box("create", "--name", "user", "-v", "used:/u", "busybox", "true")
    user = box("ps", "-aq", "--no-trunc").stdout.strip()
    done = box("volume", "rm", "used", "one", "none", check=False)
    assert done.returncode == 1
    assert done.stdout == "one\n"
    assert f"used: volume is in use - [{user}]" in done.stderr
    assert 'no such volume "none"' in done.stderr
    assert box("volume", "rm", "-f", "none").stdout == "none\n"
    assert volumes(box) == ["used"]
    box("start", "-a", "user")
    assert box("volume", "rm", "-f", "used", check=False).returncode == 1
    box("rm", "user")
    box("volume", "rm", "used")


def test_prune(box: Box) -> None:
    box("volume", "create", "--label", "keep", "kept")
    box("volume", "create", "named")
    (data(box, "named") / "x").write_bytes(bytes(1 << 20))
    anonymous = box("volume", "create").stdout.strip()
    box("create", "--name", "user", "-v", "/anon", "busybox", "true")
    text = box("volume", "prune", stdin=b"n\n").stdout
    assert "remove anonymous local volumes not used by at least one container" in text
    out = box("volume", "prune", "-f").stdout
    assert out.startswith(f"Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: ")
    out = box("volume", "prune", "-f", "--all", "--filter", "label!=keep").stdout
    assert out.startswith("Deleted Volumes:\nnamed\n\nTotal reclaimed space: 1.0")
    assert len(volumes(box)) == 2
    assert box("volume", "prune", "-f", "--filter", "all=true").stdout.startswith(
        "Deleted Volumes:\nkept\n"
    )
    box("rm", "user")
    out = box("system", "prune", "-f", "--volumes").stdout
    assert "Deleted Volumes:\n" in out
    assert volumes(box) == []


def test_df(box: Box) -> None:
    box("volume", "create", "one")
    (data(box, "one") / "x").write_bytes(bytes(3 << 20))
    box("create", "--name", "user", "-v", "two:/t", "busybox", "true")
    form = "{{.Type}}: {{.TotalCount}} {{.Active}} {{.Size}} {{.Reclaimable}}"
    lines = box("system", "df", "--format", form).stdout.splitlines()
    assert re.fullmatch(r"Local Volumes: 2 1 3\.\d+MB 3\.\d+MB \(\d+%\)", lines[2]), lines
    out = box("system", "df", "-v").stdout
    assert re.search(r"one +0 +3\.\d+MB", out)
    assert re.search(r"two +1 +", out)


def test_check(box: Box) -> None:
    box("volume", "create", "one")
    box("volume", "create", "two")
    box("volume", "create", "three")
    box("volume", "create", "four")
    assert box("system", "check", "--quick").returncode == 0
    top = Path(box.root) / "volumes"
    (top / "one/record.json").unlink()
    (top / "two/record.json").write_text("{")
    (top / "three/_data").rmdir()
    (top / "four/copying").mkdir()
    (top / "five").mkdir()
    (top / ".rm-six").mkdir()
    done = box("system", "check", "--quick", check=False)
    assert done.returncode == 1
    for name, what in (
        ("one", "a volume has no record"),
        ("two", "record is damaged"),
        ("three", "a volume has no files"),
        ("four/copying", "not copied to the end"),
        ("five", "a volume has no record"),
        (".rm-six", "a removal left half-way"),
    ):
        assert re.search(f"/{re.escape(name)}: .*{what}", done.stdout), done.stdout
    assert "damaged" in box.fails("run", "-v", "two:/t", "busybox", "true")
    for name in ("one", "two", "three", "five"):
        box("volume", "rm", name)
    box("run", "--rm", "-v", "four:/data", "full", "true")
    box("volume", "prune", "-f")
    assert box("system", "check", "--quick").returncode == 0


def test_a_removal_that_was_killed(box: Box) -> None:
    """What a container needs is put back, also when a start wants the same name; the rest goes."""
    box("run", "--name", "user", "-v", "one:/o", "busybox", "touch", "/o/x")
    box("volume", "create", "two")
    top = Path(box.root) / "volumes"
    for use in (
        ("run", "--rm", "-v", "one:/o", "busybox", "ls", "/o"),
        ("volume", "create", "one"),
    ):
        (top / "one").rename(top / ".rm-one")
        box(*use)
        assert os.listdir(data(box, "one")) == ["x"]
    (top / "one").rename(top / ".rm-one")
    (top / "two").rename(top / ".rm-two")
    box("volume", "prune", "-f")
    assert sorted(os.listdir(top)) == ["one"]
    assert os.listdir(top / "one/_data") == ["x"]


def test_a_copy_that_was_killed(box: Box) -> None:
    """Before all was there it begins anew, after that it goes on: a start sees all of it."""
    box("volume", "create", "one")
    box("run", "--rm", "-v", "whole:/data", "full", "true")
    whole = sorted(os.listdir(data(box, "whole")))
    home = Path(box.root) / "volumes/one"
    (home / "copying").mkdir()
    (home / "copying/half").touch()
    words = ("run", "--rm", "-v", "one:/data", "full", "ls", "/data")
    assert sorted(box(*words).stdout.split()) == whole
    (home / "copied").mkdir()
    for name in ("file", "sub"):
        (home / "_data" / name).rename(home / "copied" / name)
    assert sorted(box(*words).stdout.split()) == whole
    assert sorted(os.listdir(home)) == ["_data", "record.json"]


def test_many_first_starts_at_once(box: Box) -> None:
    """One copies, and nobody sees less than all of it."""
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        seen: list[str] = []

        def start() -> None:
            with engine.run("full", ["sleep", "60"], volumes={"one": "/data"}) as container:
                seen.append(container.exec(["ls", "/data"]).check().stdout.decode())

        threads = [threading.Thread(target=start) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 12
    assert set(seen) == {"able\nfile\nlink\npipe\nsub\ntwin\nup\n"}


def test_rm_against_starts(box: Box) -> None:
    """A volume is removed, or it is in use: never under a container that has it."""
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        stop = threading.Event()
        removed = 0

        def remove() -> None:
            nonlocal removed
            while not stop.is_set():
                try:
                    engine.volumes.remove("one")
                    removed += 1
                except (fastbox.errors.InUse, fastbox.errors.NotFound):
                    pass

        thread = threading.Thread(target=remove)
        thread.start()
        try:
            for number in range(60):
                with engine.run("busybox", ["sleep", "60"], volumes={"one": "/o"}) as container:
                    container.exec(["touch", f"/o/{number}"]).check()
                    assert str(number) in os.listdir(engine.volumes.get("one").mountpoint)
        finally:
            stop.set()
            thread.join()
        assert removed
        assert not [name for name in os.listdir(f"{box.root}/volumes") if name.startswith(".")]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A store of its own, since what is killed leaves things until the next command."""
    run = Path(f"/run/fastbox-test-{os.getpid()}-volumes")
    yield {"FASTBOX_ROOT": str(tmp_path / "store"), "FASTBOX_RUN": str(run)}
    until(lambda: not host.supervisors(str(run)))
    shutil.rmtree(run, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("volume", "create", "--label", "a=b", "one"),
        ("volume", "rm", "one"),
        ("volume", "prune", "-af"),
        ("run", "--rm", "-v", "one:/data", "-v", "/anon", "full", "true"),
        ("create", "-v", "one:/data", "-v", "/anon", "full", "true"),
    ],
    ids=lambda words: "-".join(words[:2]),
)
def test_kills_at_any_instant(box: Box, place: dict[str, str], words: tuple[str, ...]) -> None:
    """Every name is a volume, whole; and after the next commands nothing is left over."""
    chance = random.Random(5)
    box("import", "-", "full", stdin=layer(), **place)
    top = Path(place["FASTBOX_ROOT"]) / "volumes"
    begin = time.monotonic()
    box(*words, check=False, **place)
    usual = time.monotonic() - begin
    environ = {**box.environ, **place}
    for _ in range(60):
        if words[:2] != ("volume", "create") and chance.random() < 0.5:
            box("volume", "create", "--label", "a=b", "one", **place)
        child = subprocess.Popen(
            [box.program, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(chance.random() * usual * 1.2)
        child.send_signal(signal.SIGKILL)
        child.wait()
        until(lambda: not host.supervisors(place["FASTBOX_RUN"]))
        for name in box("volume", "ls", "-q", **place).stdout.split():
            box("volume", "inspect", name, **place)
            assert set(os.listdir(top / name)) >= {"_data", "record.json"}
        if "one" in box("volume", "ls", "-q", **place).stdout.split():
            listed = box("run", "--rm", "-v", "one:/data", "full", "ls", "/data", **place).stdout
            assert listed.split() == ["able", "file", "link", "pipe", "sub", "twin", "up"]
        for container in box("ps", "-aq", **place).stdout.split():
            box("rm", "-fv", container, **place)
        box("volume", "prune", "-af", **place)
        until(lambda: not host.supervisors(place["FASTBOX_RUN"]))
        assert os.listdir(top) == []
        box("image", "prune", "-f", **place)
        assert os.listdir(Path(place["FASTBOX_ROOT"]) / "tmp") == []


def test_records_of_volumes(tmp_path: Path) -> None:
    """An empty record, which a power failure may leave, is a volume's without options."""
    engine = fastbox.Engine.open(root=str(tmp_path / "store"), run=str(tmp_path / "run"))
    engine.volumes.create("one")
    path = Path(VolumeStore(engine.root).directory("one")) / "record.json"
    path.write_bytes(b"")
    assert engine.volumes.get("one").info.options == {}
    path.write_text(
        '{"schema":1,"name":"two","created":"","driver":"local","labels":{},"options":{}}'
    )
    with pytest.raises(fastbox.FastboxError, match="damaged"):
        engine.volumes.get("one")
