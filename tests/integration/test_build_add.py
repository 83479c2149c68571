"""ADD of addresses and repositories, and contexts that are fetched: from servers on loopback."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import fastbox
from fastbox.errors import DigestMismatch, FastboxError, NotFound

from . import buildtool
from .buildtool import build, build_text, cat
from .conftest import Box

pytestmark = pytest.mark.integration

DATE = 1_445_412_480  # of the served file
GIT = [
    "git",
    "-c",
    "init.defaultBranch=main",
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.org",
]


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine
        buildtool.forget(engine)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the address that it is served at."""
    place = tmp_path / "served"
    place.mkdir()
    (place / "file.txt").write_text("content\n")
    os.utime(place / "file.txt", (DATE, DATE))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield place, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A repository, and the address that git's daemon serves it at."""
    place = tmp_path / "base" / "repo"
    buildtool.fill(
        place, {"f": "one\n", "sub/Dockerfile": "FROM busybox\nCOPY g /g\n", "sub/g": "G\n"}
    )
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*GIT, *words], cwd=place, check=True, capture_output=True)
    process, port = None, 0
    for port in range(21000 + os.getpid() % 20000, 60000, 7):
        process = subprocess.Popen(
            ["git", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}",
             f"--base-path={tmp_path}/base"],
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not buildtool.listens(port):
            time.sleep(0.01)
        if process.poll() is None:
            break
    assert process is not None
    yield place, f"git://127.0.0.1:{port}/repo"
    os.killpg(process.pid, 15)
    process.wait()


def tar(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


def test_a_file(engine: fastbox.Engine, served: tuple[Path, str]) -> None:
    place, url = served
    text = f"""FROM busybox
ADD {url}/file.txt /dir/
ADD --chmod=640 --chown=7:8 {url}/file.txt /named
RUN stat -c '%a %u %g %Y' /dir/file.txt /named > /stat
"""
    told = build_text(engine, text, tags=("built",))
    assert len(told.ran) == 3
    assert cat(engine, "built", "/dir/file.txt", "/named") == ["content\n", "content\n"]
    assert cat(engine, "built", "/stat")[0].splitlines() == [f"600 0 0 {DATE}", f"640 7 8 {DATE}"]
    os.utime(place / "file.txt", (DATE + 5, DATE + 5))
    assert not build_text(engine, text).ran  # content counts, times don't
    (place / "file.txt").write_text("other\n")
    assert len(build_text(engine, text).ran) == 3


def test_checksums(engine: fastbox.Engine, served: tuple[Path, str]) -> None:
    _, url = served
    good = hashlib.sha256(b"content\n").hexdigest()
    text = "FROM scratch\nADD --checksum=sha256:{} {}/file.txt /f\n"
    build_text(engine, text.format(good, url), tags=("built",))
    with pytest.raises(DigestMismatch):
        build_text(engine, text.format("0" * 64, url))
    with pytest.raises(NotFound):
        build_text(engine, f"FROM scratch\nADD {url}/none /f\n")


def test_archives_of_addresses(engine: fastbox.Engine, served: tuple[Path, str]) -> None:
    place, url = served
    (place / "a.tar.gz").write_bytes(tar({"x": "X\n"}))
    text = f"FROM busybox\nADD {url}/a.tar.gz /kept/\nADD --unpack=true {url}/a.tar.gz /out/\n"
    build_text(engine, text, tags=("built",))
    assert cat(engine, "built", "/out/x") == ["X\n"]
    assert set(buildtool.changes(engine, "built")) == {"out", "out/x"}


def test_a_repository(engine: fastbox.Engine, repository: tuple[Path, str]) -> None:
    place, url = repository
    text = f"FROM scratch\nADD {url} /src/\nADD --keep-git-dir=true {url}#main:sub /sub/\n"
    told = build_text(engine, text, tags=("built",))
    assert len(told.ran) == 2
    assert cat(engine, "built", "/src/f", "/src/sub/g", "/sub/g") == ["one\n", "G\n", "G\n"]
    assert not build_text(engine, text).ran
    (place / "f").write_text("two\n")
    subprocess.run([*GIT, "commit", "-qam", "two"], cwd=place, check=True, capture_output=True)
    assert build_text(engine, text, tags=("built",)).ran
    assert cat(engine, "built", "/src/f") == ["two\n"]


def test_a_context_that_is_a_repository(
    engine: fastbox.Engine, repository: tuple[Path, str]
) -> None:
    _, url = repository
    build(engine, f"{url}#main:sub", tags=("built",))
    assert cat(engine, "built", "/g") == ["G\n"]
    with pytest.raises(FastboxError):
        build(engine, f"{url}#none")


def test_a_context_that_is_fetched(engine: fastbox.Engine, served: tuple[Path, str]) -> None:
    place, url = served
    files = {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "F\n"}
    (place / "context.tar.gz").write_bytes(tar(files))
    build(engine, f"{url}/context.tar.gz", tags=("built",))
    assert cat(engine, "built", "/f") == ["F\n"]
    (place / "Only").write_text("FROM busybox\nRUN echo only > /o\n")
    build(engine, f"{url}/Only", tags=("built",))
    assert cat(engine, "built", "/o") == ["only\n"]
