"""List volumes."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option
from fastbox.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import VolumeInfo

NAME = "ls"
USAGE = "[OPTIONS]"
SUMMARY = "list volumes"
OPERANDS = (0, 0)
_HEADINGS = {
    "Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS", "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY",
    "Group": "GROUP", "Status": "STATUS",
}  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("cluster", "", SWITCH, ""),
        Option("filter", "f", MANY, "only these: dangling=, driver=, label=, name=", "filter"),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.Name}}"),
        Option("quiet", "q", SWITCH, "print names only"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the list, by name."""
    if args.switch("cluster"):
        raise Unsupported("there are no volumes of a cluster here")
    found = engine.volumes.list(filters=args.texts("filter"))
    if args.switch("quiet") and not args.given("format"):
        for info in found:
            out.line(info.name)
        return 0
    from fastbox.cli.render import table

    items = [_fields(info) for info in found]
    columns = ("Driver", "Name")
    table.show(out, items, fields=columns, headings=_HEADINGS, form=args.text("format"))
    return 0


def _fields(info: VolumeInfo) -> dict[str, str]:
    absent = dict.fromkeys(("Links", "Size", "Availability", "Group", "Status"), "N/A")
    return {
        "Driver": info.driver,
        "Name": info.name,
        "Scope": "local",
        "Mountpoint": info.mountpoint,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(info.labels.items())),
        **absent,
    }
