"""Where helpers are found."""

from __future__ import annotations

from pathlib import Path

import pytest

import fastbox
from fastbox.support import paths


def test_helpers_of_an_editable_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a package has two places: its sources, and what was compiled, with the helpers."""
    sources, built = tmp_path / "src", tmp_path / "site"
    (built / "libexec").mkdir(parents=True)
    (built / "libexec" / "helper").touch()
    monkeypatch.setattr(fastbox, "__path__", [str(sources), str(built)])
    assert paths.libexec("helper") == str(built / "libexec" / "helper")
    assert paths.libexec("missing") == str(sources / "libexec" / "missing")
