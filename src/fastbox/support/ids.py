"""Identifiers as people see them."""

from __future__ import annotations


def short(full: str) -> str:
    """The 12 digits people see; a leading "sha256:" is dropped."""
    return full.removeprefix("sha256:")[:12]
