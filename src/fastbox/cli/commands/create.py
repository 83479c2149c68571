"""Make a container without starting it."""

from __future__ import annotations

from fastbox.cli import runflags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "create"
USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
SUMMARY = "make a container without starting it"
OPERANDS = (0, None)
NOTES = runflags.NOTES


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return runflags.options()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Create the container and print its id."""
    wanted = runflags.build(args)
    runflags.warn(engine, args, wanted, out)
    with runflags.IdFile(args) as id_file:
        id_file.write(engine.containers.create(wanted))
    out.line(id_file.id)
    return 0
