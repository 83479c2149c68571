"""Rows under headings, and the three kinds of --format: table, json, template."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.cli.output import Output

_LEAST, _GAP = 10, 3


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns aligned; a row's last cell is not padded. A column is as wide as
    the cells of neighbouring rows that have it, as Go's tabwriter has it.
    """
    made = [""] * len(rows)
    for column in range(max(map(len, rows), default=0)):
        first = 0
        for place in range(len(rows) + 1):
            if place < len(rows) and column < len(rows[place]) - 1:
                continue
            block = range(first, place)
            width = max((len(rows[i][column]) + _GAP for i in block), default=0)
            for i in block:
                made[i] += rows[i][column].ljust(max(width, _LEAST))
            first = place + 1
            if place < len(rows) and column == len(rows[place]) - 1:
                made[place] += rows[place][column]
    return made


def show(
    out: Output,
    items: Sequence[Mapping[str, object]],
    *,
    fields: Sequence[str],
    headings: Mapping[str, str],
    form: str = "",
) -> None:
    """Print items as `--format` says.

    Args:
        out: Where to.
        items: The fields of each; for the plain table they are texts.
        fields: The columns of the plain table.
        headings: Each field's heading.
        form: "", "table", "json", "table TEMPLATE" or "TEMPLATE".

    Raises:
        InvalidArgument: The template is not one, or asks for what is not there.
    """
    if form in ("", "table"):
        rows = [[headings[field] for field in fields]]
        rows += [[str(item[field]) for field in fields] for item in items]
        for line in lines(rows):
            out.line(line)
        return
    from fastbox.cli.render.listing import texts

    for text in texts(items, headings, form):
        out.line(text)
