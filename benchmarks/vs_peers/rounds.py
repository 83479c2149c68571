"""The ways to measure: rounds of one of each in random order, many at once, very many at once."""

from __future__ import annotations

import random
import sys
import time
from typing import Any

from ..stats import median, median_ratio, quantile, rounded, summarise
from ..suite import OURS, Field
from .clients import Measured

Json = dict[str, Any]
BLOCKS, LEAST_BLOCKS = 5, 2
BLOCK_SECONDS = 25.0
"""When the blocks of one number in flight end though there were fewer."""
BURST_FLIGHT = 32


def interleave(field: Field, rounds: int, seed: int) -> dict[str, list[Measured]]:
    """Every round takes one sample of each row, in an order of its own.

    A row that fails is left out from then on, with all that it gave. The rounds end early when the
    suite's seconds are over.
    """
    order = random.Random(seed)
    found: dict[str, list[Measured]] = {name: [] for name in field.measures}
    deadline = time.monotonic() + field.suite.seconds
    for number in range(-field.suite.warm_up, rounds):
        if number >= field.suite.least and time.monotonic() > deadline:
            break
        for name in order.sample(list(field.measures), len(field.measures)):
            measured = field.measures[name](1, 1)
            if measured.failures:
                field.leave_out(name, f"failed in round {number}: {measured.error}")
                del found[name]
            elif number >= 0:
                found[name].append(measured)
        if sys.stderr.isatty():
            print(f"\r{field.suite.name} {number + 1}/{rounds} ", end="", file=sys.stderr)
    return found


def rows(field: Field, found: dict[str, list[Measured]]) -> list[Json]:
    """The table: figures of each row and its ratio to the base of the same round."""
    samples = {name: [one.samples[0] for one in measured] for name, measured in found.items()}
    base = samples.get(field.suite.base)
    return [
        {
            "name": row.name,
            "label": row.label,
            "kind": row.kind,
            **summarise(samples[row.name]),
            "to_base": median_ratio(samples[row.name], base) if base else None,
            "samples": [rounded(value) for value in samples[row.name]],
            **_memory(found[row.name]),
        }
        for row in field.suite.rows
        if row.name in samples
    ]


def _memory(measured: list[Measured]) -> Json:
    """The most that any of them held, in KiB; nothing where nobody knows."""
    most = max(one.memory for one in measured)
    return {"memory": most} if most else {}


def _block(field: Field, name: str, count: int, flight: int) -> tuple[float, Measured]:
    """One block and its rate; a row that can't even begin counts as failed."""
    measured = field.measures[name](count, flight)
    return len(measured.samples) / max(measured.wall / 1e6, 1e-9), measured


def throughput(field: Field, count: int, seed: int) -> list[Json]:
    """Containers a second, `count` of each row at each number in flight.

    They come in blocks, interleaved in random order as the rounds are.
    """
    order = random.Random(seed)
    names = [row.name for row in field.suite.rows if row.many and row.name in field.measures]
    results: list[Json] = []
    for flight in field.suite.flights:
        rates: dict[str, list[float]] = {name: [] for name in names}
        failures = dict.fromkeys(names, 0)
        each = max(count // BLOCKS, flight)
        deadline = time.monotonic() + BLOCK_SECONDS
        for block in range(BLOCKS):
            if block >= LEAST_BLOCKS and time.monotonic() > deadline:
                break
            for name in order.sample(names, len(names)):
                rate, measured = _block(field, name, each, flight)
                rates[name].append(round(rate, 2))
                failures[name] += measured.failures
        results += [
            {
                "name": name,
                "label": field.suite.row(name).label,
                "kind": field.suite.row(name).kind,
                "in_flight": flight,
                "count": each * len(rates[name]),
                "per_second": round(median(rates[name]), 1),
                "rates": rates[name],
                "failures": failures[name],
            }
            for name in names
        ]
    return results


def burst(field: Field, scale: float) -> list[Json]:
    """Very many starts at BURST_FLIGHT in flight without a pause, one row after the other."""
    results: list[Json] = []
    for name, wanted in field.suite.burst:
        if name not in field.measures:
            continue
        count = max(int(wanted * scale), BURST_FLIGHT)
        rate, measured = _block(field, name, count, BURST_FLIGHT)
        row = field.suite.row(name)
        if measured.failures and row.kind == OURS:
            print(
                f"FAILED: {measured.failures} of {count} {name}: {measured.error}", file=sys.stderr
            )
        samples = measured.samples or [0.0]
        results.append(
            {
                "name": name,
                "label": row.label,
                "kind": row.kind,
                "count": count,
                "in_flight": BURST_FLIGHT,
                "per_second": round(rate, 1),
                "median": rounded(median(samples)),
                "p99": rounded(quantile(samples, 0.99)),
                "failures": measured.failures,
                "error": measured.error,
            }
        )
    return results
