"""An image's documents under changes: `python -m tests.fuzz.documents SECONDS [CRASH-FILE...]`.

Each input is an OCI layout or an archive of docker's, as files in a directory. Some of its documents are changed, as values (a
member replaced, dropped, doubled, moved) or as bytes; digests and sizes are made to fit afterwards, since nearly nothing would be
read otherwise, and now and then one that lies. Then the loader plans: it reads all of them and says what it would load. It ends
with a plan, or with an error that `load` documents, within a second of work and a gigabyte of address space. Anything else
stops the run, with the input in crash-documents.json of the current directory; given as a file it is tried again.
"""

from __future__ import annotations

import copy
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastbox.errors import (
    FastboxError,
    IntegrityError,
    InvalidArgument,
    ResourceExhausted,
    Unsupported,
)
from fastbox.images import documents, load
from fastbox.images.archive import Archive
from fastbox.store.content import hex_of
from fastbox.store.layers import chain_ids
from fastbox.store.lease import Work
from fastbox.store.root import Root

from ..integration.archives import CONFIG, INDEX, LAYER, MANIFEST, descriptor, digest

Layout = dict[str, bytes]
DOCUMENTED = (InvalidArgument, IntegrityError, ResourceExhausted, Unsupported)
SECONDS, MEMORY, HANGS = 1.0, 1 << 30, 60
DOUBLED = 2 << 20  # bytes that one doubling adds at most: several may meet in a document
FIXED = 200  # seeds that every run begins with
CRASH = "crash-documents.json"
DOCKER = "application/vnd.docker."
WORDS: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        1,
        2,
        -1,
        1 << 31,
        1 << 62,
        (1 << 62) + 1,
        1 << 64,
        10**400,
        0.5,
        1e308,
    ),
    *(
        "",
        "\0",
        "/",
        "..",
        "../../x",
        "sha256:",
        "sha256:" + "a" * 64,
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 128,
    ),
    *(
        "\ud800",
        "\x1b[2J",
        "é\u202e",
        "a" * 300,
        "x" * 70_000,
        "linux",
        "amd64",
        "layers",
        "a=b",
        "=b",
        "latest",
        "name:tag",
        "blobs/sha256",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        [""],
        {"": ""},
        {"a": {}},
        [[[[[[[[]]]]]]]],
        ["x"] * 600,
        {str(number): number for number in range(600)},
    ),
    *(
        INDEX,
        MANIFEST,
        CONFIG,
        LAYER,
        LAYER + "+gzip",
        LAYER + "+zstd",
        DOCKER + "distribution.manifest.v2+json",
    ),
    *(
        DOCKER + "distribution.manifest.list.v2+json",
        DOCKER + "container.image.v1+json",
        DOCKER + "image.rootfs.diff.tar.gzip",
    ),
]
KEYS = (
    "schemaVersion mediaType config layers manifests digest size platform annotations os architecture variant rootfs type diff_ids created "
    "history Env Cmd Entrypoint WorkingDir User StopSignal Labels ExposedPorts Volumes Config RepoTags Layers urls data subject"
).split()  # fmt: skip
TEXTS = [
    b"[" * 70,
    b"{" * 70,
    b'{"a":' * 300,
    b"\xff",
    b"\xed\xa0\x80",
    b"\0",
    b"NaN",
    b"-Infinity",
    b"9" * 5000,
    b"1e999999",
    b'"\\ud800"',
    b"\xef\xbb\xbf",
    b",",
    b":",
    b'"',
    b"\\",
]


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in the document, with each of its keys or indices."""
    keys: Any = (
        list(value)
        if isinstance(value, dict)
        else range(len(value))
        if isinstance(value, list)
        else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])


def word(source: random.Random) -> Any:
    return copy.deepcopy(source.choice(WORDS))


def change_value(source: random.Random, document: Any) -> Any:
    """One change somewhere; the document is changed in place, unless it is all of it."""
    found = list(places(document))
    if not found or source.random() < 0.02:
        return word(source)
    holder, key = source.choice(found)
    other, place = source.choice(found)
    kind = source.randrange(7)
    if kind == 0:
        holder[key] = copy.deepcopy(other[place])
    elif kind == 1:
        del holder[key]
    elif kind == 2 and isinstance(holder, dict):
        holder[source.choice(KEYS)] = copy.deepcopy(holder[key])
    elif kind == 3 and isinstance(holder, dict):
        holder[source.choice(KEYS)] = word(source)
    elif kind == 4 and isinstance(holder, list):
        times = source.choice([*[1] * 12, *[2] * 6, 600, 11_000])
        times = min(times, DOUBLED // len(json.dumps(holder[key])))
        holder[key:key] = [copy.deepcopy(holder[key]) for _ in range(times)]
    else:
        holder[key] = word(source)
    return document


def change_bytes(source: random.Random, data: bytes) -> bytes:
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data) + 1)
        until = min(len(data), at + source.choice([0, 1, 1, 2, 8, 100]))
        text = source.choice(
            [b"", source.choice(TEXTS), data[at:until] * 2, source.randbytes(2), data[: until - at]]
        )
        data = data[:at] + text + data[until:]
    return data


class Maker:
    """One layout, with `changes` documents of it changed."""

    def __init__(self, source: random.Random) -> None:
        self.source, self.files = source, dict[str, bytes]()
        self.share = source.choice([0.15, 0.3, 0.6])

    def encode(self, document: Any) -> bytes:
        source = self.source
        if source.random() < self.share:
            for _ in range(source.choice([1, 1, 1, 2, 5])):
                document = change_value(source, document)
        data = json.dumps(document, ensure_ascii=source.random() < 0.5).encode(
            "utf-8", "surrogatepass"
        )
        return change_bytes(source, data) if source.random() < self.share / 3 else data

    def blob(self, media_type: str, data: bytes, **members: Any) -> dict[str, Any]:
        """Put it in and say what it is; now and then wrongly."""
        lie = self.source.random()
        if lie > 0.01:
            self.files["blobs/sha256/" + digest(data)[7:]] = data
        return descriptor(media_type, data if lie > 0.02 else data + b" ", **members)

    def config(self, layers: list[bytes]) -> bytes:
        run = {
            "Env": ["PATH=/bin", "A=b"],
            "Cmd": ["sh"],
            "Entrypoint": None,
            "Labels": {"a": "b"},
            "ExposedPorts": {"80/tcp": {}},
        }
        document = {
            "architecture": documents.architecture(),
            "os": "linux",
            "created": "2026-01-02T03:04:05Z",
            "config": run,
        }
        document["rootfs"] = {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}
        document["history"] = [{"created_by": "x", "empty_layer": True}]
        return self.encode(document)

    def manifest(self) -> tuple[str, bytes]:
        layers = [self.source.randbytes(9) for _ in range(self.source.choice([0, 1, 2, 5]))]
        kinds = [
            (MANIFEST, CONFIG, LAYER),
            (
                DOCKER + "distribution.manifest.v2+json",
                DOCKER + "container.image.v1+json",
                DOCKER + "image.rootfs.diff.tar",
            ),
        ]
        kind, config, layer = self.source.choice(kinds)
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self.blob(config, self.config(layers)),
        }
        document["layers"] = [self.blob(layer, data) for data in layers]
        return kind, self.encode(document)

    def index(self, depth: int) -> bytes:
        entries = []
        for _ in range(self.source.choice([1, 1, 2, 3])):
            if depth and self.source.random() < 0.3:
                kind, data = INDEX, self.index(depth - 1)
            else:
                kind, data = self.manifest()
            members: dict[str, Any] = {}
            if self.source.random() < 0.5:
                members["platform"] = {
                    "os": "linux",
                    "architecture": self.source.choice([documents.architecture(), "s390x"]),
                }
            if self.source.random() < 0.7:
                members["annotations"] = {
                    "org.opencontainers.image.ref.name": self.source.choice(
                        ["latest", "a:b", "x.y/z:1", "UPPER", ""]
                    )
                }
            entries.append(self.blob(kind, data, **members))
        return self.encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})

    def docker(self) -> bytes:
        images = []
        for _ in range(self.source.choice([1, 1, 2])):
            layers = [self.source.randbytes(9) for _ in range(self.source.choice([0, 1, 3]))]
            config = self.config(layers)
            name = digest(config)[7:] + ".json"
            self.files[name] = config
            names = [f"{number}/layer.tar" for number in range(len(layers))]
            self.files |= dict(zip(names, layers, strict=True))
            images.append(
                {
                    "Config": name,
                    "RepoTags": self.source.choice([None, ["a:b"], ["a:b", "c.d/e:f"]]),
                    "Layers": names,
                }
            )
        return self.encode(images)

    def make(self) -> Layout:
        if self.source.random() < 0.65:
            self.files["index.json"] = self.index(self.source.choice([0, 1, 3, 12]))
        else:
            self.files["manifest.json"] = self.docker()
        return self.files


class Failed(Exception):
    """What must not be."""


def check_error(error: FastboxError) -> None:
    line = str(error)
    if not isinstance(error, DOCUMENTED):
        raise Failed(f"{type(error).__name__} is no error that load documents: {line}")
    if not line.isprintable() or len(line) > 6000 or not error.what:
        raise Failed(f"a line for nobody: {line[:300]!r}")


def check_plan(plan: load.Plan) -> None:
    for found in (
        plan.config,
        *(layer.packed for layer in plan.layers if layer.packed is not None),
    ):
        hex_of(found.digest)
        if not 0 <= found.size <= 1 << 62:
            raise Failed(f"size {found.size}")
    if (
        not len(plan.layers)
        == len(plan.diff_ids)
        == len(chain_ids(plan.diff_ids))
        <= documents.MAX_LAYERS
    ):
        raise Failed(f"{len(plan.layers)} layers, {len(plan.diff_ids)} diff ids")


def one(root: Root, directory: Path, files: Layout) -> bool:
    """Plan it. Whether it was accepted."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    begin = time.process_time()
    try:
        with Work(root) as work, Archive(work, str(directory)) as archive:
            plans = load.Loader(root, work, archive, lambda _line: None).plan()
        for plan in plans:
            check_plan(plan)
        return True
    except FastboxError as error:
        check_error(error)
        return False
    finally:
        shutil.rmtree(directory)
        if time.process_time() - begin > SECONDS:
            raise Failed(f"{time.process_time() - begin:.1f} s of work")


