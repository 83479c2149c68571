"""`linux.resources`, the device rule and sysctls: docker's flags to OCI's numbers, each checked
against its range.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.types import RunOptions

DEFAULT_PIDS = 4096
MIN_MEMORY = 6 << 20
_MAX_SIZE = 1 << 62
_PERIOD = 100_000

_IPC_SYSCTLS = frozenset(
    "kernel.msgmax kernel.msgmnb kernel.msgmni kernel.sem kernel.shmall kernel.shmmax "
    "kernel.shmmni kernel.shm_rmid_forced".split()
)
# Docker's two for a network namespace of its own: ports below 1024 and ping sockets need no rights
# there.
_NET_DEFAULTS = {
    "net.ipv4.ip_unprivileged_port_start": "0",
    "net.ipv4.ping_group_range": "0 2147483647",
}


def resources(options: RunOptions) -> dict[str, object]:
    """The limits that were asked for, plus the two that always are: devices and processes.

    Raises:
        InvalidArgument: A value out of its range, or two that contradict each other.
    """
    made: dict[str, object] = {
        "devices": _ALL_DEVICES if options.privileged else _DEVICES,
        "pids": {"limit": _pids(options)},
    }
    memory, cpu = _memory(options), _cpu(options)
    if memory:
        made["memory"] = memory
    if cpu:
        made["cpu"] = cpu
    if rare(options):
        from fastbox.runtime import limits

        limits.add(options, made)
    return made


def rare(options: RunOptions) -> bool:
    """Whether any of the limits is given that `runtime.limits` knows."""
    return bool(
        options.blkio_weight
        or options.device_limits
        or options.memory_swappiness is not None
        or options.oom_kill_disable
        or options.kernel_memory
        or options.cpu_rt_period
        or options.cpu_rt_runtime
    )


def _pids(options: RunOptions) -> int:
    limit = DEFAULT_PIDS if options.pids_limit is None else options.pids_limit
    if limit > 4 << 20:
        raise InvalidArgument("the limit of processes is more than the kernel can count (4194304)")
    return limit if limit > 0 else -1


def _memory(options: RunOptions) -> dict[str, object]:
    limit, swap, soft = options.memory, options.memory_swap, options.memory_reservation
    made: dict[str, object] = {}
    for name, value in (("memory limit", limit), ("memory reservation", soft)):
        if value is not None and not MIN_MEMORY <= value <= _MAX_SIZE:
            raise InvalidArgument(f"the {name} is {value} bytes: at least 6 MiB are needed")
    if limit is not None:
        made["limit"] = limit
        # As docker: without a word about swap, as much swap as memory. The number is memory plus
        # swap.
        made["swap"] = swap if swap else limit * 2
        if swap and swap != -1 and not limit <= swap <= _MAX_SIZE:
            raise InvalidArgument("the limit of memory plus swap is below the memory limit")
    elif swap not in (None, 0, -1):
        raise InvalidArgument(
            "a limit of memory plus swap needs a memory limit", hint="add --memory"
        )
    if soft is not None:
        if limit is not None and soft > limit:
            raise InvalidArgument("the memory reservation is above the memory limit")
        made["reservation"] = soft
    return made


def _cpu(options: RunOptions) -> dict[str, object]:
    made: dict[str, object] = {}
    if options.cpu_shares:
        if not 2 <= options.cpu_shares <= 262144:
            raise InvalidArgument("cpu shares are between 2 and 262144")
        made["shares"] = options.cpu_shares
    made |= _quota(options)
    for key, value in (("cpus", options.cpuset_cpus), ("mems", options.cpuset_mems)):
        if value:
            _check_available(key, value)
            made[key] = value
    return made


def _check_available(kind: str, value: str) -> None:
    """Every CPU (or memory node) that a list names is online, so that the kernel's ERANGE is never
    the answer.
    """
    place = "cpu" if kind == "cpus" else "node"
    with open(f"/sys/devices/system/{place}/online", encoding="ascii") as file:
        online = file.read().strip()
    missing = _numbers(value) - _numbers(online)
    if missing:
        raise InvalidArgument(f'{kind} "{value}" are not all there: this host has {online}')


def _numbers(text: str) -> set[int]:
    """The members of a list such as "0-2,4"."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or not int(first) <= int(last) < 1 << 16:
            raise InvalidArgument(f'"{text}" is not a list of numbers such as 0-2,4')
        found.update(range(int(first), int(last) + 1))
    return found


