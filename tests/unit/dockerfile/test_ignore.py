""".dockerignore and globs: docker's semantics, beside a naive matcher, and nothing that blows up."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.dockerfile import glob
from fastbox.dockerfile.ignore import Ignore
from fastbox.errors import DockerfileError


@pytest.mark.parametrize(
    ("patterns", "matching", "other"),
    [
        (["a"], ["a", "a/b", "a/b/c"], ["b/a", "ab", "b"]),
        (["/a/", "./b//c/../d"], ["a", "a/x", "b/d"], ["b", "b/c"]),
        (["*.x"], ["a.x", ".x", "a.x/b"], ["d/a.x", "x"]),
        (["**/*.x"], ["a.x", "d/a.x", "d/e/.x", "d/a.x/b"], ["d/x", "a.xy"]),
        (["**/n"], ["n", "a/n", "a/n/b"], ["an", "a/nb"]),
        (["**n"], ["n", "an", "a/bn"], ["nb"]),
        (["a/**"], ["a/b", "a/b/c"], ["a", "ab"]),
        (["a/**/z"], ["a/z", "a/b/z", "a/b/c/z"], ["az", "b/a/z"]),
        (["a**/z"], ["a/z", "ab/z", "ab/c/z"], ["b/z"]),
        (["**"], ["a", "a/b"], []),
        (["a?c"], ["abc"], ["ac", "a/c"]),
        (["[a-c]x", "[^0-9]y", "\\[z"], ["bx", "ay", "[z"], ["dx", "1y", "z"]),
        (["a", "!a/b"], ["a", "a/c"], ["a/b", "a/b/c"]),
        (["a/*", "!a/b", "a/b/c"], ["a/x", "a/b/c"], ["a", "a/b", "a/b/d"]),
        (["!a", "a"], ["a"], []),
        (["*", "!*.go", "!**/go.mod"], ["x", "d/x"], ["x.go", "d/go.mod"]),
        (["  a  ", "", "! b"], ["a"], ["b"]),
        (["../a", "."], [], ["a"]),
        (["a.c"], ["a.c"], ["abc"]),
    ],
)
def test_patterns(patterns: list[str], matching: list[str], other: list[str]) -> None:
    ignore = Ignore.of(patterns)
    assert [path for path in [*matching, *other] if ignore.matches(path)] == matching


def test_a_file() -> None:
    ignore = Ignore.parse(b"\xef\xbb\xbf# comment\r\na\r\n\r\n #b\n!c\n\xff*\n")
    assert ignore.patterns == (("a", False), ("#b", False), ("c", True), ("\udcff*", False))
    assert ignore.exceptions
    assert ignore.matches("#b")
    assert ignore.matches("\udcffx")


@pytest.mark.parametrize("pattern", ["!", "a[", "a[]", "[-a]", "a\\", "[a-]", "[^]", "x" * 5000])
def test_malformed(pattern: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        Ignore.parse("ok\n" + pattern)
    assert caught.value.where == ".dockerignore"


@pytest.mark.parametrize(
    ("patterns", "held", "pruned"),
    [
        (["a"], [], ["a"]),
        (["a", "!a/b/c"], ["a", "a/b"], ["a/x", "x"]),
        (["a", "!a/b"], ["a", "a/b", "a/b/c"], ["a/c"]),
        (["*", "!src/**/*.py"], ["src", "src/x/y"], ["node_modules", ".git"]),
        (["*", "!**/*.md"], ["anything", "any/thing"], []),
        (["*", "!*.md"], ["x.md"], ["x", "x/y"]),
    ],
)
def test_what_has_to_be_walked(patterns: list[str], held: list[str], pruned: list[str]) -> None:
    ignore = Ignore.of(patterns)
    assert [path for path in [*held, *pruned] if ignore.may_hold(path)] == held


def test_what_docker_warns_of() -> None:
    assert Ignore.of(["a"]).hides("./a/b")
    assert not Ignore.of(["a", "!a/c"]).hides("a/b")
    assert not Ignore.of(["a"]).hides(".")
    assert Ignore.of(["*"]).hides("/")


@pytest.mark.parametrize(
    "pattern", ["*a" * 50 + "b", "**/a" * 50 + "/b", "?*" * 50 + "b", "**a**a**a**a*a*b"]
)
def test_nothing_blows_up(pattern: str) -> None:
    for path in ("a" * 4000, "a/" * 2000, "/" * 4000):
        assert not Ignore.of([pattern]).matches(path)


def test_many_patterns_and_paths() -> None:
    ignore = Ignore.of(
        [*(f"dir{number}/x" for number in range(10_000)), "**/*.o", "*.log", "docs/**/*.md"]
    )
    paths = [f"src/pkg{number % 100}/file{number}.py" for number in range(20_000)]
    assert not any(map(ignore.matches, paths))
    assert ignore.matches("dir9999/x/y")


def as_docker(pattern: str) -> re.Pattern[str]:
    """The regular expression that moby's matcher documents, without its shortcuts."""
    text, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 2
            at += pattern[at : at + 1] == "/"
            text += ".*" if at >= len(pattern) else "(.*/)?"
            continue
        text += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return re.compile(text, re.DOTALL)


