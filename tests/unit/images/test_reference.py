"""The grammar of references, by the distribution project's own cases, and by properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.errors import InvalidReference
from fastbox.images.reference import familiar, parse, parse_tagged

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "normalised", "short"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker/docker", "docker.io/docker/docker", "docker/docker"),
        ("library/debian", "docker.io/library/debian", "debian"),
        ("docker.io/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/library/debian", "docker.io/library/debian", "debian"),
        ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
        ("127.0.0.1:5000/docker/docker", "127.0.0.1:5000/docker/docker", None),
        ("localhost/x", "localhost/x", None),
        ("[::1]:5000/x", "[::1]:5000/x", None),
        ("[fc00::1]/x:y", "[fc00::1]/x:y", None),
        ("Uppercase/lowercase:tag", "Uppercase/lowercase:tag", None),
        ("lowercase:Uppercase", "docker.io/library/lowercase:Uppercase", None),
        ("a__b/c-d.e_f", "docker.io/a__b/c-d.e_f", "a__b/c-d.e_f"),
        ("a---b", "docker.io/library/a---b", None),
        ("docker.io/foo.bar/baz", "docker.io/foo.bar/baz", "docker.io/foo.bar/baz"),
        ("xn--n3h.com/myimage", "xn--n3h.com/myimage", None),
        (f"a@sha256:{HEX}", f"docker.io/library/a@sha256:{HEX}", None),
        (f"a:b@sha256:{HEX}", f"docker.io/library/a:b@sha256:{HEX}", None),
        ("a" * 128 + ":" + "t" * 128, "docker.io/library/" + "a" * 128 + ":" + "t" * 128, None),
        (HEX[:63], "docker.io/library/" + HEX[:63], None),
    ],
)
def test_valid(text: str, normalised: str, short: str | None) -> None:
    found = parse(text)
    assert str(found) == normalised
    assert parse(found.familiar) == found
    if short is not None:
        assert found.familiar == short


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "@",
        "/",
        ":tag",
        "a:",
        "a@",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a._b",
        "a b",
        "a\n",
        "a:b c",
        "a:-b",
        "a:.b",
        "a:" + "t" * 129,
        "a@sha256:" + "f" * 63,
        "a@sha256:" + "F" * 64,
        "a@md5:" + "f" * 32,
        "Uppercase:tag",
        "test:5000/Uppercase/lowercase:tag",
        HEX,
        "a" * 256,
        "https://github.com/docker/docker",
        "-host/x",
        "host-./x",
        "ho_st.com/x",
        "h:p/x",
        "[zz]/x",
        "[]/x",
        "[::1/x",
        "a/../b",
        "../a",
        "a:b:c",
        "a:../x",
        "busybox --rm",
        "\x1b[2J",
        "bäh",
        "a:täg",
        "a\0b",
        "\udcff",
        "docker.io/",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        parse(text)
    assert str(caught.value).isprintable()


def test_uppercase_teaches() -> None:
    with pytest.raises(InvalidReference) as caught:
        parse("BusyBox")
    assert "lower case" in caught.value.what
    assert caught.value.hint == "write library/busybox"


def test_tag_of_a_target() -> None:
    assert str(parse_tagged("x")) == "docker.io/library/x:latest"
    with pytest.raises(InvalidReference):
        parse_tagged(f"x@sha256:{HEX}")
    assert familiar("sha256:" + HEX) == "sha256:" + HEX


def check(text: str) -> None:
    try:
        found = parse(text)
    except InvalidReference:
        return
    assert parse(str(found)) == found
    assert parse(found.familiar) == found
    assert ".." not in str(found).split("/")


@given(st.text())
def test_anything_is_a_reference_or_refused(text: str) -> None:
    check(text)


@given(st.text(alphabet="aA0._-/:@[]", max_size=24))
def test_close_to_the_grammar(text: str) -> None:
    check(text)
