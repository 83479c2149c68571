"""What steps write, made harmless and measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.cli.render.build_text import LONGEST, Splitter, clean, fit, shown, sides, width


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hhome", "home"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x1b]never ends", ""),
        ("\x9b31mred", "red"),
        ("\x1b(Bset", "set"),
        ("a\x1b", "a"),
        ("a\x1b[", "a"),
        ("a\x1b[12", "a"),
        ("bell\x07 \x00", "bell\\x07 \\x00"),
        ("a\tb", "a       b"),
        ("\u202eright to left", "\\u202eright to left"),
        ("你好 é", "你好 é"),
    ],
)
def test_clean(text: str, harmless: str) -> None:
    assert clean(text) == harmless


@given(st.text())
def test_nothing_that_controls_is_left(text: str) -> None:
    assert clean(text).isprintable()


def test_a_long_line_of_unfinished_sequences_is_no_matter() -> None:
    for piece in ("\x1b]", "\x1b[", "\x1bP", "\x1b", "\x1b[1;", "\x9b"):
        assert clean(piece * 300_000).isprintable()


def test_a_bar_shows_its_last_state() -> None:
    assert shown(b"10%\r50%\r100%") == "100%"
    assert shown(b"dos\r") == "dos"
    assert shown(b"\xff\xfe") == "\ufffd\ufffd"


def test_width() -> None:
    assert [width(text) for text in ("abc", "你好", "e\u0301", "é", "")] == [3, 4, 1, 1, 0]
    assert fit("abcdef", 3) == "abc"
    assert fit("你好", 3) == "你"
    assert fit("abc", -1) == ""
    assert fit("你", 0) == ""


@given(st.text(), st.text(max_size=5), st.integers(8, 120))
def test_sides_take_the_whole_line(left: str, right: str, columns: int) -> None:
    right = fit(clean(right), columns)
    line = sides(clean(left), right, columns)
    assert width(line) == columns
    assert line.endswith(right)


def test_lines_of_both_streams_are_apart() -> None:
    splitter = Splitter()
    assert splitter.feed(1, b"a\nb") == [b"a"]
    assert splitter.feed(2, b"error\n") == [b"error"]
    assert splitter.waiting() == b"b"
    assert splitter.feed(1, b"c\n\nd") == [b"bc", b""]
    assert splitter.rest() == [b"d"]
    assert splitter.rest() == []
    assert splitter.waiting() == b""


def test_a_line_without_end_is_cut() -> None:
    splitter = Splitter()
    found = []
    for _ in range(40):
        found += splitter.feed(1, b"x" * 5000)
    found += splitter.rest()
    assert b"".join(found) == b"x" * 200_000
    assert max(map(len, found)) <= LONGEST


def test_a_bar_without_newlines_takes_no_room() -> None:
    splitter = Splitter()
    found = []
    for count in range(20_000):
        found += splitter.feed(1, b"\rloading %d" % count)
    assert len(found) == 0
    assert len(splitter.waiting()) <= LONGEST
    assert shown(splitter.waiting()) == "loading 19999"


@given(st.lists(st.binary(max_size=20), max_size=30))
def test_chunks_make_no_difference(chunks: list[bytes]) -> None:
    splitter, whole = Splitter(), b"".join(chunks)
    found = [line for chunk in chunks for line in splitter.feed(1, chunk)]
    found += splitter.rest()
    assert b"\n".join(found) == whole.removesuffix(b"\n")
