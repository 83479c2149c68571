"""--build-context."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastbox.builder.named import NamedContext, open_named, parse_named
from fastbox.errors import InvalidArgument, NotFound, Unsupported
from tests.unit.builder.conftest import fill


def parsed(value: str) -> NamedContext:
    return parse_named({"Base": value})["base"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("docker-image://alpine:3", {"kind": "image", "value": "alpine:3"}),
        ("docker-image://scratch", {"kind": "image", "value": "scratch"}),
        ("oci-layout://dir", {"kind": "layout", "value": "dir"}),
        ("oci-layout:///a/b:v1", {"kind": "layout", "value": "/a/b", "tag": "v1"}),
        ("oci-layout://a:1/b", {"kind": "layout", "value": "a:1/b"}),
        ("oci-layout:///a@sha256:12", {"kind": "layout", "value": "/a", "digest": "sha256:12"}),
        ("https://host/x.git#v1", {"kind": "git", "value": "https://host/x.git#v1"}),
        ("git@host:x", {"kind": "git", "value": "git@host:x"}),
        ("https://host/x.tar", {"kind": "http", "value": "https://host/x.tar"}),
        ("/", {"kind": "directory", "value": "/"}),
    ],
)
def test_kinds(value, expected) -> None:
    assert parsed(value) == NamedContext(name="base", **expected)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("", "/", InvalidArgument),
        ("a b", "/", InvalidArgument),
        ("a", "", InvalidArgument),
        ("a", "docker-image://", InvalidArgument),
        ("a", "/none", NotFound),
        ("a", "target:stage", Unsupported),
        ("a", "file:///etc", Unsupported),
    ],
)
def test_what_can_not_be_one(name, value, kind) -> None:
    with pytest.raises(kind):
        parse_named({name: value})


def test_none() -> None:
    assert parse_named(None) == {}


def test_a_directory_has_an_ignore_file_of_its_own(work, tmp_path: Path) -> None:
    place = fill(tmp_path / "place", {"a": "", "b": "", ".dockerignore": "b\n.*"})
    with open_named(parsed(str(place)), work) as context:
        assert [found.path for found in context.tree.below("")] == ["a"]
        root = context.root
    (place / ".dockerignore").unlink()
    with open_named(parsed(str(place)), work) as context:
        assert [found.path for found in context.tree.below("")] == ["a", "b"]
        assert context.root == root


def test_an_image_is_no_directory(work) -> None:
    with pytest.raises(InvalidArgument):
        open_named(parsed("docker-image://x"), work)
