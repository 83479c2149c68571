"""Builds that are killed, interrupted, or run out of room: nothing half-made, nothing left, and the next build gives what an undisturbed one does."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import host, stores
from .buildtool import context
from .conftest import Box, busybox_tar
from .test_crashes import took
from .test_image_crashes import Disk, disk, kill_within

__all__ = ["disk"]  # a fixture
pytestmark = pytest.mark.integration

ROUNDS = pytest.mark.parametrize("rounds", [5, pytest.param(30, marks=pytest.mark.slow)])
EPOCH = {"SOURCE_DATE_EPOCH": "1600000000"}
TEXT = """FROM busybox AS one
RUN --mount=type=cache,target=/c echo one > /one; head -c 300000 /bin/busybox > /big; echo x > /c/x
COPY dir /dir
RUN --mount=type=secret,id=s,env=S mkdir /made; ln /big /made/big; ln -s /one /made/link
FROM busybox AS two
RUN --mount=type=bind,target=/m cat /m/a > /two
COPY --chown=app a /owned
FROM busybox
COPY --from=one /made /made
COPY --from=two /two /owned /
RUN --mount=type=tmpfs,target=/t touch /t/x; rm -r /home; echo end > /end
LABEL a=b
"""
FILES = {"a": "A\n", "dir/b": "B\n" * 1000, "dir/deep/c": "C\n", "Dockerfile": TEXT}


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("FASTBOX_TEST_SEED") or random.randrange(1 << 32))
    print(f"FASTBOX_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def where() -> Iterator[Path]:
    with context(FILES) as where:
        yield where


@pytest.fixture(autouse=True)
def emptied(box: Box) -> Iterator[None]:
    yield
    forget(box)


def forget(box: Box) -> None:
    """No image of ours, and no step that is known."""
    for name in stores.names(box):
        if name.startswith("built"):
            box("rmi", "-f", name)
    box("image", "prune", "-f")
    box("builder", "prune", "-af")


def words(where: Path) -> list[str]:
    return ["build", "-q", "-t", "built", "--secret", "id=s,env=TEST_SECRET", str(where)]


def build(box: Box, where: Path) -> str:
    """Its id; bit for bit the same, for the same epoch."""
    return box(*words(where)).stdout.strip()


def check_clean(box: Box, before: dict[str, object]) -> None:
    """No more than there was: neither in the kernel nor in the store."""
    host.quiet(box.run_root)
    assert not host.settle(before, box.root, box.run_root)
    assert not os.listdir(f"{box.root}/tmp")
    builds = Path(box.run_root, "builds")
    assert not builds.exists() or not list(builds.iterdir())
    box("system", "check")


@pytest.fixture
def fixed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the commands of a test see."""
    for name, value in {**EPOCH, "TEST_SECRET": "not much"}.items():
        monkeypatch.setitem(box.environ, name, value)


@ROUNDS
def test_killed_builds(
    box: Box, where: Path, chance: random.Random, rounds: int, fixed: None
) -> None:
    wanted = build(box, where)
    manifest = json.loads(box("inspect", "built").stdout)[0]["RootFS"]
    forget(box)
    content, names = stores.content(box), set(stores.names(box))
    whole = took(lambda: build(box, where))
    forget(box)
    before = host.snapshot(box.root, box.run_root)
    killed = 0
    for _ in range(rounds):
        if kill_within(box, chance.random() * whole, *words(where)):
            killed += 1
        else:  # the one that was measured was slow
            whole /= 2
        assert set(stores.names(box)) <= names | {"built:latest"}
        if "built:latest" in stores.names(box):
            assert box("images", "-q", "--no-trunc", "built").stdout.strip() == wanted
        assert build(box, where) == wanted
        assert json.loads(box("inspect", "built").stdout)[0]["RootFS"] == manifest
        check_clean(box, before)
        forget(box)
        assert stores.content(box) == content
    assert killed


def test_killed_while_cached(box: Box, where: Path, chance: random.Random, fixed: None) -> None:
    """What was made before is not made again, and nothing of it gets lost."""
    wanted = build(box, where)
    whole = took(lambda: build(box, where))
    before = host.snapshot(box.root, box.run_root)
    for _ in range(6):
        kill_within(box, chance.random() * whole, *words(where))
        done = box(
            "build",
            "--progress=plain",
            "-t",
            "built",
            "--secret",
            "id=s,env=TEST_SECRET",
            str(where),
        )
        assert done.stderr.count("CACHED") == 11
        assert build(box, where) == wanted
        check_clean(box, before)


SLOW = """FROM busybox
RUN --mount=type=cache,target=/c --mount=type=secret,id=s,env=S echo kept > /kept
RUN --mount=type=cache,target=/c --mount=type=secret,id=s,env=S echo begins; sleep 1000
"""


