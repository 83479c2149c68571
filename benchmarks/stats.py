"""Order statistics of samples: no means, since one disturbed round would move them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Summary(TypedDict):
    """What a table row shows; all in the samples' unit."""

    count: int
    min: float
    median: float
    p90: float
    p99: float


def quantile(samples: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the samples lie, interpolated."""
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median(samples: Sequence[float]) -> float:
    """The middle of the samples."""
    return quantile(samples, 0.5)


def summarise(samples: Sequence[float]) -> Summary:
    """The figures of a table row."""
    return {
        "count": len(samples),
        "min": round(min(samples), 1),
        "median": round(median(samples), 1),
        "p90": round(quantile(samples, 0.9), 1),
        "p99": round(quantile(samples, 0.99), 1),
    }


def median_ratio(samples: Sequence[float], base: Sequence[float]) -> float:
    """The median over rounds of sample / base of the same round: the machine's drift cancels."""
    return round(median([mine / other for mine, other in zip(samples, base, strict=True)]), 3)
