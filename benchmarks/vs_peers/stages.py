"""Where the time of a start goes, from the timelines that fastbox writes itself (FASTBOX_TRACE)."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from ..stats import median
from .clients import Measured, Worker
from .lab import Lab

Event = dict[str, Any]
Stages = dict[str, float]
"""Median microseconds of each stage, in the order in which they end."""
BEFORE, AFTER = "before the timeline", "run, wait, removal"
HANDED = "handed to the supervisor"
UNTIMED = "spawn, bundle, groups, run, wait, removal"
START, LAUNCH, EXEC = "python: start", "python: launch", "container: exec"


def read_trace(path: str) -> list[Event]:
    """The events of a Chrome trace, whose closing bracket may be missing."""
    with open(path, encoding="utf-8") as file:
        text = file.read().strip().rstrip(",")
    events: list[Event] = json.loads(text if text.endswith("]") else text + "]")
    return events


def by_container(events: list[Event]) -> list[list[Event]]:
    """The complete events of each start, named "lane: stage", the lane being who did it.

    Each start begins with the names of its lanes: python, supervisor, container.
    """
    starts: list[list[Event]] = []
    lanes: dict[int, str] = {}
    for event in events:
        if event["ph"] == "M" and event["name"] == "process_name":
            starts.append([])
            lanes = {}
        elif event["ph"] == "M" and event["name"] == "thread_name":
            lanes[event["tid"]] = event["args"]["name"]
        elif event["ph"] == "X":
            starts[-1].append({**event, "name": f"{lanes[event['tid']]}: {event['name']}"})
    return starts


def medians(starts: list[list[Event]]) -> Stages:
    """The median of each stage; a stage that a start lacks counts as 0 there."""
    totals: list[Stages] = []
    ends: dict[str, float] = {}
    for events in starts:
        begin = min(event["ts"] for event in events)
        total: Stages = {}
        for event in events:
            name = event["name"]
            total[name] = total.get(name, 0.0) + event["dur"]
            ends[name] = max(ends.get(name, 0.0), event["ts"] + event["dur"] - begin)
        totals.append(total)
    names = sorted(ends, key=ends.__getitem__)
    return {name: round(median([one.get(name, 0.0) for one in totals]), 1) for name in names}


def around(events: list[Event], begin: float, length: float) -> list[Event]:
    """A start's stages until exec, with what its timeline does not see.

    That is the time from the call to its first event, on the way to the supervisor, and from exec
    until the call returned.
    """
    named = {event["name"]: event for event in events}
    launch, last = named[LAUNCH]["ts"], named[EXEC]["ts"] + named[EXEC]["dur"]
    first = min(event["ts"] for event in events)
    stages = [
        event for event in events if event["name"] not in (START, LAUNCH) and event["ts"] < last
    ]
    handed = min(event["ts"] for event in stages if event["ts"] >= launch) - launch
    more = [
        {"name": BEFORE, "ts": begin, "dur": first - begin},
        {"name": HANDED, "ts": launch, "dur": handed},
        {"name": AFTER, "ts": last, "dur": begin + length - last},
    ]
    return [*stages, *more]


def trace(lab: Lab, mode: str, count: int) -> Stages:
    """Start `count` containers with a timeline, in process ("engine") or not ("commands")."""
    path = lab.file(f"trace-{mode}.json")
    words = ["true"]
    if mode == "commands":
        words = [lab.need("fastbox"), "run", "--rm", "--network", "none", lab.image, "true"]
    with Worker(mode, {**lab.env, "FASTBOX_TRACE": path}) as worker:
        measured = worker.measure(words, count, 1, image=lab.image)
    if measured.failures:
        raise RuntimeError(f"trace: {measured.error}")
    return medians(_whole(by_container(read_trace(path)), measured))


def parse_timings(text: str) -> Stages:
    """The table of `--timings`: what comes after the clone is the container's."""
    found: Stages = {}
    lane = "supervisor"
    for line in text.splitlines()[1:]:
        cells = line.replace(" %", "").rsplit(maxsplit=2)
        if len(cells) == 3 and cells[0] != "start":
            found[f"{lane}: {cells[0]}"] = float(cells[1])
            lane = "container" if cells[0] == "clone" else lane
    return found


def timings(words: Sequence[str], count: int, whole: float, env: Mapping[str, str]) -> Stages:
    """The stages of `count` runs of a command that prints its timings, `{id}` in its words.

    Args:
        words: The command.
        count: How often.
        whole: The median of the command, microseconds: what its timings leave out is the rest.
        env: Its environment.
    """
    found = []
    for number in range(count):
        argv = [word.replace("{id}", f"timings{number}").replace("{slot}", "0") for word in words]
        done = subprocess.run(argv, env=dict(env), capture_output=True, text=True, check=True)
        found.append(parse_timings(done.stderr))
    columns = {name: median([one.get(name, 0.0) for one in found]) for name in found[0]}
    rest = max(whole - sum(columns.values()), 0.0)
    return {name: round(value, 1) for name, value in {**columns, UNTIMED: rest}.items()}


def _whole(starts: list[list[Event]], measured: Measured) -> list[list[Event]]:
    ordered = sorted(starts, key=lambda events: float(events[0]["ts"]))
    pairs = zip(ordered, measured.begins, measured.samples, strict=True)
    return [around(events, begin, length) for events, begin, length in pairs]
