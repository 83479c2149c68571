"""Show what this engine works on: its directories, the kernel, and how many things there are."""

from __future__ import annotations

from fastbox.cli.parser import TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "info"
USAGE = "[OPTIONS]"
SUMMARY = "show what this engine works on"
OPERANDS = (0, 0)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("format", "f", TEXT, "print json, or a template such as {{.Root}}"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print it."""
    found = _collect(engine)
    form = args.text("format")
    if form:
        from fastbox.cli.render.template import Template
        from fastbox.cli.render.values import Struct

        out.line(Template("{{json .}}" if form == "json" else form).render(Struct(found)))
        return 0
    for name, value in found.items():
        out.line(f"{name + ':':<19} {value}")
    return 0


def _collect(engine: Door) -> dict[str, object]:
    import os

    from fastbox import __version__
    from fastbox.support import paths

    states = [info.state for info in engine.containers.list(all=True)]
    system = os.uname()
    return {
        "Version": __version__,
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "Images": len({info.id for info in engine.images.list(all=True)}),
        "Root": paths.store_root(),
        "Run": paths.run_root(),
        "Cgroups": _cgroups(),
        "Kernel": system.release,
        "Architecture": system.machine,
        "Name": system.nodename,
    }


def _cgroups() -> str:
    """How the host mounts its cgroups: v2, hybrid or v1."""
    import os

    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "v2"
    return "hybrid" if os.path.exists("/sys/fs/cgroup/unified/cgroup.controllers") else "v1"
