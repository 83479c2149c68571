"""Results to the page and its plots: `python -m benchmarks.report RESULT.json`.

It writes what lies between two marks of the page, and leaves the rest to its authors.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from .plots import Bar, bars
from .vs_peers.stages import AFTER, BEFORE

Json = dict[str, Any]
BEGIN, END = "<!-- measured: {kind} -->", "<!-- end of measured: {kind} -->"
OURS, BASES = {"in_process", "cli"}, {"floor", "spawn", "python"}
# what, whose median, at most how many times, whose median
BUDGETS = [
    ("`fastbox run --rm`, at most 0.5 x crun run", "cli", 0.5, "crun"),
    ("`fastbox run --rm`, at most 0.5 x runc run", "cli", 0.5, "runc"),
    ("in process, at most 1.5 x the floor", "in_process", 1.5, "floor"),
]
SUSTAINED = 0.7
# One row of the table of stages, and the names that the floor and fastbox have for it.
STAGES = {
    "before the launch (records, bundle, groups)": (BEFORE, "plan", "files", "groups"),
    "clone, join the groups": ("clone", "cgroup", "join"),
    "overlay": ("rootfs",),
    "pivot": ("pivot", "pivot_root"),
    "ids, capabilities, limits": (
        *("caps", "user", "rlimit", "credentials", "capabilities", "working directory", "stdio"),
    ),
    "exec, run, wait, removal": ("exec", "run", "release", AFTER),
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _ms(microseconds: float) -> str:
    return f"{microseconds / 1e3:.2f}"


def _kind(name: str) -> str:
    return "ours" if name in OURS else "base" if name in BASES or "floor" in name else "peer"


def header(result: Json) -> str:
    """Where and when, so that nobody reads a figure without its load."""
    machine, load, versions = result["machine"], result["load"], result["versions"]
    known = "; ".join(line for name, line in versions.items() if name != "cc")
    return (
        f"Taken {result['taken']} on {machine['cpus']} x {machine['model']}, {machine['memory']}, "
        f"kernel {machine['kernel']}, control groups {machine['cgroups']}, store on "
        f"{machine['file_system']}, Python {machine['python']}. Load average before and after: "
        f"{load['before'][0]} and {load['after'][0]}. {result['options']['rounds']} rounds, each "
        f"one start of each in random order; `to the floor` is the median of the rounds' ratios."
        f"\n\nMeasured: {known}."
    )


def starts(result: Json) -> str:
    """The table of one start at a time."""
    peers = sorted(result["peers"], key=lambda row: float(row["median"]))
    head = ["one start, ms", "median", "minimum", "p90", "p99", "to the floor"]
    rows = [
        [
            row["label"],
            *(_ms(row[key]) for key in ("median", "min", "p90", "p99")),
            f"{row['to_floor']:.2f}",
        ]
        for row in peers
    ]
    left_out = [f"Left out: {row['name']} ({row['why']})." for row in result["missing"]]
    return "\n\n".join([table(head, rows), *left_out])


def _ratio(result: Json, mine: str, other: str) -> float | None:
    medians = {row["name"]: float(row["median"]) for row in result["peers"]}
    if mine not in medians or other not in medians:
        return None
    return medians[mine] / medians[other]


def _rates(result: Json) -> dict[tuple[str, int], float]:
    return {(row["name"], row["in_flight"]): row["per_second"] for row in result["throughput"]}


def budgets(result: Json) -> str:
    """Each budget with what was measured; those that lack a side are left out."""
    rows = []
    for text, mine, limit, other in BUDGETS:
        ratio = _ratio(result, mine, other)
        if ratio is not None:
            rows.append([text, f"{ratio:.2f}", "yes" if ratio <= limit else "**no**"])
    rates = _rates(result)
    for flight in sorted({flight for _, flight in rates}):
        if ("floor", flight) in rates and ("in_process", flight) in rates:
            share = rates["in_process", flight] / rates["floor", flight]
            text = f"in process, {flight} in flight, at least {SUSTAINED} x the floor's rate"
            rows.append([text, f"{share:.2f}", "yes" if share >= SUSTAINED else "**no**"])
    return table(["budget", "measured", "kept"], rows) if rows else ""


def throughput(result: Json) -> str:
    """Containers a second, one column for each number in flight."""
    flights = sorted({row["in_flight"] for row in result["throughput"]})
    if not flights:
        return ""
    rates = _rates(result)
    labels = {row["name"]: row["label"] for row in result["throughput"]}
    names = sorted(labels, key=lambda name: -rates[name, flights[-1]])
    rows = [[labels[name], *(f"{rates[name, flight]:.0f}" for flight in flights)] for name in names]
    failures = sum(row["failures"] for row in result["throughput"])
    count = result["throughput"][0]["count"]
    head = ["containers a second", *(f"{flight} in flight" for flight in flights)]
    return f"{table(head, rows)}\n\n{count} containers in each cell; {failures} failed."


def grouped(stages: dict[str, float]) -> dict[str, float]:
    """The stages by the rows of STAGES; those without a row keep their names."""
    rows = {name: row for row, names in STAGES.items() for name in names}
    found: dict[str, float] = {}
    for name, value in stages.items():
        row = rows.get(name, name)
        found[row] = found.get(row, 0.0) + value
    return found


def stages(result: Json) -> str:
    """Where the time goes: one row a stage, medians in microseconds."""
    columns = {name: grouped(column) for name, column in result["stages"].items()}
    names = sorted({name for column in columns.values() for name in column})
    order = {name: place for column in columns.values() for place, name in enumerate(column)}
    names.sort(key=order.__getitem__)
    titles = {"floor": "floor", "in_process": "in process", "cli": "`fastbox run`"}
    rows = [
        [name, *(f"{column.get(name, 0):.0f}" for column in columns.values())] for name in names
    ]
    rows.append(
        ["sum of the medians", *(f"{sum(column.values()):.0f}" for column in columns.values())]
    )
    return table(["stage, us", *(titles[name] for name in columns)], rows)


def plots(result: Json, directory: str, suffix: str) -> list[tuple[str, str]]:
    """Write the pictures; returns their titles and file names."""
    os.makedirs(directory, exist_ok=True)
    rows = [
        Bar(
            row["label"],
            row["median"] / 1e3,
            _kind(row["name"]),
            row["min"] / 1e3,
            row["p90"] / 1e3,
        )
        for row in sorted(result["peers"], key=lambda row: float(row["median"]))
    ]
    pictures = {f"start{suffix}.svg": ("One start", "ms", rows)}
    for flight in sorted({row["in_flight"] for row in result["throughput"]}):
        rates = [row for row in result["throughput"] if row["in_flight"] == flight]
        ordered = sorted(rates, key=lambda row: -float(row["per_second"]))
        rows = [Bar(row["label"], row["per_second"], _kind(row["name"])) for row in ordered]
        title = f"Containers a second, {flight} in flight"
        pictures[f"throughput-{flight}{suffix}.svg"] = (title, "containers/s", rows)
    for name, (title, unit, picture) in pictures.items():
        with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
            file.write(bars(title, unit, picture))
    return [(title, name) for name, (title, _, _) in pictures.items()]


def section(result: Json, pictures: list[tuple[str, str]], prefix: str) -> str:
    """All that goes between the marks."""
    images = [f"![{title}]({prefix}/{name})" for title, name in pictures]
    parts = [header(result), starts(result), images[0], budgets(result), throughput(result)]
    parts += [*images[1:], "Where the time of one start goes:", stages(result)]
    return "\n\n".join(part for part in parts if part)


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


def _read(path: str, default: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return default


def main() -> None:
    """Read results, rewrite the page's sections, write the plots."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", nargs="+", help="what benchmarks.vs_peers wrote")
    parser.add_argument("--page", default="docs/performance.md")
    parser.add_argument("--plots", default="docs/plots")
    options = parser.parse_args()
    page = _read(options.page, "# Performance\n")
    prefix = os.path.relpath(options.plots, os.path.dirname(options.page) or ".")
    for path in options.results:
        result: Json = json.loads(_read(path, ""))
        disk = result["machine"]["file_system"]
        kind = f"{result['kind']} on {disk}"
        pictures = plots(result, options.plots, f"-{disk}")
        page = replace(page, kind, section(result, pictures, prefix))
    os.makedirs(os.path.dirname(options.page) or ".", exist_ok=True)
    with open(options.page, "w", encoding="utf-8") as file:
        file.write(page)


if __name__ == "__main__":
    main()
