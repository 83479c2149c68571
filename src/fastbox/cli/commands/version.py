"""Show the versions of fastbox and of what it stands on."""

from __future__ import annotations

from fastbox import __version__
from fastbox.cli.parser import TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "version"
USAGE = "[OPTIONS]"
SUMMARY = "show the version"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("format", "f", TEXT, "print json, or a template such as {{.Version}}"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Print the versions."""
    import os
    import sys

    system = os.uname()
    found = {
        "Version": __version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Kernel": system.release,
        "OS/Arch": f"linux/{system.machine}",
    }
    form = args.text("format")
    if form:
        from fastbox.cli.render.template import Template
        from fastbox.cli.render.values import Struct

        out.line(Template("{{json .}}" if form == "json" else form).render(Struct(found)))
        return 0
    for name, value in found.items():
        out.line(f"{name + ':':<10} {value}")
    return 0
