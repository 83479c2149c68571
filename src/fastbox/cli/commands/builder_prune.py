"""Take steps that nobody needs out of the cache of builds."""

from __future__ import annotations

from fastbox import units
from fastbox.cli.parser import MANY, SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import Pruned

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove steps of builds from the cache"
OPERANDS = (0, 0)
_HEADING = ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED")


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "all steps, not only those that no image has"),
        Option("builder", "", TEXT, ""),
        Option("filter", "", MANY, "only these, such as until=24h", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
        Option("keep-storage", "", TEXT, "as --reserved-space", "bytes", "reserved-space"),
        Option("max-used-space", "", TEXT, "leave at most so much", "bytes"),
        Option("min-free-space", "", TEXT, "stop when so much of the disk is free", "bytes"),
        Option("reserved-space", "", TEXT, "leave so much in any case", "bytes"),
        Option("verbose", "", SWITCH, ""),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print what went."""
    from fastbox.cli.asking import agreed
    from fastbox.cli.values import read

    everything = args.switch("all")
    keep = read(args, "reserved-space", units.size, "10gb")
    most = read(args, "max-used-space", units.size, "10gb")
    free = read(args, "min-free-space", units.size, "10gb")
    which = "all" if everything else "all dangling"
    if not args.switch("force") and not agreed(
        out, f"WARNING! This will remove {which} build cache."
    ):
        return 0
    pruned = engine.builds.prune(
        all=everything, keep=keep, max_used=most, min_free=free, filters=args.texts("filter")
    )
    _show(pruned, out)
    return 0


def _show(pruned: Pruned, out: Output) -> None:
    """A line for each step, its cells apart by tabs, and how much that gave back."""
    from fastbox.cli.render import human, table

    if pruned.lines:
        rows = []
        for line in pruned.lines:
            identity, reclaimable, size, ago = line.split("\t")
            rows.append(
                (identity, reclaimable, human.size(int(size)), f"{human.age(int(ago))} ago")
            )
        for line in table.lines([_HEADING, *rows]):
            out.line(line)
    out.line(f"Total:\t{human.size(pruned.reclaimed)}")
