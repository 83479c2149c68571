"""The lab that the suites share: one store, one set of containers, made once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from benchmarks.suite import Field, Suite, open_field
from benchmarks.vs_peers.lab import open_lab

Fields = Callable[[Suite], Field]


@pytest.fixture(scope="session")
def fields() -> Iterator[Fields]:
    """A suite's field, opened when its first row is measured."""
    if os.geteuid():
        pytest.fail("containers are started as root")
    opened: dict[str, Field] = {}
    with open_lab(os.environ.get("BENCH_SCRATCH")) as lab:

        def get(suite: Suite) -> Field:
            if suite.name not in opened:
                opened[suite.name] = open_field(suite, lab, daemons=False)
            return opened[suite.name]

        yield get
