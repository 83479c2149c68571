"""What an instruction does to the configuration with which an image's containers run."""

from __future__ import annotations

import posixpath

from fastbox.dockerfile.instructions import (
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Onbuild,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from fastbox.dockerfile.source import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastbox.dockerfile.instructions import Command, Instruction

DEFAULT_SHELL = ("/bin/sh", "-c")


def apply(
    run: dict[str, Any],
    instruction: Instruction,
    shell: Sequence[str] = (),
    *,
    own_cmd: bool = False,
) -> None:
    """Change an image's run configuration (`Env`, `Cmd`, ...) as docker does. Lists and objects in
    it are replaced, never changed in place. RUN, COPY, ADD, ARG and MAINTAINER leave it alone.

    Args:
        run: The configuration, as JSON has it.
        instruction: Expanded, with ports as "80/tcp".
        shell: What the shell form is given to; (): the configuration's own, or /bin/sh -c.
        own_cmd: Its stage has set CMD already: ENTRYPOINT leaves that alone, while it removes a
            command of the base, which was made for another entry point.

    Raises:
        InvalidArgument: A stop signal that does not exist.

    Example:
        >>> run = {"Cmd": ["sh"]}
        >>> apply(run, Entrypoint(where=None, command=Command(argv=("/app",))))
        >>> run
        {'Entrypoint': ['/app']}
    """
    if isinstance(instruction, Env):
        run["Env"] = _env(run.get("Env") or (), instruction)
    elif isinstance(instruction, Label):
        run["Labels"] = dict(run.get("Labels") or {}) | _texts(instruction.pairs)
    elif isinstance(instruction, Cmd):
        run["Cmd"] = argv_of(instruction.command, run, shell)
    elif isinstance(instruction, Entrypoint):
        _entrypoint(run, argv_of(instruction.command, run, shell), own_cmd)
    elif isinstance(instruction, Workdir):
        run["WorkingDir"] = working_dir(run.get("WorkingDir") or "/", shown(instruction.path))
    elif isinstance(instruction, User):
        run["User"] = shown(instruction.user)
    elif isinstance(instruction, Expose):
        ports: dict[str, object] = {port: {} for port in instruction.ports}
        run["ExposedPorts"] = dict(run.get("ExposedPorts") or {}) | ports
    elif isinstance(instruction, Volume):
        volumes: dict[str, object] = {shown(path): {} for path in instruction.paths}
        run["Volumes"] = dict(run.get("Volumes") or {}) | volumes
    elif isinstance(instruction, Shell):
        run["Shell"] = [shown(word) for word in instruction.argv]
    elif isinstance(instruction, Healthcheck):
        run["Healthcheck"] = _health(instruction)
    elif isinstance(instruction, Onbuild):
        run["OnBuild"] = [*(run.get("OnBuild") or ()), shown(instruction.text)]
    elif isinstance(instruction, Stopsignal):
        from fastbox.support.signals import number

        number(instruction.signal)
        run["StopSignal"] = instruction.signal


def argv_of(command: Command, run: dict[str, Any], shell: Sequence[str] = ()) -> list[str]:
    """What a command is as arguments; the shell form is one argument of the shell."""
    if not command.shell:
        return [shown(word) for word in command.argv]
    return [*(shell or run.get("Shell") or DEFAULT_SHELL), shown(command.line)]


def working_dir(before: str, path: str) -> str:
    """The directory that WORKDIR makes the current one; absolute and without "..", as text."""
    joined = posixpath.normpath(posixpath.join("/", before, path))
    return "/" + joined.lstrip("/")


def _texts(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {shown(key): shown(value) for key, value in pairs}


def _env(before: Sequence[str], instruction: Env) -> list[str]:
    entries = dict(entry.partition("=")[::2] for entry in before)
    entries.update(_texts(instruction.pairs))
    return [f"{name}={value}" for name, value in entries.items()]


def _entrypoint(run: dict[str, Any], argv: list[str], own_cmd: bool) -> None:
    if argv:
        run["Entrypoint"] = argv
    else:
        run.pop("Entrypoint", None)
    if not own_cmd:
        run.pop("Cmd", None)


def _health(instruction: Healthcheck) -> dict[str, object]:
    if instruction.none or instruction.command is None:
        return {"Test": ["NONE"]}
    command = instruction.command
    found: dict[str, object] = {
        "Test": ["CMD-SHELL", shown(command.line)]
        if command.shell
        else ["CMD", *map(shown, command.argv)]
    }
    for key, seconds in (
        ("Interval", instruction.interval),
        ("Timeout", instruction.timeout),
        ("StartPeriod", instruction.start_period),
        ("StartInterval", instruction.start_interval),
    ):
        if seconds:
            found[key] = round(seconds * 1e9)
    if instruction.retries:
        found["Retries"] = instruction.retries
    return found
