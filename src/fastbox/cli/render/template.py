r"""Go's templates, as docker's client has them: Go's actions and functions, and docker's `json`,
`join`, `split`, `title`, `lower`, `upper`, `pad` and `truncate`.
"""

from __future__ import annotations

from fastbox.cli.render import functions
from fastbox.cli.render.evaluate import execute
from fastbox.cli.render.nodes import Chain, Function, Node
from fastbox.cli.render.parser import parse
from fastbox.cli.render.values import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Template", "plain", "unescape"]


class Template:
    """A parsed template.

    Raises:
        InvalidArgument: It is none; the message is Go's.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._parts = parse(text, functions.NAMES)

    def render(self, value: object, *, heading: bool = False, strict: bool = False) -> str:
        """The template filled in from a value.

        Args:
            value: The dot.
            heading: It is a table's headings, which some functions leave alone.
            strict: A map's unknown key is an error, too.

        Raises:
            InvalidArgument: The document has no such field, or does not fit what is done with it.
            ResourceExhausted: It takes too long, or writes too much.
        """
        return execute(self._text, self._parts, value, heading=heading, strict=strict)

    def names(self) -> set[str]:
        """Every field and function that it mentions: what need not be found out is not."""
        found: set[str] = set()
        for nodes in self._parts.values():
            for node in _all(nodes):
                if isinstance(node, Chain):
                    found.update(node.fields)
                elif isinstance(node, Function):
                    found.add(node.name)
        return found


def _all(nodes: object) -> Iterator[Node]:
    """Every part of a part."""
    if isinstance(nodes, (list, tuple)):
        for node in nodes:
            yield from _all(node)
    elif isinstance(nodes, Node):
        yield nodes
        for kind in type(nodes).__mro__:
            for name in getattr(kind, "__slots__", ()):
                yield from _all(getattr(nodes, name))


def unescape(text: str) -> str:
    r"""The template of a listing, in which `\t` and `\n` may be typed as two characters."""
    return text.replace("\\t", "\t").replace("\\n", "\n")
