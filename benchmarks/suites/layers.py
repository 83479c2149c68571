"""A real image, 300 MB in 15,000 entries, from its archive to directories: fastbox and the peers.

One layer and five; gzip on the lab's disk and on tmpfs, zstd on the disk. Every sample begins with
nothing: a fresh directory, a fresh store, no image; undoing is not timed. All read the same packed
bytes: the extension and tar the layer itself, the engines an archive or a layout with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured, Worker
from ..vs_peers.daemons import daemon
from ..vs_peers.debian import NAME, Image, image
from ..vs_peers.lab import Lab
from ..vs_peers.peers import command
from .extraction import extension, floor, where

RESIDENT = 64
"""MiB that an extraction may hold, whatever the layer's size."""
ENGINES = ("docker", "podman", "skopeo")
UNPACK = {"gzip": ("-xzf", "pigz"), "zstd": ("--zstd -xf", "zstd")}
"""tar's own words, and the program that unpacks for tar in a process beside it."""

Make = Callable[[Lab, Image, str], Measure]


def _bytes(lab: Lab, words: Sequence[str]) -> Measure:
    program = lab.build("bytes-floor", ["bytes.c"], ["-lisal", "-lzstd", "-lcrypto"])
    return command(lab.commands, [program, *words])


def _inflate(lab: Lab, found: Image, _parent: str) -> Measure:
    return _bytes(lab, ["inflate", found.packed[0]])


def _digest(lab: Lab, found: Image, _parent: str) -> Measure:
    return _bytes(lab, ["digest", found.packed[0], found.plain[0]])


def _load(form: str, lab: Lab, found: Image, parent: str) -> Measure:
    """`fastbox load` into a store of the sample's own."""
    words = [lab.need("env"), "FASTBOX_ROOT={directory}/store", "FASTBOX_RUN={directory}/run"]
    words += [lab.need("fastbox"), "load", "-q", "-i", getattr(found, form)]
    return command(lab.commands, words, directory=where(lab, parent))


def _tar(words: str, lab: Lab, found: Image, parent: str) -> Measure:
    line = [lab.need("tar"), *words.split(), found.packed[0], "-C", "{directory}"]
    return command(lab.commands, line, directory=where(lab, parent))


def _piped(program: str, lab: Lab, found: Image, parent: str) -> Measure:
    pipe = '"$0" -dc "$1" | "$2" -x -C "$3"'
    words = ["sh", "-c", pipe, lab.need(program), found.packed[0], lab.need("tar"), "{directory}"]
    return command(lab.commands, [lab.need("sh"), *words[1:]], directory=where(lab, parent))


def _docker(lab: Lab, found: Image, _parent: str) -> Measure:
    """The client waits while the daemon works: its own memory says nothing."""
    docker = daemon(lab, "docker")
    after = [[*docker.words, "image", "rm", "-f", NAME]]
    load = command(docker.commands, [*docker.words, "load", "-q", "-i", found.docker], after=after)

    def measure(count: int, flight: int) -> Measured:
        return replace(load(count, flight), memory=0)

    return measure


UNMOUNT = ["sh", "-c", '! mountpoint -q "$0" || umount "$0"', "{directory}/root/overlay"]
"""containers/storage leaves its directory mounted on itself."""


def _podman(lab: Lab, found: Image, parent: str) -> Measure:
    podman = daemon(lab, "podman")
    words = [*podman.words, "--root", "{directory}/root", "load", "-q", "-i", found.docker]
    return command(podman.commands, words, directory=where(lab, parent), after=[UNMOUNT])


def _skopeo(lab: Lab, found: Image, parent: str) -> Measure:
    worker = lab.stack.enter_context(Worker("commands", {**lab.env, "TMPDIR": lab.sub("skopeo")}))
    target = "containers-storage:[overlay@{directory}/root+{directory}/run]" + NAME
    words = [lab.need("skopeo"), "--insecure-policy", "copy", "-q", f"oci:{found.layout}:latest"]
    return command(worker, [*words, target], directory=where(lab, parent), after=[UNMOUNT])


