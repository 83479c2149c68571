"""Remove all containers that don't run."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove all containers that do not run"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("filter", "", MANY, "only these, such as until=24h, label=a, label!=b", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print which."""
    from fastbox.cli.asking import agreed, show_pruned

    warning = "WARNING! This will remove all stopped containers."
    if not args.switch("force") and not agreed(out, warning):
        return 0
    pruned = engine.containers.prune(filters=args.texts("filter"))
    show_pruned(out, {"Deleted Containers": pruned})
    return 0
