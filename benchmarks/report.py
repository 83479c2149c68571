"""Results to the page and its plots: `python -m benchmarks.report`.

It reads every result in benchmarks/results/, takes the newest of each suite, writes what lies
between two marks of docs/performance.md, and leaves the rest of the page to its authors. With
`--check` it writes nothing and fails when the page or a plot is not what it would write.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from . import record
from .plots import Bar, bars
from .stats import median_ratio
from .suite import SCALES, Suite
from .suites import all_suites
from .verdicts import verdicts
from .vs_peers.stages import AFTER, BEFORE, HANDED

Json = dict[str, Any]
BEGIN, END = "<!-- measured: {kind} -->", "<!-- end of measured: {kind} -->"
DATES = 8
"""How many runs the history shows."""
# One row of the table of stages, and the names that the floor and fastbox's timeline have for it.
PARTS: dict[str, dict[str, str]] = {
    "launcher, interpreter, imports": {
        "": BEFORE,
        "python": "launcher python imports",
    },
    "options, image, record": {"python": "command flags engine services image record"},
    "supervisor spawned": {"python": "supervisor"},
    "bundle, plan (a filter may have to be compiled), files": {
        "": f"{HANDED}|files",
        "supervisor": "spec stdio record plan rlimit",
    },
    "groups": {"": "groups", "supervisor": "cgroup"},
    "clone, join the groups": {"": "clone|join", "supervisor": "clone", "container": "cgroup"},
    "network": {"": "network", "container": "network"},
    "overlay": {"": "rootfs", "container": "rootfs"},
    "mounts": {"": "mount", "container": "mount"},
    "/dev": {"": "dev", "container": "dev"},
    "pivot": {"": "pivot", "container": "pivot_root"},
    "sysctl, masks, hostname": {"": "sysctl|mask|hostname", "container": "sysctl mask hostname"},
    "ids, capabilities, limits": {
        "": "caps",
        "container": "user rlimit credentials capabilities stdio",
    },
    "seccomp": {"": "seccomp", "container": "seccomp"},
    "exec, run, wait, removal": {"": f"exec|run|release|{AFTER}", "container": "exec"},
}


def _stage_names() -> dict[str, str]:
    """Stage to row."""
    found = {"container: working directory": "ids, capabilities, limits"}
    for row, lanes in PARTS.items():
        for lane, names in lanes.items():
            words = [f"{lane}: {name}" for name in names.split()] if lane else names.split("|")
            found |= dict.fromkeys(words, row)
    return found


class Latest(NamedTuple):
    """A suite's newest figures on one kind of disk, and the run that they are from."""

    suite: Suite
    disk: str
    run: Json
    result: Json


def latest(runs: Sequence[Json]) -> list[Latest]:
    """The newest of each suite and disk, in the registry's order; `runs` are oldest first."""
    found: dict[tuple[str, str], Latest] = {}
    suites = {suite.name: suite for suite in all_suites()}
    for run in runs:
        disk = run["machine"]["file_system"]
        for name, result in run["suites"].items():
            if name in suites:
                found[name, disk] = Latest(suites[name], disk, run, result)
    order = list(suites)
    return sorted(found.values(), key=lambda one: (one.disk != "ext4", order.index(one.suite.name)))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def figure(microseconds: float, unit: str) -> str:
    """In the unit of the table, with the digits that mean something."""
    value = microseconds / SCALES[unit]
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}" if unit == "ms" else f"{value:.1f}"


def machine(run: Json) -> str:
    """Where a run was taken and of what, so that nobody reads a figure without it."""
    host, versions = run["machine"], run["versions"]
    commit = f" at commit {run['commit']}" if run.get("commit") else ""
    known = "; ".join(line for name, line in versions.items() if name not in ("cc", "dockerd"))
    daemon = f"; daemon: {versions['dockerd']}" if "dockerd" in versions else ""
    own = " in a file, with a journal" if run["options"].get("own_disk") else ""
    return (
        f"Run of {run['taken']}{commit} on {host['cpus']} x {host['model']}, {host['memory']}, "
        f"kernel {host['kernel']}, control groups {host['cgroups']}, store on "
        f"{host['file_system']}{own}, Python {host['python']}. Suites: {', '.join(run['suites'])}. "
        f"Measured: {known}{daemon}."
    )


def conditions(one: Latest) -> str:
    """How loud it was: the line above a suite's table."""
    result = one.result
    load = result["load"]
    busy = result.get("busy")
    others = "" if busy is None else f", processors {busy:.0%} busy with others before"
    return (
        f"Run of {one.run['taken']}, {result['rounds']} rounds of one of each in random order. "
        f"Load average {load['before'][0]} before, {load['after'][0]} after{others}. Ratios are "
        "medians of the rounds' ratios; the spread is the median distance from the median."
    )


