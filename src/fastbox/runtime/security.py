"""`--security-opt` and what depends on it: masks, no_new_privs, the filter, AppArmor. Unknown words
are refused.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Docker's lists of 2025: kernel memory, keys, timers of others, and hardware that tells of its
# neighbours.
MASKED = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
]  # fmt: skip
READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


class Security(Record):
    """What the options say, before defaults; `seccomp` is "" (the default), "unconfined", a path or
    JSON.
    """

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    masks: bool = True
    writable_cgroups: bool = False


def parse(options: Iterable[str], *, privileged: bool) -> Security:
    """Docker's words, with "=" or the older ":".

    Raises:
        InvalidArgument: A word that is not known.
    """
    found: dict[str, object] = {
        "masks": not privileged,
        "seccomp": "unconfined" if privileged else "",
    }
    for option in options:
        name, value = _split(option)
        if name == "no-new-privileges" and value in ("", "true", "false"):
            found["no_new_privileges"] = value != "false"
        elif name == "seccomp" and value:
            found["seccomp"] = "" if value == "builtin" else value
        elif name == "apparmor" and value:
            found["apparmor"] = _apparmor(value)
        elif name == "systempaths" and value == "unconfined":
            found["masks"] = False
        elif name == "writable-cgroups" and value in ("", "true", "false"):
            found["writable_cgroups"] = value != "false"
        elif name != "label" or not value:
            raise InvalidArgument(
                f'unknown security option "{option}"',
                hint="known: no-new-privileges, seccomp, apparmor, label, systempaths, "
                "writable-cgroups",
            )
    return Security(**found)  # type: ignore[arg-type]


def _split(option: str) -> tuple[str, str]:
    at = next((i for i, char in enumerate(option) if char in "=:"), len(option))
    return option[:at], option[at + 1 :]


def _apparmor(profile: str) -> str:
    if profile == "unconfined":
        return ""
    try:
        with open("/sys/module/apparmor/parameters/enabled", "rb") as file:
            enabled = file.read(1) == b"Y"
    except OSError:
        enabled = False
    if not enabled and profile == "docker-default":
        return ""  # what docker does there; `inspect` tells the name that was given
    if not enabled:
        raise InvalidArgument(
            f'the AppArmor profile "{profile}" can\'t be used: this kernel has no AppArmor'
        )
    return profile
