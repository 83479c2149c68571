"""Make an image of a container."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "commit"
USAGE = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]"
SUMMARY = "make an image from a container's changes"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("author", "a", TEXT, 'set the author (such as "Ada <ada@example.org>")'),
        Option("change", "c", MANY, "apply a Dockerfile instruction to the image"),
        Option("message", "m", TEXT, "set the commit's message"),
        Option("pause", "p", SWITCH, "pause the container while it is read (default true)"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Commit it and print the image's id."""
    container, name = (*args.operands, "")[:2]
    out.line(
        engine.containers.commit(
            container,
            name,
            author=args.text("author"),
            message=args.text("message"),
            changes=args.texts("change"),
            pause=args.switch("pause", True),
        )
    )
    return 0
