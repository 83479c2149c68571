"""Take images from an archive into the store."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "load"
USAGE = "[OPTIONS]"
SUMMARY = "load images from a tar archive or stdin"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    from fastbox.cli.render.progress import OPTION

    return (
        Option("input", "i", TEXT, "read this file instead of stdin"),
        OPTION,
        Option("platform", "", TEXT, "take the images for this platform (os/arch[/variant])"),
        Option("quiet", "q", SWITCH, "show no progress"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Load them and print their names."""
    import os

    source = args.text("input")
    if not source and os.isatty(0):
        raise InvalidArgument("stdin is a terminal, not an archive", hint="fastbox load -i FILE")
    from fastbox.cli.render.progress import Shown

    with Shown(out, args) as progress:
        lines = engine.images.load(source or 0, progress=progress, platform=args.text("platform"))
    for line in lines:
        out.line(line)
    return 0
