r"""A listing by a template: `json`, `TEMPLATE`, and `table TEMPLATE` with its columns at `\t`."""

from __future__ import annotations

from fastbox.cli.render import table
from fastbox.cli.render.template import Template, unescape
from fastbox.cli.render.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def parse(form: str) -> tuple[Template, bool]:
    """The template of a `--format`, and whether it is one of a table.

    Raises:
        InvalidArgument: It is not one.
    """
    heading = form.startswith("table")
    body = unescape(form.removeprefix("table").strip(" ") if heading else form)
    return Template("{{json .}}" if body == "json" else body), heading


def texts(
    items: Sequence[Mapping[str, object]], headings: Mapping[str, str], form: str
) -> list[str]:
    """The lines of a listing.

    Raises:
        InvalidArgument: The template is not one, or asks for what is not there.
    """
    template, heading = parse(form)
    found = [template.render(_object(item)) for item in items]
    if not heading:
        return found
    title = template.render(Struct(headings, {"Label": _label_heading}), heading=True)
    rows = [line.split("\t") for text in (title, *found) for line in text.split("\n")]
    return table.lines(rows)


def _object(item: Mapping[str, object]) -> Struct:
    """An item's fields in the order that docker's JSON has: the alphabet's."""
    if isinstance(item, Struct):
        return item
    return Struct({name: item[name] for name in sorted(item)})


def _label_heading(name: str) -> str:
    """What a table calls the column of a label: its last word."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")
