"""Look at everything in the store, and tell what is wrong."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "check"
USAGE = "[OPTIONS]"
SUMMARY = "look at everything in the store, and tell what is wrong"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "", TEXT, "print json, or a template such as {{.Where}}"),
        Option("quick", "", SWITCH, "do not read what blobs and layers contain"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print a line for each finding; 1 when there is one. Nothing is changed."""
    from fastbox.errors import printable

    form = args.text("format")
    code = 0
    for finding in engine.system.check(quick=args.switch("quick")):
        code = 1
        item = {
            "What": printable(finding.what),
            "Where": printable(finding.where),
            "Hint": printable(finding.hint),
        }
        if form:
            from fastbox.cli.render import table

            table.show(out, [item], fields=list(item), headings=_HEADINGS, form=form)
        else:
            out.line(f"{item['Where']}: {item['What']} ({item['Hint']})")
    if not code and not form:
        out.line("nothing is wrong")
    return code


_HEADINGS = {"What": "WHAT", "Where": "WHERE", "Hint": "HINT"}
