"""Documents of images: hostile JSON ends in one clear line, and what is accepted is typed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastbox.errors import FastboxError, InvalidSpec, ResourceExhausted
from fastbox.images import documents
from fastbox.images.documents import OCI_INDEX, OCI_MANIFEST, Platform

DIGEST = "sha256:" + "a" * 64
CONFIG = {"mediaType": documents.OCI_CONFIG, "digest": DIGEST, "size": 2}
LAYER = {"mediaType": documents.OCI_LAYER + "+gzip", "digest": DIGEST, "size": 3}
MANIFEST = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
IMAGE = {
    "architecture": "amd64",
    "os": "linux",
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "config": {"Env": ["A=b"], "Cmd": ["x"], "Labels": {"a": "b"}, "Entrypoint": None},
}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


def changed(base: dict[str, Any], **members: object) -> bytes:
    return encode({k: v for k, v in (base | members).items() if v is not ...})


def test_a_platform_is_shown_in_a_line_whatever_its_author_wrote() -> None:
    assert str(Platform(os="linux", architecture="arm", variant="v7")) == "linux/arm/v7"
    assert str(Platform()) == "unknown"
    assert len(str(Platform(os="x" * 70_000))) == 100


def test_manifest() -> None:
    found = documents.parse_manifest(encode(MANIFEST), OCI_MANIFEST)
    assert found.config.digest == DIGEST
    assert [layer.size for layer in found.layers] == [3]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        b'{"schemaVersion":' + b"9" * 10_000 + b"}",
        b"NaN",
        encode(MANIFEST) + b"x",
        changed(MANIFEST, schemaVersion=1),
        changed(MANIFEST, schemaVersion=True),
        changed(MANIFEST, schemaVersion="2"),
        changed(MANIFEST, mediaType=OCI_INDEX),
        changed(MANIFEST, manifests=[]),
        changed(MANIFEST, layers=...),
        changed(MANIFEST, layers={}),
        changed(MANIFEST, layers=[1]),
        changed(MANIFEST, config=...),
        changed(MANIFEST, config=CONFIG | {"size": -1}),
        changed(MANIFEST, config=CONFIG | {"size": 1.5}),
        changed(MANIFEST, config=CONFIG | {"size": True}),
        changed(MANIFEST, config=CONFIG | {"size": 1 << 63}),
        changed(MANIFEST, config=CONFIG | {"digest": "sha256:../../x"}),
        changed(MANIFEST, config=CONFIG | {"digest": 1}),
        changed(MANIFEST, config=CONFIG | {"digest": "md5:" + "a" * 32}),
        changed(MANIFEST, config=CONFIG | {"mediaType": "application/wasm"}),
        changed(MANIFEST, layers=[LAYER | {"mediaType": "text/plain"}]),
    ],
)
def test_refused_manifests(data: bytes) -> None:
    with pytest.raises(InvalidSpec) as caught:
        documents.parse_manifest(data, OCI_MANIFEST)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_bounds() -> None:
    with pytest.raises(ResourceExhausted):
        documents.parse_manifest(changed(MANIFEST, layers=[LAYER] * 513), OCI_MANIFEST)
    documents.parse_manifest(changed(MANIFEST, layers=[LAYER] * 512), OCI_MANIFEST)
    with pytest.raises(ResourceExhausted):
        documents.parse_index(
            encode({"schemaVersion": 2, "manifests": [CONFIG] * 10_001}), OCI_INDEX
        )


@pytest.mark.parametrize(
    "members",
    [
        {"rootfs": ...},
        {"rootfs": {"type": "x"}},
        {"rootfs": {"type": "layers", "diff_ids": ["../x"]}},
        {"rootfs": {"type": "layers", "diff_ids": {}}},
        {"os": 1},
        {"config": []},
        {"config": {"Env": "x"}},
        {"config": {"Env": ["=x"]}},
        {"config": {"Env": [1]}},
        {"config": {"Cmd": [["x"]]}},
        {"config": {"User": 0}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Volumes": ["/x"]}},
        {"config": {"WorkingDir": "/\0"}},
        {"config": {"Cmd": ["a\0b"]}},
        {"created": 5},
    ],
)
def test_refused_configurations(members: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec):
        documents.parse_config(changed(IMAGE, **members))


def test_configuration() -> None:
    found = documents.parse_config(encode(IMAGE))
    assert found.diff_ids == (DIGEST,)
    assert documents.strings(found.run, "Entrypoint") == ()
    assert documents.parse_config(changed(IMAGE, config=None)).run == {}


def test_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "architecture", lambda: "amd64")
    assert Platform(os="linux", architecture="amd64").fits()
    assert not Platform(os="linux", architecture="arm64", variant="v8").fits()
    assert not Platform(os="linux", architecture="amd64", variant="v3").fits()
    assert not Platform(os="windows", architecture="amd64").fits()
    assert str(Platform()) == "unknown"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
MEMBERS = st.sampled_from(sorted({*MANIFEST, *IMAGE, "manifests", "annotations", "platform"}))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(MEMBERS, JSON), st.sampled_from([MANIFEST, IMAGE, {"schemaVersion": 2}]))
def test_any_json_is_parsed_or_refused(members: dict[str, Any], base: dict[str, Any]) -> None:
    data = changed(base, **members)
    for read in (
        lambda: documents.parse_manifest(data, OCI_MANIFEST),
        lambda: documents.parse_index(data, OCI_INDEX),
        lambda: documents.parse_config(data),
    ):
        with contextlib.suppress(FastboxError):
            read()


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidSpec):
        documents.parse_manifest(data, OCI_MANIFEST)
