"""After a boot: start the containers that their restart policy wants to run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "start"
USAGE = ""
SUMMARY = "after a boot, start the containers that their restart policy wants to run"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Start them and print their ids."""
    for identity in engine.containers.start_all():
        out.line(identity)
    return 0
