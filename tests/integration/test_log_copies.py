"""Compressed files of logs, and the copy that is kept of what goes to a syslog or a journal."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastbox.containers import logfiles
from fastbox.support import paths

from . import host
from .conftest import Box, Docker
from .test_logs import PIECES, check_run, journal, made, run_to_end, short_path

__all__ = ["journal", "made", "short_path"]  # fixtures
pytestmark = pytest.mark.integration


def settled(newest: Path) -> list[Path]:
    """The files of a log, oldest first, once nobody compresses any more."""
    end = time.monotonic() + 60 * host.SLOW
    while True:
        names = os.listdir(newest.parent)
        work = [name for name in names if name.startswith(newest.name + ".pack")]
        plain = [name for name in names if name.removeprefix(newest.name + ".").isdigit()]
        if not work and not plain:
            break
        assert time.monotonic() < end, names
        time.sleep(0.05)
    found = [newest.parent / name for name in names if name.startswith(newest.name + ".")]
    return [*sorted(found, key=lambda path: -int(path.name.split(".")[-2])), newest]


def log_of(box: Box, name: str, driver: str) -> Path:
    identity = json.loads(box("inspect", name).stdout)[0]["Id"]
    place = Path(box.root, "containers", identity)
    names = {"json-file": f"{identity}-json.log", "local": "local-logs/container.log"}
    return place / names.get(driver, "container-cached.log")


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_rotated_files_are_compressed(
    box: Box, docker: Docker, made: list[str], driver: str
) -> None:
    made.append("pack")
    words = ["--log-driver", driver, "--log-opt", "max-size=1k", "--log-opt", "max-file=5"]
    words += ["--log-opt", "compress=true"] if driver == "json-file" else []  # local's default
    run_to_end(box, "pack", *words, "busybox", "seq", "1", "20000")
    newest = log_of(box, "pack", driver)
    files = settled(newest)
    assert [path.name for path in files] == [
        *(f"{newest.name}.{number}.gz" for number in (4, 3, 2, 1)), newest.name,
    ]  # fmt: skip
    assert all(0 < len(gzip.decompress(path.read_bytes())) <= 1000 for path in files[:-1])
    text = box("logs", "pack").stdout
    assert 19900 < check_run(text, 20000) < 19999 or driver == "local"
    assert box("logs", "-n", "30", "pack").stdout.splitlines() == text.splitlines()[-30:]
    moment = box("logs", "-t", "pack").stdout.splitlines()[-40].split()[0]
    assert text.endswith(box("logs", "--since", moment, "pack").stdout)
    # Docker's own reader takes them, with its remark in the header.
    docker("run", "--name", "pack", "--network", "none", *words, "busybox", "true")
    identity = docker("inspect", "-f", "{{.Id}}", "pack").stdout.decode().strip()
    theirs = docker.base / "data/containers" / identity
    theirs /= f"{identity}-json.log" if driver == "json-file" else "local-logs/container.log"
    for path in files:
        shutil.copy(path, theirs.parent / (theirs.name + path.name.removeprefix(newest.name)))
    try:
        assert docker("logs", "pack").stdout.decode() == text
        since = docker("logs", "--since", moment, "pack").stdout.decode()
        assert since == box("logs", "--since", moment, "pack").stdout
    finally:
        docker("rm", "pack")


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_who_follows_sees_all_of_it_once(
    box: Box, made: list[str], tmp_path: Path, driver: str
) -> None:
    made.append("seen")
    go = tmp_path / "go"
    os.mkfifo(go)
    words = ["--log-driver", driver, "--log-opt", "max-size=20k", "--log-opt", "max-file=200"]
    words += ["--log-opt", "compress=true", "-v", f"{go}:/go"]
    # Slowly enough for files that are compressed while they are read.
    script = (
        "read x < /go; for i in $(seq 0 199); do seq $((i*100+1)) $((i*100+100)); usleep 5000; done"
    )
    box("run", "-d", "--name", "seen", *words, "busybox", "sh", "-c", script)
    with (tmp_path / "seen").open("wb") as seen:
        follower = box.start("logs", "-f", "seen", stdout=seen)
        go.write_text("x\n")
        assert follower.wait(300 * host.SLOW) == 0
    assert check_run((tmp_path / "seen").read_text(), 20000) == 1
    settled(log_of(box, "seen", driver))
    assert check_run(box("logs", "seen").stdout, 20000) == 1


def compress(path: Path) -> None:
    """As a supervisor has it done."""
    script = 'exec 3<>"$0.pack" && flock -n 3 && exec "$@"'
    subprocess.run(["sh", "-c", script, path, *paths.logpack(logfiles.JSON), path], check=True)


def test_a_reader_knows_a_file_again(box: Box, made: list[str], tmp_path: Path) -> None:
    """One that had read a file to its end goes on with the next, though the file has another form."""
    path = tmp_path / "log"
    for number, text in ((2, "a"), (1, "b"), (0, "c")):
        name = f"{path}.{number}" if number else str(path)
        Path(name).write_text(
            f'{{"log":"{text}\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}}\n'
        )
    parts = logfiles.snapshot(str(path))
    compress(path)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1.gz", "log.2.gz"]
    found = logfiles.successor(str(path), parts[0])
    assert found is not None
    assert b'"b' in found.read(1000)
    last = logfiles.successor(str(path), found)
    assert last is not None
    assert b'"c' in last.read(1000)
    assert logfiles.successor(str(path), last) is None
    for part in (*parts, found, last):
        part.close()


def test_one_that_was_killed_is_made_good(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for name in ("log", "log.1"):
        (tmp_path / name).write_text("x\n")
    (tmp_path / "log.pack").write_text("")
    (tmp_path / "log.pack.gz").write_text("half")
    compress(path)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1.gz"]
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()) == b"x\n"


def test_it_waits_for_a_fast_writer_to_end(tmp_path: Path) -> None:
    """However often the newest file is another when the lock on it is there."""
    path = tmp_path / "log"
    path.write_text("0\n")
    held = os.open(path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    def rotate() -> None:
        nonlocal held
        for number in range(1, 301):
            new = tmp_path / "new"
            new.write_text(f"{number}\n")
            fd = os.open(new, os.O_RDONLY)
            fcntl.flock(fd, fcntl.LOCK_EX)
            path.rename(f"{path}.1")
            new.rename(path)
            os.close(held)
            held = fd
            time.sleep(0.002)
        os.close(held)

    writer = threading.Thread(target=rotate)
    writer.start()
    compress(path)
    writer.join()
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1.gz"]
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()) == b"299\n"


@pytest.fixture
def syslog(short_path: str) -> Iterator[list[str]]:
    """The flags of a log that nobody looks at."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{short_path}/s")
        sink = subprocess.Popen(
            ["python3", "-c", "import socket, sys\ns = socket.socket(fileno=int(sys.argv[1]))\nwhile 1: s.recv(1 << 17)", str(listener.fileno())],
            pass_fds=[listener.fileno()],
        )  # fmt: skip
        yield ["--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{short_path}/s"]
        sink.kill()
        sink.wait()


