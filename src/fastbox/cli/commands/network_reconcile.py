"""Make what the kernel lacks of the networks, and give back what nobody has."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "reconcile"
USAGE = ""
SUMMARY = "make bridges and firewall rules that are missing, free addresses that nobody has"
OPERANDS = (0, 0)
NOTES = """After `nft flush ruleset`, or another program's, this puts fastbox's own
rules back, with those of the containers that run. It may be run at any time."""


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Print a line for each thing that was done."""
    for line in engine.networks.reconcile():
        out.line(line)
    return 0