def _cells(one: Latest, row: Json, beside: Sequence[str]) -> Iterator[str]:
    unit = one.suite.unit
    yield row["label"]
    for key in ("median", "min", "p90", "p99"):
        yield figure(row[key], unit)
    yield f"{row['spread']:.0%}"
    yield "" if row["to_base"] is None else f"{row['to_base']:.2f}"
    for other in beside:
        yield f"{median_ratio(row['samples'], record.samples(one.result, other) or []):.2f}"
    if one.suite.resident:
        yield f"{row['memory'] / 1024:.0f}" if "memory" in row else ""


def rows(one: Latest) -> str:
    """The table of one suite, fastest first, and who is missing from it."""
    suite = one.suite
    beside = [name for name in suite.beside if record.samples(one.result, name)]
    base = "the floor" if suite.base == "floor" else suite.row(suite.base).label
    head = [f"{suite.title}, {suite.unit}", "median", "minimum", "p90", "p99", "spread"]
    head += [f"to {base}", *(f"to {suite.row(name).label}" for name in beside)]
    head += ["peak memory, MiB"] if suite.resident else []
    ordered = sorted(one.result["rows"], key=lambda row: float(row["median"]))
    parts = [table(head, [list(_cells(one, row, beside)) for row in ordered])]
    for lost in one.result["missing"]:
        head_of_line = "Left out" if lost["kind"] == "peer" else "**Not measured**"
        parts.append(f"{head_of_line}: {lost['name']} ({lost['why']}).")
    return "\n\n".join(parts)


def budgets(found: Sequence[Latest]) -> str:
    """Every budget of every suite, with what was measured."""
    marks = {True: "yes", False: "**no**", None: "**?**"}
    lines = [
        [verdict.text, verdict.figure, marks[verdict.kept]]
        for one in found
        for verdict in verdicts(one.suite, one.result)
    ]
    return table(["budget", "measured", "kept"], lines)


def history(runs: Sequence[Json]) -> str:
    """The budgets' figures by date, newest last: what the project's record is for."""
    suites = {suite.name: suite for suite in all_suites()}
    columns: list[tuple[str, dict[str, str]]] = []
    for run in runs:
        figures: dict[str, str] = {}
        for name, result in run["suites"].items():
            if name in suites:
                found = verdicts(suites[name], result)
                figures |= {one.text: one.figure for one in found if one.kept is not None}
        columns.append((f"{run['taken'][:10]} {run.get('commit', '')}".strip(), figures))
    columns = [column for column in columns if column[1]][-DATES:]
    texts = list(dict.fromkeys(text for _, figures in columns for text in figures))
    lines = [[text, *(figures.get(text, "") for _, figures in columns)] for text in texts]
    return table(["budget", *(date for date, _ in columns)], lines)


def throughput(one: Latest) -> str:
    """Containers a second, one column for each number in flight."""
    found = one.result.get("throughput", [])
    flights = sorted({row["in_flight"] for row in found})
    if not flights:
        return ""
    rates = {(row["name"], row["in_flight"]): row["per_second"] for row in found}
    labels = {row["name"]: row["label"] for row in found}
    names = sorted(labels, key=lambda name: -rates[name, flights[-1]])
    lines = [
        [labels[name], *(f"{rates[name, flight]:.0f}" for flight in flights)] for name in names
    ]
    failures = sum(row["failures"] for row in found)
    counts = sorted({row["count"] for row in found})
    head = ["containers a second", *(f"{flight} in flight" for flight in flights)]
    many = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(counts[0])
    return f"{table(head, lines)}\n\n{many} containers in each cell; {failures} failed."


def burst(one: Latest) -> str:
    """Very many at once."""
    found = one.result.get("burst", [])
    if not found:
        return ""
    lines = [
        [
            row["label"],
            f"{row['count']:,}",
            f"{row['per_second']:.0f}",
            figure(row["median"], "ms"),
            figure(row["p99"], "ms"),
            f"{row['failures']}",
        ]
        for row in sorted(found, key=lambda row: -float(row["per_second"]))
    ]
    head = [f"starts at {found[0]['in_flight']} in flight, without a pause", "starts", "a second"]
    return table([*head, "median, ms", "p99, ms", "failed"], lines)


