"""Which capabilities a container gets: docker's default set, changed by --cap-add, --cap-drop and
--privileged.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Index is the kernel's number (linux/capability.h).
NAMES: tuple[str, ...] = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP "
        "LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER "
        "SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE "
        "SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP "
        "MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF "
        "CHECKPOINT_RESTORE"
    ).split()
)

DEFAULT: tuple[str, ...] = tuple(
    "CAP_" + name
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
        "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def normalise(name: str) -> str:
    """`net_admin` and `CAP_NET_ADMIN` are one; "ALL" stays.

    Raises:
        InvalidArgument: No such capability.
    """
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else "CAP_" + upper
    if full not in NAMES:
        raise InvalidArgument(f'unknown capability "{name}"', hint='see "man 7 capabilities"')
    return full


def owned() -> list[str]:
    """The capabilities this process may hand on: "ALL" means these, since no more can be given."""
    with open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"CapBnd:"):
                mask = int(line.split()[1], 16)
                return [name for bit, name in enumerate(NAMES) if mask >> bit & 1]
    return list(NAMES)


def effective(
    add: Iterable[str] = (), drop: Iterable[str] = (), *, privileged: bool = False
) -> list[str]:
    """The set for a container, by docker's rules.

    ALL in `add` gives everything but what `drop` names; ALL in `drop` leaves only what `add` names;
    else the default set without `drop`, then `add` (which wins over `drop`).

    Raises:
        InvalidArgument: An unknown name.
    """
    adds = [normalise(name) for name in add]
    drops = [normalise(name) for name in drop]
    if privileged:
        return owned()
    if "ALL" in adds:
        return [name for name in owned() if name not in drops]
    if "ALL" in drops:
        return list(dict.fromkeys(adds))
    kept = [name for name in DEFAULT if name not in drops]
    return list(dict.fromkeys(kept + adds))
