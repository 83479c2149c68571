"""Did fastbox get slower? `benchmarks/compare.py OLD.json NEW.json`; 1 when it did.

The rule. Each sample of a row is divided by the base's (the C floor's) sample of the same round: a
machine that is twice as slow is so for both, and the ratio stays. The change of a row is the median
of the new ratios over the median of the old ones; its uncertainty is a bootstrap interval of that
quotient (2,000 resamples of the rounds of each side, 99 %), so that it grows with the spread and
shrinks with the rounds. A row of fastbox's own has *regressed* when the whole interval lies above
1 + TOLERANCE: 10 %, which is what two runs of the same program on a quiet machine may differ by.
The rates of the throughput are judged the same way, upside down, by their blocks. A row of ours
that has vanished, or that fails where it did not, is a regression too. Peers are shown, as a
control: when they moved as far, look at the machine and not at the row.

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
from benchmarks.stats import interval, ratios

Json = dict[str, Any]
CONFIDENCE, TOLERANCE = 0.99, 0.10
SLOWER, FASTER, SAME, GONE, FAILS = "SLOWER", "faster", "same", "GONE", "FAILS"
BAD = (SLOWER, GONE, FAILS)


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


def judge(new: Sequence[float], old: Sequence[float]) -> tuple[str, float, float, float]:
    """The verdict on ratios (or costs) to the base, with the change and its interval."""
    change, low, high = interval(new, old, confidence=CONFIDENCE)
    verdict = SLOWER if low > 1 + TOLERANCE else FASTER if high < 1 / (1 + TOLERANCE) else SAME
    return verdict, change, low, high


def _by_name(suite: Json) -> dict[str, Json]:
    return {row["name"]: row for row in suite["rows"]}


def compare_rows(name: str, old: Json, new: Json) -> Iterator[Change]:
    """The rows of one suite, apart from its base."""
    base = new["base"]
    before, after = _by_name(old), _by_name(new)
    if base not in before or base not in after or old["base"] != base:
        return
    for row in before.values():
        if row["name"] == base:
            continue
        ours = row["kind"] == "ours"
        if row["name"] not in after:
            yield Change(name, row["label"], ours, GONE)
            continue
        samples = [
            ratios(side[row["name"]]["samples"], side[base]["samples"]) for side in (after, before)
        ]
        yield Change(name, row["label"], ours, *judge(*samples))


def _rates(suite: Json) -> dict[tuple[str, int], Json]:
    return {(row["name"], row["in_flight"]): row for row in suite.get("throughput", [])}


def compare_rates(name: str, old: Json, new: Json) -> Iterator[Change]:
    """The rows of the throughput: what a container costs, as a multiple of what the base's does."""
    base = new["base"]
    before, after = _rates(old), _rates(new)
    for key, row in before.items():
        if key[0] == base or key not in after:
            continue
        label = f"{row['label']}, {key[1]} in flight"
        ours = row["kind"] == "ours"
        if after[key]["failures"] > row["failures"]:
            yield Change(name, label, ours, FAILS)
            continue
        costs = [
            ratios(side[base, key[1]]["rates"], side[key]["rates"])
            for side in (after, before)
            if (base, key[1]) in side and len(side[key]["rates"]) > 1 and all(side[key]["rates"])
        ]
        if len(costs) == 2:
            yield Change(name, label, ours, *judge(*costs))


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
