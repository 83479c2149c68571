"""The C programs still fit libfastbox's headers: they follow them, and are built when measured."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks.vs_peers.clients import HERE

BENCHMARKS = Path(HERE, "benchmarks")
SOURCES = [*BENCHMARKS.glob("floors/*.c"), *BENCHMARKS.glob("bindings/*.c")]
FLAGS = "-std=gnu17 -O2 -Wall -Wextra -Werror -Wshadow -Wvla -Wstrict-prototypes"
FLAGS += " -Wmissing-prototypes -Wformat=2 -D_GNU_SOURCE= -c -o /dev/null"


@pytest.mark.parametrize("source", SOURCES, ids=[source.name for source in SOURCES])
def test_it_compiles_without_a_warning(source: Path) -> None:
    compiler = os.environ.get("CC", "cc")
    words = [compiler, *FLAGS.split(), "-iquote", os.path.join(HERE, "src/native"), str(source)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
