"""ONBUILD instructions of what stages begin with: they may take files from stages, too, which are
therefore needed.
"""

from __future__ import annotations

from fastbox.dockerfile.instructions import Onbuild
from fastbox.dockerfile.parse import parse_line
from fastbox.errors import FastboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.builder.build import Build
    from fastbox.builder.graph import Node


def with_triggers(build: Build) -> None:
    """Make the graph know what triggers need.

    Raises:
        DockerfileError: Stages need each other in a circle.
    """
    graph, known = build.graph, set[int]()
    while fresh := [number for number in graph.needed() if number not in known]:
        known.update(fresh)
        for number in fresh:
            texts = _triggers(build, graph.nodes[number])
            graph.extend(number, [parse_line(text) for text in texts], build.refuse)
    graph.check_circles(build.refuse)


def _triggers(build: Build, node: Node) -> Sequence[str]:
    if node.base is not None:
        below = build.graph.nodes[node.base].stage.instructions
        return [each.text for each in below if isinstance(each, Onbuild)]
    named = build.named.get(node.start.image.lower())
    if node.start.image == "scratch" or (named is not None and named.kind != "image"):
        return ()
    reference = node.start.image if named is None else named.value
    platform = node.start.platform or build.options.platform
    try:
        document = build.images.parts(reference, platform)[2]
    except FastboxError:
        return ()  # its stage will say so
    return (document.get("config") or {}).get("OnBuild") or ()
