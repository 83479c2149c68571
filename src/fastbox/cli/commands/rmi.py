"""Remove images."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option
from fastbox.cli.report import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "rmi"
USAGE = "[OPTIONS] IMAGE [IMAGE...]"
SUMMARY = "remove images"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option(
            "force", "f", SWITCH, "remove every name of it, also when stopped containers use it"
        ),
        Option("no-prune", "", SWITCH, ""),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Remove each and print what went; 1 when any could not be."""
    force = args.switch("force")

    def users(image: str) -> list[str]:
        return [info.id for info in engine.containers.list(all=True) if info.image_id == image]

    def remove(name: str) -> str:
        return "\n".join(engine.images.remove(name, force=force, in_use=users))

    return each(args.operands, remove, out)
