"""The page is what the results give, and nothing of it was written by hand."""

from __future__ import annotations

import json
import os
import random
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmarks import plots, record, report, stats, verdicts
from benchmarks.suites import all_suites, choose
from benchmarks.vs_peers import stages

from . import made

ROOT = Path(__file__).resolve().parents[2]
START, EXEC, _ = choose(["start", "exec"])


def test_the_committed_page_and_plots_are_what_the_committed_results_give() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    again, pictures = report.render(record.read_all(), page, "plots")
    assert again == page, "python -m benchmarks.report"
    for name, picture in pictures.items():
        assert (ROOT / "docs/plots" / name).read_text() == picture, name
    assert {path.name for path in (ROOT / "docs/plots").glob("*.svg")} == set(pictures)


def test_check_says_what_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record.write(str(tmp_path / "results/one.json"), made.run(EXEC))
    monkeypatch.chdir(tmp_path)
    words = ["--results", "results", "--page", "page.md", "--plots", "plots"]
    assert report.main([*words, "--check"]) == 1
    assert not (tmp_path / "page.md").exists()
    assert report.main(words) == 0
    assert report.main([*words, "--check"]) == 0
    (tmp_path / "plots/exec-ext4.svg").write_text("")
    capsys.readouterr()
    assert report.main([*words, "--check"]) == 1
    assert capsys.readouterr().out == f"stale: {os.path.join('plots', 'exec-ext4.svg')}\n"


def test_the_newest_of_each_suite_counts() -> None:
    old = made.run(START, EXEC, taken="2026-01-01T00:00:00Z")
    new = made.run(EXEC, taken="2026-02-01T00:00:00Z", seed=2)
    found = {one.suite.name: one.run["taken"][:7] for one in report.latest([old, new])}
    assert found == {"start": "2026-01", "exec": "2026-02"}


def test_every_suite_has_its_section_and_every_row_its_line() -> None:
    runs = [made.run(*all_suites())]
    page, pictures = report.render(runs, "# Page\n", "plots")
    for suite in all_suites():
        section = page.partition(f"<!-- measured: {suite.name} on ext4 -->")[2]
        section = section.partition("<!-- end of measured")[0]
        assert f"](plots/{suite.name}-ext4.svg)" in section
        for row in suite.rows:
            assert f"\n| {row.label} |" in section
    assert all(f"(plots/{name})" in page for name in pictures)


def test_who_is_missing_is_named_and_ours_in_bold() -> None:
    run = made.run(START)
    result = run["suites"]["start"]
    result["rows"] = [row for row in result["rows"] if row["name"] not in ("oci", "podman")]
    result["missing"] = [
        {"name": "oci", "kind": "ours", "why": "not installed"},
        {"name": "podman", "kind": "peer", "why": "not installed"},
    ]
    page, _ = report.render([run], "", "plots")
    assert "**Not measured**: oci (not installed)." in page
    assert "Left out: podman (not installed)." in page
    assert "| `fastbox-oci run`, at most 0.7 x `crun run` | not measured | **?** |" in page


def budget(run: dict[str, Any], text: str) -> verdicts.Verdict:
    found = verdicts.verdicts(START, run["suites"]["start"])
    return next(one for one in found if text in one.text)


def test_budgets_are_ratios_of_medians_of_one_run() -> None:
    run = made.run(START)
    for row in run["suites"]["start"]["rows"]:
        row["median"] = {"oci": 7.0, "crun": 10.0, "runc": 19.0}.get(row["name"], row["median"])
    crun, runc = (budget(run, f"fastbox-oci run`, at most 0.{end}") for end in ("7 x", "35 x"))
    assert (crun.figure, crun.kept) == ("0.70", True)
    assert (runc.figure, runc.kept) == ("0.37", False)


