"""Results that were never measured: rounds of a machine with noise, load and outliers."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.stats import median, median_ratio, summarise
from benchmarks.suite import Suite

Json = dict[str, Any]
COSTS = {"base": 3000.0, "ours": 4400.0, "peer": 25000.0}


def samples(seed: int, cost: float, load: list[float], noise: float) -> list[float]:
    """One row: the round's load is everybody's, the noise its own; one sample in 20 is far off."""
    source = random.Random(seed)
    found = []
    for of_round in load:
        far = source.uniform(2, 6) if source.random() < 0.05 else 1.0
        found.append(cost * of_round * far * source.lognormvariate(0, noise))
    return found


def suite_result(
    suite: Suite,
    seed: int = 1,
    *,
    rounds: int = 80,
    machine: float = 1.0,
    noise: float = 0.12,
    factors: dict[str, float] | None = None,
) -> Json:
    """A suite's part of a result: each row's cost times its factor, and `machine` for all."""
    source = random.Random(seed)
    load = [machine * source.lognormvariate(0, 0.2) for _ in range(rounds)]
    costs = {row.name: COSTS[row.kind] * (factors or {}).get(row.name, 1.0) for row in suite.rows}
    made = {
        name: samples(seed * 1000 + place, cost, load, noise)
        for place, (name, cost) in enumerate(costs.items())
    }
    rows = [
        {
            "name": row.name,
            "label": row.label,
            "kind": row.kind,
            **summarise(made[row.name]),
            "to_base": median_ratio(made[row.name], made[suite.base]),
            "samples": made[row.name],
            **({"memory": 30 << 10} if suite.resident else {}),
        }
        for row in suite.rows
    ]
    result: Json = {"base": suite.base, "rounds": rounds, "busy": 0.01, "rows": rows, "missing": []}
    result["load"] = {"before": [0.1, 0.1, 0.1], "after": [1.1, 0.5, 0.2]}
    result["throughput"] = throughput(suite, source, machine, costs)
    result["burst"] = burst(suite, costs)
    return result


def throughput(
    suite: Suite, source: random.Random, machine: float, costs: dict[str, float]
) -> list[Json]:
    """Five blocks of each row that takes part."""
    found = []
    for flight in suite.flights:
        for row in (row for row in suite.rows if row.many):
            rate = 1e6 / costs[row.name] / machine
            rates = [rate * source.lognormvariate(0, 0.03) for _ in range(5)]
            head = {"name": row.name, "label": row.label, "kind": row.kind, "in_flight": flight}
            figures = {"count": 100, "per_second": median(rates), "rates": rates, "failures": 0}
            found.append({**head, **figures})
    return found


def burst(suite: Suite, costs: dict[str, float]) -> list[Json]:
    """Every row of the suite's burst, without a failure."""
    found = []
    for name, count in suite.burst:
        row = suite.row(name)
        head = {"name": name, "label": row.label, "kind": row.kind, "count": count}
        rate = {"in_flight": 32, "per_second": 1e6 / costs[name], "median": costs[name]}
        found.append({**head, **rate, "p99": costs[name] * 3, "failures": 0, "error": ""})
    return found


def run(*suites: Suite, taken: str = "2026-01-02T03:04:05Z", **wishes: Any) -> Json:
    """A whole result."""
    host = {"kernel": "6.18", "cpus": 2, "model": "a processor", "memory": "1 kB"}
    host |= {"cgroups": "v2", "file_system": "ext4", "python": "3.11"}
    head: Json = {"schema": 2, "machine": host, "taken": taken, "commit": "abc", "floor": "f"}
    head |= {"versions": {"runc": "runc version 1"}, "options": {"seed": 1}}
    return {**head, "suites": {suite.name: suite_result(suite, **wishes) for suite in suites}}
