#!/usr/bin/env python3
"""Did fastbox get slower? `benchmarks/compare.py OLD.json NEW.json`; 1 when it did.

The rule. Each sample of a row is divided by the base's (the C floor's) sample of the same round: a
machine that is twice as slow is so for both, and the ratio stays. The change of a row is the median
of the new ratios over the median of the old ones; its uncertainty is a bootstrap interval of that
quotient (2,000 resamples of the rounds of each side, 99 %), so that it grows with the spread and
shrinks with the rounds. A row of fastbox's own has *regressed* when the whole interval lies above
(1 + TOLERANCE) x shift. TOLERANCE is 5 %: what two runs of the same program on a quiet machine may
differ by. The shift is the median change of the suite's controls, the rows that are not fastbox's
(peers, variants of the floor), when that is above 1: where all of them moved against the floor, it
was the floor that moved. The rates of the throughput are judged the same way, upside down, by their
blocks. A row of ours that has vanished, or that fails where it did not, is a regression too.

Ends with 2 when there is nothing to judge by: another floor, or no row in common.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

if not __package__:  # called by its path
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from benchmarks import record
from benchmarks.stats import interval, median, ratios

Json = dict[str, Any]
CONFIDENCE, TOLERANCE = 0.99, 0.05
LOUD = 0.2
"""The share of the processors that others used, from which on a result proves little."""
SLOWER, FASTER, SAME, GONE, FAILS = "SLOWER", "faster", "same", "GONE", "FAILS"
BAD = (SLOWER, GONE, FAILS)


class Pair(NamedTuple):
    """One row before and after: its ratios to the base, or its costs as multiples of the base's."""

    label: str
    judged: bool
    new: Sequence[float]
    old: Sequence[float]


class Change(NamedTuple):
    """One row's change: above 1 is slower. `judged`: it is fastbox's own."""

    suite: str
    label: str
    judged: bool
    verdict: str
    change: float = 1.0
    low: float = 1.0
    high: float = 1.0

    @property
    def bad(self) -> bool:
        """Whether it makes the comparison fail."""
        return self.judged and self.verdict in BAD


def judge(name: str, pairs: Sequence[Pair]) -> Iterator[Change]:
    """The verdicts on rows that were measured together."""
    found = [interval(pair.new, pair.old, confidence=CONFIDENCE) for pair in pairs]
    controls = [one[0] for pair, one in zip(pairs, found, strict=True) if not pair.judged]
    shift = max(1.0, median(controls)) if controls else 1.0
    for pair, (change, low, high) in zip(pairs, found, strict=True):
        slower = low > (1 + TOLERANCE) * shift
        verdict = SLOWER if slower else FASTER if high < 1 / (1 + TOLERANCE) else SAME
        yield Change(name, pair.label, pair.judged, verdict, change, low, high)


def _by_name(suite: Json) -> dict[str, Json]:
    return {row["name"]: row for row in suite["rows"]}


def compare_rows(name: str, old: Json, new: Json) -> Iterator[Change]:
    """The rows of one suite, apart from its base."""
    base = new["base"]
    before, after = _by_name(old), _by_name(new)
    if base not in before or base not in after or old["base"] != base:
        return
    pairs = []
    for row in before.values():
        ours = row["kind"] == "ours"
        if row["name"] not in after:
            yield Change(name, row["label"], ours, GONE)
        elif row["name"] != base:
            divided = [
                ratios(side[row["name"]]["samples"], side[base]["samples"])
                for side in (after, before)
            ]
            pairs.append(Pair(row["label"], ours, *divided))
    yield from judge(name, pairs)


def _rates(suite: Json, flight: int) -> dict[str, Json]:
    found = suite.get("throughput", [])
    return {row["name"]: row for row in found if row["in_flight"] == flight}


def _blocks(row: Json) -> bool:
    return len(row["rates"]) > 1 and all(row["rates"])


def compare_rates(name: str, old: Json, new: Json) -> Iterator[Change]:
    """The throughput: what a container costs, as a multiple of what the base's does."""
    base = new["base"]
    for flight in sorted({row["in_flight"] for row in new.get("throughput", [])}):
        before, after = _rates(old, flight), _rates(new, flight)
        pairs = []
        for key in (key for key in before if key in after and key != base):
            row, label = before[key], f"{before[key]['label']}, {flight} in flight"
            ours = row["kind"] == "ours"
            if after[key]["failures"] > row["failures"]:
                yield Change(name, label, ours, FAILS)
            elif all(base in side and _blocks(side[key]) for side in (before, after)):
                costs = [
                    ratios(side[base]["rates"], side[key]["rates"]) for side in (after, before)
                ]
                pairs.append(Pair(label, ours, *costs))
        yield from judge(name, pairs)


def compare_bursts(name: str, old: Json, new: Json) -> Iterator[Change]:
    """A start of very many that fails, where none did."""
    before = {row["name"]: row for row in old.get("burst", [])}
    for row in new.get("burst", []):
        failed = before.get(row["name"], {}).get("failures", 0)
        verdict = FAILS if row["failures"] > failed else SAME
        label = f"{row['label']}, {row['count']:,} at {row['in_flight']} in flight"
        yield Change(name, label, row["kind"] == "ours", verdict)


def compare(old: Json, new: Json) -> list[Change]:
    """Every row that both have, and ours that the new one lacks, of the suites that both have."""
    found: list[Change] = []
    for name, suite in new["suites"].items():
        if name in old["suites"]:
            for part in (compare_rows, compare_rates, compare_bursts):
                found += part(name, old["suites"][name], suite)
    return found


def _line(one: Change) -> str:
    mark = "!!" if one.bad else "  " if one.judged else " ."
    figures = f"x {one.change:5.2f} [{one.low:.2f}, {one.high:.2f}]"
    return f"{mark} {one.suite:18} {one.label:48} {one.verdict:7} {figures}"


def _warn(result: Json) -> None:
    loud = {name: suite.get("busy") or 0.0 for name, suite in result["suites"].items()}
    names = [f"{name} ({share:.0%})" for name, share in loud.items() if share > LOUD]
    if names:
        print(f"loud: {result['taken']}: processors busy with others before {', '.join(names)}")


def main(words: Sequence[str] | None = None) -> int:
    """Compare two results and print every row; the status says whether one has regressed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", help="what benchmarks.vs_peers wrote")
    parser.add_argument("new")
    options = parser.parse_args(words)
    old, new = record.read(options.old), record.read(options.new)
    if old["floor"] != new["floor"]:
        print(
            "compare: the floors' sources differ: the ratios mean something else", file=sys.stderr
        )
        return 2
    for result in (old, new):
        _warn(result)
    found = compare(old, new)
    for one in found:
        print(_line(one))
    if not any(one.judged for one in found):
        print("compare: no row of fastbox's own is in both", file=sys.stderr)
        return 2
    bad = [one for one in found if one.bad]
    judged = sum(one.judged for one in found)
    print(
        f"{len(bad)} of {judged} rows of fastbox's own have regressed; rows marked . are controls"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
