"""Where the time of a start goes, from the traces that fastbox writes itself (FASTBOX_TRACE)."""

from __future__ import annotations

import json
from typing import Any

from ..stats import median
from .clients import Measured, Worker
from .lab import Lab

Event = dict[str, Any]
Stages = dict[str, float]
"""Median microseconds of each stage, in the order in which they end."""


def read_trace(path: str) -> list[Event]:
    """The complete ("X") events of a Chrome trace, whose closing bracket may be missing."""
    with open(path, encoding="utf-8") as file:
        text = file.read().strip().rstrip(",")
    events = json.loads(text if text.endswith("]") else text + "]")
    return [event for event in events if event.get("ph") == "X"]


def by_container(events: list[Event]) -> list[list[Event]]:
    """The events of each start, by the container's id, which every event has as its pid."""
    starts: dict[str, list[Event]] = {}
    for event in events:
        starts.setdefault(str(event["pid"]), []).append(event)
    return list(starts.values())


def medians(starts: list[list[Event]]) -> Stages:
    """The median of each stage; a stage that a start lacks counts as 0 there."""
    totals: dict[str, list[float]] = {}
    ends: dict[str, float] = {}
    for events in starts:
        begin = min(event["ts"] for event in events)
        for event in events:
            name = event["name"]
            totals.setdefault(name, []).append(event["dur"])
            ends[name] = max(ends.get(name, 0.0), event["ts"] + event["dur"] - begin)
    padded = {name: found + [0.0] * (len(starts) - len(found)) for name, found in totals.items()}
    return {name: round(median(padded[name]), 1) for name in sorted(totals, key=ends.__getitem__)}


BEFORE, AFTER = "before the launch", "run, wait, removal"


def around(starts: list[list[Event]], measured: Measured) -> list[list[Event]]:
    """The starts with what the traces don't see: from the call to the launch, and from exec on."""
    ordered = sorted(starts, key=lambda events: float(events[0]["ts"]))
    widened = []
    whole = zip(measured.begins, measured.samples, strict=True)
    for events, (begin, length) in zip(ordered, whole, strict=True):
        first = min(event["ts"] for event in events)
        last = max(event["ts"] + event["dur"] for event in events)
        before = {"name": BEFORE, "ts": begin, "dur": first - begin}
        after = {"name": AFTER, "ts": last, "dur": begin + length - last}
        widened.append([before, *events, after])
    return widened


def trace(lab: Lab, mode: str, count: int) -> Stages:
    """Start `count` containers with a trace, in process ("engine") or by command ("commands")."""
    path = lab.file(f"trace-{mode}.json")
    words = ["true"]
    if mode == "commands":
        words = [lab.need("fastbox"), "run", "--rm", "--network", "none", lab.image, "true"]
    with Worker(mode, {**lab.env, "FASTBOX_TRACE": path}) as worker:
        measured = worker.measure(words, count, 1, image=lab.image)
    if measured.failures:
        raise RuntimeError(f"trace: {measured.error}")
    starts = by_container(read_trace(path))
    return medians(around(starts, measured))
