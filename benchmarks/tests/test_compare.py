"""The judge: a real slowdown fails, noise and a slower machine do not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compare, record
from benchmarks.suites import choose

from . import made

START, GROUPS = choose(["start", "groups"])
SEEDS = range(2, 14)


def status(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> int:
    for name, result in (("old", old), ("new", new)):
        record.write(str(tmp_path / f"{name}.json"), result)
    return compare.main([str(tmp_path / "old.json"), str(tmp_path / "new.json")])


def bad(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [one.label for one in compare.compare(old, new) if one.bad]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_row_that_became_20_percent_slower_fails_and_no_other_does(seed: int) -> None:
    old = made.run(GROUPS, rounds=300)
    new = made.run(GROUPS, seed=seed, rounds=300, factors={"library": 1.2})
    assert bad(old, new) == ["libfastbox (fb_cgroup_create, fb_cgroup_remove)"]


@pytest.mark.parametrize("seed", SEEDS)
def test_in_80_rounds_too_if_the_noise_is_a_quiet_machines(seed: int) -> None:
    old = made.run(START, noise=0.06)
    new = made.run(START, seed=seed, noise=0.06, factors={"in_process": 1.2})
    found = [one for one in compare.compare(old, new) if one.bad]
    assert "fastbox, in process (Engine.run)" in [one.label for one in found]
    assert {one.label.partition(",")[0] for one in found} == {"fastbox"}


@pytest.mark.parametrize("noise", [0.03, 0.12, 0.5])
@pytest.mark.parametrize("seed", SEEDS)
def test_noise_passes(seed: int, noise: float) -> None:
    assert bad(made.run(START, noise=noise), made.run(START, seed=seed, noise=noise)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_floor_that_load_hits_less_than_all_others_is_not_their_regression(seed: int) -> None:
    everybody = {row.name: 1.5 for row in START.rows if row.name != "floor"}
    old, new = made.run(START), made.run(START, seed=seed, factors=everybody)
    assert bad(old, new) == []
    worse = made.run(START, seed=seed, noise=0.06, factors={**everybody, "oci": 1.5 * 1.4})
    assert "fastbox-oci run" in bad(made.run(START, noise=0.06), worse)


@pytest.mark.parametrize("machine", [0.5, 2.0, 10.0])
def test_another_speed_of_the_machine_passes(tmp_path: Path, machine: float) -> None:
    assert status(tmp_path, made.run(START), made.run(START, seed=5, machine=machine)) == 0


def test_the_status_is_1_and_the_row_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(tmp_path, made.run(START), made.run(START, seed=3, factors={"oci": 1.5})) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("!!")]
    assert lines
    assert all("fastbox-oci run" in line and "SLOWER" in line for line in lines)


def test_a_peer_that_became_slower_is_shown_and_does_not_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(tmp_path, made.run(START), made.run(START, seed=3, factors={"runc": 1.5})) == 0
    shown = [line for line in capsys.readouterr().out.splitlines() if "runc run " in line]
    assert any("SLOWER" in line and line.startswith(" .") for line in shown)


def test_what_became_faster_passes_and_is_said() -> None:
    found = compare.compare(made.run(START), made.run(START, seed=3, factors={"oci": 0.7}))
    row = next(one for one in found if one.label == "fastbox-oci run")
    assert row.verdict == compare.FASTER
    assert not any(one.bad for one in found)


def test_a_loud_machine_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = made.run(START, seed=3)
    new["suites"]["start"]["busy"] = 0.62
    assert status(tmp_path, made.run(START), new) == 0
    assert "busy with others before start (62%)" in capsys.readouterr().out


def test_throughput_alone_can_fail() -> None:
    old, new = made.run(START), made.run(START, seed=3)
    for row in new["suites"]["start"]["throughput"]:
        if row["name"] == "in_process":
            row["rates"] = [rate / 1.4 for rate in row["rates"]]
    flights = [f"fastbox, in process (Engine.run), {flight} in flight" for flight in START.flights]
    assert bad(old, new) == flights


def test_a_start_that_fails_among_many_fails() -> None:
    old, new = made.run(START), made.run(START, seed=3)
    next(row for row in new["suites"]["start"]["burst"] if row["name"] == "oci")["failures"] = 1
    assert bad(old, new) == ["fastbox-oci run, 1,000 at 32 in flight"]


def test_a_row_of_ours_that_vanished_fails_and_a_peers_does_not() -> None:
    old, new = made.run(START), made.run(START, seed=3)
    rows = new["suites"]["start"]["rows"]
    new["suites"]["start"]["rows"] = [row for row in rows if row["name"] not in ("oci", "runc")]
    found = {one.label: one for one in compare.compare(old, new) if one.verdict == compare.GONE}
    assert found["fastbox-oci run"].bad
    assert not found["runc run"].bad


def test_a_suite_that_only_one_has_is_not_judged() -> None:
    both = compare.compare(made.run(START, GROUPS), made.run(GROUPS, seed=3))
    assert {one.suite for one in both} == {"groups"}


def test_another_floor_is_not_compared(tmp_path: Path) -> None:
    assert status(tmp_path, made.run(START), {**made.run(START), "floor": "other"}) == 2


def test_nothing_in_common_is_not_a_pass(tmp_path: Path) -> None:
    assert status(tmp_path, made.run(START), made.run(GROUPS)) == 2


def test_it_runs_by_its_path_from_anywhere(tmp_path: Path) -> None:
    for name, factor in (("old", 1.0), ("new", 1.5)):
        result = made.run(START, factors={"oci": factor})
        record.write(str(tmp_path / name), result)
    words = [sys.executable, os.path.abspath(compare.__file__), "old", "new"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "SLOWER" in done.stdout
