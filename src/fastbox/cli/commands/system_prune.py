"""Remove all that nobody uses: stopped containers, then networks, images and steps of builds."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "prune"
USAGE = "[OPTIONS]"
SUMMARY = "remove stopped containers, and the networks, images and steps that nobody uses"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "all images that no container uses, not only nameless ones"),
        Option("filter", "", MANY, "only these, such as until=24h, label=a, label!=b", "filter"),
        Option("force", "f", SWITCH, "do not ask"),
        Option("volumes", "", SWITCH, "anonymous volumes, too"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Ask, remove them, and print what went."""
    from fastbox.cli.asking import agreed, show_pruned
    from fastbox.support.filters import Filters

    everything, filters = args.switch("all"), args.texts("filter")
    volumes = args.switch("volumes")
    if volumes and Filters(filters, ("until", "label", "label!")).values("until"):
        raise InvalidArgument('the "until" filter is not supported with "--volumes"')
    if not args.switch("force") and not agreed(out, _warning(everything, volumes, filters)):
        return 0
    containers = engine.containers.prune(filters=filters)
    groups = {"Deleted Containers": containers}
    groups["Deleted Networks"] = engine.networks.prune(filters=filters)
    if volumes:
        groups["Deleted Volumes"] = engine.volumes.prune(filters=filters)
    groups["Deleted Images"] = engine.images.prune(all=everything, filters=filters)
    if _takes_the_cache(filters):
        pruned = engine.builds.prune(
            all=everything, keep=None, max_used=None, min_free=None, filters=filters
        )
        lines = tuple(line.partition("\t")[0] for line in pruned.lines)
        groups["Deleted build cache objects"] = pruned.replace(lines=lines)
    show_pruned(out, groups)
    return 0


def _takes_the_cache(filters: Sequence[str]) -> bool:
    """Steps of builds have no labels."""
    return all(text.partition("=")[0].strip().lower() == "until" for text in filters)


def _warning(everything: bool, volumes: bool, filters: Sequence[str]) -> str:
    images = (
        "all images without at least one container associated to them"
        if everything
        else "all dangling images"
    )
    lines = ["WARNING! This will remove:", "  - all stopped containers"]
    lines.append("  - all networks not used by at least one container")
    if volumes:
        lines.append("  - all anonymous volumes not used by at least one container")
    lines.append(f"  - {images}")
    if _takes_the_cache(filters):
        lines.append("  - all build cache" if everything else "  - unused build cache")
    lines.append("")
    if filters:
        lines.append("  Items to be pruned will be filtered with:")
        lines += [f"  - {text}" for text in sorted(filters)]
        lines.append("")
    return "\n".join(lines)
