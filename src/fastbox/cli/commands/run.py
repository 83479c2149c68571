"""Make a container, start it, and stay with it until it ends, or print its id with --detach."""

from __future__ import annotations

from fastbox.cli import attached, runflags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "run"
USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
SUMMARY = "make a container from an image and run a command in it"
OPERANDS = (0, None)
NOTES = runflags.NOTES


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return runflags.options() + runflags.run_only()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Run the container; its exit code, or 0 with --detach."""
    wanted = runflags.build(args)
    runflags.warn(engine, args, wanted, out)
    attached.check_terminal(tty=wanted.tty, stdin=wanted.attaches_stdin)
    attached.check_keys(args)
    with runflags.IdFile(args) as id_file:
        if wanted.detach:
            id_file.write(engine.containers.start_detached(wanted))
            out.line(id_file.id)
            return 0
        rows, columns = attached.window(wanted.tty)
        attachment = engine.containers.start_attached(wanted, rows=rows, columns=columns)
        id_file.write(attachment.id)
    if wanted.attach == ("stdin",):
        out.line(attachment.id)  # nothing else will be seen of it
        out.flush()
    return attached.carry(attachment, args)
