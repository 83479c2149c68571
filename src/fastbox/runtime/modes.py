"""`--ipc --pid --uts --cgroupns --userns --network container:`: which namespaces are a container's
own.

Imported only when one of them is given. A namespace of another container is written with that
container's first process and its start time; the supervisor joins it only while both are true
(`containers/joining.py` writes them anew before each start).
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.runtime.security import Security
    from fastbox.runtime.spec import Place
    from fastbox.types import RunOptions

CONTAINER = "container:"
_PING = "net.ipv4.ping_group_range"
_TYPES = {"ipc": "ipc", "pid": "pid", "network": "net"}
# A path that no process has: before the first start nobody is known to join.
NOBODY = "/proc/0/ns/"


class IdMap(Record):
    """A range of the host's ids that are a container's 0 and following."""

    first_uid: int
    first_gid: int
    count: int


def joined(options: RunOptions) -> dict[str, str]:
    """Whose namespaces it uses, by the OCI name of their type."""
    modes = {"ipc": options.ipc, "pid": options.pid, "network": options.network}
    return {
        kind: mode.removeprefix(CONTAINER)
        for kind, mode in modes.items()
        if mode.startswith(CONTAINER)
    }


def check(options: RunOptions) -> None:
    """Docker's rules, in docker's words.

    Raises:
        InvalidArgument: A mode that is unknown, or does not go with another option.
    """
    for name, mode, known in (
        ("IPC", options.ipc, ("", "private", "none", "shareable", "host", CONTAINER)),
        ("PID", options.pid, ("", "host", CONTAINER)),
        ("UTS", options.uts, ("", "host")),
        ("cgroup namespace", options.cgroupns, ("", "private", "host")),
    ):
        plain = CONTAINER if mode.startswith(CONTAINER) and mode != CONTAINER else mode
        if plain not in known or mode == CONTAINER:
            raise InvalidArgument(f"invalid {name} mode: {mode}")
    if options.network == CONTAINER:
        raise InvalidArgument("invalid network mode: invalid container format container:<name|id>")
    if options.uts == "host" and (options.hostname or options.domainname):
        raise InvalidArgument("conflicting options: hostname and the UTS mode")
    if options.network.startswith(CONTAINER) and options.hostname:
        raise InvalidArgument("conflicting options: hostname and the network mode")
    if options.userns not in ("", "host"):
        _check_remapped(options)


def _check_remapped(options: RunOptions) -> None:
    if options.privileged:
        raise InvalidArgument(
            "privileged mode is incompatible with user namespaces",
            hint="add --userns host, or leave --privileged out",
        )
    if options.pid == "host":
        raise InvalidArgument(
            "cannot share the host PID namespace when user namespaces are enabled"
        )
    if options.network == "host":
        raise InvalidArgument(
            "cannot share the host's network namespace when user namespaces are enabled"
        )


def namespaces(options: RunOptions) -> list[dict[str, Any]]:
    """`linux.namespaces`."""
    kinds = ["mount"]
    kinds += ["uts"] if options.uts != "host" else []
    kinds += ["ipc"] if options.ipc != "host" else []
    kinds += ["pid"] if options.pid != "host" else []
    kinds += ["cgroup"] if options.cgroupns != "host" else []
    kinds += ["network"] if options.network != "host" else []
    kinds += ["user"] if options.userns not in ("", "host") else []
    others = joined(options)
    return [
        {"type": kind, "path": NOBODY + _TYPES[kind], "start_time": 1}
        if kind in others
        else {"type": kind}
        for kind in kinds
    ]


def mappings(text: str) -> IdMap | None:
    """`--userns`: "" and "host" are none; "remap" and "remap:USER" are a user's subordinate ids;
    "FIRST:COUNT" are the host's ids from there on.

    Raises:
        InvalidArgument: It says something else, or the user has no such ids.
    """
    if text in ("", "host"):
        return None
    first, colon, rest = text.partition(":")
    if first == "remap" and (rest or not colon):
        users = (rest,) if rest else ("fastbox", "dockremap")
        uid, uids = _subordinate("/etc/subuid", users)
        gid, gids = _subordinate("/etc/subgid", users)
        return _map(uid, gid, min(uids, gids), text)
    if not (_is_number(first) and _is_number(rest)):
        raise InvalidArgument(
            f"invalid USER mode: {text}", hint="write host, remap, remap:USER or FIRST:COUNT"
        )
    return _map(int(first), int(first), int(rest), text)


def _map(uid: int, gid: int, count: int, text: str) -> IdMap:
    # The kernel's last id is no id. Root's own are never given away.
    if min(uid, gid, count) < 1 or max(uid, gid) + count >= 1 << 32:
        raise InvalidArgument(f'the ids of --userns "{text}" are out of range')
    return IdMap(first_uid=uid, first_gid=gid, count=count)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def _subordinate(path: str, users: tuple[str, ...]) -> tuple[int, int]:
    """A user's first range."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().split(":") for line in file]
    except OSError:
        lines = []
    for user in users:
        for line in lines:
            if len(line) == 3 and line[0] == user and _is_number(line[1]) and _is_number(line[2]):
                return int(line[1]), int(line[2])
    raise InvalidArgument(
        f'no subordinate ids for "{users[0]}"',
        where=path,
        hint=f"add a line such as {users[0]}:100000:65536",
    )


