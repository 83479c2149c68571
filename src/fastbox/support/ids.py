"""Identifiers: random, and said so in one place."""

from __future__ import annotations

import os


def container_id() -> str:
    """64 random hex digits."""
    return os.urandom(32).hex()


def short(full: str) -> str:
    """The 12 digits people see; a leading "sha256:" is dropped."""
    return full.removeprefix("sha256:")[:12]
