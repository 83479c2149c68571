"""The OCI `process` object: what runs, as whom, with which environment, for a container and for
exec.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastbox.types import ImageConfig, RunOptions, Ulimit

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RLIMITS = frozenset(
    "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending "
    "stack".split()
)
_RLIM_INFINITY = (1 << 64) - 1


def entrypoint(options: RunOptions, image: ImageConfig) -> tuple[str, ...]:
    """The first words of the command: the caller's entry point, or the image's."""
    return image.entrypoint if options.entrypoint is None else options.entrypoint


def command(options: RunOptions, image: ImageConfig) -> tuple[str, ...]:
    """Entry point and arguments: an entry point of the caller's drops the image's arguments too.

    Raises:
        InvalidArgument: Neither the caller nor the image names a command.
    """
    own = options.entrypoint is not None
    argv = entrypoint(options, image) + (options.argv if own else options.argv or image.cmd)
    if not argv:
        raise InvalidArgument(
            "no command given, and the image names none", hint="add a command after the image"
        )
    return argv


def merged_env(given: Sequence[str], image: Sequence[str]) -> list[str]:
    """The caller's variables, then those of the image that the caller does not set; "NAME" alone
    takes one away.
    """
    for entry in given:
        if not entry or entry[0] == "=" or "\0" in entry:
            raise InvalidArgument(
                f'invalid environment variable "{entry}"', hint="write NAME=value"
            )
    mine = {entry.partition("=")[0] for entry in given}
    return [*given, *(entry for entry in image if entry.partition("=")[0] not in mine)]


def environment(variables: Iterable[str], hostname: str, *, tty: bool) -> list[str]:
    """Docker's three (PATH, HOSTNAME, TERM) overridden and followed by `variables`."""
    made = {"PATH": DEFAULT_PATH, "HOSTNAME": "HOSTNAME=" + hostname}
    if tty:
        made["TERM"] = "TERM=xterm"
    for entry in variables:
        name, equals, _ = entry.partition("=")
        if equals:
            made[name] = entry
        else:
            made.pop(name, None)
    return list(made.values())


def working_directory(wanted: str, image: str) -> str:
    """An absolute, normal path; docker's default is the root.

    Raises:
        InvalidArgument: It is not absolute.
    """
    path = wanted or image or "/"
    if not path.startswith("/"):
        raise InvalidArgument(f'the working directory "{path}" is not absolute')
    return os.path.normpath(path).replace("//", "/")


def rlimits(ulimits: Iterable[Ulimit]) -> list[dict[str, object]]:
    """`process.rlimits`.

    Raises:
        InvalidArgument: An unknown name, or a soft limit above the hard one.
    """
    made: list[dict[str, object]] = []
    for limit in ulimits:
        if limit.name not in RLIMITS:
            raise InvalidArgument(f'unknown ulimit "{limit.name}"')
        soft, hard = (_RLIM_INFINITY if n == -1 else n for n in (limit.soft, limit.hard))
        if not 0 <= soft <= hard <= _RLIM_INFINITY:
            raise InvalidArgument(f"ulimit {limit.name}: the soft limit is above the hard limit")
        made.append({"type": "RLIMIT_" + limit.name.upper(), "soft": soft, "hard": hard})
    return made


def capability_sets(names: list[str]) -> dict[str, list[str]]:
    """Inheritable and ambient stay empty: with them a program of another user would start with
    rights.
    """
    return {
        "bounding": names,
        "effective": names,
        "permitted": names,
        "inheritable": [],
        "ambient": [],
    }


def numeric_user(user: str) -> dict[str, int]:
    """`process.user` for runtimes that do not know the `fastbox` object: numbers as they are, names
    as 0.
    """
    uid, _, gid = user.partition(":")
    return {
        "uid": int(uid) if uid.isascii() and uid.isdigit() else 0,
        "gid": int(gid) if gid.isascii() and gid.isdigit() else 0,
    }


def exec_document(
    base: dict[str, object],
    fastbox: dict[str, object],
    argv: Sequence[str],
    *,
    env: Sequence[str] = (),
    user: str | None = None,
    workdir: str = "",
    tty: bool = False,
    privileged: bool = False,
) -> dict[str, object]:
    """What the supervisor's `exec` takes: the container's own process object with the caller's
    wishes.

    Args:
        base: `process` of the container's bundle.
        fastbox: `fastbox` of the container's bundle.
        argv: The command; never empty.
        env: More variables, "NAME=value".
        user: Another user, or None for the container's.
        workdir: Another directory, or "" for the container's.
        tty: Whether it gets a terminal.
        privileged: Every capability and no filter.

    Raises:
        InvalidArgument: No command, or a variable or directory that can't be one.
    """
    if not argv:
        raise InvalidArgument("exec needs a command")
    had = base.get("env")
    process = dict(base)
    process.pop("capabilities", None)  # left out, they are the container's
    process |= {"terminal": tty, "args": list(argv)}
    process["env"] = _exec_env(had if isinstance(had, list) else [], env, tty)
    if workdir:
        process["cwd"] = working_directory(workdir, "")
    document: dict[str, object] = {"process": process, "privileged": privileged}
    document["user"] = user if user is not None else fastbox.get("user", "0")
    if fastbox.get("groups"):
        document["groups"] = fastbox["groups"]
    return document


def _exec_env(inherited: list[str], given: Sequence[str], tty: bool) -> list[str]:
    if not given and not tty:
        return inherited
    made = {"TERM": "TERM=xterm"} if tty else {}
    for entry in (*inherited, *merged_env(given, ())):
        name, equals, _ = entry.partition("=")
        if equals:
            made[name] = entry
        else:
            made.pop(name, None)
    return list(made.values())
