"""The registry, and the runner with rows that measure nothing."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import record, suites
from benchmarks.suite import BASE, OURS, PEER, Field, Row, Suite, open_field
from benchmarks.suites import all_suites, choose
from benchmarks.vs_peers import __main__ as runner
from benchmarks.vs_peers import debian
from benchmarks.vs_peers.clients import Measured
from benchmarks.vs_peers.lab import Missing
from benchmarks.vs_peers.rounds import burst, interleave, rows, throughput
from benchmarks.vs_peers.worker import run_command, run_many

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
        used |= {name for name, _ in one.resident + one.within}
        assert used <= set(names), one.name
        assert {row.kind for row in one.rows} <= {BASE, OURS, PEER}
        assert any(row.kind == OURS for row in one.rows), one.name


def test_the_whole_record_fits_in_ten_minutes() -> None:
    """The rounds' limits and five minutes for set-up, throughput and the 1,000 starts."""
    assert sum(one.seconds for one in choose([])) <= 400


def test_what_is_long_is_measured_by_its_name_only_and_fits_in_eight_minutes() -> None:
    apart = [one for one in all_suites() if one.apart]
    assert {one.name for one in apart} == {
        one.name for one in choose(["layers", "life", "network", "build"])
    }
    assert not set(apart) & set(choose([]))
    for name in ("layers", "life", "network", "build"):
        assert sum(one.seconds for one in choose([name])) <= 480


def test_a_suite_is_chosen_by_its_name_or_its_files() -> None:
    assert [one.name for one in choose(["exec_row"])] == ["exec_row"]
    assert [one.name for one in choose(["exec"])] == ["exec", "exec_row"]
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


def test_a_suite_says_how_many_rounds_are_enough_and_which_warm_it_up() -> None:
    calls = []

    def counted(_count: int, _flight: int) -> Measured:
        calls.append(1)
        return Measured([1.0], 1.0)

    field = open_field(suite(seconds=0.0, least=2, warm_up=1), LAB)
    field.measures["mine"] = counted
    assert {len(one) for one in interleave(field, 1000, 1).values()} == {2}
    assert len(calls) == 3


def test_the_most_memory_of_all_rounds_is_kept_where_it_is_known() -> None:
    field = open_field(suite(), LAB)
    found = {
        "floor": [Measured([1.0], 1.0)] * 2,
        "mine": [Measured([1.0], 1.0, memory=n) for n in (3, 9)],
    }
    assert [row.get("memory") for row in rows(field, found)] == [None, 9]


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


def words(*argv: str, directory: str = "", after: tuple[str, ...] = ()) -> Any:
    undo = [list(after)] if after else []
    return {
        "argv": list(argv),
        "files": {},
        "directory": directory,
        "after": undo,
        "count": 1,
        "flight": 1,
    }


def test_a_command_has_a_directory_of_its_own_and_its_memory_is_known(tmp_path: Path) -> None:
    place = str(tmp_path / "{id}")
    request = words("/bin/sh", "-c", 'echo x > "$0/file"', "{directory}", directory=place)
    begin, end, memory = run_command(request, 1, 0)
    assert begin < end
    assert 1 << 10 < memory < 1 << 20
    assert list(tmp_path.iterdir()) == []


def test_what_was_done_is_undone_after_the_clock_and_a_failure_of_that_counts(
    tmp_path: Path,
) -> None:
    undo = ("/bin/sh", "-c", 'mv "$0/a" "$0/b"', str(tmp_path))
    run_command(words("/bin/touch", str(tmp_path / "a"), after=undo), 1, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    with pytest.raises(RuntimeError, match="mv"):
        run_command(words("/bin/true", after=undo), 2, 0)


def member(
    name: str, size: int = 0, link: str = "", kind: bytes = tarfile.REGTYPE
) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.linkname, found.type = size, link, tarfile.LNKTYPE if link else kind
    return found


def test_layers_weigh_about_the_same_and_each_can_be_unpacked_by_itself() -> None:
    members = [member("d", kind=tarfile.DIRTYPE), member("d/e", kind=tarfile.DIRTYPE)]
    members += [member(f"d/e/{number:03}", number * 100) for number in range(200)]
    members += [member("last", link="d/e/000")]
    found = debian.groups(members, 5)
    weights = [sum(one.size + debian.ENTRY_COST for one in group) for group in found]
    assert max(weights) < 1.1 * min(weights)
    assert {one.name for group in found for one in group} == {one.name for one in members}
    for group in found:
        seen: set[str] = set()
        for one in group:
            above = one.name.rpartition("/")[0]
            assert not above or above in seen
            assert not one.linkname or one.linkname in seen
            seen.add(one.name)


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
