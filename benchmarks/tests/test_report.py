"""What the report computes, without measuring anything."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from benchmarks import plots, report, stats
from benchmarks.vs_peers import stages


def test_summary_of_a_known_series() -> None:
    assert stats.summarise([float(value) for value in range(1, 102)]) == {
        "count": 101,
        "min": 1.0,
        "median": 51.0,
        "p90": 91.0,
        "p99": 100.0,
    }


def test_ratio_is_taken_within_the_round() -> None:
    assert stats.median_ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == 2.0


@pytest.mark.parametrize("values", [[1.0, 3.0], [0.02, 400.0], [7.0]])
def test_plot_is_well_formed_and_inside_its_frame(values: list[float]) -> None:
    rows = [plots.Bar(f"a <{value}>", value, "peer", value / 2, value * 1.5) for value in values]
    root = ElementTree.fromstring(plots.bars("t & u", "ms", rows))
    rectangles = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(rectangles) == len(values)
    for rectangle in rectangles:
        end = float(rectangle.attrib["x"]) + float(rectangle.attrib["width"])
        assert plots.LEFT < end <= plots.WIDTH - plots.RIGHT


def test_replace_touches_only_what_is_between_the_marks() -> None:
    page = report.replace("# Page\nours\n", "start", "one")
    again = report.replace(page + "tail\n", "start", "two")
    assert again == page.replace("one", "two") + "tail\n"


def test_a_mark_that_does_not_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="has no"):
        report.replace("<!-- measured: start -->\n", "start", "one")


def test_stages_are_medians_in_the_order_of_their_ends() -> None:
    def event(name: str, ts: float, dur: float) -> dict[str, object]:
        return {"name": name, "ph": "X", "ts": ts, "dur": dur, "pid": "a"}

    starts = [[event("mount", 5, 3), event("clone", 0, 5)], [event("clone", 100, 7)]]
    found = stages.medians(starts)
    assert list(found) == ["clone", "mount"]
    assert found == {"clone": 6.0, "mount": 1.5}