names = st.lists(
    st.text(st.sampled_from("ab"), min_size=1, max_size=3), min_size=1, max_size=4
).map("/".join)
globs = st.lists(
    st.text(st.sampled_from("ab*?"), min_size=1, max_size=4).filter(
        lambda part: not part.startswith("**") or part == "**"
    ),
    min_size=1,
    max_size=4,
).map("/".join)


@given(st.lists(st.tuples(st.booleans(), globs), max_size=5), st.lists(names, max_size=8))
def test_beside_a_naive_matcher(patterns: list[tuple[bool, str]], paths: list[str]) -> None:
    ignore = Ignore.of(["!" * exception + pattern for exception, pattern in patterns])
    for path in paths:
        parts = path.split("/")
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        wanted = False
        for exception, pattern in patterns:
            if any(as_docker(pattern).fullmatch(each) for each in above):
                wanted = not exception
        assert ignore.matches(path) == wanted
        for parent in above[:-1]:
            if ignore.matches(parent) and not wanted:
                assert ignore.may_hold(parent)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.go", ["a.go", ".go"], ["d/a.go", "go"]),
        ("d/*/x", ["d/a/x"], ["d/x", "d/a/b/x"]),
        ("a**b", ["ab", "axb"], ["a/b"]),
        ("[]a]", [], []),
        ("[a\\]]?", ["ax", "]x"], ["a", "bx"]),
    ],
)
def test_match(pattern: str, matching: list[str], other: list[str]) -> None:
    if not matching:
        with pytest.raises(ValueError, match="class"):
            glob.match(pattern, "a")
    assert [name for name in [*matching, *other] if glob.match(pattern, name)] == matching


@given(st.text(st.sampled_from("ab*?/"), max_size=8), st.text(st.sampled_from("ab/"), max_size=10))
def test_match_beside_a_naive_matcher(pattern: str, name: str) -> None:
    text = "".join({"*": "[^/]*", "?": "[^/]"}.get(char, char) for char in pattern)
    assert glob.match(pattern, name) == bool(re.fullmatch(text, name))


@given(st.text(st.sampled_from("ab*?[]^-\\!/")), st.text(st.sampled_from("ab-]/")))
def test_any_pattern_is_taken_or_refused(pattern: str, path: str) -> None:
    try:
        ignore = Ignore.of([pattern])
    except DockerfileError:
        return
    ignore.matches(path)
    ignore.may_hold(path)


def test_has_magic() -> None:
    assert [text for text in ("a", "a*", "a?", "[a]", "\\a") if glob.has_magic(text)] == [
        "a*",
        "a?",
        "[a]",
        "\\a",
    ]
