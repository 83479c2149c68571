"""Progress as lines, as JSON and not at all; bars are tested on a terminal (tests/integration)."""

from __future__ import annotations

import io
import json

import pytest

from fastbox.cli.commands import load
from fastbox.cli.output import Output
from fastbox.cli.parser import parse
from fastbox.cli.render.progress import Shown
from fastbox.errors import InvalidArgument
from fastbox.types import Progress

STEPS = (("waiting", 0), ("extracting", 5), ("extracting", 5), ("complete", 10))


def told(*words: str) -> list[str]:
    out = Output(io.StringIO(), err := io.StringIO())
    with Shown(out, parse(load.options(), list(words))) as tell:
        for status, current in STEPS:
            for identity in ("a" * 12, "b" * 12):
                if tell:
                    tell(Progress(id=identity, status=status, current=current, total=10))
    return err.getvalue().splitlines()


def test_a_line_for_each_part_that_is_done() -> None:
    for words in ((), ("--progress=auto",), ("--progress", "plain")):
        lines = told(*words)
        assert [line.rpartition(" in ")[0] for line in lines] == [
            "aaaaaaaaaaaa: complete, 10B",
            "bbbbbbbbbbbb: complete, 10B",
        ]


def test_an_object_for_each_change() -> None:
    objects = [json.loads(line) for line in told("--progress=json")]
    first = [(o["status"], o["progressDetail"]) for o in objects if o["id"] == "a" * 12]
    assert first == [
        ("waiting", {"current": 0, "total": 10}),
        ("extracting", {"current": 5, "total": 10}),
        ("complete", {"current": 10, "total": 10}),
    ]


def test_nothing() -> None:
    assert told("-q") == told("--progress=quiet") == told("-q", "--progress=json") == []


def test_an_unknown_kind() -> None:
    with pytest.raises(InvalidArgument, match="--progress loud"):
        told("--progress=loud")
