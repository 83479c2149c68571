"""Write images as an archive."""

from __future__ import annotations

from fastbox.cli.parser import TEXT, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "save"
USAGE = "[OPTIONS] IMAGE [IMAGE...]"
SUMMARY = "save images to a tar archive (to stdout without --output)"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "", TEXT, "docker-archive (the default), oci-archive or oci-dir"),
        Option("output", "o", TEXT, "write to this file instead of stdout"),
        Option("platform", "", TEXT, "what the images have to be for (os/arch[/variant])"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Save them."""
    import os

    target = args.text("output")
    if not target and os.isatty(1):
        raise InvalidArgument(
            "stdout is a terminal, which is no place for an archive",
            hint="fastbox save -o FILE IMAGE, or redirect it",
        )
    engine.images.save(
        args.operands,
        target or 1,
        format=args.text("format", "docker-archive"),
        platform=args.text("platform"),
    )
    return 0