def _umoci(lab: Lab, found: Image, parent: str) -> Measure:
    words = [lab.need("umoci"), "unpack", "--image", f"{found.layout}:latest", "{directory}/bundle"]
    return command(lab.commands, words, directory=where(lab, parent))


def _rows(packing: str) -> dict[str, tuple[Row, Make, int]]:
    """Name to row, how it is measured, and of how many layers."""
    unpack, helper = UNPACK[packing]
    library = "ISA-L" if packing == "gzip" else "libzstd"
    found: list[tuple[Row, Make, int]] = [
        (Row("floor", "floor: inflate, two digests, the files", BASE), _floor, 1),
        (Row("inflate", f"floor, {library} alone", BASE), _inflate, 1),
        (Row("digest", "floor, sha256 of both streams alone", BASE), _digest, 1),
        (Row("extension", "fastbox (_bytes.extract)", OURS), _extension, 1),
        (Row("load", "fastbox load, one layer", OURS), partial(_load, "archive"), 1),
        (Row("load_five", "fastbox load, five layers", OURS), partial(_load, "archive"), 5),
        (Row("load_layout", "fastbox load, an OCI layout", OURS), partial(_load, "layout"), 1),
        (Row("load_docker", "fastbox load, docker's archive", OURS), partial(_load, "docker"), 1),
        (Row("tar", f"tar {unpack} (no digests)"), partial(_tar, unpack), 1),
        (Row("piped", f"{helper} -dc, tar -x (no digests)"), partial(_piped, helper), 1),
        (Row("umoci", "umoci unpack"), _umoci, 1),
        (Row("docker", "docker load", daemon=True), _docker, 1),
        (Row("podman", "podman load", daemon=True), _podman, 1),
        (Row("skopeo", "skopeo copy to containers-storage"), _skopeo, 1),
    ]  # fmt: skip
    return {row.name: (row, make, layers) for row, make, layers in found}


def _floor(lab: Lab, found: Image, parent: str) -> Measure:
    return floor(lab, found.packed[0], parent)


def _extension(lab: Lab, found: Image, parent: str) -> Measure:
    return extension(lab, found.packed[0], parent)


def _open(packing: str, parent: str, names: Sequence[str]) -> Callable[[Field], None]:
    def make(name: str, lab: Lab) -> Measure:
        _, measure, layers = _rows(packing)[name]
        return measure(lab, image(packing, layers), parent)

    def open_it(field: Field) -> None:
        for name in names:
            field.admit(name, partial(make, name, field.lab))

    return open_it


def _suite(
    name: str, title: str, packing: str, parent: str, without: Sequence[str], seconds: float
) -> Suite:
    rows = _rows(packing)
    names = [row for row in rows if row not in without]
    ratios = [("extension", 0.5, "tar"), ("load", 0.5, "tar"), ("load_docker", 0.2, "docker")]
    ratios += [("load_five", 1.0, "load")]
    return Suite(
        name=name,
        title=title,
        rows=tuple(rows[row][0] for row in names),
        open=_open(packing, parent, names),
        beside=tuple(row for row in ("tar", "docker") if row in names),
        rounds=8,
        seconds=seconds,
        least=3,
        warm_up=0,
        budgets=tuple(
            Budget(f"{title}: {rows[row][0].label}, at most {limit} x {rows[other][0].label}",
                   row, limit, other)
            for row, limit, other in ratios
            if row in names and other in names
        ),
        resident=(("extension", RESIDENT), ("load", RESIDENT)),
        apart=True,
    )  # fmt: skip


SUITES = (
    _suite("layers", "Debian, gzip, disk", "gzip", "", (), 210.0),
    _suite("layers-tmpfs", "Debian, gzip, tmpfs", "gzip", "/dev/shm", (*ENGINES, "umoci"), 60.0),
    _suite("layers-zstd", "Debian, zstd, disk", "zstd", "", ("umoci", "load_layout"), 90.0),
)
