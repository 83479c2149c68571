"""Show all that is known about images, as JSON or through a template."""

from __future__ import annotations

from fastbox.cli.commands import inspect
from fastbox.cli.parser import TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "inspect"
USAGE = "[OPTIONS] IMAGE [IMAGE...]"
SUMMARY = "show all that is known about images"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "f", TEXT, "print json, or a template such as {{.Config.Env}}"),
        Option("platform", "", TEXT, "what the images have to be for (os/arch[/variant])"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print what was found; 1 when something was not."""
    platform = args.text("platform")
    return inspect.show(args, out, lambda name: engine.images.inspect(name, platform=platform))
