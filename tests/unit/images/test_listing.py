"""Patterns of `images`, by docker's rule."""

from __future__ import annotations

import pytest

from fastbox.images.listing import matches
from fastbox.images.reference import parse


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"),
    [
        ("busybox", "busybox:1", True),
        ("busybox:1", "busybox:1", True),
        ("busybox:2", "busybox:1", False),
        ("build*", "buildme-client:latest", True),
        ("*", "a/b:latest", False),
        ("a/*", "a/b:latest", True),
        ("*:1", "busybox:1", True),
        ("docker.io/library/busybox", "busybox:1", True),
        ("busy", "busybox:1", False),
    ],
)
def test_matches(pattern: str, name: str, wanted: bool) -> None:
    assert matches(pattern, parse(name)) is wanted
