"""Copy files and directories between a container and the host."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, Option
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.containers.copy import CopyKeywords

NAME = "cp"
USAGE = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-  or  SRC_PATH|- CONTAINER:DEST_PATH"
SUMMARY = "copy files and directories between a container and the host"
OPERANDS = (2, 2)
NOTES = """- as SRC_PATH reads a tar archive from stdin and extracts it in a directory of
the container; - as DEST_PATH writes one to stdout."""


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("archive", "a", SWITCH, "what goes in belongs to the container's user"),
        Option("follow-link", "L", SWITCH, "copy what SRC_PATH leads to when it is a link"),
        Option("quiet", "q", SWITCH, "say nothing"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Copy one way or the other."""
    source, source_path = _split(args.operands[0])
    target, target_path = _split(args.operands[1])
    if source and target:
        raise InvalidArgument("copying between containers is not supported")
    if not source and not target:
        raise InvalidArgument("must specify at least one container source")
    wishes: CopyKeywords = {"follow": args.switch("follow-link")}
    if source and target_path == "-":
        _to_stdout(engine, source, source_path, args.switch("follow-link"))
    elif source:
        size = engine.containers.copy_out(source, source_path, target_path, **wishes)
        _tell(args, size, _shown(target_path))
    elif source_path == "-":
        engine.containers.copy_to(target, target_path, 0)
    else:
        # All that docker's -a does: what comes out is the caller's with it as without.
        wishes["owned"] = args.switch("archive")
        size = engine.containers.copy_in(target, source_path, target_path, **wishes)
        _tell(args, size, args.operands[1])
    return 0


def _split(text: str) -> tuple[str, str]:
    """Docker's rule: what begins with a slash or a dot is a path of the host."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return container, path


def _to_stdout(engine: Door, source: str, path: str, follow: bool) -> None:
    import os

    if os.isatty(1):
        raise InvalidArgument(
            "stdout is a terminal: an archive is not written there",
            hint="send stdout elsewhere, or name a file or directory",
        )
    engine.containers.copy_from(source, path, 1, follow=follow)


def _shown(path: str) -> str:
    import os

    return os.path.abspath(path)


def _tell(args: Arguments, size: int, where: str) -> None:
    """As docker: to a terminal only."""
    import os
    import sys

    if args.switch("quiet") or not os.isatty(2):
        return
    from fastbox.cli.render import human

    sys.stderr.write(f"Successfully copied {human.size(size)} to {where}\n")
