"""History: which step a layer belongs to."""

from __future__ import annotations

import json

import pytest

from fastbox.errors import InvalidArgument
from fastbox.images.documents import parse_config, parse_platform
from fastbox.images.history import history

ID = "sha256:" + "ab" * 32


def config(steps: object, layers: int):
    diff_ids = ["sha256:" + f"{n:064x}" for n in range(layers)]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    return parse_config(json.dumps({"rootfs": rootfs, "history": steps}).encode())


def test_empty_steps_take_no_layer() -> None:
    steps = [
        {"created_by": "one", "created": "2026-01-02T03:04:05Z"},
        {"created_by": "two", "empty_layer": True, "comment": "c"},
        {"created_by": "three"},
    ]
    found = history(ID, config(steps, 2), [10, 3])
    assert [(s.id, s.created_by, s.size) for s in found] == [
        (ID, "three", 3),
        ("<missing>", "two", 0),
        ("<missing>", "one", 10),
    ]
    assert (found[1].comment, found[2].created) == ("c", "2026-01-02T03:04:05Z")


def test_layers_without_a_story() -> None:
    assert [s.size for s in history(ID, config(None, 2), [1, 2])] == [2, 1]
    assert [s.size for s in history(ID, config([{}], 2), [1, 2])] == [2, 1]
    assert history(ID, config([], 0), []) == []


def test_an_authors_nonsense() -> None:
    steps = ["x", {"created_by": 5, "created": []}, {"empty_layer": "no"}, {}]
    assert [s.size for s in history(ID, config(steps, 2), [1, 2])] == [0, 0, 2, 1]
    assert len(history(ID, config("text", 1), [1])) == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("linux/arm64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("Linux/AARCH64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("armhf", "linux/arm/v7"),
        ("armv6l", "linux/arm/v6"),
    ],
)
def test_platforms(text: str, wanted: str) -> None:
    assert str(parse_platform(text)) == wanted


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux/a b"])
def test_platforms_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_platform(text)


@pytest.mark.parametrize(
    ("has", "wanted", "fits"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v6", "linux/arm", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64/v3", "linux/amd64/v1", False),
        ("windows/amd64", "linux/amd64", False),
    ],
)
def test_platform_fits(has: str, wanted: str, fits: bool) -> None:
    assert parse_platform(has).fits(parse_platform(wanted)) is fits
