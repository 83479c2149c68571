"""The command line of the command's own tests."""

from __future__ import annotations

from tests.unit.cli.conftest import shell

__all__ = ["shell"]
