"""Show all that is known about containers, images, networks and volumes: JSON, or a template."""

from __future__ import annotations

from fastbox.cli.parser import SWITCH, TEXT, Option
from fastbox.errors import (
    FastboxError,
    InvalidArgument,
    InvalidReference,
    NotFound,
    Unsupported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.cli.render.template import Template

NAME = "inspect"
USAGE = "[OPTIONS] NAME|ID [NAME|ID...]"
SUMMARY = "show all that is known about containers, images, networks or volumes"
OPERANDS = (1, None)
_TYPES = (
    "config", "container", "image", "network", "node", "plugin", "secret", "service", "task",
    "volume",
)  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("format", "f", TEXT, "print json, or a template such as {{.State.Status}}"),
        Option("size", "s", SWITCH, "show how much of the disk a container takes"),
        Option("type", "", TEXT, "look only among these: container, image, network or volume"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print what was found; 1 when something was not."""
    kind = _kind(args)
    size = args.switch("size")
    return show(args, out, lambda name: _look_up(engine, name, kind, size))


def show(args: Arguments, out: Output, look_up: Callable[[str], dict[str, object]]) -> int:
    """Print the document of each operand; 1 when something was not found."""
    from fastbox.cli.report import report

    form = args.text("format")
    template = _template(form)
    found, code = [], 0
    for name in args.operands:
        try:
            found.append(look_up(name))
        except FastboxError as error:
            report(error, out)
            code = 1
    if template is not None:
        from fastbox.cli.render.typed import fill

        for document in found:
            out.line(fill(template, document))
        return code
    from fastbox.support import json

    out.line(json.dumps(found) if form == "json" else json.dumps_pretty(found))
    return code


def _kind(args: Arguments) -> str:
    group = args.command.partition(" ")[0]
    kind = args.text("type") or (group if group in ("container", "image") else "")
    if kind not in ("", *_TYPES):
        known = ", ".join(f'"{name}"' for name in _TYPES)
        raise InvalidArgument(f'unknown type: "{kind}": must be one of {known}')
    if kind not in ("", "container", "image", "network", "volume"):
        raise Unsupported(
            f"there is no {kind} here yet", hint="inspect containers, images, networks and volumes"
        )
    return kind


def _template(form: str) -> Template | None:
    if form in ("", "json"):
        return None
    from fastbox.cli.render.template import Template

    return Template(form)


def _look_up(engine: Door, name: str, kind: str, size: bool) -> dict[str, object]:
    if kind == "container":
        return engine.containers.inspect(name, size=size)
    if kind == "image":
        return engine.images.inspect(name)
    if kind == "network":
        return engine.networks.inspect(name)
    if kind == "volume":
        return engine.volumes.inspect(name)
    try:
        return engine.containers.inspect(name, size=size)
    except NotFound:
        pass
    try:
        return engine.images.inspect(name)
    except (NotFound, InvalidReference):
        pass
    try:
        return engine.networks.inspect(name)
    except NotFound:
        pass
    try:
        return engine.volumes.inspect(name)
    except NotFound:
        raise NotFound(
            "no such container, image, network or volume",
            where=name,
            hint="see `fastbox ps -a`, `fastbox images`, `fastbox network ls` and "
            "`fastbox volume ls`",
        ) from None