def test_a_copy_of_what_goes_to_syslog(
    box: Box, docker: Docker, made: list[str], syslog: list[str]
) -> None:
    made += ["copied", "none"]
    outputs = []
    run_to_end(box, "copied", *syslog, "busybox", "sh", "-c", PIECES + "; echo err >&2")
    docker("run", "--name", "copied", "--network", "none", *syslog, "busybox", "sh", "-c", PIECES + "; echo err >&2")  # fmt: skip
    try:
        for program, environ in ((box.program, box.environ), ("docker", docker.environ)):
            done = subprocess.run(
                [program, "logs", "copied"], env=environ, capture_output=True, check=True
            )
            # Some versions of docker end no line that came in pieces.
            outputs.append((done.stdout.replace(b"\n", b""), done.stderr))
        identity = docker("inspect", "-f", "{{.Id}}", "copied").stdout.decode().strip()
        assert (docker.base / "data/containers" / identity / "container-cached.log").exists()
    finally:
        docker("rm", "copied")
    assert outputs[0] == outputs[1]
    assert len(outputs[0][0]) > 56000
    assert log_of(box, "copied", "syslog").exists()
    words = [*syslog, "--log-opt", "cache-disabled=true"]
    run_to_end(box, "none", *words, "busybox", "echo", "x")
    assert "configured logging driver does not support reading" in box.fails("logs", "none")
    assert not log_of(box, "none", "syslog").exists()


def test_the_bounds_of_a_copy(box: Box, made: list[str], syslog: list[str]) -> None:
    made += ["bound", "plain"]
    words = [*syslog, "--log-opt", "cache-max-size=1k", "--log-opt", "cache-max-file=4"]
    run_to_end(box, "bound", *words, "busybox", "seq", "1", "2000")
    newest = log_of(box, "bound", "syslog")
    names = [path.name for path in settled(newest)]
    assert names == [*(f"{newest.name}.{number}.gz" for number in (3, 2, 1)), newest.name]
    assert check_run(box("logs", "bound").stdout, 2000) > 1800
    words += ["--log-opt", "cache-compress=false"]
    run_to_end(box, "plain", *words, "busybox", "seq", "1", "2000")
    newest = log_of(box, "plain", "syslog")
    names = sorted(name for name in os.listdir(newest.parent) if name.startswith(newest.name))
    assert names == [newest.name, *(f"{newest.name}.{number}" for number in (1, 2, 3))]
    assert check_run(box("logs", "plain").stdout, 2000) > 1800
    for opt in ("cache-disabled=x", "cache-max-size=x", "cache-max-file=0", "cache-compress=x"):
        assert "invalid log opt" in box.fails("run", *syslog, "--log-opt", opt, "busybox", "true")


def test_a_copy_of_what_goes_to_the_journal(
    box: Box, made: list[str], journal: tuple[list[str], str]
) -> None:
    before, path = journal
    made.append("jour")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{path}/journal/socket")
        command = [*before, box.program, "run", "-d", "--name", "jour", "--log-driver", "journald"]
        command += ["busybox", "sh", "-c", "echo out; echo err >&2"]
        subprocess.run(command, env=box.environ, capture_output=True, check=True)
        box("wait", "jour")
    done = box("logs", "jour")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert box("logs", "-f", "jour").stdout == "out\n"
