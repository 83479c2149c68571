"""Times as --since and --until take them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from fastbox.support import moments

AT = 1767323045  # 2026-01-02T03:04:05Z


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch):
    """A zone of one hour ahead in winter and two in summer."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-02T03:04:05Z", AT),
        ("2026-01-02T03:04:05.250Z", AT + 0.25),
        ("2026-01-02T04:04:05+01:00", AT),
        ("2026-01-01T22:04:05-05:00", AT),
        ("2026-01-02T04:04:05", AT),
        ("2026-01-02T04:04", AT - 5),
        ("2026-01-02T04", AT - 245),
        ("2026-01-02", 1767308400),
        ("2026-07-02T04:04:05.5", 1782957845.5),
        ("1767323045", AT),
        ("1767323045.25", AT + 0.25),
    ],
)
def test_absolute(text: str, seconds: float) -> None:
    assert moments.parse(text) == int(seconds * 1000) * 1_000_000


@pytest.mark.parametrize(
    ("text", "back"),
    [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("100ms", 0.1), ("-10m", -600), ("+1h", 3600)],
)
def test_relative(monkeypatch: pytest.MonkeyPatch, text: str, back: float) -> None:
    monkeypatch.setattr("time.time_ns", lambda: AT * 10**9)
    assert moments.parse(text) == AT * 10**9 - int(back * 10**9)


@pytest.mark.parametrize("text", ["", "yesterday", "10", "10x", "2026-13-01", "1h-", "--5m", "m"])
def test_no_times(text: str) -> None:
    if text == "10":
        assert moments.parse(text) == 10 * 10**9
        return
    with pytest.raises(ValueError, match="not "):
        moments.parse(text)


def test_python_values() -> None:
    aware = datetime(2026, 1, 2, 3, 4, 5, 250, UTC)
    assert moments.nanoseconds(aware) == AT * 10**9 + 250_000
    assert moments.nanoseconds(datetime(2026, 1, 2, 4, 4, 5)) == AT * 10**9
    assert moments.nanoseconds(AT) == moments.nanoseconds(float(AT)) == AT * 10**9
