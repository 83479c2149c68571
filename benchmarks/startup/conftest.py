"""The lab that the suite shares: one store with one image, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from benchmarks.vs_peers.clients import Floor, Measure, Worker
from benchmarks.vs_peers.lab import IMAGE, Lab, build_floor, open_lab, prepare
from benchmarks.vs_peers.peers import floor_words


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("containers are started as root")
    with open_lab(os.environ.get("BENCH_SCRATCH")) as made:
        prepare(made)
        yield made


@pytest.fixture(scope="session")
def floor(lab: Lab) -> Iterator[Measure]:
    with Floor(floor_words(lab, build_floor(lab)), lab.env) as client:
        yield client.measure


@pytest.fixture(scope="session")
def in_process(lab: Lab) -> Iterator[Measure]:
    with Worker("engine", lab.env) as worker:
        yield partial(worker.measure, ["true"], image=IMAGE)


@pytest.fixture(scope="session")
def command_line(lab: Lab) -> Iterator[Measure]:
    command = lab.which("fastbox") or "fastbox"
    words = [command, "run", "--rm", "--network", "none", IMAGE, "true"]
    with Worker("commands", lab.env) as worker:
        yield partial(worker.measure, words)
