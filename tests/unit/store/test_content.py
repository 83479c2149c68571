"""Content: what leaves was verified; digests are checked before they become paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastbox.errors import DigestMismatch, IntegrityError, InvalidSpec, SizeMismatch
from fastbox.store.content import Content, Descriptor, digest_of, hex_of
from fastbox.store.lease import Work
from fastbox.store.root import Root


def put(root: Root, data: bytes) -> Descriptor:
    content = Content(root)
    with Work(root) as work:
        found = content.stage(work, data, "text/plain")
        content.publish(work)
    return found


def test_staged_is_not_visible(root: Root) -> None:
    with Work(root) as work:
        found = Content(root).stage(work, b"hello", "text/plain")
        assert not Content(root).has(found.digest)
    assert Content(root).digests() == []


def test_round_trip(root: Root) -> None:
    found = put(root, b"hello")
    assert put(root, b"hello") == found
    assert Content(root).read(found, 5) == b"hello"
    assert Content(root).digests() == [found.digest]


def test_nothing_unverified_leaves(root: Root) -> None:
    found, content = put(root, b"hello"), Content(root)
    with pytest.raises(SizeMismatch):
        content.read(found, 4)
    with pytest.raises(SizeMismatch):
        content.read(found.replace(size=4), 100)
    Path(content.path(found.digest)).write_bytes(b"hellO")
    with pytest.raises(DigestMismatch):
        content.read(found, 100)
    with pytest.raises(IntegrityError) as caught:
        content.read(found.replace(digest=digest_of(b"x")), 100)
    assert "load the image again" in caught.value.hint


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:../" + "a" * 61,
        "a" * 64,
        None,
        5,
        ["sha256:"],
        "sha256:" + "a" * 63 + "\n",
        "sha512:" + "a" * 128,
    ],
)
def test_digests_by_grammar(digest: object) -> None:
    with pytest.raises(InvalidSpec):
        hex_of(digest)
