"""Remove images."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option
from fastbox.cli.report import each, report
from fastbox.errors import ImageNotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import ContainerInfo

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
        Option("no-prune", "", SWITCH, "keep nameless parents (there are none in this store)"),
        Option("platform", "", TEXT, "what the images have to be for (os/arch[/variant])"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Remove each and print what went; 1 when any could not be, but one that is not there is no
    failure of --force.
    """
    force, platform = args.switch("force"), args.text("platform")

    def users(image: str) -> list[str]:
        return [info.id for info in engine.containers.list(all=True) if _uses(info, image)]

    def running(image: str) -> list[str]:
        return [info.id for info in engine.containers.list() if _uses(info, image)]

    def remove(name: str) -> str:
        try:
            lines = engine.images.remove(
                name, force=force, in_use=users, running=running, platform=platform
            )
        except ImageNotFound as error:
            if not force:
                raise
            report(error, out)
            return ""
        return "\n".join(lines)

    return each(args.operands, remove, out)


def _uses(info: ContainerInfo, image: str) -> bool:
    return info.image_id == image or image in info.mounted_images
