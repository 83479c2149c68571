"""Give an image another name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "tag"
USAGE = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]"
SUMMARY = "give an image another name"
OPERANDS = (2, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Tag it."""
    engine.images.tag(args.operands[0], args.operands[1])
    return 0
