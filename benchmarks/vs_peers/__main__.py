"""Measure fastbox beside the floor and the peers: `python -m benchmarks.vs_peers`.

Writes the result to benchmarks/results/, then docs/performance.md and docs/plots/ from all results.
Ends with 1 when a row of fastbox's own could not be measured or failed: what was measured is
written all the same.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from ..record import write
from ..suite import OURS, SCALES, Field, Suite, open_field
from ..suites import all_suites, choose
from . import machine
from .clients import HERE, Measured
from .lab import FLOORS, Lab, disk_of_its_own, open_lab
from .peers import versions
from .rounds import burst, interleave, rows, throughput

Json = dict[str, Any]


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vs_peers", description=__doc__)
    parser.add_argument("--suites", nargs="+", default=[], help="names; all without it")
    parser.add_argument("--out", help="the result; benchmarks/results/DATE-DISK[-SUITES].json")
    parser.add_argument("--rounds", type=int, help="of every suite, instead of its own number")
    parser.add_argument("--containers", type=int, default=100, help="in a cell of the throughput")
    parser.add_argument("--burst", type=float, default=1.0, help="share of the 1,000; 0: none")
    parser.add_argument("--seed", type=int, default=1, help="of the random order")
    parser.add_argument("--scratch", help="the lab's place, on the disk to measure (/var/tmp)")
    parser.add_argument("--tmpfs", action="store_true", help="the same as --scratch /dev/shm")
    parser.add_argument("--own-disk", type=int, metavar="GIB", help="an ext4 with a journal there")
    parser.add_argument("--no-daemons", action="store_true", help="neither docker nor podman")
    parser.add_argument("--no-report", action="store_true", help="leave docs/ as it is")
    options = parser.parse_args(words)
    try:
        choose(options.suites)
    except KeyError as error:
        known = " ".join(suite.name for suite in all_suites())
        parser.error(f"no suite {error}; there are {known}")
    return options


def _commit() -> str:
    """The commit that is measured, with a "+" when files differ from it; "" outside of git."""
    words = ["git", "-C", HERE, "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def floor_digest() -> str:
    """Of the sources of the floors: ratios to different floors are not compared."""
    digest = hashlib.sha256()
    for name in sorted(os.listdir(FLOORS)):
        with open(os.path.join(FLOORS, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _extra(field: Field, found: dict[str, list[Measured]]) -> Json:
    if field.suite.extra is None or field.suite.base not in found:
        return {}
    try:
        return field.suite.extra(field, found)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        print(f"NOT MEASURED: {field.suite.name}: {error}", file=sys.stderr)
        return {"extra_failed": f"{type(error).__name__}: {error}"}


def measure(lab: Lab, suite: Suite, options: argparse.Namespace) -> Json:
    """One suite's part of the result."""
    field = open_field(suite, lab, daemons=not options.no_daemons)
    quiet, before = machine.busy(), machine.load()
    found = interleave(field, options.rounds or suite.rounds, options.seed)
    after = machine.load()
    result: Json = {"base": suite.base, "rounds": max(map(len, found.values()), default=0)}
    result |= {
        "load": {"before": before, "after": after},
        "busy": quiet,
        "rows": rows(field, found),
    }
    result |= _extra(field, found)
    if suite.flights and options.containers:
        result["throughput"] = throughput(field, options.containers, options.seed)
    if suite.burst and options.burst:
        result["burst"] = burst(field, options.burst)
    result["missing"] = [
        {"name": name, "kind": suite.row(name).kind, "why": why}
        for name, why in field.missing.items()
    ]
    return result


def complaints(result: Json) -> list[str]:
    """What went wrong with rows that are not a peer's: they were not measured, or failed."""
    found = []
    for name, suite in result["suites"].items():
        lost = [row for row in suite["missing"] if row["kind"] != "peer"]
        found += [f"{name}: {row['name']} was not measured: {row['why']}" for row in lost]
        counted = [*suite.get("throughput", []), *suite.get("burst", [])]
        failed = [row for row in counted if row["failures"] and row["kind"] == OURS]
        found += [
            f"{name}: {row['failures']} of {row['count']} {row['name']} at {row['in_flight']}"
            " in flight failed"
            for row in failed
        ]
        if "extra_failed" in suite:
            found.append(f"{name}: {suite['extra_failed']}")
    return found


def _print(suite: Suite, result: Json) -> None:
    print(f"\n{suite.title} ({suite.unit})", flush=True)
    for row in result["rows"]:
        ratio = "" if row["to_base"] is None else f"  x {row['to_base']:.2f} of {suite.base}"
        figure = row["median"] / SCALES[suite.unit]
        print(f"  {row['label']:46} {figure:10.2f}{ratio}", flush=True)


def _path(options: argparse.Namespace, disk: str) -> str:
    some = "".join(f"-{name}" for name in options.suites)
    name = f"{time.strftime('%Y-%m-%d')}-{disk}{some}.json"
    return options.out or os.path.join(HERE, "benchmarks", "results", name)


def _run(options: argparse.Namespace) -> Json:
    with contextlib.ExitStack() as stack:
        place = "/dev/shm" if options.tmpfs else options.scratch
        if options.own_disk:
            place = stack.enter_context(disk_of_its_own(place or "/var/tmp", options.own_disk))
        lab = stack.enter_context(open_lab(place))
        result: Json = {"schema": 2, "machine": machine.describe(lab.path)}
        result["taken"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        result |= {"commit": _commit(), "floor": floor_digest(), "versions": versions(lab)}
        result |= {"options": {"seed": options.seed, "own_disk": options.own_disk}, "suites": {}}
        path = _path(options, result["machine"]["file_system"])
        for suite in choose(options.suites):
            result["suites"][suite.name] = measure(lab, suite, options)
            _print(suite, result["suites"][suite.name])
            write(path, result)  # a later suite's misfortune takes nothing away
    print(f"\nwritten: {path}")
    return result


def main(words: Sequence[str] | None = None) -> int:
    """Measure, write the result and the page, say what was not measured."""
    options = _options(words)
    if os.geteuid():
        print("benchmarks.vs_peers: needs root, as the peers do", file=sys.stderr)
        return 1
    result = _run(options)
    if not options.no_report:
        from .. import report

        report.main([])
    wrong = complaints(result)
    for line in wrong:
        print(f"!!! {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
