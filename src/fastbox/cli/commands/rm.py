"""Remove containers."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option
from fastbox.cli.report import each, report
from fastbox.errors import ContainerNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "rm"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "remove containers"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("force", "f", SWITCH, "kill it first when it runs"),
        Option("link", "l", SWITCH, "remove a link (there are none)"),
        Option("volumes", "v", SWITCH, "remove its anonymous volumes, too"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Remove each; 1 when any could not be, but one that is not there is no failure of --force."""
    force, volumes = args.switch("force"), args.switch("volumes")

    def remove(name: str) -> str:
        try:
            engine.containers.remove(name, force=force, volumes=volumes)
        except ContainerNotFound as error:
            if not force:
                raise
            report(error, out)
            return ""
        return name

    return each(args.operands, remove, out)
