"""The graph of a build as text and as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from fastbox.builds import StepReport
from fastbox.cli.render.build_graph import longest, text
from fastbox.cli.render.build_svg import draw

STEPS = (
    StepReport(number=1, stage="build", name="FROM golang", status="cached"),
    StepReport(number=2, stage="build", name="RUN make all", needs=(1,), status="done", seconds=12.34, size=1_500_000),
    StepReport(number=3, stage="docs", name="FROM python", status="unneeded"),
    StepReport(number=4, stage="2", name="FROM scratch", status="done", seconds=0.01),
    StepReport(number=5, stage="2", name="COPY --from=build /x /x", needs=(4, 2), status="failed", seconds=0.5),
)  # fmt: skip


def test_a_tree_of_stages() -> None:
    assert text(STEPS) == [
        "├─ build",
        "│  ├─ 1 FROM golang              cached",
        "│  └─ 2 RUN make all             done 12.3s 1.5MB",
        "├─ docs",
        "│  └─ 3 FROM python              unneeded",
        "└─ 2",
        "   ├─ 4 FROM scratch             done 0.0s",
        "   └─ 5 COPY --from=build /x /x  failed 0.5s  needs 2 (build)",
        "",
        "5 steps: 1 cached, 2 done, 1 unneeded, 1 failed",
        "longest chain: 2 > 5, 12.8s",
    ]
    assert text(()) == ["no steps"]


def test_everything_cached() -> None:
    assert text(STEPS[:1])[-1] == "1 step: 1 cached"


def test_names_are_harmless() -> None:
    name = 'RUN \x1b[2J\n</text><script>alert(1)</script>&"\x00' + "x" * 200
    steps = (StepReport(number=1, stage="\x1b]0;<b>", name=name, needs=(9,)),)
    assert all(line.isprintable() for line in text(steps))
    root = ET.fromstring(draw(steps))
    assert not root.findall(".//{http://www.w3.org/2000/svg}script")


def test_a_picture() -> None:
    root = ET.fromstring(draw(STEPS))
    svg = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in root.iter(f"{svg}title")]
    assert titles == [step.name for step in STEPS]
    assert len(root.findall(f"{svg}path")) == 3
    boxes = [group.find(f"{svg}rect") for group in root.findall(f"{svg}g")]
    places = [(int(box.get("x", 0)), int(box.get("y", 0))) for box in boxes if box is not None]
    assert len(set(places)) == len(places)
    assert places[4][1] > max(places[1][1], places[3][1])  # below all that it needs
    assert "http" not in draw(STEPS).replace("http://www.w3.org/2000/svg", "")
    ET.fromstring(draw(()))


def test_a_long_chain_and_nonsense() -> None:
    chain = [
        StepReport(number=n, stage="s", name="x", needs=(n - 1,), seconds=1.0)
        for n in range(1, 5001)
    ]
    assert longest(chain) == (list(range(1, 5001)), 5000.0)
    assert len(text(chain)) == 5001 + 3
    ET.fromstring(draw(chain))
    circle = [
        StepReport(number=n, stage="s", name="x", needs=(3 - n, n), seconds=1.0) for n in (1, 2)
    ]
    assert longest(circle) == ([1, 2], 2.0)
    ET.fromstring(draw(circle))
