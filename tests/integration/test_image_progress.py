"""What `load` and `import` say while they work, and that they can be interrupted."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from . import archives
from .conftest import PROGRESS, Box
from .test_terminal import Terminal

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers, 30 MB each, that do not shrink."""
    source = random.Random(5)
    layers = [archives.tar({f"bin/hello{n}": source.randbytes(30_000_000)}) for n in range(2)]
    path = tmp_path_factory.mktemp("large") / "large.tar"
    path.write_bytes(archives.tar(archives.docker_archive(layers, ["progress:large"])))
    return path


def test_lines_for_logs(box: Box, large: Path) -> None:
    done = box("load", "-i", str(large))
    assert done.stdout == "Loaded image: progress:large\n"
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert all(PROGRESS.match(line) and "complete, 30MB in " in line for line in lines)
    again = box("load", "-i", str(large))
    assert [line.split(", ")[0].split(": ")[1] for line in again.stderr.splitlines()] == [
        "exists"
    ] * 2
    box("rmi", "progress:large")


@pytest.mark.parametrize("flag", ["--quiet", "-q", "--progress=quiet"])
def test_quiet(box: Box, large: Path, flag: str) -> None:
    done = box("load", flag, "-i", str(large))
    assert (done.stdout, done.stderr) == ("Loaded image: progress:large\n", "")
    box("rmi", "progress:large")


def test_json_for_programs(box: Box, large: Path) -> None:
    done = box("load", "--progress", "json", "-i", str(large))
    told = [json.loads(line) for line in done.stderr.splitlines()]
    for identity in {part["id"] for part in told}:
        mine = [part for part in told if part["id"] == identity]
        counts = [part["progressDetail"]["current"] for part in mine]
        assert counts == sorted(counts)
        assert mine[-1]["status"] == "complete"
        total = mine[-1]["progressDetail"]["total"]
        assert counts[-1] == total > 30_000_000
    assert len({part["id"] for part in told}) == 2
    box("rmi", "progress:large")


def test_bars_for_people(box: Box, large: Path) -> None:
    shell = Terminal(box, "load", "-i", str(large), columns=120)
    shell.expect(b"MB")
    shell.expect(b"complete")
    shell.expect(b"Loaded image: progress:large")
    assert shell.close() == 0
    box("rmi", "progress:large")


def test_an_unknown_kind(box: Box) -> None:
    assert "--progress loud: one of auto, " in box.fails("load", "--progress", "loud", "-i", "x")


def test_import_tells_as_well(box: Box) -> None:
    packed = gzip.compress(archives.tar({"a": b"x" * 1_000_000}))
    done = box("import", "-", "progress:import", stdin=packed)
    assert done.stderr.startswith("layer: complete, ")
    assert box("import", "-q", "-", "progress:import", stdin=packed).stderr == ""
    box("rmi", "progress:import")


@pytest.mark.parametrize("words", [("load",), ("import", "-")])
def test_an_interrupt_while_no_byte_comes(box: Box, words: tuple[str, ...]) -> None:
    """Ctrl-C is heard although the input is silent, and leaves nothing."""
    work = box.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert work.stdin is not None
    work.stdin.write(archives.tar({"a": b"x" * 500_000})[:400_000])
    work.stdin.flush()
    time.sleep(0.5)
    work.send_signal(signal.SIGINT)
    out, err = work.communicate(timeout=30)
    assert (work.returncode, out, err) == (130, b"", b"")
    assert os.listdir(f"{box.root}/tmp") == []


def test_an_interrupt_in_the_middle(box: Box, large: Path) -> None:
    for wait in (0.1, 0.2, 0.3):
        work = box.start("load", "-q", "-i", str(large), stdout=subprocess.PIPE)
        time.sleep(wait)
        work.send_signal(signal.SIGINT)
        work.communicate(timeout=30)
        assert work.returncode in (0, 130, -signal.SIGINT)
        if work.returncode == 0:
            box("rmi", "progress:large")
        assert os.listdir(f"{box.root}/tmp") == []
