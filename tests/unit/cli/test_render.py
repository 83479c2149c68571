"""Ages, sizes, tables, templates, guesses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.cli import suggest
from fastbox.cli.render import human, table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"), (0.4, "Less than a second"), (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"), (119, "About a minute"), (120, "2 minutes"), (3599, "59 minutes"),
        (3600, "About an hour"), (5400, "2 hours"), (47 * 3600, "47 hours"), (48 * 3600, "2 days"),
        (13 * 86400, "13 days"), (14 * 86400, "2 weeks"), (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"), (730 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_ages(seconds: float, text: str) -> None:
    assert human.age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (4262000, "4.26MB"),
        (999_999, "1MB"),
        (77_800_000, "77.8MB"),
        (10**18, "1EB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert human.size(count) == text


def test_tables_have_dockers_spacing() -> None:
    assert table.lines([["A", "LONG HEADING", "B"], ["aaaaaaaaaaaa", "b", ""]]) == [
        "A              LONG HEADING   B",
        "aaaaaaaaaaaa   b              ",
    ]


def test_a_column_is_as_wide_as_its_neighbours_need() -> None:
    """Rows that lack a column divide it, as in Go's tabwriter."""
    assert table.lines([["a", "b"], ["c"], ["longer than ten", "d"], []]) == [
        "a         b",
        "c",
        "longer than ten   d",
        "",
    ]


@pytest.mark.parametrize(
    ("word", "guess"),
    [("rnu", "run"), ("exce", "exec"), ("imgaes", "images"), ("zzz", ""), ("inspec", "inspect")],
)
def test_guesses(word: str, guess: str) -> None:
    assert suggest.nearest(word, ["run", "exec", "images", "inspect"]) == guess


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_distance_is_symmetric_and_bounded(a: str, b: str) -> None:
    assert suggest.distance(a, b) == suggest.distance(b, a) <= max(len(a), len(b))
    assert (suggest.distance(a, b) == 0) == (a == b)
