"""docs/examples runs as it stands there, on an image that is called busybox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from . import host

if TYPE_CHECKING:
    from .conftest import Box

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
OUTPUT = {
    "readiness": "hello\n",
    "streaming": "3 42\n",
    "streaming_async": "1 2 3\n",
    "fanout": " ".join(str(n * n) for n in range(20)) + "\n",
    "timeouts": "Timeout\nExecFailed 3 wrong\nCommandNotFound\n",
    "existing": "1 2 2\n",
    "networks": "hello hello\n",
}


def test_all_are_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*OUTPUT, "test_fixtures"}


@pytest.mark.parametrize("name", OUTPUT)
def test_example(box: Box, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        capture_output=True, text=True, timeout=60 * host.SLOW,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, OUTPUT[name], "")


def test_fixtures(box: Box) -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(EXAMPLES)]
    done = subprocess.run(
        [sys.executable, *words, str(EXAMPLES / "test_fixtures.py")],
        capture_output=True, text=True, timeout=100 * host.SLOW,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout
