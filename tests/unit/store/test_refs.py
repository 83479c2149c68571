"""Names: one record each, moved without a moment in which an image has none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.errors import IntegrityError, Unsupported
from fastbox.images.reference import familiar
from fastbox.store.content import Descriptor, digest_of
from fastbox.store.refs import Ref, Refs, escape
from fastbox.store.root import Root


def ref(name: str, image: str) -> Ref:
    digest = digest_of(image.encode())
    return Ref(
        reference=name,
        manifest=Descriptor(media_type="m", digest=digest_of(digest.encode()), size=1),
        config=Descriptor(media_type="c", digest=digest, size=2),
        chains=(digest_of(b"layer"),),
        size=3,
        created="2026-01-02T03:04:05Z",
        time="2026-01-02T03:04:05Z",
    )


A, B = "docker.io/library/a:latest", "docker.io/library/b:latest"


def names(refs: Refs) -> list[str]:
    return [found.reference for found in refs.all()[0]]


def test_round_trip_and_index(root: Root) -> None:
    refs = Refs(root)
    refs.assign(ref(A, "one"), ref(B, "one"), familiar=familiar)
    assert refs.get(A) == ref(A, "one")
    index = json.loads(Path(root.path("index.json")).read_bytes())
    named = [
        entry["annotations"]["org.opencontainers.image.ref.name"] for entry in index["manifests"]
    ]
    assert named == ["a:latest", "b:latest"]
    refs.drop(A, A, familiar=familiar)
    assert names(refs) == [B]
    assert refs.get(A) is None


def test_an_image_that_loses_its_name_stays(root: Root) -> None:
    refs, one = Refs(root), ref(A, "one")
    refs.assign(one, familiar=familiar)
    refs.assign(ref(A, "two"), familiar=familiar)
    assert names(refs) == [A, one.config.digest]
    refs.assign(ref(B, "one"), familiar=familiar)
    assert names(refs) == [A, B]
    refs.assign(ref(A, "one"), familiar=familiar)
    assert names(refs) == [A, B, ref(A, "two").config.digest]


def test_a_long_name(root: Root) -> None:
    name = "docker.io/" + "/".join(["a" * 60] * 4) + ":" + "t" * 128
    refs = Refs(root)
    refs.assign(ref(name, "one"), familiar=familiar)
    assert names(refs) == [name]
    assert refs.get(name) is not None


def test_a_tag_that_ends_as_temporary_files_do(root: Root) -> None:
    refs, name = Refs(root), "docker.io/library/a:1.tmp"
    refs.assign(ref(name, "one"), familiar=familiar)
    Path(root.path("refs", "left.1.abc.tmp")).write_bytes(b"{")
    refs.assign(ref(B, "one"), familiar=familiar)
    assert names(refs) == [name, B]
    assert len(os.listdir(root.path("refs"))) == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema":1}',
        b"\0" * 100,
        b'{"schema":true}',
        b'{"schema":1,"reference":[],"image":4}',
    ],
)
def test_a_damaged_record_harms_only_itself(root: Root, data: bytes) -> None:
    refs = Refs(root)
    refs.assign(ref(A, "one"), ref(B, "two"), familiar=familiar)
    Path(root.path("refs", escape(A))).write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        refs.get(A)
    assert A in str(caught.value)
    assert refs.all()[1] == [escape(A)]
    assert names(refs) == [B]
    refs.drop(A, familiar=familiar)
    assert refs.all()[1] == []


def test_a_newer_record(root: Root) -> None:
    Path(root.path("refs", escape(A))).write_bytes(b'{"schema":2}')
    with pytest.raises(Unsupported):
        Refs(root).get(A)


@given(st.lists(st.text(alphabet="ab/.:tmp", min_size=1, max_size=12), unique=True))
def test_escapes_never_collide(texts: list[str]) -> None:
    assert len({escape(text) for text in texts}) == len(texts)
    assert not any("/" in escape(text) or escape(text).endswith(".tmp") for text in texts)


def test_what_a_killed_writer_left_is_mended(root: Root) -> None:
    """Killed between a record and index.json, with its temporary file."""
    refs = Refs(root)
    refs.assign(ref(A, "one"), familiar=familiar)
    index = Path(root.path("index.json"))
    stale = index.read_bytes()
    refs.assign(ref(B, "two"), familiar=familiar)
    right = index.read_bytes()
    index.write_bytes(stale)
    for left in (index.with_name("index.json.1.ab.tmp"), Path(root.path("refs", "x.1.ab.tmp"))):
        left.write_bytes(b"{")
    refs.tidy(familiar=familiar)
    assert index.read_bytes() == right
    assert not [*Path(root.store).glob("*.tmp"), *Path(root.path("refs")).glob("*.tmp")]
    before = index.stat().st_ino
    refs.tidy(familiar=familiar)
    assert index.stat().st_ino == before  # what is right is left alone
