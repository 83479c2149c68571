"""List containers."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import ContainerInfo

NAME = "ps"
USAGE = "[OPTIONS]"
SUMMARY = "list containers"
OPERANDS = (0, 0)
_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
_HEADINGS = {
    "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED", "Status": "STATUS", "State": "STATE", "Ports": "PORTS",
    "Names": "NAMES", "Labels": "LABELS", "Size": "SIZE", "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM",
}  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "show all containers, not only running ones"),
        Option("filter", "f", MANY, "only these, such as status=exited, name=web", "filter"),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.ID}}"),
        Option("last", "n", TEXT, "show the n containers made last, in any state", "int"),
        Option("latest", "l", SWITCH, "show the container made last, in any state"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
        Option("quiet", "q", SWITCH, "print ids only"),
        Option("size", "s", SWITCH, "show how much of the disk each takes"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the list, newest first."""
    from fastbox.cli.values import whole

    last = 1 if args.switch("latest") else whole(args, "last", -1, 1 << 31, "5")
    quiet, form = args.switch("quiet"), args.text("format")
    if quiet and form:
        out.note("WARNING: Ignoring custom format, because both --format and --quiet are set.")
        form = ""
    size = args.switch("size") or (bool(form) and _wants_size(form))
    found = engine.containers.list(
        all=args.switch("all"), filters=args.texts("filter"), last=last or -1, size=size
    )
    whole_text = args.switch("no-trunc")
    if quiet:
        for info in found:
            out.line(info.id if whole_text else info.id[:12])
        return 0
    import time

    from fastbox.cli.render import table

    now, columns = time.time(), _COLUMNS + ("Size",) * args.switch("size")
    if form in ("", "table"):
        rows = [fields(info, now, whole_text) for info in found]
        table.show(out, rows, fields=columns, headings=_HEADINGS)
        return 0
    from fastbox.cli.render.rows import row

    items = [row(info, fields(info, now, whole_text), whole_text) for info in found]
    table.show(out, items, fields=columns, headings=_HEADINGS, form=form)
    return 0


def _wants_size(form: str) -> bool:
    if ".Size" not in form:
        return False
    from fastbox.cli.render.listing import parse

    return "Size" in parse(form)[0].names()


def fields(info: ContainerInfo, now: float, whole_text: bool) -> dict[str, str]:
    """A container's columns."""
    from fastbox.cli.render import human

    command = " ".join(
        f"'{word}'" if place and " " in word else word for place, word in enumerate(info.command)
    )
    return {
        "ID": info.id if whole_text else info.id[:12],
        "Image": _image(info.image, whole_text),
        "Command": human.quoted(command if whole_text else human.cut(command, 20)),
        "RunningFor": human.since(info.created, now) + " ago",
        "Status": _status(info, now),
        "Ports": _ports(info),
        "Names": info.name,
        "Size": size_text(info),
    }


def _ports(info: ContainerInfo) -> str:
    """Of one that runs: what is published, and what is only exposed."""
    if not info.up or not (info.ports or info.exposed) or info.network in ("", "none", "host"):
        return ""
    from fastbox.support import portwords

    return portwords.show(portwords.bindings(info.ports), info.exposed)


def _image(image: str, whole_text: bool) -> str:
    if whole_text or image[:7] != "sha256:":
        return image or "<no image>"
    return image[7:19]


def size_text(info: ContainerInfo) -> str:
    """A container's own layer, and with its image's, if they were asked for."""
    from fastbox.cli.render import human

    if info.size < 0:
        return "0B"
    return f"{human.size(info.size)} (virtual {human.size(info.size_root)})"


def _status(info: ContainerInfo, now: float) -> str:
    from fastbox.cli.render import human

    if info.state in ("running", "paused"):
        more = "Paused" if info.state == "paused" else info.health
        if more == "starting":
            more = "health: starting"
        return f"Up {human.since(info.started, now)}" + (f" ({more})" if more else "")
    if info.state == "restarting":
        return f"Restarting ({info.exit_code}) {human.since(info.finished, now)} ago"
    if info.state == "exited":
        return f"Exited ({info.exit_code}) {human.since(info.finished, now)} ago"
    return {"removing": "Removal In Progress"}.get(info.state, info.state.capitalize())