def keep(files: Layout) -> None:
    Path(CRASH).write_text(
        json.dumps({name: data.decode("latin-1") for name, data in files.items()})
    )


def inputs(seconds: float, seed: int, crashes: list[str]) -> Iterator[Layout]:
    for path in crashes:
        yield {
            name: text.encode("latin-1")
            for name, text in json.loads(Path(path).read_text()).items()
        }
    for number in range(FIXED):
        yield Maker(random.Random(number)).make()
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield Maker(random.Random(f"{seed}/{number}")).make()
        number += 1


def main(words: list[str]) -> int:
    seed = int(os.environ.get("FUZZ_SEED", 0)) or time.time_ns()
    print(f"FUZZ_SEED={seed}", file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    count = accepted = 0
    with tempfile.TemporaryDirectory(
        prefix="fuzz_documents.", dir=os.environ.get("TMPDIR", "/dev/shm")
    ) as base:
        root = Root.open(base + "/store", base + "/run")
        for files in inputs(float(words[0]), seed, words[1:]):
            signal.alarm(HANGS)
            try:
                accepted += one(root, Path(base, "layout"), files)
            except BaseException:  # whatever comes out is the finding
                keep(files)
                traceback.print_exc()
                return 1
            count += 1
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{accepted} accepted\n{count} inputs, {most} MiB at most", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