def grouped(stages: dict[str, float]) -> dict[str, float]:
    """The stages by the rows of PARTS; those without a row keep their names."""
    known = _stage_names()
    found: dict[str, float] = {}
    for name, value in stages.items():
        row = known.get(name, name)
        found[row] = found.get(row, 0.0) + value
    return found


def stages(one: Latest) -> str:
    """Where the time goes: one row a stage, medians in microseconds."""
    if "stages" not in one.result:
        return ""
    columns = {name: grouped(column) for name, column in one.result["stages"].items()}
    others = [name for column in columns.values() for name in column if name not in PARTS]
    names = [*PARTS, *dict.fromkeys(others)]
    titles = {
        "floor": "floor",
        "in_process": "in process",
        "cli": "`fastbox run`",
        "oci": "`fastbox-oci run`",
    }
    lines = [
        [name, *(f"{column[name]:.0f}" if name in column else "" for column in columns.values())]
        for name in names
        if any(name in column for column in columns.values())
    ]
    sums = (f"{sum(column.values()):.0f}" for column in columns.values())
    head = ["stage, us", *(titles[name] for name in columns)]
    return "Where the time goes:\n\n" + table(head, [*lines, ["sum of the medians", *sums]])


def pictures(one: Latest) -> dict[str, tuple[str, str]]:
    """File name to title and SVG: the suite's bars, and its throughput."""
    unit, result = one.suite.unit, one.result
    ordered = sorted(result["rows"], key=lambda row: float(row["median"]))
    scale = SCALES[unit]
    found = [
        Bar(row["label"], *(row[key] / scale if key != "kind" else row[key] for key in
            ("median", "kind", "min", "p90")))
        for row in ordered
    ]  # fmt: skip
    title = one.suite.title.replace("`", "")
    title = title[0].upper() + title[1:]
    made = {f"{one.suite.name}-{one.disk}.svg": (title, bars(title, unit, found))}
    for flight in sorted({row["in_flight"] for row in result.get("throughput", [])}):
        rates = [row for row in result["throughput"] if row["in_flight"] == flight]
        rates.sort(key=lambda row: -float(row["per_second"]))
        found = [Bar(row["label"], row["per_second"], row["kind"]) for row in rates]
        title = f"Containers a second, {flight} in flight"
        name = f"throughput-{flight}-{one.disk}.svg"
        made[name] = (title, bars(title, "containers/s", found))
    return made


def section(one: Latest, prefix: str) -> str:
    """All that goes between a suite's marks."""
    images = [f"![{title}]({prefix}/{name})" for name, (title, _) in pictures(one).items()]
    parts = [conditions(one), rows(one), images[0], throughput(one), *images[1:]]
    return "\n\n".join(part for part in [*parts, burst(one), stages(one)] if part)


def replace(page: str, kind: str, text: str) -> str:
    """`page` with `text` between the marks of `kind`; missing marks are added at the end."""
    begin, end = BEGIN.format(kind=kind), END.format(kind=kind)
    if begin not in page:
        page = f"{page.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = page.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"{begin} has no {end}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def render(runs: Sequence[Json], page: str, prefix: str) -> tuple[str, dict[str, str]]:
    """The page and the plots (file name to SVG) that these runs give."""
    found = latest(runs)
    page = replace(page, "budgets", budgets(found))
    page = replace(page, "history", history(runs))
    used = [run for run in runs if any(one.run is run for one in found)]
    page = replace(page, "runs", "\n\n".join(machine(run) for run in used))
    plots: dict[str, str] = {}
    for one in found:
        page = replace(page, f"{one.suite.name} on {one.disk}", section(one, prefix))
        plots |= {name: picture for name, (_, picture) in pictures(one).items()}
    return page, plots


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def main(words: Sequence[str] | None = None) -> int:
    """Rewrite the page's sections and the plots, or check them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--results", default=record.RESULTS)
    parser.add_argument("--page", default="docs/performance.md")
    parser.add_argument("--plots", default="docs/plots")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if it would differ")
    options = parser.parse_args(words)
    prefix = os.path.relpath(options.plots, os.path.dirname(options.page) or ".")
    before = _read(options.page) or "# Performance\n"
    page, plots = render(record.read_all(options.results), before, prefix)
    files = {options.page: page}
    files |= {os.path.join(options.plots, name): text for name, text in plots.items()}
    stale = [path for path, text in files.items() if _read(path) != text]
    if options.check:
        print("\n".join(f"stale: {path}" for path in stale))
        return 1 if stale else 0
    os.makedirs(options.plots, exist_ok=True)
    for path in stale:
        with open(path, "w", encoding="utf-8") as file:
            file.write(files[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
