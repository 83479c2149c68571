"""Change the limits of containers, also of running ones."""

from __future__ import annotations

from fastbox.cli.parser import TEXT, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "update"
USAGE = "[OPTIONS] CONTAINER [CONTAINER...]"
SUMMARY = "change the limits of containers"
OPERANDS = (1, None)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("blkio-weight", "", TEXT, "weight of block IO, 10 to 1000", "uint16"),
        Option("cpu-period", "", TEXT, "period of the CPU quota, in microseconds", "int"),
        Option("cpu-quota", "", TEXT, "CPU time within a period, in microseconds", "int"),
        Option("cpu-rt-period", "", TEXT, "period of realtime, in microseconds", "int"),
        Option("cpu-rt-runtime", "", TEXT, "realtime within a period, in microseconds", "int"),
        Option("cpu-shares", "c", TEXT, "weight among containers (relative)", "int"),
        Option("cpus", "", TEXT, "how many CPUs, such as 0.5", "decimal"),
        Option("cpuset-cpus", "", TEXT, "CPUs to run on (0-3, 0,1)"),
        Option("cpuset-mems", "", TEXT, "memory nodes to use (0-3, 0,1)"),
        Option("kernel-memory", "", TEXT, "", "bytes"),
        Option("memory", "m", TEXT, "memory limit", "bytes"),
        Option("memory-reservation", "", TEXT, "memory to keep when the host runs short", "bytes"),
        Option("memory-swap", "", TEXT, "memory and swap together; -1 for unlimited swap", "bytes"),
        Option("pids-limit", "", TEXT, "most processes at once (-1 for unlimited)", "int"),
        Option("restart", "", TEXT, "no, on-failure[:most], always or unless-stopped", "policy"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Change each in turn, and print its name."""
    from fastbox.cli import limitflags, report

    changes: dict[str, Any] = limitflags.limits(args)
    policy = args.text("restart")
    if not changes and not policy:
        raise UsageError(args.command, "you must provide one or more flags when using this command")
    warnings: list[str] = []

    def change(reference: str) -> str:
        if policy:
            engine.containers.set_restart(reference, policy)
        found = engine.containers.update(reference, **changes) if changes else ()
        warnings.extend(text for text in found if text not in warnings)
        return reference

    code = report.each(args.operands, change, out)
    for text in warnings:
        out.note("WARNING: " + text)
    return code
