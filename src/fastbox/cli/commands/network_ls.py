"""List networks."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.cli.render.values import Struct
    from fastbox.types import NetworkInfo

NAME = "ls"
USAGE = "[OPTIONS]"
SUMMARY = "list networks"
OPERANDS = (0, 0)
_COLUMNS = ("ID", "Name", "Driver", "Scope")
_HEADINGS = {
    "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4",
    "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
}  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("filter", "f", MANY, "only these, such as driver=bridge, dangling=true", "filter"),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.Name}}"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
        Option("quiet", "q", SWITCH, "print ids only"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the list, by name."""
    found = engine.networks.list(filters=args.texts("filter"))
    whole = args.switch("no-trunc")
    if args.switch("quiet") and not args.given("format"):
        for info in found:
            out.line(info.id if whole else info.id[:12])
        return 0
    from fastbox.cli.render import table

    form = args.text("format")
    rows = [_fields(info, whole) for info in found]
    if form in ("", "table"):
        table.show(out, rows, fields=_COLUMNS, headings=_HEADINGS)
        return 0
    items = [_row(info, row) for info, row in zip(found, rows, strict=True)]
    table.show(out, items, fields=_COLUMNS, headings=_HEADINGS, form=form)
    return 0


def _row(info: NetworkInfo, fields: dict[str, str]) -> Struct:
    from fastbox.cli.render.values import Struct

    return Struct(
        {name: fields[name] for name in sorted(fields)},
        {"Label": lambda name: info.labels.get(name, "")},
    )


def _fields(info: NetworkInfo, whole: bool) -> dict[str, str]:
    from fastbox.cli.render import human

    return {
        "ID": info.id if whole else info.id[:12],
        "Name": info.name,
        "Driver": info.driver,
        "Scope": info.scope,
        "IPv4": _truth(info.ipv4),
        "IPv6": _truth(info.ipv6),
        "Internal": _truth(info.internal),
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(info.labels.items())),
        "CreatedAt": human.moment(info.created) if info.created else "",
    }


def _truth(value: bool) -> str:
    return "true" if value else "false"
