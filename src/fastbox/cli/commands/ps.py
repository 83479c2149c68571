"""List containers."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option

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
    "Names": "NAMES", "Labels": "LABELS",
}  # fmt: skip
_COMMAND_WIDTH = 20


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("all", "a", SWITCH, "show all containers, not only running ones"),
        Option("format", "", TEXT, "print a table, json, or a template such as {{.ID}}"),
        Option("last", "n", TEXT, "show the n containers made last, in any state", "int"),
        Option("latest", "l", SWITCH, "show the container made last, in any state"),
        Option("no-trunc", "", SWITCH, "do not cut anything"),
        Option("quiet", "q", SWITCH, "print ids only"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print the list, newest first."""
    from fastbox.cli.values import whole

    last = 1 if args.switch("latest") else whole(args, "last", -1, 1 << 31, "5")
    limited = last is not None and last >= 0
    found = engine.containers.list(all=args.switch("all") or limited)
    found = sorted(found, key=lambda info: info.created, reverse=True)[: last if limited else None]
    whole_text = args.switch("no-trunc")
    if args.switch("quiet") and not args.given("format"):
        for info in found:
            out.line(info.id if whole_text else info.id[:12])
        return 0
    from fastbox.cli.render import table

    now = _now()
    items = [fields(info, now, whole_text) for info in found]
    table.show(out, items, fields=_COLUMNS, headings=_HEADINGS, form=args.text("format"))
    return 0


def _now() -> float:
    import time

    return time.time()


def fields(info: ContainerInfo, now: float, whole_text: bool) -> dict[str, str]:
    """A container's columns."""
    from fastbox.cli.render import human

    command = " ".join(info.command)
    image = info.image
    return {
        "ID": info.id if whole_text else info.id[:12],
        "Image": image
        if whole_text
        else image.removeprefix("sha256:")[:12]
        if image[:7] == "sha256:"
        else image,
        "Command": human.quoted(command if whole_text else human.cut(command, _COMMAND_WIDTH)),
        "CreatedAt": human.moment(info.created),
        "RunningFor": human.since(info.created, now) + " ago",
        "Status": _status(info, now),
        "State": info.state,
        "Ports": "",
        "Names": info.name,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(info.labels.items())),
    }


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
    return info.state.capitalize()
