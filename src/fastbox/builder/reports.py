"""What became of each step, of stages that were not needed, too."""

from __future__ import annotations

from fastbox.builder.course import FILES
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


def _unneeded(graph: Graph, node: Node) -> _Reports:
    name = graph.name(node.stage.number)
    steps = [each for each in node.stage.instructions if isinstance(each, FILES)]
    texts = [each.where.text for each in (node.start, *steps)]
    return [(StepReport(number=0, stage=name, name=text), frozenset()) for text in texts]