def test_a_thousand_starts_are_kept_only_when_a_thousand_were_made_and_none_failed() -> None:
    run = made.run(START)
    text = "fastbox-oci run, 1,000 starts"
    assert budget(run, text).kept is True
    row = next(row for row in run["suites"]["start"]["burst"] if row["name"] == "oci")
    row["failures"] = 1
    assert budget(run, text) == (budget(run, text).text, "1 failed", False)
    row |= {"failures": 0, "count": 100}
    assert budget(run, text).kept is None


def test_memory_has_a_column_and_a_budget_where_a_suite_asks_for_it() -> None:
    layers = choose(["layers"])[0]
    run = made.run(layers)
    rows = {row["name"]: row for row in run["suites"]["layers"]["rows"]}
    rows["load"]["memory"] = 65 << 10
    del rows["docker"]["memory"]
    page, _ = report.render([run], "", "plots")
    assert " peak memory, MiB |" in page
    limits = {one.text: one for one in verdicts.verdicts(layers, run["suites"]["layers"])}
    kept = {
        name: limits[f"{layers.title}: {layers.row(name).label}, at most 64 MiB of memory"]
        for name in ("extension", "load")
    }
    assert (kept["extension"].figure, kept["extension"].kept) == ("30 MiB", True)
    assert (kept["load"].figure, kept["load"].kept) == ("65 MiB", False)
    line = next(line for line in page.splitlines() if line.startswith("| docker load |"))
    assert line.endswith("|  |")


def test_a_limit_in_the_tables_unit_is_of_the_median() -> None:
    stages = choose(["build_stages"])[0]
    run = made.run(stages)
    for row in run["suites"]["build_stages"]["rows"]:
        row["median"] = {"cli": 2.6e6, "engine": 2.4e6}.get(row["name"], row["median"])
    found = verdicts.verdicts(stages, run["suites"]["build_stages"])
    assert [(one.figure, one.kept) for one in found] == [("2600 ms", False), ("2400 ms", True)]
    assert found[0].text.endswith("fastbox build, at most 2500 ms")
    run["suites"]["build_stages"]["rows"].clear()
    assert {one.kept for one in verdicts.verdicts(stages, run["suites"]["build_stages"])} == {None}


def test_history_has_a_column_for_each_run_that_judged_something() -> None:
    runs = [
        made.run(START, taken="2026-01-01T00:00:00Z"),
        made.run(EXEC, taken="2026-02-01T00:00:00Z"),
        made.run(*choose(["groups"]), taken="2026-03-01T00:00:00Z"),
    ]
    head = report.history(runs).partition("\n")[0]
    assert head == "| budget | 2026-01-01 abc | 2026-02-01 abc |"


def test_replace_touches_only_what_is_between_the_marks() -> None:
    page = report.replace("# Page\nours\n", "start", "one")
    again = report.replace(page + "tail\n", "start", "two")
    assert again == page.replace("one", "two") + "tail\n"


def test_a_mark_that_does_not_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no"):
        report.replace("<!-- measured: start -->\n", "start", "one")


@pytest.mark.parametrize("values", [[1.0, 3.0], [0.02, 400.0], [7.0]])
def test_plot_is_well_formed_and_inside_its_frame(values: list[float]) -> None:
    rows = [plots.Bar(f"a <{value}>", value, "peer", value / 2, value * 1.5) for value in values]
    root = ElementTree.fromstring(plots.bars("t & u", "ms", rows))
    rectangles = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(rectangles) == len(values)
    for rectangle in rectangles:
        end = float(rectangle.attrib["x"]) + float(rectangle.attrib["width"])
        assert plots.LEFT < end <= plots.WIDTH - plots.RIGHT


def test_summary_of_a_known_series() -> None:
    assert stats.summarise([float(value) for value in range(1, 102)]) == {
        "count": 101,
        "min": 1.0,
        "median": 51.0,
        "p90": 91.0,
        "p99": 100.0,
        "spread": round(1.4826 * 25 / 51, 4),
    }


def test_ratio_is_taken_within_the_round() -> None:
    assert stats.median_ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == 2.0


