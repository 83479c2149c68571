"""What became of each step, of stages that were not needed, too."""

from __future__ import annotations

from fastbox.builder.course import FILES
from fastbox.builder.graph import sources_of
from fastbox.builds import StepReport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.builder.course import Course
    from fastbox.builder.graph import Graph, Node

    _Reports = list[tuple[StepReport, frozenset[int]]]


def of_all(graph: Graph, courses: Mapping[int, Course]) -> tuple[StepReport, ...]:
    """All steps, numbered in the file's order; each needs the one before it in its stage, and the
    last ones of the stages that it takes files from.
    """
    found: list[StepReport] = []
    last: dict[int, int] = {}
    for node in graph.nodes:
        number = node.stage.number
        course = courses.get(number)
        reports = course.reports if course is not None else _unneeded(graph, node)
        before = last.get(node.base) if node.base is not None else None
        for report, stages in reports:
            needs = {before, *(last.get(stage) for stage in stages)} - {None}
            before = len(found) + 1
            found.append(report.replace(number=before, needs=tuple(sorted(needs))))
        if before is not None:
            last[number] = before
    return tuple(found)


def planned(graph: Graph) -> tuple[StepReport, ...]:
    """The same before anything was built."""
    needed = {graph.name(number) for number in graph.needed()}
    return tuple(
        report.replace(status="planned") if report.stage in needed else report
        for report in of_all(graph, {})
    )


def _unneeded(graph: Graph, node: Node) -> _Reports:
    name = graph.name(node.stage.number)
    found: _Reports = []
    if node.base is None:
        text = node.start.where.text
        found.append((StepReport(number=0, stage=name, name=text), frozenset()))
    for each in node.stage.instructions:
        if isinstance(each, FILES):
            named = [graph.source(source) for source in sources_of(each)]
            stages = {stage for stage in named if stage is not None}
            report = StepReport(number=0, stage=name, name=each.where.text)
            found.append((report, frozenset(stages)))
    return found
