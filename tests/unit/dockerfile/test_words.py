"""Words: variables, quotes, escapes, patterns; beside bash where both agree."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbox.dockerfile import words
from fastbox.dockerfile.wordpatterns import Pattern

ENV = {"A": "aabbab", "B": "x  y", "EMPTY": "", "P": "/usr/lib/x.tar.gz", "한": "글"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("plain", "plain"),
        ("$A.${A}", "aabbab.aabbab"),
        ("$NONE-", "-"),
        ("${EMPTY:-d}${EMPTY-d}${NONE-e}", "de"),
        ("${A:+w}${EMPTY:+w}${EMPTY+v}${NONE+u}", "wv"),
        ("${A:?no}${EMPTY?no}", "aabbab"),
        ("${NONE:-${EMPTY:-$A}}", "aabbab"),
        ("${NONE:-\"$B\"'$A'}", "x  y$A"),
        ("'$A' \"$A\" \"'$A'\" \\$A", "$A aabbab 'aabbab' $A"),
        (r'"\a\"\$\\" \a', r'\a"$\ a'),
        ("end\\", "end"),
        ("$ $. $1x $@y ${1}z", "$ $. x y z"),
        (
            "${P#*/}|${P##*/}|${P%.*}|${P%%.*}",
            "usr/lib/x.tar.gz|x.tar.gz|/usr/lib/x.tar|/usr/lib/x",
        ),
        ("${A#a?}|${A##a*b}|${A%?b}|${A%%a*}|${A#x}", "bbab||aabb||aabbab"),
        (
            "${A/b/X}|${A//b/X}|${A/a*b/-}|${A//?b/-}|${P//\\//:}",
            "aaXbab|aaXXaX|-|a-b-|:usr:lib:x.tar.gz",
        ),
        ("${A//ab}", "error"),
        ("${한}", "글"),
        ("$한국", ""),
        ("<<", "<<"),
        ("'", "error"),
        ('"x', "error"),
        ("${", "error"),
        ("${A", "error"),
        ("${}", "error"),
        ("${:-x}", "error"),
        ("${.}", "error"),
        ("${A:=x}", "error"),
        ("${A:#x}", "error"),
        ("${A@Q}", "error"),
        ("${NONE:?}", "error"),
        ("${EMPTY:?}", "error"),
        ("${A#\\a}", "error"),
    ],
)
def test_expand(text: str, wanted: str) -> None:
    if wanted == "error":
        with pytest.raises(ValueError, match=r"\w"):
            words.expand(text, ENV)
    else:
        assert words.expand(text, ENV) == wanted


def test_a_backtick_as_escape() -> None:
    assert words.expand('a\\b`$A`` "`$A"', ENV, "`") == "a\\b$A` $A"


def test_the_reason_of_a_required_variable() -> None:
    with pytest.raises(ValueError, match="NONE: give x  y"):
        words.expand("${NONE:?give $B}", ENV)


def test_names_that_are_looked_up() -> None:
    used: set[str] = set()
    missing: set[str] = set()
    words.expand("$A ${X:-$B} '$Y' \\$Z ${W/a/b}", ENV, used=used, missing=missing)
    assert (used, missing) == ({"A", "B"}, {"X", "W"})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a b\tc ", ["a", "b", "c"]),
        ("a$B'c d'", ["ax", "yc d"]),
        ('"$B" ""', ["x  y"]),
        ("a\\ b", ["a b"]),
        ("<<  EOF x", ["<<  EOF", "x"]),
        ("${NONE:-p q}", ["p", "q"]),
        ("1${NONE:-2}3", ["123"]),
        ("", []),
    ],
)
def test_split(text: str, wanted: list[str]) -> None:
    assert words.split(text, ENV) == wanted


def test_documents_have_no_quotes() -> None:
    text = "'$A' \"${NONE:-x}\" \\$A \\\\ it's"
    assert words.expand_document(text, ENV) == "'aabbab' \"x\" $A \\ it's"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${A:-" * 10_000, "nested"),
        ("${A:-" * 1000 + "x" + "}" * 1000, "nested"),
        ('"${A:-' * 10_000, "nested"),
        ("$BIG" * 20, "Mi"),
        ("${BIG//x/yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy}", "Mi"),
        ("${A#" + "?" * 5000 + "}", "4096"),
    ],
)
def test_hostile_texts_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        words.expand(text, {"A": "", "BIG": "x" * (1 << 20)})


def test_long_texts_are_no_trouble() -> None:
    assert len(words.expand("a" * (1 << 20) + "$A", ENV)) == (1 << 20) + 6
    value = {"V": "ab" * (1 << 19)}
    assert words.expand("${V%%" + "*a?" * 300 + "c}", value) == value["V"]
    assert words.expand("${V//?c/x}", value) == value["V"]


shell_text = st.recursive(
    st.text(st.sampled_from("abx."), min_size=1, max_size=3),
    lambda inner: st.builds(
        "{}{}".format,
        inner,
        st.one_of(
            st.sampled_from(
                ["$A", "${B}", "$NONE ", "'$A'", "\\$", '"a\\b"', '"\\$x"', "' '", '" "']
            ).filter(lambda text: not text.endswith(" ") or text[0] in "'\""),
            st.builds(
                "${{{}{}{}}}".format,
                st.sampled_from(["A", "B", "EMPTY", "NONE"]),
                st.sampled_from([":-", "-", ":+", "+"]),
                inner,
            ),
            st.builds(
                "${{{}{}{}}}".format,
                st.sampled_from(["A", "B", "NONE", "P"]),
                st.sampled_from(["#", "##", "%", "%%"]),
                st.text(st.sampled_from("ab*?./"), min_size=1, max_size=4),
            ),
            st.builds(
                "${{{}{}{}/{}}}".format,
                st.sampled_from(["A", "NONE"]),
                st.sampled_from(["/", "//"]),
                st.text(st.sampled_from("ab?"), min_size=1, max_size=3),
                st.text(st.sampled_from("xy"), max_size=2),
            ),
            st.builds('"{}"'.format, inner.filter(lambda text: not set(text) & set("'\"\\"))),
        ),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(shell_text, min_size=1, max_size=30))
def test_as_bash_has_it(texts: list[str]) -> None:
    script = "".join(f"x={text}; printf '%s\\n' \"$x\"\n" for text in texts)
    env = {name: ENV[name] for name in ("A", "B", "EMPTY", "P")}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=env, capture_output=True, text=True, check=True
    )
    assert [words.expand(text, env) for text in texts] == done.stdout.split("\n")[:-1]


@given(
    st.text(st.sampled_from("ab*?"), max_size=6),
    st.text(st.sampled_from("abc"), max_size=12),
    st.booleans(),
)
def test_trimming_beside_a_naive_search(pattern: str, value: str, greedy: bool) -> None:
    def fits(text: str, rest: str) -> bool:
        if not rest:
            return not text
        if rest[0] == "*":
            return any(fits(text[cut:], rest[1:]) for cut in range(len(text) + 1))
        return bool(text) and rest[0] in ("?", text[0]) and fits(text[1:], rest[1:])

    ends = [end for end in range(len(value) + 1) if fits(value[:end], pattern)]
    begins = [begin for begin in range(len(value) + 1) if fits(value[begin:], pattern)]
    made = Pattern(pattern)
    assert made.without_prefix(value, greedy) == (
        value[ends[-1 if greedy else 0] :] if ends else value
    )
    assert made.without_suffix(value, greedy) == (
        value[: begins[0 if greedy else -1]] if begins else value
    )


@given(st.text(st.sampled_from("ab$A{}:-+?#%/'\"\\<* ")))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    for work in (words.expand, words.split, words.expand_document):
        try:
            work(text, ENV)
        except ValueError:
            continue
