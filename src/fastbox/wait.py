"""When a container counts as ready: `run(..., wait=wait.port(80))`, `wait_for(wait.log("ready"))`.

The same conditions serve the blocking and the asyncio API. Whoever waits is told at once when the
container ends before.
"""

from __future__ import annotations

import os
import re
import time

from fastbox.containers.readiness import Condition, Exec, pause
from fastbox.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.containers.container import Container
    from fastbox.containers.readiness import Steps

__all__ = ["Condition", "all_of", "exec", "healthy", "log", "port"]

_LISTEN = "0A"
_EXEC_PAUSE = (0.01, 0.5)  # the first pause between two commands, and the longest, in seconds


def port(number: int) -> Condition:
    """Something listens on a TCP port of the container's, on whatever address.

    The kernel's table of the container's network namespace is read (/proc/PID/net/tcp, tcp6), which
    the container does not notice: a connection would be one more client, and the first that many a
    server logs. The kernel tells nobody that a socket begins to listen (sock_diag tells of the end
    of sockets only, and a tracepoint needs BPF for the whole host), so the table is looked at every
    1 to 20 ms, 2 % of the time it took so far. With the host's network, only sockets count that a
    process of the container has open.

    Args:
        number: 1 to 65535.
    """
    if not 1 <= number <= 65535:
        raise InvalidArgument(f"{number} is no TCP port")
    return _Port(number)


def log(pattern: str | re.Pattern[str], times: int = 1) -> Condition:
    """The container has written lines that match.

    Args:
        pattern: A text that a line contains, or a compiled regular expression that is searched for.
        times: In so many lines.
    """
    return _Log(pattern, times)


def exec(argv: Sequence[str], *, timeout: float | None = 10.0) -> Condition:
    """A command in the container ends with code 0. It is run again after 10 ms, then after twice as
    long each time, at most half a second.

    Args:
        argv: The command and its arguments.
        timeout: Seconds until one try is killed, or None.
    """
    if isinstance(argv, str):
        raise TypeError("argv is a list of texts, not one text")
    return _Exec(argv, timeout)


def healthy() -> Condition:
    """The container's health check says so."""
    return _Healthy()


def all_of(*conditions: Condition) -> Condition:
    """All are met, in this order: the second is looked at once the first was met."""
    return _All(conditions)


class _Port(Condition):
    __slots__ = ("_number",)

    def __init__(self, number: int) -> None:
        self._number = number

    def __str__(self) -> str:
        return f"port {self._number}"

    def steps(self, container: Container) -> Steps:
        begun, pid = time.monotonic(), 0
        while True:
            pid = pid or container.info.pid
            if pid and self._listens(pid):
                return
            yield pause(begun)

    def _listens(self, pid: int) -> bool:
        inodes = _listening(pid, self._number)
        if not inodes:
            return False
        if os.stat(f"/proc/{pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino:
            return True
        return any(_holds(process, inodes) for process in _processes(pid))


def _listening(pid: int, number: int) -> set[str]:
    """The inodes of the sockets that listen on a port, in a process's network namespace."""
    found = set()
    wanted = f":{number:04X}"
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except (FileNotFoundError, ProcessLookupError, OSError):
            continue  # no IPv6, or the process has just ended
        for line in lines:
            fields = line.split(None, 10)
            if fields[3] == _LISTEN and fields[1].endswith(wanted):
                found.add(fields[9])
    return found


def _processes(pid: int) -> list[int]:
    """The processes of a container, by its first one's control group."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            groups = [line.rstrip("\n").split(":", 2)[1:] for line in file]
    except OSError:
        return []
    for controllers, path in groups:
        if "fastbox" not in path:
            continue
        for top in (f"/sys/fs/cgroup/{controllers}", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            found = _in_group(top + path)
            if found:
                return found
    return [pid]


def _in_group(directory: str) -> list[int]:
    found: list[int] = []
    for path, _, _ in os.walk(directory):
        try:
            with open(path + "/cgroup.procs", encoding="ascii") as file:
                found += map(int, file.read().split())
        except OSError:
            continue
    return found


def _holds(pid: int, inodes: set[str]) -> bool:
    names = {f"socket:[{inode}]" for inode in inodes}
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                if os.readlink(f"/proc/{pid}/fd/{fd}") in names:
                    return True
            except OSError:
                continue
    except OSError:
        pass
    return False


class _Log(Condition):
    __slots__ = ("_pattern", "_times")

    def __init__(self, pattern: str | re.Pattern[str], times: int) -> None:
        self._pattern, self._times = pattern, times

    def __str__(self) -> str:
        text = self._pattern if isinstance(self._pattern, str) else self._pattern.pattern
        return f'log "{text}"' + (f" {self._times} times" if self._times > 1 else "")

    def steps(self, container: Container) -> Steps:
        begun, found = time.monotonic(), 0
        with container._service.open_log(container.id, follow=True) as reader:
            while True:
                while lines := reader.read_ready():
                    found += sum(self._matches(line.text) for line in lines)
                    if found >= self._times:
                        return
                yield pause(begun)

    def _matches(self, line: str) -> bool:
        if isinstance(self._pattern, str):
            return self._pattern in line
        return self._pattern.search(line) is not None


class _Exec(Condition):
    __slots__ = ("_argv", "_timeout")

    def __init__(self, argv: Sequence[str], timeout: float | None) -> None:
        self._argv, self._timeout = argv, timeout

    def __str__(self) -> str:
        return f"exec {' '.join(self._argv)}"

    def steps(self, container: Container) -> Steps:  # noqa: ARG002
        pause, longest = _EXEC_PAUSE
        while True:
            result = yield Exec(self._argv, self._timeout)
            if result is not None and result.exit_code == 0:
                return
            yield pause
            pause = min(pause * 2, longest)


class _Healthy(Condition):
    __slots__ = ()

    def steps(self, container: Container) -> Steps:
        begun = time.monotonic()
        while True:
            state = container.inspect()["State"]
            health = state.get("Health") if isinstance(state, dict) else None
            if not isinstance(health, dict):
                raise Unsupported("healthy: the container has no health check")
            if health.get("Status") == "healthy":
                return
            yield max(pause(begun), 0.01)


class _All(Condition):
    __slots__ = ("_conditions",)

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = conditions

    def __str__(self) -> str:
        return " and ".join(map(str, self._conditions))

    def steps(self, container: Container) -> Steps:
        for condition in self._conditions:
            yield from condition.steps(container)
