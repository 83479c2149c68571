"""Run the small image that fastbox carries: a first container without a network or a registry."""

from __future__ import annotations

from fastbox.errors import ImageNotFound
from fastbox.support import paths
from fastbox.types import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "hello"
USAGE = ""
SUMMARY = "run the hello image that fastbox carries"
OPERANDS = (0, 0)
IMAGE = "fastbox/hello"


def options() -> tuple[Option, ...]:
    """It takes no flags of its own."""
    return ()


def execute(engine: Door, args: Arguments, _out: Output) -> int:
    """Load the image when it is not there yet, and run it."""
    from fastbox.cli import attached

    try:
        engine.images.resolve(IMAGE)
    except ImageNotFound:
        engine.images.load(paths.libexec("hello.tar"))
    wanted = RunOptions(image=IMAGE, remove=True, volatile=True)
    return attached.carry(engine.containers.start_attached(wanted), args)
