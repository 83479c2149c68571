"""A store in a temporary directory; no root rights needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastbox.store.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(str(tmp_path / "store"), str(tmp_path / "run"))
    made._make_store()
    made._make_run()
    return made
