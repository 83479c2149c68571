"""The two ways to measure: rounds of one of each in random order, and many at once."""

from __future__ import annotations

import random
import sys
from typing import Any

from ..stats import median, median_ratio, summarise
from .clients import Measured
from .peers import Field, Peer

Json = dict[str, Any]


def _once(peer: Peer) -> Measured:
    measured = peer.measure(1, 1)
    if measured.failures:
        raise RuntimeError(f"{peer.name}: {measured.error}")
    return measured


def interleave(field: Field, rounds: int, warm_up: int, seed: int) -> dict[str, list[Measured]]:
    """Every round starts one container of each peer, in an order of its own."""
    order = random.Random(seed)
    found: dict[str, list[Measured]] = {peer.name: [] for peer in field.peers}
    for number in range(-warm_up, rounds):
        for peer in order.sample(field.peers, len(field.peers)):
            measured = _once(peer)
            if number >= 0:
                found[peer.name].append(measured)
        if sys.stderr.isatty():
            print(f"\rround {number + 1} of {rounds} ", end="", file=sys.stderr)
    return found


def rows(field: Field, found: dict[str, list[Measured]]) -> list[Json]:
    """The table: figures of each peer and its ratio to the floor of the same round."""
    samples = {name: [one.samples[0] for one in measured] for name, measured in found.items()}
    return [
        {
            "name": peer.name,
            "label": peer.label,
            **summarise(samples[peer.name]),
            "to_floor": median_ratio(samples[peer.name], samples["floor"]),
            "samples": [round(value, 1) for value in samples[peer.name]],
        }
        for peer in field.peers
    ]


def floor_stages(measured: list[Measured]) -> dict[str, float]:
    """The floor's own medians, stage by stage."""
    names = measured[0].stages
    return {name: round(median([one.stages[name][0] for one in measured]), 1) for name in names}


def throughput(field: Field, count: int, flights: list[int], seed: int) -> list[Json]:
    """Containers a second, `count` of each peer at each number in flight; peers in random order."""
    order = random.Random(seed)
    peers = [peer for peer in field.peers if peer.loaded]
    results: list[Json] = []
    for flight in flights:
        for peer in order.sample(peers, len(peers)):
            measured = peer.measure(count, flight)
            rate = len(measured.samples) / (measured.wall / 1e6)
            row = {"name": peer.name, "label": peer.label, "in_flight": flight, "count": count}
            results.append({**row, "per_second": round(rate, 1), "failures": measured.failures})
    return results
