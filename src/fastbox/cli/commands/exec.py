"""Run another command in a running container."""

from __future__ import annotations

from fastbox.cli import attached
from fastbox.cli.parser import MANY, SWITCH, TEXT, Option
from fastbox.cli.values import TIMING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "exec"
USAGE = "[OPTIONS] CONTAINER COMMAND [ARG...]"
SUMMARY = "run a command in a running container"
OPERANDS = (2, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("detach", "d", SWITCH, "run it in the background"),
        Option("detach-keys", "", TEXT, "the keys that detach a terminal (default ctrl-p,ctrl-q)"),
        Option(
            "env",
            "e",
            MANY,
            "set an environment variable (NAME=value, or NAME from this environment)",
        ),
        Option("env-file", "", MANY, "read environment variables from a file"),
        Option("interactive", "i", SWITCH, "keep stdin open"),
        Option("privileged", "", SWITCH, "give the command every right on the host"),
        Option("tty", "t", SWITCH, "give the command a terminal"),
        Option("user", "u", TEXT, "user, and perhaps group (name|uid[:group|gid])"),
        Option("workdir", "w", TEXT, "working directory in the container"),
        *TIMING,
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Run the command; its exit code, or 0 with --detach."""
    tty, interactive, detach = args.switch("tty"), args.switch("interactive"), args.switch("detach")
    attached.check_terminal(tty=tty, stdin=interactive and not detach)
    attached.check_keys(args)
    container, argv = args.operands[0], args.operands[1:]
    env = _environment(args)
    user = args.text("user") if args.given("user") else None
    workdir, privileged = args.text("workdir"), args.switch("privileged")
    if detach:
        engine.containers.exec_detached(
            container, argv, env=env, user=user, workdir=workdir, tty=tty, privileged=privileged
        )
        return 0
    rows, columns = attached.window(tty)
    attachment = engine.containers.exec_attached(
        container, argv, env=env, user=user, workdir=workdir, tty=tty, interactive=interactive,
        privileged=privileged, rows=rows, columns=columns,
    )  # fmt: skip
    return attached.carry(attachment, args)


def _environment(args: Arguments) -> tuple[str, ...]:
    if not args.given("env") and not args.given("env-file"):
        return ()
    from fastbox.cli.envfiles import environment

    return environment(args)