def test_interval_holds_the_change_and_narrows_with_the_rounds() -> None:
    few, many = ([1 + (n * 7 % 10) / 10 for n in range(count)] for count in (20, 400))
    _, low, high = stats.interval(few, few, confidence=0.99)
    _, nearer, farther = stats.interval(many, many, confidence=0.99)
    assert low < nearer <= 1 <= farther < high


@pytest.mark.parametrize("count", [5, 31, 81])
def test_medians_of_resamples_are_distributed_as_real_ones(count: int) -> None:
    source = random.Random(count)
    samples = [source.lognormvariate(0, 0.3) for _ in range(count)]
    real = [stats.median(source.choices(samples, k=count)) for _ in range(4000)]
    quick = stats.resampled_medians(samples, 1)
    assert set(quick) <= set(samples)
    for share in (0.05, 0.5, 0.95):
        at = stats.quantile(real, share)
        below = sum(median <= at for median in quick) / len(quick)
        expected = sum(median <= at for median in real) / len(real)
        assert below == pytest.approx(expected, abs=0.04)


def timeline(pid: int, begin: float) -> list[dict[str, Any]]:
    """What FASTBOX_TRACE gets of one start, shortened."""
    lanes = {"python": pid, "supervisor": 7, "container": pid + 1}
    found: list[dict[str, Any]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "tid": pid, "args": {"name": "fastbox"}}
    ]
    for lane, tid in lanes.items():
        args = {"name": lane}
        found.append({"name": "thread_name", "ph": "M", "pid": pid, "tid": tid, "args": args})
    for lane, name, at, lasts in (
        *(("python", "start", 0, 100), ("python", "image", 0, 10), ("python", "launch", 10, 90)),
        *(("supervisor", "cgroup", 15, 5), ("supervisor", "clone", 20, 20)),
        *(("container", "cgroup", 40, 10), ("container", "exec", 50, 30)),
        ("supervisor", "record", 80, 5),
    ):
        event = {"name": name, "ph": "X", "pid": pid, "tid": lanes[lane]}
        found.append({**event, "ts": begin + at, "dur": lasts})
    return found


def test_stages_are_by_lane_and_end_where_the_command_runs(tmp_path: Path) -> None:
    events = [*timeline(100, 1000.0), *timeline(100, 3000.0)]
    lines = ",\n".join(json.dumps(event) for event in events)
    (tmp_path / "trace").write_text("[\n" + lines + ",\n")  # no closing bracket yet
    starts = stages.by_container(stages.read_trace(str(tmp_path / "trace")))
    assert len(starts) == 2
    whole = [stages.around(one, one[0]["ts"] - 2.0, 150.0) for one in starts]
    assert stages.medians(whole) == {
        stages.BEFORE: 2.0,
        "python: image": 10.0,
        stages.HANDED: 5.0,
        "supervisor: cgroup": 5.0,
        "supervisor: clone": 20.0,
        "container: cgroup": 10.0,
        "container: exec": 30.0,
        stages.AFTER: 68.0,
    }


def test_timings_are_the_supervisors_until_the_clone() -> None:
    text = """a0             microseconds     share
plan                15129.4    69.8 %
clone                 449.8     2.8 %
working directory     154.4     0.1 %
start               15733.6   100.0 %
"""
    assert stages.parse_timings(text) == {
        "supervisor: plan": 15129.4,
        "supervisor: clone": 449.8,
        "container: working directory": 154.4,
    }


def test_stages_have_rows_that_the_floor_has_too() -> None:
    mine = report.grouped({"container: rootfs": 2.0, "container: cgroup": 1.0, "new": 5.0})
    floor = report.grouped({"rootfs": 2.0, "join": 1.0})
    assert mine == {"overlay": 2.0, "clone, join the groups": 1.0, "new": 5.0}
    assert floor == {"overlay": 2.0, "clone, join the groups": 1.0}
