"""Remove networks that no container runs in."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove networks that no container runs in"
OPERANDS = (0, 0)
_WARNING = "WARNING! This will remove all custom networks not used by at least one container."


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("filter", "", MANY, "only these, such as until=24h, label=a, label!=b", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print which."""
    from fastbox.cli.asking import agreed

    if not args.switch("force") and not agreed(out, _WARNING):
        return 0
    pruned = engine.networks.prune(filters=args.texts("filter"))
    if pruned.lines:
        out.line("Deleted Networks:")
        for line in pruned.lines:
            out.line(line)
        out.line("")
    return 0
