"""List the processes of a container."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "top"
USAGE = "CONTAINER [ps OPTIONS]"
SUMMARY = "list the processes of a container"
OPERANDS = (1, None)
_LEAST, _GAP = 20, 3  # docker's columns


def options() -> tuple[Option, ...]:
    """The flags it takes: none, since those after the container are for `ps`."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print them under the titles that `ps` gives."""
    from fastbox.cli.render import human

    found = engine.containers.top(args.operands[0], args.operands[1:])
    rows = [
        list(found.titles),
        *([human.one_line(cell) for cell in row] for row in found.processes),
    ]
    widths = [
        max(_LEAST, *(len(row[i]) + _GAP for row in rows if i < len(row)))
        for i in range(len(rows[0]))
    ]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        out.line("".join(cells).rstrip())
    return 0
