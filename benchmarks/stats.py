"""Order statistics of samples: no means, since one disturbed round would move them."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import TypedDict

MAD_TO_SIGMA = 1.4826
RESAMPLES = 2000


class Summary(TypedDict):
    """What a table row shows; all in the samples' unit but `spread`, a share of the median."""

    count: int
    min: float
    median: float
    p90: float
    p99: float
    spread: float


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


def spread(samples: Sequence[float]) -> float:
    """The median distance from the median, as a normal distribution's sigma, over the median."""
    middle = median(samples)
    distances = [abs(sample - middle) for sample in samples]
    return MAD_TO_SIGMA * median(distances) / middle if middle else 0.0


def rounded(value: float) -> float:
    """To four digits or more: what a sample is worth keeping of."""
    return round(value, 1 if value >= 1000 else 4)


def summarise(samples: Sequence[float]) -> Summary:
    """The figures of a table row."""
    return {
        "count": len(samples),
        "min": rounded(min(samples)),
        "median": rounded(median(samples)),
        "p90": rounded(quantile(samples, 0.9)),
        "p99": rounded(quantile(samples, 0.99)),
        "spread": round(spread(samples), 4),
    }


def ratios(samples: Sequence[float], base: Sequence[float]) -> list[float]:
    """Sample / base of the same round: the machine's drift cancels."""
    return [mine / other for mine, other in zip(samples, base, strict=True)]


def median_ratio(samples: Sequence[float], base: Sequence[float]) -> float:
    """The median over rounds of sample / base of the same round."""
    return round(median(ratios(samples, base)), 3)


@functools.cache
def _middles(count: int, seed: int) -> list[int]:
    """Where in the order the medians of RESAMPLES resamples of `count` samples are."""
    source, shape = random.Random(seed), (count + 1) / 2
    places = (int(count * source.betavariate(shape, shape)) for _ in range(RESAMPLES))
    return [min(place, count - 1) for place in places]


def resampled_medians(samples: Sequence[float], seed: int) -> list[float]:
    """The medians of RESAMPLES bootstrap resamples, without making them.

    The middle of n uniform numbers has the distribution Beta((n + 1) / 2, (n + 1) / 2), and a
    resample's median is the sample at that share of the order: exactly for an odd n.
    """
    ordered = sorted(samples)
    return [ordered[place] for place in _middles(len(ordered), seed)]


def interval(
    new: Sequence[float], old: Sequence[float], *, confidence: float
) -> tuple[float, float, float]:
    """median(new) / median(old), and its bootstrap interval: (estimate, low, high).

    Each side is resampled with its own size; the same input gives the same answer.
    """
    found = sorted(ratios(resampled_medians(new, 0), resampled_medians(old, 1)))
    tail = (1 - confidence) / 2
    return median(new) / median(old), quantile(found, tail), quantile(found, 1 - tail)
