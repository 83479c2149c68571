"""Ages, sizes, tables, templates, guesses."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.cli import suggest
from fastbox.cli.render import human, table
from fastbox.cli.render.template import Template, plain
from fastbox.errors import FastboxError, InvalidArgument, Unsupported


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"), ("{{.A}}", "1"), ("x{{ .B.C }}y", "xtruey"),
        ("{{json .B}}", '{"C":true}'),
        ("{{.}}", "map[A:1 B:map[C:true] D:[a b] E:<nil>]"), ("{{.D}}{{.E}}", "[a b]<nil>"),
    ],
)  # fmt: skip
def test_templates(text: str, shown: str) -> None:
    assert Template(text).render({"A": 1, "B": {"C": True}, "D": ["a", "b"], "E": None}) == shown


@pytest.mark.parametrize(
    "text", ["{{.A", "{{range .}}", "{{}}", "{{A}}", "{{json}}", "{{.A..B}}", '{{index . "a"}}']
)
def test_refuses_templates_it_does_not_know(text: str) -> None:
    with pytest.raises((InvalidArgument, Unsupported)):
        Template(text)


@given(st.text(max_size=40))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(FastboxError):
        Template(text).render({"A": 1})


def test_missing_fields_are_named() -> None:
    with pytest.raises(InvalidArgument, match=r"no field .A.B"):
        Template("{{.A.B}}").render({"A": 1})


def test_plain_values() -> None:
    assert plain({"b": 1, "a": [True, None]}) == "map[a:[true <nil>] b:1]"


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
