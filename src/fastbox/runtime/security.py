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
_NO_PROFILE = ("", "unconfined", "docker-default")
# As Go reads them, which is how docker does.
_BOOLEANS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


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
        if option in ("no-new-privileges", "writable-cgroups"):
            found[name.replace("-", "_")] = True
        elif name in ("no-new-privileges", "writable-cgroups") and value in _BOOLEANS:
            found[name.replace("-", "_")] = _BOOLEANS[value]
        elif name == "seccomp" and value:
            found["seccomp"] = "" if value == "builtin" else value
        elif name == "apparmor" and value:
            found["apparmor"] = _apparmor(value)
        elif name == "systempaths" and value == "unconfined":
            found["masks"] = False
        elif name != "label" or not value:
            raise InvalidArgument(
                f'unknown security option "{option}"',
                hint="known: no-new-privileges, seccomp, apparmor, label, systempaths, "
                "writable-cgroups",
            )
    return Security(**found)  # type: ignore[arg-type]


def dropped(options: Iterable[str]) -> list[str]:
    """A warning for the AppArmor profile that this kernel can't apply. Docker drops it in silence:
    whoever asked for one should hear that it does not hold. The default one is nobody's wish.
    """
    for name, value in map(_split, options):
        if name == "apparmor" and value not in _NO_PROFILE and not _apparmor(value):
            return [f'Your kernel does not support AppArmor. Profile "{value}" discarded.']
    return []


def _split(option: str) -> tuple[str, str]:
    """By "=", else by the older ":"."""
    name, equals, value = option.partition("=")
    if not equals:
        name, _, value = option.partition(":")
    return name, value


def _apparmor(profile: str) -> str:
    """The profile to apply: none where the kernel has no AppArmor, as with docker; `inspect` tells
    the name that was given.
    """
    try:
        with open("/sys/module/apparmor/parameters/enabled", "rb") as file:
            enabled = file.read(1) == b"Y"
    except OSError:
        enabled = False
    return profile if enabled and profile != "unconfined" else ""
