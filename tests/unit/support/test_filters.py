"""Filters, as docker reads them."""

from __future__ import annotations

import pytest

from fastbox.errors import InvalidArgument
from fastbox.support.filters import Filters

KEYS = ("label", "label!", "until", "dangling")
LABELS = {"a": "1", "b": "", "c": "x=y"}


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        ([], True),
        (["label=a"], True),
        (["label=a=1"], True),
        (["label=a=2"], False),
        (["label=b="], True),
        (["label=c=x=y"], True),
        (["label=a", "label=z"], False),
        (["label!=a"], False),
        (["label!=z"], True),
        (["label!=a=2"], True),
        (["label=a", "label!=b"], False),
    ],
)
def test_labels(texts: list[str], wanted: bool) -> None:
    assert Filters(texts, KEYS).labels_fit(LABELS) is wanted


def test_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 7200 * 10**9)
    assert Filters(["until=1h"], KEYS).until() == 3600 * 10**9
    assert Filters(["until=1970-01-01T00:00:05Z"], KEYS).until() == 5 * 10**9
    assert Filters(["until=17"], KEYS).until() == 17 * 10**9
    assert Filters([], KEYS).until() is None


def test_truth() -> None:
    assert Filters(["dangling=true"], KEYS).truth("dangling") is True
    assert Filters(["dangling=0"], KEYS).truth("dangling") is False
    assert Filters([], KEYS).truth("dangling") is None


@pytest.mark.parametrize("texts", [["x=y"], ["label"]])
def test_refused_at_once(texts: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        Filters(texts, KEYS)


@pytest.mark.parametrize("texts", [["until=soon"], ["until=1h", "until=2h"]])
def test_times_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidArgument):
        Filters(texts, KEYS).until()


def test_truth_refused() -> None:
    with pytest.raises(InvalidArgument):
        Filters(["dangling=maybe"], KEYS).truth("dangling")
