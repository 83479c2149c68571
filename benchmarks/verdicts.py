"""The budgets of the suites, held against what was measured."""

from __future__ import annotations

from typing import Any, NamedTuple

from .suite import OURS, SCALES, Suite

Json = dict[str, Any]
UNMEASURED = "not measured"


class Verdict(NamedTuple):
    """One budget: `figure` is what was measured, `kept` None when a side of it is missing."""

    text: str
    figure: str
    kept: bool | None


def _ratio(result: Json, row: str, other: str) -> float | None:
    medians = {one["name"]: float(one["median"]) for one in result["rows"]}
    return medians[row] / medians[other] if {row, other} <= medians.keys() else None


def _ratios(suite: Suite, result: Json) -> list[Verdict]:
    found = []
    for budget in suite.budgets:
        ratio = _ratio(result, budget.row, budget.other)
        if ratio is None:
            found.append(Verdict(budget.text, UNMEASURED, None))
        else:
            found.append(Verdict(budget.text, f"{ratio:.2f}", ratio <= budget.limit))
    return found


def _sustained(suite: Suite, result: Json) -> list[Verdict]:
    rates = {
        (row["name"], row["in_flight"]): float(row["per_second"])
        for row in result.get("throughput", [])
    }
    found = []
    for name, share in suite.sustained:
        for flight in sorted({flight for _, flight in rates}):
            text = (
                f"{suite.row(name).label}, {flight} in flight, at least {share} x the floor's rate"
            )
            if (name, flight) in rates and (suite.base, flight) in rates:
                part = rates[name, flight] / rates[suite.base, flight]
                found.append(Verdict(text, f"{part:.2f}", part >= share))
            else:
                found.append(Verdict(text, UNMEASURED, None))
    return found


def _burst(suite: Suite, result: Json) -> list[Verdict]:
    rows = {row["name"]: row for row in result.get("burst", [])}
    found = []
    for name, count in suite.burst:
        label = suite.row(name).label
        if suite.row(name).kind != OURS:
            continue
        row = rows.get(name)
        text = f"{label}, {count:,} starts at 32 in flight, no failure"
        if row is None or row["count"] < count:
            found.append(Verdict(text, UNMEASURED, None))
        else:
            found.append(Verdict(text, f"{row['failures']} failed", row["failures"] == 0))
    return found


def _resident(suite: Suite, result: Json) -> list[Verdict]:
    rows = {row["name"]: row for row in result["rows"]}
    found = []
    for name, limit in suite.resident:
        text = f"{suite.title}: {suite.row(name).label}, at most {limit} MiB of memory"
        if "memory" not in rows.get(name, {}):
            found.append(Verdict(text, UNMEASURED, None))
        else:
            most = rows[name]["memory"] / 1024
            found.append(Verdict(text, f"{most:.0f} MiB", most <= limit))
    return found


def _within(suite: Suite, result: Json) -> list[Verdict]:
    medians = {one["name"]: float(one["median"]) for one in result["rows"]}
    found = []
    for name, limit in suite.within:
        text = f"{suite.title}: {suite.row(name).label}, at most {limit:g} {suite.unit}"
        if name not in medians:
            found.append(Verdict(text, UNMEASURED, None))
        else:
            value = medians[name] / SCALES[suite.unit]
            found.append(Verdict(text, f"{value:.0f} {suite.unit}", value <= limit))
    return found


def verdicts(suite: Suite, result: Json) -> list[Verdict]:
    """Every budget of the suite."""
    judges = (_ratios, _within, _sustained, _burst, _resident)
    return [verdict for judge in judges for verdict in judge(suite, result)]
