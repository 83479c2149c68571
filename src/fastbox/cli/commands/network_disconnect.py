"""Take a container out of a network."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "disconnect"
USAGE = "[OPTIONS] NETWORK CONTAINER"
SUMMARY = "take a container out of a network"
OPERANDS = (2, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("force", "f", SWITCH, "also one that is not there any more"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Disconnect it; nothing is printed."""
    network, container = args.operands
    engine.networks.disconnect(container, network, force=args.switch("force"))
    return 0
