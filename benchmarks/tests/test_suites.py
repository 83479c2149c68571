"""The registry, and the runner with rows that measure nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record, suites
from benchmarks.suite import BASE, OURS, PEER, Field, Row, Suite, open_field
from benchmarks.suites import all_suites, choose
from benchmarks.vs_peers import __main__ as runner
from benchmarks.vs_peers.clients import Measured
from benchmarks.vs_peers.lab import Missing
from benchmarks.vs_peers.rounds import burst, interleave, rows, throughput
from benchmarks.vs_peers.worker import run_many

LAB: Any = None  # rows that measure nothing need no lab


def constant(cost: float) -> Any:
    return lambda count, flight: Measured([cost] * count, cost * count / flight)


def open_three(field: Field) -> None:
    field.admit("floor", lambda: constant(100.0))
    field.admit("mine", lambda: constant(150.0))

    def absent() -> Any:
        raise Missing("peer is not installed")

    field.admit("peer", absent)


def suite(**more: Any) -> Suite:
    three = (Row("floor", "the floor", BASE, many=True), Row("mine", "mine", OURS, many=True))
    wishes = {"title": "a thing", "rows": (*three, Row("peer", "peer")), "open": open_three}
    return Suite(**{"name": "made", **wishes, **more})


def test_every_file_of_the_directory_is_in_the_registry() -> None:
    files = {path.stem for path in Path(suites.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(suites.FILES)


def test_suites_are_whole() -> None:
    found = all_suites()
    assert len({one.name for one in found}) == len(found)
    for one in found:
        names = [row.name for row in one.rows]
        assert len(set(names)) == len(names)
        used = {one.base, *one.beside, *(name for name, _ in one.sustained + one.burst)}
        used |= {name for budget in one.budgets for name in (budget.row, budget.other)}
        assert used <= set(names), one.name
        assert {row.kind for row in one.rows} <= {BASE, OURS, PEER}
        assert any(row.kind == OURS for row in one.rows), one.name


def test_the_whole_record_fits_in_ten_minutes() -> None:
    """The rounds' limits and five minutes for set-up, throughput and the 1,000 starts."""
    assert sum(one.seconds for one in all_suites()) <= 400


def test_a_suite_is_chosen_by_its_name_or_its_files() -> None:
    assert [one.name for one in choose(["exec"])] == ["exec"]
    assert [one.name for one in choose(["bindings", "start"])] == [
        *("binding-name", "binding-digest", "binding-import", "start")
    ]
    with pytest.raises(KeyError):
        choose(["nothing"])


def test_rows_are_measured_by_rounds_and_divided_by_the_base() -> None:
    field = open_field(suite(), LAB)
    found = rows(field, interleave(field, 7, 1))
    assert [(row["name"], row["count"], row["to_base"]) for row in found] == [
        ("floor", 7, 1.0),
        ("mine", 7, 1.5),
    ]
    assert field.missing == {"peer": "peer is not installed"}
    assert field.lost() == []


def test_a_row_that_a_suite_forgot_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nothing about mine"):
        open_field(suite(open=lambda field: field.admit("floor", lambda: constant(1.0))), LAB)


def test_ours_missing_is_said_loudly(capsys: pytest.CaptureFixture[str]) -> None:
    def open_it(field: Field) -> None:
        open_three(field)
        field.leave_out("mine", "mine is not installed")

    field = open_field(suite(open=open_it), LAB)
    assert field.lost() == ["mine"]
    assert "NOT MEASURED, and it is fastbox's own: made: mine" in capsys.readouterr().err


def test_a_row_that_fails_on_the_way_is_left_out_and_the_others_go_on() -> None:
    calls = iter(range(100))

    def sometimes(_count: int, _flight: int) -> Measured:
        failed = next(calls) > 6
        return Measured([] if failed else [1.0], 1.0, int(failed), "it broke" if failed else "")

    field = open_field(suite(), LAB)
    field.measures["mine"] = sometimes
    found = interleave(field, 20, 1)
    assert set(found) == {"floor"}
    assert len(found["floor"]) == 20
    assert "it broke" in field.missing["mine"]


def test_rounds_end_with_the_suites_seconds() -> None:
    field = open_field(suite(seconds=0.0), LAB)
    assert {len(one) for one in interleave(field, 1000, 1).values()} == {5}


def test_throughput_and_burst_count_what_failed() -> None:
    def failing(count: int, flight: int) -> Measured:
        return Measured([100.0] * (count - 1), 100.0 * count / flight, 1, "it broke")

    field = open_field(suite(flights=(1, 4), burst=(("floor", 1000), ("mine", 1000))), LAB)
    field.measures["mine"] = failing
    found = {(row["name"], row["in_flight"]): row for row in throughput(field, 100, 1)}
    assert found["floor", 4]["per_second"] == 40000.0
    assert (found["floor", 1]["failures"], found["mine", 4]["failures"]) == (0, 5)
    many = {row["name"]: row for row in burst(field, 1.0)}
    assert many["mine"]["failures"] == 1
    assert many["mine"]["error"] == "it broke"
    assert many["floor"]["count"] == 1000


def test_complaints_name_what_is_ours() -> None:
    result = {
        "suites": {
            "start": {
                "missing": [
                    {"name": "oci", "kind": "ours", "why": "not installed"},
                    {"name": "podman", "kind": "peer", "why": "not installed"},
                ],
                "burst": [
                    {"name": "cli", "kind": "ours", "failures": 2, "count": 9, "in_flight": 3},
                    {"name": "runc", "kind": "peer", "failures": 2, "count": 9, "in_flight": 3},
                ],
            }
        }
    }
    assert runner.complaints(result) == [
        "start: oci was not measured: not installed",
        "start: 2 of 9 cli at 3 in flight failed",
    ]


def test_a_worker_counts_failures_and_keeps_what_succeeded() -> None:
    def once(_request: Any, number: int, _slot: int) -> tuple[int, int]:
        if number % 4 == 3:
            raise OSError("no")
        return number, number + 1

    request: Any = {"count": 20, "flight": 4}
    answer = run_many(request, once, iter(range(100)))  # type: ignore[arg-type]
    assert (len(answer["samples"]), answer["failures"], answer["error"]) == (15, 5, "OSError: no")


def test_a_result_is_written_whole_and_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "results/one.json")
    result = {
        "schema": 2,
        "taken": "1",
        "suites": {"a": {"rows": [{"samples": [1.5, 2]}]}, "b": {}},
    }
    record.write(path, result)
    assert record.read(path) == result
    assert '"samples": [1.5, 2]' in Path(path).read_text()
    assert [entry.name for entry in (tmp_path / "results").iterdir()] == ["one.json"]
    Path(path).write_text(json.dumps({"schema": 3}))
    with pytest.raises(ValueError, match="schema 3"):
        record.read(path)
