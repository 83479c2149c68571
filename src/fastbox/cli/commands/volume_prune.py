"""Remove volumes that no container has."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove anonymous volumes that no container has"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "all that no container has, not only anonymous ones"),
        Option("filter", "", MANY, "only these, such as label=a, label!=b", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print which."""
    from fastbox.cli.asking import agreed, show_pruned

    everything = args.switch("all") or "all=true" in args.texts("filter")
    which = "all" if everything else "anonymous"
    warning = f"WARNING! This will remove {which} local volumes not used by at least one container."
    if not args.switch("force") and not agreed(out, warning):
        return 0
    pruned = engine.volumes.prune(all=everything, filters=args.texts("filter"))
    show_pruned(out, {"Deleted Volumes": pruned})
    return 0
