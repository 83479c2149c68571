"""Numbers as people write them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox import units
from fastbox.types import Ulimit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("1024", 1024), ("64m", 64 << 20), ("64M", 64 << 20), ("64MB", 64 << 20),
        ("64MiB", 64 << 20), ("1.5g", 3 << 29), ("0.5k", 512), ("10b", 10), ("2t", 2 << 40),
        (".5k", 512), ("1p", 1 << 50),
    ],
)  # fmt: skip
def test_sizes(text: str, value: int) -> None:
    assert units.size(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "-1",
        "+1",
        "1e3",
        "64x",
        "6 4",
        "1.",
        "64mm",
        "64ki",
        "ib",
        "0x10",
        "inf",
        "nan",
        "\u0661",
        "8192p",
        "1,5g",
        "1_0",
    ],
)
def test_refuses_what_is_not_a_size(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        units.size(text)


@given(st.integers(0, units.MAX_SIZE))
def test_every_count_of_bytes_is_a_size(value: int) -> None:
    assert units.size(str(value)) == value


@pytest.mark.parametrize(
    "parse",
    [
        units.size,
        units.duration,
        units.cpus,
        units.ulimit,
        units.octal_mode,
        units.instant,
    ],
)
@given(text=st.text(max_size=30))
def test_anything_is_a_value_or_a_value_error(parse, text: str) -> None:  # type: ignore[no-untyped-def]
    try:
        parse(text)
    except ValueError as error:
        assert "\n" not in str(error)  # noqa: PT017
        assert str(error)[:1].islower()  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "value"),
    [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("1.5s", 1.5), ("2us", 2e-6), ("0s", 0)],
)
def test_durations(text: str, value: float) -> None:
    assert units.duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "-1s", "1 s", "1s2", "1..5s"])
def test_refuses_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        units.duration(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0.5", 0.5), ("2", 2), (".25", 0.25), ("0", 0), ("1.125", 1.125)]
)
def test_cpus(text: str, value: float) -> None:
    assert units.cpus(text) == value


@pytest.mark.parametrize("text", ["", "-1", "0.0001", "9000", "1e3", "two", "1."])
def test_refuses_what_is_not_a_number_of_cpus(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        units.cpus(text)


@pytest.mark.parametrize(
    ("text", "soft", "hard"),
    [
        ("nofile=1024:2048", 1024, 2048),
        ("nofile=7", 7, 7),
        ("core=0", 0, 0),
        ("memlock=-1", -1, -1),
        ("stack=5:-1", 5, -1),
    ],
)
def test_ulimits(text: str, soft: int, hard: int) -> None:
    assert units.ulimit(text) == Ulimit(name=text.partition("=")[0], soft=soft, hard=hard)


@pytest.mark.parametrize(
    "text",
    ["", "nofile", "nofile=", "nofile=2:1", "files=1", "nofile=-1:5", "nofile=1:2:3", "nofile=-2"],
)
def test_refuses_what_is_not_a_ulimit(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        units.ulimit(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1777", 0o1777), ("0755", 0o755), ("7", 7), ("07777", 0o7777)]
)
def test_modes(text: str, value: int) -> None:
    assert units.octal_mode(text) == value


@pytest.mark.parametrize("text", ["", "8", "0o7", "10000", "-7", "0000000"])
def test_refuses_what_is_not_a_mode(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        units.octal_mode(text)


@given(st.datetimes(min_value=datetime.datetime(1970, 1, 1), timezones=st.timezones()))
def test_instants_are_those_of_the_calendar(moment: datetime.datetime) -> None:
    offset = moment.utcoffset()
    assert offset is not None
    if offset % datetime.timedelta(minutes=1):
        return  # RFC 3339 has no seconds in an offset
    microseconds = (
        moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    ) // datetime.timedelta(microseconds=1)
    assert units.instant(moment.isoformat()) == microseconds * 1000


def test_instants_in_other_forms() -> None:
    assert units.instant("2026-01-02T03:04:05.123456789Z") == 1767323045123456789
    assert units.instant("2026-01-02") == units.instant("2026-01-02T00:00Z")
    assert units.instant("1767323045.5") == 1767323045500000000