def _quota(options: RunOptions) -> dict[str, object]:
    quota, period = options.cpu_quota, options.cpu_period
    if options.cpus is not None and options.cpus > 0:
        if quota or period:
            raise InvalidArgument(
                "cpus and cpu quota or period say the same twice", hint="give one of them"
            )
        count = os.cpu_count() or 1
        if not 0.01 <= options.cpus <= count:
            raise InvalidArgument(
                f"cpus is {options.cpus:g}: it must be from 0.01 to {count}, the CPUs of this host"
            )
        return {"quota": round(options.cpus * _PERIOD), "period": _PERIOD}
    if options.cpus is not None and options.cpus < 0:
        raise InvalidArgument("cpus can't be negative")
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidArgument("the cpu period is from 1000 to 1000000 microseconds")
    if quota and quota != -1 and not 1000 <= quota <= _MAX_SIZE:
        raise InvalidArgument("the cpu quota is at least 1000 microseconds")
    return {key: value for key, value in (("quota", quota), ("period", period)) if value}


def rule(
    allow: bool, access: str, kind: str = "", major: int = -1, minor: int = -1
) -> dict[str, object]:
    """One of `linux.resources.devices`; -1 is any number."""
    rule: dict[str, object] = {"allow": allow, "access": access}
    if kind:
        rule["type"] = kind
    if major >= 0:
        rule["major"] = major
    if minor >= 0:
        rule["minor"] = minor
    return rule


# Any node may be made (the rule on opening it is what counts), and docker's few may be used: null,
# zero, full, random, urandom, tty, console, ptmx and the pseudo terminals.
_DEVICES: list[dict[str, object]] = [
    rule(False, "rwm"),
    rule(True, "m", "c"),
    rule(True, "m", "b"),
    *(rule(True, "rwm", "c", 1, minor) for minor in (3, 5, 7, 8, 9)),
    *(rule(True, "rwm", "c", 5, minor) for minor in (0, 1, 2)),
    rule(True, "rwm", "c", 136),
]
_ALL_DEVICES: list[dict[str, object]] = [rule(True, "rwm")]


def sysctls(
    given: Mapping[str, str] | None, *, own_network: bool, own_ipc: bool = True
) -> dict[str, str]:
    """The settings of the container's own namespaces, with docker's two defaults for a network of
    its own.

    Raises:
        InvalidArgument: A setting that is not the container's own, so the host's would change.
    """
    made = dict(_NET_DEFAULTS) if own_network else {}
    for written, value in (given or {}).items():
        name = written.replace("/", ".")
        if (
            not name
            or ".." in name
            or not all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
        ):
            raise InvalidArgument(f'invalid sysctl "{written}"')
        if "\n" in value or "\0" in value:
            raise InvalidArgument(f'invalid value for the sysctl "{written}"')
        if name in ("kernel.hostname", "kernel.domainname"):
            option = "--" + name.partition(".")[2]
            raise InvalidArgument(
                f'the sysctl "{name}" has an option of its own', hint=f"use {option}"
            )
        if name.startswith("net."):
            if not own_network:
                raise InvalidArgument(
                    f'the sysctl "{name}" would change the host, whose network is used'
                )
        elif not own_ipc and (name in _IPC_SYSCTLS or name.startswith("fs.mqueue.")):
            raise InvalidArgument(
                f'the sysctl "{name}" would change others, whose IPC namespace is used'
            )
        elif name not in _IPC_SYSCTLS and not name.startswith("fs.mqueue."):
            raise InvalidArgument(
                f'the sysctl "{name}" is not the container\'s own: it would change the host'
            )
        made[name] = value
    return made


def host_devices() -> list[dict[str, object]]:
    """`linux.devices` for a privileged container: every node of the host, as docker has it."""
    return nodes_below("/dev")


def nodes_below(top: str) -> list[dict[str, object]]:
    """Every device node below a directory, but terminals and what is not the host's own."""
    found: list[dict[str, object]] = []
    with os.scandir(top) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in ("pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"):
                    found += nodes_below(entry.path)
            elif entry.name != "console" and not entry.is_symlink():
                made = node(entry.path, entry.stat(follow_symlinks=False))
                found += [made] if made else []
    return found


def node(path: str, status: os.stat_result) -> dict[str, object] | None:
    """One of `linux.devices`; None for what is no device."""
    kind = {0o020000: "c", 0o060000: "b"}.get(status.st_mode & 0o170000)
    if kind is None:
        return None
    return {
        "path": path,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": status.st_mode & 0o7777,
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
