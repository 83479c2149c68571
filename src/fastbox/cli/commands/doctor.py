"""Look at what this machine lets fastbox do, and say what mends the rest."""

from __future__ import annotations

from fastbox.cli.parser import TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.doctor.check import Check

NAME = "doctor"
USAGE = "[OPTIONS]"
SUMMARY = "look at what this machine lets fastbox do, and say what mends the rest"
OPERANDS = (0, 0)
NOTES = """Its exit code is 0 when containers can run, and 1 when something is missing
that every container needs. Nothing it makes is left."""


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (Option("format", "f", TEXT, "print json, or a template such as {{.CanRun}}"),)


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Print every check; 0 when containers can run, else 1."""
    from fastbox import doctor

    checks = doctor.examine()
    able = doctor.can_run(checks)
    form = args.text("format")
    if form:
        from fastbox.cli.render.template import Template

        out.line(Template("{{json .}}" if form == "json" else form).render(_document(checks, able)))
    else:
        for line in lines(checks, able):
            out.line(line)
    return 0 if able else 1


def _document(checks: list[Check], able: bool) -> dict[str, object]:
    import os

    from fastbox import __version__

    system = os.uname()
    return {
        "Version": __version__,
        "Kernel": system.release,
        "Architecture": system.machine,
        "CanRun": able,
        "Checks": [
            {name.capitalize(): value for name, value in check.as_dict().items()}
            for check in checks
        ],
    }


def lines(checks: list[Check], able: bool) -> list[str]:
    """What people read: a heading a group, a line a check, and below it what mends it."""
    found: list[str] = []
    width = max((len(check.name) for check in checks), default=0) + 2
    groups = list(dict.fromkeys(check.group for check in checks))
    for group in groups:
        found += ["", group] if found else [group]
        for check in checks:
            if check.group == group:
                found.append(f"  {check.state:<10}{check.name:<{width}}{check.detail}".rstrip())
                if check.mend:
                    found.append(f"  {'':<10}mend: {check.mend}")
    return [*found, "", summary(checks, able)]


def summary(checks: list[Check], able: bool) -> str:
    """The last line."""
    fallbacks = sum(check.state == "fallback" for check in checks)
    missing = [check for check in checks if check.state == "missing"]
    needed = sum(check.required for check in missing)
    if able:
        return f"Containers can run; fallbacks: {fallbacks}, missing for some: {len(missing)}."
    return f"Containers can't run; missing for all: {needed}."
