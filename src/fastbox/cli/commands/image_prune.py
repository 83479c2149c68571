"""Remove images that nobody uses."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove images that nobody uses"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "all that no container uses, not only those without a name"),
        Option("filter", "", MANY, "only these, such as until=24h, label=a, label!=b", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print what went."""
    from fastbox.cli.asking import agreed, show_pruned

    everything = args.switch("all")
    which = (
        "all images without at least one container associated to them"
        if everything
        else "all dangling images"
    )
    if not args.switch("force") and not agreed(out, f"WARNING! This will remove {which}."):
        return 0
    pruned = engine.images.prune(all=everything, filters=args.texts("filter"))
    show_pruned(out, {"Deleted Images": pruned})
    return 0