@contextlib.contextmanager
def running(box: Box) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A build whose second step has begun, and doesn't end."""
    with context({"Dockerfile": SLOW}) as where:
        client = box.start(
            "build", "--progress=plain", "-t", "built", "--secret", "id=s,env=TEST_SECRET", str(where),
            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert client.stderr is not None
        try:
            for line in client.stderr:
                if line.rstrip().endswith(b" begins"):
                    break
            else:
                raise AssertionError("it ended")
            yield client, where
        finally:
            client.kill()
            client.wait()
            client.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("group", [True, False])
def test_signals(box: Box, fixed: None, number: signal.Signals, group: bool) -> None:
    before, names = host.snapshot(box.root, box.run_root), stores.names(box)
    with running(box) as (client, where):
        (os.killpg if group else os.kill)(client.pid, number)
        assert client.stderr is not None
        rest = client.stderr.read().decode()
        code = client.wait(30)
        assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number] or (
            number == signal.SIGTERM and code == -number
        )
        assert "Traceback" not in rest
        assert stores.names(box) == names
        if number != signal.SIGKILL:
            # By itself, before anybody comes by.
            check_clean(box, before)
        (where / "Dockerfile").write_text(SLOW.replace("sleep 1000", "true"))
        done = box("build", "--progress=plain", "--secret", "id=s,env=TEST_SECRET", str(where))
        # What was finished is kept, unless a kill came before it was published.
        assert done.stderr.count("CACHED") in ((1, 2) if number == signal.SIGKILL else (2,))
    check_clean(box, before)


def test_a_killed_supervisor(box: Box, fixed: None) -> None:
    """Its step fails in one line."""
    before = host.snapshot(box.root, box.run_root)
    with running(box) as (client, _):
        for pid in host.supervisors(box.run_root):
            os.kill(pid, signal.SIGKILL)
        assert client.stderr is not None
        rest = client.stderr.read().decode()
        assert client.wait(60) not in (0, -9)
        assert "Traceback" not in rest
    box("ps", "-a")
    check_clean(box, before)


def test_a_failed_build_leaves_nothing(box: Box, fixed: None) -> None:
    """Not even while other stages run."""
    text = """FROM busybox AS slow
RUN --mount=type=cache,target=/c touch /c/begun; sleep 1000
FROM busybox AS fails
RUN --mount=type=cache,target=/c while [ ! -e /c/begun ]; do sleep 0.02; done; rm /c/begun; exit 7
FROM busybox
COPY --from=slow /a /
COPY --from=fails /a /
"""
    before, images = host.snapshot(box.root, box.run_root), box("images", "-aq").stdout
    networks, volumes = box("network", "ls", "-q").stdout, box("volume", "ls", "-q").stdout
    with context({"Dockerfile": text}) as where:
        done = box("build", "-t", "built", str(where), check=False)
    assert done.returncode == 1
    assert "exit code: 7" in done.stderr.splitlines()[-1]
    assert box("images", "-aq").stdout == images
    assert box("network", "ls", "-q").stdout == networks
    assert box("volume", "ls", "-q").stdout == volumes
    check_clean(box, before)


# Full disks

BIG = 30 << 20


@pytest.mark.parametrize(
    "step",
    [
        "RUN dd if=/dev/zero of=/f bs=1M count=30",
        "RUN i=0; while [ $i -lt 3000 ]; do echo > /f$i || exit 1; i=$((i+1)); done",
        "RUN head -c 13000000 /dev/urandom > /f",  # it fits, but is not packed
        "COPY big /",
        "COPY many /many",
        "RUN --mount=type=cache,target=/c dd if=/dev/zero of=/c/f bs=1M count=30",
    ],
)
def test_a_full_disk(disk: Disk, fixed: None, step: str) -> None:
    box = disk.box
    box.environ.update(EPOCH)
    box("import", "-", "busybox", stdin=busybox_tar())
    box("run", "--rm", "busybox", "true")  # the network's bridge, which stays
    before, content = host.snapshot(box.root, box.run_root), stores.content(box)
    files: dict[str, str | bytes] = {"small": "s", "Dockerfile": f"FROM busybox\n{step}\n"}
    if "big" in step:
        files["big"] = bytes(BIG)
    if "many" in step:
        files |= {f"many/{number}": "" for number in range(2000)}
    with context(files) as where:
        done = box("build", "-t", "built", str(where), check=False)
        assert done.returncode != 0
        assert "no space left" in done.stderr.lower(), done.stderr
        assert "Traceback" not in done.stderr
        if "/c/f" in step:
            box("builder", "prune", "-af")
        assert stores.content(box) == content
        assert not host.settle(before, box.root, box.run_root)
        (where / "Dockerfile").write_text("FROM busybox\nCOPY small /\nRUN cat small > /other\n")
        box("build", "-q", "-t", "built", str(where))
        box("system", "check")
    box("rmi", "built")


def test_a_disk_without_any_room(disk: Disk) -> None:
    box = disk.box
    box("import", "-", "busybox", stdin=busybox_tar())
    content = stores.content(box)
    with context({"a": "A", "Dockerfile": "FROM busybox\nCOPY a /\nRUN echo > /b\n"}) as where:
        filler = disk.fill()
        begin = time.monotonic()
        done = box("build", "-t", "built", str(where), check=False)
        assert time.monotonic() - begin < 60
        assert done.returncode != 0
        assert "no space left" in done.stderr.lower(), done.stderr
        assert "Traceback" not in done.stderr
        filler.unlink()
        assert stores.content(box) == content
        box("build", "-q", "-t", "built", str(where))
        filler = disk.fill()
        box("builder", "prune", "-af")  # what gives room back needs none
        box("rmi", "built")
        box("image", "prune", "-f")
        assert stores.content(box) == content
        filler.unlink()