def linux(options: RunOptions, sysctl: dict[str, str]) -> dict[str, Any]:
    """What the modes say of the bundle's `linux` object.

    With a user namespace the range of groups for ping sockets is left to the container: the kernel
    wants groups there that the namespace has.

    Raises:
        InvalidArgument: Modes that are unknown or contradict each other.
    """
    check(options)
    made: dict[str, Any] = {"namespaces": namespaces(options)}
    ids = mappings(options.userns)
    if ids is not None:
        asked = options.sysctls or {}
        made["sysctl"] = {k: v for k, v in sysctl.items() if k != _PING or k in asked}
        for key, first in (("uidMappings", ids.first_uid), ("gidMappings", ids.first_gid)):
            made[key] = [{"containerID": 0, "hostID": first, "size": ids.count}]
    return made


def mounts(
    made: list[dict[str, Any]], options: RunOptions, place: Place, given: Security
) -> list[dict[str, Any]]:
    """The container's mounts, as the modes change them."""
    found = []
    for mount in made:
        target, source = mount["destination"], str(mount["source"])
        own_file = source == f"{place.directory}/{target[5:]}"
        if target == "/dev/shm" and source == "shm":
            found += _shm(mount, options)
        elif target == "/sys/fs/cgroup" and source == "cgroup" and given.writable_cgroups:
            options_ = [word for word in mount["options"] if word != "ro"]
            found.append({**mount, "options": options_})
        elif own_file and place.network_files:
            found.append({**mount, "source": f"{place.network_files}/{target[5:]}"})
        elif own_file and options.userns not in ("", "host"):
            # They are the host's root's: the container's root owns them by the container's map.
            found.append({**mount, "options": [*mount["options"], "idmap"]})
        else:
            found.append(mount)
    return found


def _shm(own: dict[str, Any], options: RunOptions) -> list[dict[str, Any]]:
    if options.ipc == "none":
        return []
    if options.ipc == "host":
        return [_bind("/dev/shm")]
    if options.ipc.startswith(CONTAINER):
        # Of the mount namespace of that process, which `joining` writes here before each start.
        return [_bind("/dev/shm") | {"of": {"pid": 0, "start_time": 1}}]
    return [own]


def _bind(path: str) -> dict[str, Any]:
    options = ["rbind", "rprivate", "nosuid", "noexec", "nodev"]
    return {"destination": path, "type": "bind", "source": path, "options": options}
