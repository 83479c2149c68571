"""A gzip layer into a directory, on the lab's disk and on tmpfs: the extension, tar, and the floor.

The floor inflates with the same library and computes the same two digests, but trusts the names.
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Callable
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured, Worker
from ..vs_peers.lab import Lab
from ..vs_peers.peers import command

DIRECTORIES, FILES = 150, 3000
WORDS = 4096


def _content(source: random.Random, words: list[bytes]) -> bytes:
    """Bytes that shrink to about a third, as programs and texts do."""
    size = int(min(2e6, source.lognormvariate(8.5, 1.5)))
    return b" ".join(source.choices(words, k=size // 7 + 1))[:size]


def _add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"") -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.size, member.mtime = kind, mode, len(data), 1_700_000_000
    tar.addfile(member, io.BytesIO(data))


def make_layer(path: str) -> None:
    """The same archive every time: some 40 MB in 3,000 files."""
    source = random.Random(7)
    words = [source.randbytes(source.randrange(3, 10)) for _ in range(WORDS)]
    with tarfile.open(path, "w:gz", compresslevel=6, format=tarfile.USTAR_FORMAT) as tar:
        for number in range(DIRECTORIES):
            _add(tar, f"d{number}", tarfile.DIRTYPE, 0o755)
        for number in range(FILES):
            name = f"d{number % DIRECTORIES}/file-{number}"
            _add(tar, name, tarfile.REGTYPE, 0o644, _content(source, words))


def _layer(lab: Lab) -> str:
    path = lab.file("layer.tar.gz")
    if not os.path.exists(path):
        make_layer(path)
    return path


def _where(lab: Lab, parent: str) -> str:
    if parent:
        place = os.path.join(parent, lab.group)
        if not os.path.exists(place):
            os.mkdir(place, 0o700)
            lab.stack.callback(os.rmdir, place)
        return os.path.join(place, "{id}")
    return os.path.join(lab.sub("extracted"), "{id}")


def _floor(lab: Lab, parent: str) -> Measure:
    program = lab.build("extract-floor", ["extract.c"], ["-lisal", "-lcrypto"])
    words = [program, _layer(lab), "{directory}"]
    return command(lab.commands, words, directory=_where(lab, parent))


def _extension(lab: Lab, parent: str) -> Measure:
    worker = lab.stack.enter_context(Worker("extract", lab.env))
    layer, directory = _layer(lab), _where(lab, parent)

    def measure(count: int, flight: int) -> Measured:
        return worker.measure([layer], count, flight, directory=directory)

    return measure


def _tar(lab: Lab, parent: str) -> Measure:
    words = [lab.need("tar"), "-xzf", _layer(lab), "-C", "{directory}"]
    return command(lab.commands, words, directory=_where(lab, parent))


def _open(parent: str) -> Callable[[Field], None]:
    def open_it(field: Field) -> None:
        field.admit("floor", partial(_floor, field.lab, parent))
        field.admit("extension", partial(_extension, field.lab, parent))
        field.admit("tar", partial(_tar, field.lab, parent))

    return open_it


def _suite(name: str, title: str, parent: str) -> Suite:
    return Suite(
        name=name,
        title=title,
        rows=(
            Row("floor", "floor: inflate, two digests, the files", BASE),
            Row("extension", "fastbox (_bytes.extract)", OURS),
            Row("tar", "tar -xzf (no digests)"),
        ),
        open=_open(parent),
        beside=("tar",),
        rounds=20,
        seconds=35.0,
        budgets=(Budget(f"{title}, at most 0.5 x `tar -xzf`", "extension", 0.5, "tar"),),
    )


SUITES = (
    _suite("extraction", "layer of 3,000 files, disk", ""),
    _suite("extraction-tmpfs", "layer of 3,000 files, tmpfs", "/dev/shm"),
)
