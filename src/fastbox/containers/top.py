"""`top`: the host's `ps`, of whose lines those are kept that are of the container's processes.

It is the host's program with the host's library, looked for where the system has it; nothing of the
container is run, and what its processes call themselves is only text.
"""

from __future__ import annotations

import os

from fastbox.containers import foreground
from fastbox.errors import FastboxError, InvalidArgument, Unsupported
from fastbox.runtime import state
from fastbox.types import Top

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastbox.store.containers import ContainerStore

_PS = ("/usr/bin/ps", "/bin/ps")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
_MAX_BYTES = 64 << 20
_SECONDS = 30.0


def top(store: ContainerStore, run: str, reference: str, arguments: Sequence[str]) -> Top:
    """The container's processes, with the columns that the options of `ps` ask for."""
    view = foreground.running(store, run, reference)
    assert view.live is not None
    pids = frozenset(map(str, processes(view.id, view.live.cgroups)))
    # Docker's split: a text with several words is several options.
    words = [word for argument in arguments for word in argument.split()] or ["-ef"]
    titles, *lines = _ps(words, pids).splitlines() or [""]
    return select(titles.split(), lines, pids)


def processes(container: str, groups: Sequence[str]) -> set[int]:
    """The numbers of all processes in a container's groups and below, as this process sees them."""
    found: set[int] = set()
    for directory in state.cgroup_directories(container, groups):
        for path, _, _ in os.walk(directory):
            try:
                with open(path + "/cgroup.procs", "rb") as file:
                    found.update(map(int, file.read().split()))
            except OSError:
                continue
    return found - {0}


def select(titles: list[str], lines: Iterable[str], pids: frozenset[str]) -> Top:
    """The lines of these processes, cut into as many columns as there are titles.

    Raises:
        InvalidArgument: There is no column of process numbers.
    """
    if "PID" not in titles:
        raise InvalidArgument(
            "Couldn't find PID field in ps output", hint="ask for it: -o pid,cmd, or -ef"
        )
    at, last = titles.index("PID"), len(titles) - 1
    rows = []
    for line in lines:
        fields = line.split(None, last)
        if len(fields) > at and fields[at] in pids:
            rows.append(tuple(field.rstrip() for field in fields))
    return Top(titles=tuple(titles), processes=tuple(rows))


def _ps(words: Sequence[str], pids: frozenset[str]) -> str:
    """What `ps` prints of these processes, or of more: some options (f, e) exclude a list of them.

    Raises:
        Unsupported: The host has none.
        InvalidArgument: It did not like its options.
    """
    program = next((path for path in _PS if os.access(path, os.X_OK)), None)
    if program is None:
        raise Unsupported("the host has no ps", hint="install procps")
    code, output, error = _run([program, *words, "-q" + ",".join(sorted(pids))])
    if code:
        code, output, error = _run([program, *words])
    if code:
        why = error.decode("utf-8", "replace").strip().splitlines()
        raise InvalidArgument(f"error running ps: {why[0] if why else code}")
    return output[:_MAX_BYTES].decode("utf-8", "replace")


def _run(words: Sequence[str]) -> tuple[int, bytes, bytes]:
    import subprocess

    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=_ENVIRONMENT,
            cwd="/", timeout=_SECONDS,
        )  # fmt: skip
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise FastboxError(f"cannot run ps: {error}") from error
    return done.returncode, done.stdout, done.stderr
