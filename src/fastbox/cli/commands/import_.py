"""Make an image of one layer from a tar archive."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option
from fastbox.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "import"
USAGE = "[OPTIONS] file|- [REPOSITORY[:TAG]]"
SUMMARY = "make an image from a tar archive of a root file system"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    from fastbox.cli.render.progress import OPTION

    return (
        Option("change", "c", MANY, "apply a Dockerfile instruction to the image"),
        Option("message", "m", TEXT, "set the image's message"),
        Option("platform", "", TEXT, "what the image is for (os/arch[/variant])"),
        OPTION,
        Option("quiet", "q", SWITCH, "show no progress"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Import it and print its id."""
    import os

    source, reference = (*args.operands, "")[:2]
    if source.startswith(("http://", "https://")):
        raise Unsupported(
            "importing from a URL is not supported yet", hint=f"curl -L {source} | fastbox import -"
        )
    if source == "-" and os.isatty(0):
        raise InvalidArgument(
            "stdin is a terminal, not an archive", hint="fastbox import FILE [REPOSITORY[:TAG]]"
        )
    from fastbox.cli.render.progress import Shown

    with Shown(out, args) as progress:
        identity = engine.images.import_tar(
            0 if source == "-" else source,
            reference,
            changes=args.texts("change"),
            message=args.text("message"),
            platform=args.text("platform"),
            progress=progress,
        )
    out.line(identity)
    return 0
