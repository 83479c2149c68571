"""fork, snapshot, rollback: copies that share what was there and nothing that comes after."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.containers import seal
from fastbox.errors import NameInUse, NotFound, StateConflict

from .conftest import Box, busybox_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

PREPARE = (
    "echo prepared > /data; mkdir -p /made/deep; echo x > /made/deep/file; ln /data /second; "
    "rm /etc/group; rm -rf /home; mkdir /home; echo new > /home/new; chmod 750 /root; chmod 711 /"
)
LOOK = "cat /data; cat /made/deep/file; ls /home; ls /etc; stat -c %a / /root; stat -c %h /data"
SEEN = "prepared\nx\nnew\nhostname\nhosts\npasswd\nresolv.conf\n711\n750\n2\n"


def sealed(box: Box) -> list[str]:
    path = Path(box.root, "sealed")
    return sorted(os.listdir(path)) if path.exists() else []


@pytest.fixture(autouse=True)
def nothing_sealed(box: Box) -> Iterator[None]:
    before = sealed(box)
    yield
    box("ps")
    assert sealed(box) == before


@pytest.fixture
def source(box: Box) -> Iterator[str]:
    box("run", "--name", "source", "busybox", "sh", "-c", PREPARE)
    yield "source"
    box("rm", "-f", "source")


def out(box: Box, name: str) -> str:
    box("wait", name)
    return box("logs", name).stdout


def test_copies_see_the_same_files(box: Box, source: str) -> None:
    names = [f"copy-{i}" for i in range(1, 4)]
    ids = box("fork", "-n", "3", "--name", "copy", source, "sh", "-c", LOOK).stdout.split()
    assert [box("inspect", "-f", "{{.Name}}", i).stdout.strip() for i in ids] == [
        f"/{name}" for name in names
    ]
    for name in names:
        assert out(box, name) == SEEN
    assert len(sealed(box)) == 1
    box("rm", *names)
    assert len(sealed(box)) == 1  # the source needs it


def test_a_copy_is_made_of_the_same_options(box: Box) -> None:
    words = ["-e", "A=b", "--label", "l=m", "-m", "64m", "--init", "-w", "/tmp", "-u", "1000"]
    box("run", "--name", "source", *words, "busybox", "sh", "-c", "echo $A; pwd; id -u")
    (copy,) = box("fork", "source").stdout.split()
    assert out(box, copy) == "b\n/tmp\n1000\n"
    one, two = (json.loads(box("inspect", name).stdout)[0] for name in ("source", copy))
    for there in (one, two):
        for member in ("Hostname", "AttachStdout", "AttachStderr"):
            del there["Config"][member]
    assert two["Config"] == one["Config"]
    assert two["HostConfig"] == one["HostConfig"]
    assert two["Image"] == one["Image"]
    assert two["Id"] != one["Id"]
    box("rm", "source", copy)


def test_writes_appear_nowhere_else(box: Box, source: str) -> None:
    write = "echo $1 > /data; echo $1 > /made/deep/file; rm /home/new; echo $1 > /mine; sync"
    for name in ("one", "two"):
        box("fork", "--name", name, source, "sh", "-c", write, "-", name)
        box("wait", name)
    box("fork", "--name", "three", source, "sh", "-c", LOOK)
    assert out(box, "three") == SEEN
    box("fork", "--name", "child", "one", "cat", "/data", "/made/deep/file", "/mine")
    assert out(box, "child") == "one\none\none\n"
    # What the source writes now, the copies of before don't see.
    box("fork", "--create", "--name", "four", source, "sh", "-c", LOOK)
    box("start", source)
    box("wait", source)
    box("start", "four")
    assert out(box, "four") == SEEN
    box("rm", "one", "two", "three", "four", "child")


def test_a_hundred_run_at_once(box: Box) -> None:
    with fastbox.Engine.open() as engine:
        with engine.run("busybox", ["sh", "-c", PREPARE]) as prepared:
            assert prepared.wait(30) == 0
            copies = prepared.fork(100, argv=["sh", "-c", "cat /data; cat > /mine; sleep 100"])
            assert len({copy.id for copy in copies}) == 100
            assert all(copy.info.state == "running" for copy in copies)
            for number, copy in enumerate(copies[:5]):
                copy.exec(["sh", "-c", f"echo {number} > /data"]).check()
            seen = [copy.exec(["cat", "/data", "/second"]).check().stdout for copy in copies[:10]]
            assert seen[:5] == [b"%d\nprepared\n" % n for n in range(5)]
            assert seen[5:] == [b"prepared\nprepared\n"] * 5
            for copy in copies[:50]:
                with copy:  # killed and removed at its end; the others with the engine
                    pass
        assert len(sealed(box)) == 1
    assert sealed(box) == []


def test_many_threads_fork_one(box: Box, source: str) -> None:
    made: list[str] = []
    with fastbox.Engine.open() as engine:

        def work() -> None:
            made.extend(engine.containers.fork(source, 3, start=False))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(made)) == 12
    assert len(sealed(box)) == 1
    box("rm", *made)


def test_a_running_source_is_refused_or_copied(box: Box) -> None:
    box("run", "-d", "--name", "source", "busybox", "sh", "-c", PREPARE + "; sleep 100")
    while box("exec", "source", "test", "-e", "/home/new", check=False).returncode:
        pass
    assert "--live" in box.fails("fork", "source")
    box.fails("snapshot", "source")
    box.fails("rollback", "source")
    box("exec", "source", "sh", "-c", "ln /data /third; truncate -s 1g /holes; mkfifo /fifo")
    (copy,) = box("fork", "--live", "source", "sh", "-c", LOOK + "; test -p /fifo").stdout.split()
    box("exec", "source", "sh", "-c", "echo later > /data")
    assert box("wait", copy).stdout == "0\n"
    assert box("logs", copy).stdout == SEEN[:-2] + "3\n"
    assert int(box("ps", "-q").stdout.split()[0], 16)  # the source runs on
    box("rm", "-f", "source", copy)


def test_the_changes_are_those_of_the_image(box: Box, source: str) -> None:
    before = box("diff", source).stdout
    digest = box("commit", source, "direct").stdout
    (copy,) = box("fork", "--create", source).stdout.split()
    assert box("diff", source).stdout == before
    assert box("diff", copy).stdout == before
    (child,) = box(
        "fork", copy, "sh", "-c", "rm /home/new; rm -r /made; echo y > /data"
    ).stdout.split()
    box("wait", child)
    (leaf,) = box("fork", "--create", child).stdout.split()
    for name in (child, leaf):
        changes = box("diff", name).stdout.splitlines()
        assert {"D /etc/group", "C /home", "A /data", "A /second"} <= set(changes)
        assert "D /home/app" in changes
        assert not [line for line in changes if "made" in line or "new" in line]
    box("commit", copy, "forked")
    layers = [
        box("image", "inspect", "-f", "{{json .RootFS.Layers}}", i).stdout
        for i in ("direct", "forked")
    ]
    assert layers[0] == layers[1], digest
    box("commit", leaf, "leaf")
    seen = box(
        "run",
        "--rm",
        "leaf",
        "sh",
        "-c",
        "cat /data /second; ls / /home; ls /etc/group",
        check=False,
    )
    assert seen.stdout.startswith("y\nprepared\n")
    assert "made" not in seen.stdout
    assert seen.returncode
    box("rm", copy, child, leaf)
    box("rmi", "direct", "forked", "leaf")


def test_snapshot_and_rollback(box: Box) -> None:
    box(
        "create",
        "--name",
        "source",
        "busybox",
        "sh",
        "-c",
        "cat /n; echo x >> /n; rm -f /etc/group",
    )
    assert box("snapshot", "source").stdout == "1\n"
    counts = []
    for name in ("two", "three"):
        box("start", "source")
        box("wait", "source")
        assert box("snapshot", "source", name).stdout == name + "\n"
    assert box("snapshot", "--list", "source").stdout == "1\ntwo\nthree\n"
    box("start", "source")
    box("wait", "source")
    for back in ("", "two", "three", "1"):
        box("rollback", "source", *([back] if back else []))
        (copy,) = box(
            "fork", "source", "sh", "-c", "cat /n | wc -l; ls /etc/group | wc -l"
        ).stdout.split()
        box("wait", copy)
        counts.append(box("logs", copy).stdout.split())
        box("rm", copy)
    assert counts == [["2", "0"], ["1", "0"], ["2", "0"], ["0", "1"]]
    box("start", "source")
    assert box("wait", "source").stdout == "0\n"
    assert box.fails("rollback", "source", "nosuch")
    assert box.fails("snapshot", "source", "two")
    assert len(sealed(box)) == 2
    box("snapshot", "--rm", "source", "three")
    assert len(sealed(box)) == 1
    box("rm", "source")
    assert sealed(box) == []


def test_a_long_chain_is_merged(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "MAX_SEALED", 7)
    work = "echo $$ >> /all; mkdir -p /d; rm -rf /d/last; mkdir /d/last; date > /d/last/$1; rm -f /etc/group"
    with fastbox.Engine.open() as engine:
        name = engine.containers.create(
            fastbox.RunOptions(image="busybox", argv=("sh", "-c", work + "; sleep 100"))
        )
        depths = []
        for turn in range(20):
            engine.containers.start(name)
            engine.containers.exec_detached(name, ["true"])
            box(
                "exec",
                name,
                "sh",
                "-c",
                f"echo {turn} > /turn; rm -f /etc/passwd; touch /t{turn} /d/last/{turn}",
            )
            engine.containers.stop(name, timeout=0)
            engine.containers.snapshot(name)
            lower = json.loads(Path(box.root, "containers", name, "config.json").read_bytes())
            depths.append(len(lower["fastbox"]["overlay"]["lower"]) - 2)
        assert max(depths) <= 8
        assert len(depths) == 20
        (copy,) = engine.containers.fork(
            name,
            argv=(
                "sh",
                "-c",
                "ls -d /t[0-9]* | wc -l; cat /turn; wc -l < /all; ls /d/last; ls /etc",
            ),
        )
        text = out(box, copy)
        assert text == "20\n19\n20\n19\nhostname\nhosts\nresolv.conf\n"
        engine.containers.rollback(name, "3")  # of before the merges
        (old,) = engine.containers.fork(
            name, argv=("sh", "-c", "ls -d /t[0-9]* | wc -l; cat /turn")
        )
        assert out(box, old) == "3\n2\n"
    box("rm", name, copy, old)


def test_errors_leave_nothing(box: Box, source: str) -> None:
    box("fork", "--create", "--name", "two-2", source)
    before = sorted(os.listdir(Path(box.root, "containers")))
    with fastbox.Engine.open() as engine:
        with pytest.raises(NameInUse):
            engine.containers.fork(source, 3, name="two", start=False)
        with pytest.raises(NotFound):
            engine.containers.rollback(source)
        with engine.run("busybox", ["sleep", "100"]) as running, pytest.raises(StateConflict):
            running.fork()
    assert sorted(os.listdir(Path(box.root, "containers"))) == before
    box.fails("fork", source, "/nosuch", code=127)
    box("rm", "two-2")


def test_the_image_may_lose_its_name(box: Box) -> None:
    box("tag", "busybox", "other")
    box("run", "--name", "source", "other", "sh", "-c", "echo a > /a")
    box("rmi", "other")
    (copy,) = box("fork", "source", "cat", "/a").stdout.split()
    assert out(box, copy) == "a\n"
    box("rm", "source", copy)


def test_the_store_knows_sealed_layers(box: Box, source: str) -> None:
    (copy,) = box("fork", "--create", source).stdout.split()
    box("system", "check")
    (layer,) = sealed(box)
    home = Path(box.root, "sealed", layer)
    home.rename(home.with_name("away"))
    assert "sealed layer" in box("system", "check", check=False).stdout
    home.with_name("away").rename(home)
    assert box("system", "check", check=False).returncode == 0
    box("rm", copy)


def test_layers_in_memory(box: Box, tmp_path: Path) -> None:
    """A store on overlayfs keeps writable layers on a tmpfs: there they are sealed."""
    memory = Box(str(tmp_path / "store"), str(tmp_path / "run"))
    memory("version")
    memory("import", "-", "busybox", stdin=busybox_tar())
    (tmp_path / "store" / "layers-in-memory").touch()
    before = sorted(os.listdir("/dev/shm"))
    memory("run", "--name", "source", "busybox", "sh", "-c", PREPARE)
    (copy,) = memory("fork", "source", "sh", "-c", LOOK).stdout.split()
    assert out(memory, copy) == SEEN
    (child,) = memory("fork", copy, "sh", "-c", "rm /second; echo z > /z").stdout.split()
    memory("wait", child)
    assert {"A /z", "D /etc/group"} <= set(memory("diff", child).stdout.splitlines())
    memory("snapshot", child)
    memory("rollback", child)
    memory("rm", "source", copy, child)
    assert sealed(memory) == []
    assert sorted(os.listdir("/dev/shm")) == before
