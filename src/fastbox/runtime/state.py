"""Live state: what supervisors say about running containers, whether it is still true, and ending
what they left.

A number of a process is worth something only with its start time and the boot it belongs to. What
is read here was written by supervisors below a private directory; still, only directories that
carry the container's id are touched.
"""

from __future__ import annotations

import fcntl
import os
import time

from fastbox import _native
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_CGROUPS = "/sys/fs/cgroup"
_KILL_SECONDS = 10.0
_MAX_BYTES = 1 << 20


class Live(Record):
    """<run>/containers/<id>."""

    id: str
    pid: int
    start_time: int
    boot_id: str
    supervisor: str
    started: str
    remove: bool
    cgroups: tuple[str, ...]
    directory: str
    status: str = "running"  # or paused, restarting, exited (when no exit record could be written)
    restarts: int = 0
    last: Mapping[str, object] | None = None  # how it ended, as in the exit record
    ports: tuple[Mapping[str, object], ...] = ()  # published: protocol, host, host_port, port


def read_live(run: str, container: str) -> Live | None:
    """The live state, or None when the container does not run.

    Raises:
        ValueError: It is damaged.
    """
    try:
        with open(f"{run}/containers/{container}", "rb") as file:
            found = json.loads_object(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return None
    kinds = {
        "id": str,
        "pid": int,
        "start_time": int,
        "boot_id": str,
        "supervisor": str,
        "started": str,
        "remove": bool,
        "cgroups": list,
        "directory": str,
    }
    for key, kind in kinds.items():
        if not isinstance(found.get(key), kind):
            raise ValueError(f'the live state of {container[:12]} lacks "{key}"')
    values: dict[str, object] = {key: found[key] for key in kinds}
    cgroups = found["cgroups"]
    assert isinstance(cgroups, list)
    values["cgroups"] = tuple(str(path) for path in cgroups)
    for key, kind in (("status", str), ("restarts", int), ("last", dict)):
        if isinstance(found.get(key), kind):
            values[key] = found[key]
    ports = found.get("ports")
    if isinstance(ports, list):
        values["ports"] = tuple(each for each in ports if isinstance(each, dict))
    return Live(**values)  # type: ignore[arg-type]


def is_live(run: str, container: str) -> bool:
    """Whether there is live state at all."""
    return os.path.exists(f"{run}/containers/{container}")


def remove_live(run: str, container: str) -> None:
    """Take the live state away: the last step of healing."""
    try:
        os.unlink(f"{run}/containers/{container}")
    except FileNotFoundError:
        pass


def supervisor_alive(run: str, name: str) -> bool:
    """Whether somebody holds the supervisor's lock."""
    return bool(name) and "/" not in name and name not in (".", "..") and _native.alive(run, name)


def remove_supervisor(run: str, name: str) -> None:
    """Take away the directory of a supervisor that is dead.

    Under its lock: who is about to spawn one waits for it, and finds its directory gone, not half
    taken apart.
    """
    if not name or "/" in name or name in (".", ".."):
        return
    path = f"{run}/supervisors/{name}"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for entry in os.listdir(fd):
            os.unlink(entry, dir_fd=fd)
        os.rmdir(path)
    except OSError:
        pass  # it is alive, or a second healer is at it, or something else is in there: harmless
    finally:
        os.close(fd)


def cgroup_directories(container: str, known: Sequence[str] = ()) -> list[str]:
    """The container's groups in all hierarchies: the ones that are known, and the ones at its usual
    place.
    """
    usual = [f"{_CGROUPS}/fastbox/{container}"]
    try:
        usual += [f"{_CGROUPS}/{name}/fastbox/{container}" for name in os.listdir(_CGROUPS)]
    except OSError:
        pass
    mine = [
        path
        for path in known
        if container in path and ".." not in path and path.startswith("/sys/fs/cgroup/")
    ]
    return [path for path in dict.fromkeys(mine + usual) if os.path.isdir(path)]


def end_processes(container: str, live: Live | None) -> bool:
    """Kill all processes in the container's groups and remove the groups; False when some can't be
    killed (state D).
    """
    directories = cgroup_directories(container, live.cgroups if live else ())
    deadline = time.monotonic() + _KILL_SECONDS
    if live and _same_process(live):
        _kill(live.pid)  # PID 1 of the namespace takes the others with it
    for path in directories:
        _thaw(path)
    while any(_kill_group(path) for path in directories):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    while live and _same_process(live):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    _remove_groups(directories, deadline)
    return True


def _same_process(live: Live) -> bool:
    return live.pid > 1 and live.boot_id == boot_id() and start_time(live.pid) == live.start_time


def boot_id() -> str:
    """The kernel's name for this boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> int:
    """When a process started, in ticks since boot (field 22 of its stat); 0 when it is gone or a
    zombie.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass


def _thaw(directory: str) -> None:
    """v1's freezer keeps the dead from dying."""
    try:
        with open(directory + "/freezer.state", "r+", encoding="ascii") as file:
            file.write("THAWED")
    except OSError:
        pass


def _kill_group(directory: str) -> bool:
    """Kill what is in a group and the groups below it; True when there was anything."""
    found = False
    for path, _, _ in os.walk(directory):
        try:
            with open(os.path.join(path, "cgroup.procs"), "rb") as file:
                pids = [int(line) for line in file.read().split()]
        except OSError:
            continue
        for pid in pids:
            if pid > 1 and start_time(pid):
                found = True
                _kill(pid)
    return found


def _remove_groups(directories: Iterable[str], deadline: float) -> None:
    for directory in directories:
        for path, _, _ in os.walk(directory, topdown=False):
            while not _remove_group(path) and time.monotonic() < deadline:
                time.sleep(0.005)


def _remove_group(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False  # EBUSY: the last process is not quite gone
    return True
