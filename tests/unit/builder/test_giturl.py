"""Addresses of git repositories."""

from __future__ import annotations

import pytest

from fastbox.builder.giturl import Repository, parse_git, redacted
from fastbox.errors import InvalidArgument

HTTPS = "https://host/u/x.git"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HTTPS, {"remote": HTTPS}),
        (f"{HTTPS}#v1", {"remote": HTTPS, "ref": "v1"}),
        (f"{HTTPS}#v1:a/b", {"remote": HTTPS, "ref": "v1", "subdir": "a/b"}),
        (f"{HTTPS}#:a", {"remote": HTTPS, "subdir": "a"}),
        (f"{HTTPS}#v:../../etc", {"remote": HTTPS, "ref": "v", "subdir": "etc"}),
        (f"{HTTPS}#feature/x", {"remote": HTTPS, "ref": "feature/x"}),
        (f"{HTTPS}?ref=v1&subdir=a", {"remote": HTTPS, "ref": "v1", "subdir": "a"}),
        (f"{HTTPS}?tag=v1", {"remote": HTTPS, "ref": "refs/tags/v1"}),
        (f"{HTTPS}?branch=b", {"remote": HTTPS, "ref": "refs/heads/b"}),
        (f"{HTTPS}?ref=v1#v1", {"remote": HTTPS, "ref": "v1"}),
        (f"{HTTPS}?commit=0123abc", {"remote": HTTPS, "checksum": "0123abc"}),
        (f"{HTTPS}?keep-git-dir", {"remote": HTTPS, "keep_git_dir": True}),
        (f"{HTTPS}?keep-git-dir=0", {"remote": HTTPS, "keep_git_dir": False}),
        (f"{HTTPS}?submodules=false", {"remote": HTTPS, "submodules": False}),
        ("git@host:u/x", {"remote": "git@host:u/x"}),
        ("git@host:u/x.git#v1:d", {"remote": "git@host:u/x.git", "ref": "v1", "subdir": "d"}),
        ("git@host:x?ref=v", {"remote": "git@host:x", "ref": "v"}),
        ("git://host/x", {"remote": "git://host/x"}),
        ("ssh://git@host:22/x#v", {"remote": "ssh://git@host:22/x", "ref": "v"}),
        ("http://host/x.git", {"remote": "http://host/x.git"}),
        ("github.com/u/x#v", {"remote": "https://github.com/u/x", "ref": "v"}),
    ],
)  # fmt: skip
def test_what_they_say(text, expected) -> None:
    assert parse_git(text, short=True) == Repository(**expected)


@pytest.mark.parametrize(
    "text",
    ["https://host/x", "https://host/x.tar.gz", "dir", "./x.git", "../git@host:x", "/a:b", "a:b",
     "ftp://host/x.git", "file:///x.git", "host:x", "-u@host:x", "u@-oProxyCommand=x:y", "", "-",
     "ext::sh -c x", "u@host:"],
)  # fmt: skip
def test_what_is_none(text) -> None:
    assert parse_git(text) is None


def test_the_short_form_is_for_contexts_only() -> None:
    assert parse_git("github.com/u/x") is None


@pytest.mark.parametrize(
    "text",
    [f"{HTTPS}#--upload-pack=x", f"{HTTPS}#a..b", f"{HTTPS}#a b", f"{HTTPS}#a*", f"{HTTPS}#a^",
     f"{HTTPS}#\n", f"{HTTPS}?tag=v&branch=b", f"{HTTPS}?ref=a&ref=b", f"{HTTPS}?ref=a#b",
     f"{HTTPS}?unknown=1", f"{HTTPS}?ref=", f"{HTTPS}?subdir=a#:b", f"{HTTPS}?checksum=xyz",
     f"{HTTPS}?checksum=123", f"{HTTPS}?submodules=maybe", "ssh://-oProxyCommand=x/y",
     "ssh://user@-oProxyCommand=x/y", "https:///x.git", "git@host:x#-v", f"{HTTPS}#{'a' * 9000}",
     "git://host/x\x1b[2J"],
)  # fmt: skip
def test_what_can_not_be(text) -> None:
    with pytest.raises(InvalidArgument):
        parse_git(text)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host/x.git", "https://user:xxxxx@host/x.git"),
        ("https://u@host/x", "https://u@host/x"),
        ("https://u:a@b@host/x@y", "https://u:xxxxx@host/x@y"),
        ("git@host:x", "git@host:x"),
        ("-", "-"),
    ],
)
def test_passwords_are_not_shown(address, shown) -> None:
    assert redacted(address) == shown
