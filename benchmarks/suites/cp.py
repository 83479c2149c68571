"""A file of 256 MB, and a tree of 2,000 small files, into and out of a container that runs.

The base is `cp` on the same disk, which writes over what is there as the others do. Neither side is
synced; docker and podman go through a tar.
"""

from __future__ import annotations

import os
from functools import partial

from ..suite import BASE, OURS, PEER, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure
from ..vs_peers.daemons import daemon
from ..vs_peers.lab import SLEEP, Lab
from ..vs_peers.peers import command, once

SIZE = 256 << 20
FILES = 2000


def _make(lab: Lab) -> None:
    base = lab.sub("cp")
    if os.path.exists(base + "/file"):
        return
    with open(base + "/file", "wb") as file:
        for _ in range(SIZE >> 20):
            file.write(os.urandom(1 << 20))
    os.makedirs(base + "/tree")
    for number in range(FILES):
        with open(f"{base}/tree/{number}", "wb") as file:
            file.write(os.urandom(2048))


def _plain(lab: Lab, what: str) -> Measure:
    _make(lab)
    words = [lab.need("cp"), "-a", "-T", lab.file("cp", what), lab.file("cp", what + "-copy")]
    return command(lab.commands, words)


def _ours(lab: Lab, what: str, way: str) -> Measure:
    _make(lab)
    name = lab.fastbox("run", "-d", lab.image, *SLEEP)
    lab.stack.callback(lab.fastbox, "rm", "-f", name)
    into = [lab.need("fastbox"), "cp", _content(lab.file("cp", what)), f"{name}:/{what}"]
    if way == "in":
        return command(lab.commands, into)
    once(lab.commands, into)
    out = lab.file("cp", f"{what}-fastbox")
    return command(lab.commands, [*into[:2], _content(f"{name}:/{what}"), out])


def _theirs(lab: Lab, engine: str, what: str, way: str) -> Measure:
    _make(lab)
    found = daemon(lab, engine)
    held = f"cp-{what}-{way}"
    words = ["run", "-d", *found.run_options, "--name", held, "bench:latest", *SLEEP]
    once(found.commands, [*found.words, *words])
    lab.stack.callback(once, found.commands, [*found.words, "rm", "-f", held])
    into = [*found.words, "cp", _content(lab.file("cp", what)), f"{held}:/{what}"]
    if way == "in":
        return command(found.commands, into)
    once(found.commands, into)
    out = lab.file("cp", f"{what}-{engine}")
    return command(found.commands, [*found.words, "cp", _content(f"{held}:/{what}"), out])


def _content(path: str) -> str:
    """A tree is copied over the last one, not into it."""
    return path + "/." if path.endswith("/tree") else path


def _open(what: str, field: Field) -> None:
    lab = field.lab
    field.admit("plain", partial(_plain, lab, what))
    for way in ("in", "out"):
        field.admit(f"fastbox_{way}", partial(_ours, lab, what, way))
        for engine in ("docker", "podman"):
            field.admit(f"{engine}_{way}", partial(_theirs, lab, engine, what, way))


def _suite(what: str, title: str) -> Suite:
    rows = [Row("plain", "cp -a on the same disk", BASE)]
    for engine, kind in (("fastbox", OURS), ("docker", PEER), ("podman", PEER)):
        for way in ("in", "out"):
            row = Row(f"{engine}_{way}", f"{engine} cp, {way}", kind, daemon=kind == PEER)
            rows.append(row)
    return Suite(
        name=f"cp_{what}",
        title=title,
        rows=tuple(rows),
        open=partial(_open, what),
        base="plain",
        rounds=12,
        seconds=40.0,
        apart=True,
        budgets=(
            Budget(
                f"{title}, into a container, at most 0.7 x docker", "fastbox_in", 0.7, "docker_in"
            ),
            Budget(f"{title}, out of one, at most 0.7 x docker", "fastbox_out", 0.7, "docker_out"),
        ),
    )


SUITES = (
    _suite("file", "a file of 256 MB"),
    _suite("tree", "a directory of 2,000 files of 2 KB"),
)
