"""The arguments that say for what and on what is built."""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, Unsupported

_MACHINES = {
    "x86_64": "amd64", "aarch64": "arm64", "armv6l": "arm", "armv7l": "arm", "armv8l": "arm",
    "i386": "386", "i686": "386", "loongarch64": "loong64",
}  # fmt: skip
_EMULATORS = {
    "amd64": "qemu-x86_64", "arm64": "qemu-aarch64", "arm": "qemu-arm", "386": "qemu-i386",
    "riscv64": "qemu-riscv64", "ppc64le": "qemu-ppc64le", "s390x": "qemu-s390x",
    "loong64": "qemu-loongarch64", "mips64le": "qemu-mips64el",
}  # fmt: skip


def platform_args(wanted: str, target: str) -> dict[str, str]:
    """TARGETPLATFORM, BUILDPLATFORM, their parts, and TARGETSTAGE.

    Raises:
        InvalidArgument: Not of the form os/arch[/variant].
    """
    here = _split(f"linux/{_here()}")
    there = _split(wanted) if wanted else here
    found: dict[str, str] = {}
    for prefix, (system, architecture, variant) in (("BUILD", here), ("TARGET", there)):
        parts = [part for part in (system, architecture, variant) if part]
        found |= {
            prefix + "PLATFORM": "/".join(parts),
            prefix + "OS": system,
            prefix + "ARCH": architecture,
            prefix + "VARIANT": variant,
        }
    return found | {"TARGETSTAGE": target or "default"}


def check_runnable(architecture: str) -> None:
    """Whether this machine can run programs for an architecture, by itself or by binfmt_misc.

    Raises:
        Unsupported: It can't.
    """
    here = _here()
    if architecture in ("", here) or (here, architecture) == ("amd64", "386"):
        return
    name = _EMULATORS.get(architecture, "qemu-" + architecture)
    try:
        with open(f"/proc/sys/fs/binfmt_misc/{name}", "rb") as file:
            if file.read(7) == b"enabled":
                return
    except OSError:
        pass
    raise Unsupported(
        f"this machine runs no programs for linux/{architecture}",
        hint="register an emulator with binfmt_misc, such as qemu-user-static",
    )


def _here() -> str:
    machine = os.uname().machine
    return _MACHINES.get(machine, machine)


def _split(text: str) -> tuple[str, str, str]:
    parts = text.lower().split("/")
    if len(parts) == 1 and parts[0]:
        parts = ["linux", parts[0]]
    if not 2 <= len(parts) <= 3 or not all(part.replace("-", "").isalnum() for part in parts):
        raise InvalidArgument(
            f'invalid platform "{text[:100]}"', hint="write os/arch[/variant], as linux/arm64/v8"
        )
    if "," in text:
        raise Unsupported("a build for several platforms at once", where=text)
    architecture = _MACHINES.get(parts[1], parts[1])
    return parts[0], architecture, parts[2] if len(parts) > 2 else ""
