"""Forms of arguments, mounts and ports by themselves."""

from __future__ import annotations

from typing import Any

import pytest

from fastbox.dockerfile import arguments
from fastbox.dockerfile.mounts import mount
from fastbox.dockerfile.ports import exposed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("a\xa0b c", ["a\xa0b", "c"]),
        ("'a b'", ["'a", "b'"]),
    ],
)
def test_blank_words(text: str, wanted: list[str]) -> None:
    assert arguments.blank_words(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a='b c' d", ["a='b c'", "d"]),
        ('a="b \\" c" d', ['a="b \\" c"', "d"]),
        ("a=b\\ c", ["a=b\\ c"]),
        ("'\\' x", ["'\\'", "x"]),
        ("a=' b", ["a=' b"]),
        ("a\\", ["a"]),
        ("", []),
    ],
)
def test_quoted_words(text: str, wanted: list[str]) -> None:
    assert arguments.quoted_words(text, "\\") == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a,b", ["a", "b"]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b"', ['a"b']),
        ("", [""]),
        ("a,", ["a", ""]),
        ('a"b,c', ['a"b', "c"]),
    ],
)
def test_csv(text: str, wanted: list[str]) -> None:
    assert arguments.csv(text) == wanted


@pytest.mark.parametrize("text", ['"a', '"a"b', '"a""'])
def test_csv_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quoted field"):
        arguments.csv(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("target=/x", {"kind": "bind", "target": "/x", "read_only": True}),
        (
            "type=bind,dst=/x,rw,from=stage,src=/y",
            {"read_only": False, "from_": "stage", "source": "/y"},
        ),
        (
            "TYPE=Cache,target=/x,id=i,sharing=private,ro",
            {"kind": "cache", "id": "i", "sharing": "private", "read_only": True},
        ),
        ("type=tmpfs,target=/x,size=1m", {"kind": "tmpfs", "size": 1 << 20, "read_only": False}),
        (
            "type=cache,target=/x,mode=0700,uid=1,gid=2,readonly=false",
            {"mode": 0o700, "uid": 1, "gid": 2, "read_only": False},
        ),
        ("type=secret,id=k,required,env=K", {"id": "k", "required": True, "env": "K"}),
        ("type=secret,target=/a/k", {"id": "k", "target": "/a/k", "env": ""}),
        ("type=secret,src=k,env=", {"id": "k", "env": "k"}),
        ("type=ssh,id=x,required=true", {"kind": "ssh", "id": "x", "required": True}),
        ("type=cache", {"target": ""}),
    ],
)
def test_mounts(text: str, wanted: dict[str, Any]) -> None:
    found = mount(text, str)
    assert {name: getattr(found, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    "text",
    [
        "type=x", "x=y", "target", "type=bind,target=/", "type=bind,target=/a/..", "type=bind,size=1,target=/x",
        "type=bind,mode=1,target=/x", "type=bind,sharing=locked,target=/x", "type=cache,required,target=/x",
        "type=secret", "type=secret,id=a,src=b", "type=secret,id=a,from=b", "from=$x,target=/x", "type=cache,uid=-1",
        "type=cache,mode=9", "ro=maybe", "type=tmpfs,size=x,target=/x", '"target=/x', "type=ssh,env=A", "sharing=x",
    ],
)  # fmt: skip
def test_mounts_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        mount(text, str)


def test_a_mount_with_variables_waits() -> None:
    found = mount("type=$T,uid=$U,target=$X,required")
    assert (found.uid, found.target, found.kind) == (None, "$X", "bind")


@pytest.mark.parametrize(
    ("word", "names", "mapped"),
    [
        ("80", ["80/tcp"], False),
        ("80-82/UDP", ["80/udp", "81/udp", "82/udp"], False),
        ("1:2", ["2/tcp"], True),
        ("127.0.0.1:1-2:3-4/sctp", ["3/sctp", "4/sctp"], True),
        ("[::1]:1:2", ["2/tcp"], True),
        ("127.0.0.1::2", ["2/tcp"], True),
    ],
)
def test_ports(word: str, names: list[str], mapped: bool) -> None:
    found = exposed(word)
    assert (found.names(), found.mapped) == (names, mapped)


@pytest.mark.parametrize(
    "word", ["", "0", "65536", "x", "80/x", "2-1", "-1", "1-", "a:1:2", "1-2:3-5", "1:2:3:4", "٣"]
)
def test_ports_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        exposed(word)
