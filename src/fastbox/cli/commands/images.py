"""List images."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import ImageInfo

NAME = "images"
USAGE = "[OPTIONS] [REPOSITORY[:TAG]]"
SUMMARY = "list images"
OPERANDS = (0, 1)
_HEADINGS = {
    "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "ID": "IMAGE ID",
    "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "Size": "SIZE",
    "VirtualSize": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "show every image, also those without a name"),
        Option("digests", "", SWITCH, "show the digests of the manifests"),
        Option(
            "filter", "f", MANY, "only these, such as dangling=true, label=a=b, before=x", "filter"
        ),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.Repository}}"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
        Option("quiet", "q", SWITCH, "print ids only"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the list, newest first."""
    pattern = args.operands[0] if args.operands else ""
    found = engine.images.list(pattern, all=args.switch("all"), filters=args.texts("filter"))
    found = sorted(found, key=lambda info: info.created, reverse=True)
    whole_text = args.switch("no-trunc")
    if args.switch("quiet") and not args.given("format"):
        for info in found:
            out.line(info.id if whole_text else info.id.removeprefix("sha256:")[:12])
        return 0
    import time

    from fastbox.cli.render import table

    now = time.time()
    columns = ["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    if not args.switch("digests"):
        columns.remove("Digest")
    items = [fields(info, now, whole_text) for info in found]
    table.show(out, items, fields=columns, headings=_HEADINGS, form=args.text("format"))
    return 0


def fields(info: ImageInfo, now: float, whole_text: bool) -> dict[str, str]:
    """An image's columns."""
    from fastbox.cli.render import human

    return {
        "Repository": info.repository,
        "Tag": info.tag,
        "Digest": info.digest,
        "ID": info.id if whole_text else info.id.removeprefix("sha256:")[:12],
        "CreatedSince": f"{human.since(info.created, now)} ago" if info.created else "N/A",
        "CreatedAt": human.moment(info.created),
        "Size": human.size(info.size),
        "VirtualSize": human.size(info.size),
        **dict.fromkeys(("SharedSize", "UniqueSize", "Containers"), "N/A"),  # `system df -v` tells
    }
