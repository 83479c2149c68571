"""The pytest plugin, as its users have it: test files run by pytests of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from . import host

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Box

pytestmark = pytest.mark.integration


def pytest_command(path: Path, text: str, *words: str) -> list[str]:
    (path / "test_it.py").write_text(text)
    plain = [
        "-p",
        "no:cacheprovider",
        "-q",
        "-W",
        "error",
        "--strict-markers",
        "--rootdir",
        str(path),
    ]
    return [sys.executable, "-m", "pytest", *plain, *words, str(path / "test_it.py")]


def run(path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        pytest_command(path, text, *words), cwd=path, capture_output=True, text=True,
        timeout=100 * host.SLOW,
    )  # fmt: skip


def test_it_costs_nothing_where_it_is_not_used(box: Box, tmp_path: Path) -> None:
    text = (
        "import sys\n"
        "def test_one():\n"
        "    ours = {m for m in sys.modules if m.split('.')[0] == 'fastbox'}\n"
        "    assert ours <= {'fastbox', 'fastbox.testing', 'fastbox.testing.plugin'}\n"
    )
    done = run(tmp_path, text)
    assert "1 passed" in done.stdout, done.stdout


SCOPES = """
import os, pytest, fastbox as api

@pytest.fixture(scope="session")
def shared(fastbox_session_container):
    return fastbox_session_container("busybox", ["sleep", "1000"], name="shared")

@pytest.fixture(scope="module")
def each_module(fastbox_module_container):
    return fastbox_module_container("busybox", ["sleep", "1000"])

@pytest.mark.parametrize("n", range(4))
def test_scopes(fastbox, fastbox_container, shared, each_module, n):
    own = fastbox_container("busybox", ["sleep", "1000"], name="own")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    assert own.name == f"own-{worker}-{os.getpid()}"
    assert shared.exec(["sh", "-c", "echo x >> /n; wc -l < /n"]).check()
    assert own.exec(["test", "-e", "/n"]).exit_code == 1
    names = [info.name for info in fastbox.containers.list(all=True)]
    assert sum(name == own.name for name in names) == 1
    assert isinstance(fastbox, api.Engine)
    assert own.info.labels["fastbox.pytest"].endswith(f"test_scopes[{n}]")

@pytest.mark.fastbox(hostname="marked", env={"A": "1"})
def test_marker(fastbox_container):
    c = fastbox_container("busybox", ["sleep", "1000"], env={"A": "2"})
    assert c.exec(["sh", "-c", "echo $(hostname) $A"]).stdout == b"marked 2\\n"
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_scopes_workers_and_marker(box: Box, tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = run(tmp_path, SCOPES, *workers)
    assert "5 passed" in done.stdout, done.stdout
    assert box("ps", "-aq").stdout == ""


FAILS = """
import fastbox as api

def test_fails(fastbox_container):
    c = fastbox_container("busybox", ["sh", "-c", "for i in 1 2 3; do echo line $i; done; exit 9"], name="server")
    assert c.wait() == 0

def test_not_ready(fastbox_container):
    fastbox_container("busybox", ["sh", "-c", "echo no config >&2; exit 2"], wait=api.wait.port(80))

def test_passes(fastbox_container):
    fastbox_container("busybox", ["true"]).wait()
"""


def test_a_failure_shows_the_container(box: Box, tmp_path: Path) -> None:
    done = run(tmp_path, FAILS, "--fastbox-log-lines", "2")
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    assert "- fastbox container server-main-" in done.stdout
    assert "command: sh -c for i in" in done.stdout
    assert "state:   exited with code 9" in done.stdout
    assert "last 2 log lines:\nline 2\nline 3\n" in done.stdout
    assert "port 80: the container ended before, with code 2" in done.stdout
    assert "  no config" in done.stdout
    assert box("ps", "-aq").stdout == ""


def test_those_of_failed_tests_are_kept_on_request(box: Box, tmp_path: Path) -> None:
    done = run(tmp_path, FAILS, "--fastbox-keep")
    assert "2 failed, 1 passed" in done.stdout, done.stdout
    kept = box("ps", "-a", "--format", "{{.Names}} {{.Labels}}").stdout.splitlines()
    assert sorted(line.rpartition("::")[2] for line in kept) == ["test_fails", "test_not_ready"]
    for line in kept:
        assert f"fastbox rm -f {line.split()[0]}" in done.stdout
        box("rm", "-f", line.split()[0])


def test_another_store(box: Box, tmp_path: Path) -> None:
    text = "def test_root(fastbox):\n    assert fastbox.root.store.endswith('/elsewhere')\n"
    root, live = str(tmp_path / "elsewhere"), str(tmp_path / "live")
    done = run(tmp_path, text, "--fastbox-root", root, "--fastbox-run", live)
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_a_killed_pytest_leaves_nothing(box: Box, tmp_path: Path, workers: tuple[str, ...]) -> None:
    text = (
        "import pathlib, time, pytest\n"
        "@pytest.mark.parametrize('n', range(2))\n"
        "def test_waits(fastbox_container, n):\n"
        "    c = fastbox_container('busybox', ['sleep', '1000'])\n"
        f"    (pathlib.Path({str(tmp_path)!r}) / f'pid{{n}}').write_text(str(c.info.pid))\n"
        "    time.sleep(1000)\n"
    )
    awaited = [tmp_path / f"pid{n}" for n in range(2 if workers else 1)]
    command = pytest_command(tmp_path, text, *workers)
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True
    ) as runner:
        deadline = time.monotonic() + 60 * host.SLOW
        while not all(path.exists() and path.read_text() for path in awaited):
            assert runner.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.killpg(runner.pid, signal.SIGKILL)
    while box("ps", "-aq").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for path in awaited:
        assert not os.path.exists(f"/proc/{path.read_text()}/root")
