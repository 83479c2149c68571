"""A gzip layer into a directory on tmpfs: the extension, tar, and the floor.

The short form of layers.py, with an archive that is made in a second. The floor inflates with the
same library and computes the same two digests, but trusts the names.
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


def where(lab: Lab, parent: str) -> str:
    """The template of a directory for a sample: in the lab, or below a place of another kind."""
    if parent:
        place = os.path.join(parent, lab.group)
        if not os.path.exists(place):
            os.mkdir(place, 0o700)
            lab.stack.callback(os.rmdir, place)
        return os.path.join(place, "{id}")
    return os.path.join(lab.sub("extracted"), "{id}")


def floor(lab: Lab, layer: str, parent: str) -> Measure:
    """floors/extract.c."""
    program = lab.build("extract-floor", ["extract.c"], ["-lisal", "-lzstd", "-lcrypto"])
    words = [program, layer, "{directory}"]
    return command(lab.commands, words, directory=where(lab, parent))


def extension(lab: Lab, layer: str, parent: str) -> Measure:
    """fastbox's own function, in a process that lives long."""
    worker = lab.stack.enter_context(Worker("extract", lab.env))
    directory = where(lab, parent)

    def measure(count: int, flight: int) -> Measured:
        return worker.measure([layer], count, flight, directory=directory)

    return measure


def _tar(lab: Lab, layer: str, parent: str) -> Measure:
    words = [lab.need("tar"), "-xzf", layer, "-C", "{directory}"]
    return command(lab.commands, words, directory=where(lab, parent))


def _open(parent: str) -> Callable[[Field], None]:
    def open_it(field: Field) -> None:
        layer = _layer(field.lab)
        field.admit("floor", partial(floor, field.lab, layer, parent))
        field.admit("extension", partial(extension, field.lab, layer, parent))
        field.admit("tar", partial(_tar, field.lab, layer, parent))

    return open_it


SUITES = (
    Suite(
        name="extraction",
        title="layer of 3,000 files, tmpfs",
        rows=(
            Row("floor", "floor: inflate, two digests, the files", BASE),
            Row("extension", "fastbox (_bytes.extract)", OURS),
            Row("tar", "tar -xzf (no digests)"),
        ),
        open=_open("/dev/shm"),
        beside=("tar",),
        rounds=20,
        seconds=35.0,
        budgets=(
            Budget("layer of 3,000 files, at most 0.5 x `tar -xzf`", "extension", 0.5, "tar"),
        ),
    ),
)
