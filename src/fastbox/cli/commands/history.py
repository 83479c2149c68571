"""Show how an image came to be."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import HistoryEntry

NAME = "history"
USAGE = "[OPTIONS] IMAGE"
SUMMARY = "show how an image came to be"
OPERANDS = (1, 1)
_HEADINGS = {
    "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY",
    "Size": "SIZE", "Comment": "COMMENT",
}  # fmt: skip
_COMMAND_WIDTH = 45


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "", TEXT, "print a table, json, or a template such as {{.CreatedBy}}"),
        Option("human", "H", SWITCH, "sizes and times for people (the default)"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
        Option("platform", "", TEXT, "what the image has to be for (os/arch[/variant])"),
        Option("quiet", "q", SWITCH, "print ids only"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the steps, newest first."""
    steps = engine.images.history(args.operands[0], platform=args.text("platform"))
    human, whole_text = args.switch("human", True), args.switch("no-trunc")
    if args.switch("quiet") and not args.given("format"):
        for step in steps:
            out.line(_identity(step, whole_text))
        return 0
    import time

    from fastbox.cli.render import table

    now = time.time()
    age = "CreatedSince" if human else "CreatedAt"
    items = [_fields(step, now, human, whole_text) for step in steps]
    fields = ["ID", age, "CreatedBy", "Size", "Comment"]
    table.show(out, items, fields=fields, headings=_HEADINGS, form=args.text("format"))
    return 0


def _identity(step: HistoryEntry, whole_text: bool) -> str:
    return step.id if whole_text else step.id.removeprefix("sha256:")[:12]


def _fields(step: HistoryEntry, now: float, human: bool, whole_text: bool) -> dict[str, str]:
    from fastbox.cli.render import human as render

    command = render.one_line(step.created_by)
    moment = render.iso(step.created)
    since = f"{render.since(step.created, now)} ago" if moment else "N/A"
    return {
        "Comment": render.one_line(step.comment),
        "CreatedAt": moment,
        "CreatedBy": command if whole_text else render.cut(command, _COMMAND_WIDTH),
        "CreatedSince": since if human else moment,
        "ID": _identity(step, whole_text),
        "Size": render.size(step.size) if human else str(step.size),
    }
