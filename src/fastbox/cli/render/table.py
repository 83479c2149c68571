"""Rows under headings, and the three kinds of --format: table, json, template."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.cli.output import Output

_LEAST, _GAP = 10, 3


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns aligned; the last column is not padded."""
    widths = [
        max(_LEAST, *(len(cell) + _GAP for cell in column)) for column in zip(*rows, strict=True)
    ]
    return [
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1]
        for row in rows
    ]


def show(
    out: Output,
    items: Sequence[Mapping[str, str]],
    *,
    fields: Sequence[str],
    headings: Mapping[str, str],
    form: str = "",
) -> None:
    """Print items as `--format` says.

    Args:
        out: Where to.
        items: The fields of each.
        fields: The columns of the plain table.
        headings: Each field's heading.
        form: "", "table", "json", "table TEMPLATE" or "TEMPLATE".

    Raises:
        InvalidArgument: The template is not one.
    """
    if form in ("", "table"):
        rows = [[headings[field] for field in fields]]
        rows += [[item[field] for field in fields] for item in items]
        for line in lines(rows):
            out.line(line)
        return
    from fastbox.cli.render.template import Template, unescape

    if form == "json":
        form = "{{json .}}"
    heading = form.startswith("table ")
    template = Template(unescape(form.removeprefix("table ")))
    texts = [template.render(item) for item in ([headings, *items] if heading else items)]
    for line in lines([text.split("\t") for text in texts]) if heading else texts:
        out.line(line)
