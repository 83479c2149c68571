"""Show what containers use of the host, again and again or once."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import Stats

NAME = "stats"
USAGE = "[OPTIONS] [CONTAINER...]"
SUMMARY = "show what containers use: CPU, memory, network, disk"
OPERANDS = (0, None)
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_HEADINGS = {
    "Container": "CONTAINER", "ID": "CONTAINER ID", "Name": "NAME", "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
}  # fmt: skip
# A terminal's words: to the upper left, clear to the end of the line, and of the screen.
_CLEAR, _HOME, _LINE, _REST = "\033[2J", "\033[H", "\033[K", "\033[J"


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "show all containers, not only running ones"),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.Name}}"),
        Option("no-stream", "", SWITCH, "print once, and end"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the table once, or every second until all containers named have ended or ^C."""
    names: dict[str, str] = {}
    for reference in args.operands:
        names.setdefault(engine.containers.get(reference).id, reference)
    every = args.switch("all")
    if args.switch("no-stream"):
        _print(engine.containers.stats(args.operands, all=every), names, args, out)
        return 0
    screen = _is_terminal()
    if screen:
        out.raw(_CLEAR)
    try:
        for found in engine.containers.stats_stream(args.operands, all=every):
            _show(found, names, args, out, screen)
    except KeyboardInterrupt:
        return 130
    return 0


def _is_terminal() -> bool:
    import os

    try:
        return os.isatty(1)
    except OSError:
        return False


def _show(
    found: Sequence[Stats], names: dict[str, str], args: Arguments, out: Output, screen: bool
) -> None:
    from fastbox.cli.output import Output

    if not screen:
        _print(found, names, args, out)
        out.flush()
        return
    import io

    text = io.StringIO()
    _print(found, names, args, Output(stdout=text))
    # Line by line over what is there, so that nothing flickers.
    out.raw(_HOME + "".join(line + _LINE + "\n" for line in text.getvalue().splitlines()) + _REST)


def _print(found: Sequence[Stats], names: dict[str, str], args: Arguments, out: Output) -> None:
    from fastbox.cli.render import table

    whole = args.switch("no-trunc")
    items = [fields(stats, names.get(stats.id, ""), whole) for stats in found]
    form = args.text("format")
    table.show(out, items, fields=_COLUMNS, headings=_HEADINGS, form=form)


def fields(stats: Stats, asked: str, whole: bool) -> dict[str, str]:
    """A container's columns; `asked` is what the command line called it."""
    from fastbox.cli.render import human

    shown = stats.id if whole else stats.id[:12]
    memory, limit = binary(stats.memory), binary(stats.memory_limit)
    network = f"{human.size(stats.net_received)} / {human.size(stats.net_sent)}"
    block = f"{human.size(stats.block_read)} / {human.size(stats.block_written)}"
    return {
        "Container": asked or shown,
        "ID": shown,
        "Name": stats.name or "--",
        "CPUPerc": f"{stats.cpu_percent:.2f}%",
        "MemUsage": f"{memory} / {limit}",
        "MemPerc": f"{stats.memory_percent:.2f}%",
        "NetIO": network,
        "BlockIO": block,
        "PIDs": str(stats.pids),
    }


def binary(count: int) -> str:
    """Bytes with four digits and a unit, powers of 1024, as docker shows memory."""
    value, unit = float(count), 0
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    while value >= 1024 and unit < len(units) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.4g}{units[unit]}"
