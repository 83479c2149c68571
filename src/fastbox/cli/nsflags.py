"""Flags of namespaces and devices, and docker's that say how things are anyway. Imported only when
one is given.
"""

from __future__ import annotations

from fastbox import units
from fastbox.cli.values import bad_value, convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_TEXTS = ("ipc", "pid", "uts", "cgroupns", "userns", "gpus")
# What docker's users write for the runtime that they get.
_RUNTIMES = ("", "fastbox", "runc", "io.containerd.runc.v2")


def build(args: Arguments) -> dict[str, object]:
    """The options that they mean.

    Raises:
        UsageError: A value that can't be read.
        Unsupported: A runtime or a storage option that there is not.
    """
    found: dict[str, object] = {name: args.text(name) for name in _TEXTS}
    found["cgroup_parent"] = args.text("cgroup-parent")
    found["device_cgroup_rules"] = tuple(args.texts("device-cgroup-rule"))
    found["devices"] = tuple(
        convert(args, "device", text, units.device, "/dev/fuse") for text in args.texts("device")
    )
    annotations = {}
    for text in args.texts("annotation"):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise bad_value(args, "annotation", text, "not name=value", "org.example.team=web")
        annotations[name] = value
    found["annotations"] = annotations or None
    _check_fixed(args)
    return found


def _check_fixed(args: Arguments) -> None:
    from fastbox.errors import InvalidArgument, Unsupported

    isolation = args.text("isolation")
    if isolation not in ("", "default"):
        raise InvalidArgument(f"invalid isolation '{isolation}' - linux only supports 'default'")
    if args.text("runtime") not in _RUNTIMES:
        raise Unsupported(
            f"unknown or invalid runtime name: {args.text('runtime')}",
            hint="fastbox starts containers itself: leave --runtime out",
        )
    for text in args.texts("storage-opt"):
        name = text.partition("=")[0]
        if name != "size":
            raise InvalidArgument(f"unknown option {name} of the storage", hint="size is known")
        raise Unsupported(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
            hint="limit writes with a read-only root and tmpfs mounts of a size",
        )
