"""The kernel's features, as fastbox-probe found them: what each is for, what stands in for it, and
what to do about one that is missing.
"""

from __future__ import annotations

import errno
import os

from fastbox.doctor.check import FALLBACK, MISSING, OK, Check
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ELSEWHERE = "put the store (FASTBOX_ROOT) on ext4, xfs or btrfs"
_REFUSED = (errno.ENOSYS, errno.EPERM)  # a kernel without it, or a filter
_LESS = (*_REFUSED, errno.E2BIG, errno.EINVAL)  # or one that knows less of it
_NOT_BUILT = (
    errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT,
    errno.ENOENT,
)  # fmt: skip


class Machine(Record):
    """What the same errno means differs with this."""

    release: str
    root: bool
    mode: str  # of the cgroups: "v2", "hybrid", "v1" or "none"
    unified: bool  # whether a group could be made in the v2 hierarchy
    file_system: str  # of the store; "" when nothing could be made there


class Feature(Record):
    """One probe.

    Attributes:
        key: Its name in fastbox-probe.
        name: Its name for people.
        since: The first Linux that has it.
        lost: What fastbox does without it, or what can't be done.
        other_way: The errors for which fastbox has another way.
        required: Whether no container runs without it.
        calls: What a filter would have to allow.
        config: What a kernel would have to be built with.
        refused: What mends EPERM and EACCES, where it is neither root nor a filter.
        mend: What mends the rest.
    """

    key: str
    name: str
    since: tuple[int, int]
    lost: str
    other_way: tuple[int, ...] = ()
    required: bool = False
    calls: str = ""
    config: str = ""
    refused: str = ""
    mend: str = ""


def _namespace(kind: str, config: str, since: tuple[int, int] = (3, 8)) -> Feature:
    short = {"mount": "mnt", "network": "net"}.get(kind, kind)
    return Feature(
        key=f"ns.{kind}", name=f"{kind} namespaces", since=since, required=True,
        lost="no container can be isolated", calls="clone", config=config,
        mend=f"sysctl -w user.max_{short}_namespaces=15000",
    )  # fmt: skip


_PROCESSES = (
    Feature(
        key="clone3", name="clone3", since=(5, 5), other_way=_LESS,
        required=True,
        lost="clone(2) instead; on cgroup v2 a process joins its group by one write more",
        calls="clone3",
    ),
    Feature(
        key="clone3.cgroup", name="clone3 into a cgroup", since=(5, 7),
        other_way=_LESS, required=True, calls="clone3",
        lost="on cgroup v2 a process joins its group by one write more",
    ),
    Feature(
        key="pidfd", name="pidfd", since=(5, 4), required=True, calls="pidfd_open, waitid",
        lost="no supervisor can hold a process that it started",
    ),
    Feature(
        key="pidfd.signal", name="pidfd signals", since=(5, 1), other_way=_REFUSED, required=True,
        lost="by number instead; on cgroup v1 what shares the host's processes is not killed",
        calls="pidfd_send_signal",
    ),
    Feature(
        key="memfd", name="memfd", since=(3, 17), required=True, calls="memfd_create",
        lost="no seccomp filter can be compiled, no exec can be asked for",
    ),
    Feature(
        key="openat2", name="openat2", since=(5, 6), other_way=_REFUSED, required=True,
        lost="paths in roots and archives are walked step by step", calls="openat2",
    ),
    Feature(
        key="close_range", name="close_range", since=(5, 11), calls="close_range",
        other_way=(*_REFUSED, errno.EINVAL), required=True,
        lost="descriptors are closed one by one: a system call each, up to the limit of open files",
    ),
    _namespace("mount", ""),
    _namespace("pid", "CONFIG_PID_NS"),
    _namespace("network", "CONFIG_NET_NS"),
    _namespace("ipc", "CONFIG_IPC_NS"),
    _namespace("uts", "CONFIG_UTS_NS"),
    _namespace("cgroup", "CONFIG_CGROUPS", since=(4, 6)),
    Feature(
        key="ns.cgroup.unshare", name="unshare", since=(4, 6), required=True, calls="unshare",
        lost="on cgroup v1 a container can't get a cgroup namespace",
    ),
    Feature(
        key="ns.time", name="time namespaces", since=(5, 6), calls="unshare",
        lost="bundles with clocks of their own are refused", config="CONFIG_TIME_NS",
        mend="sysctl -w user.max_time_namespaces=15000",
    ),
    Feature(
        key="seccomp", name="seccomp filters", since=(4, 14), required=True, calls="seccomp",
        lost="only with --security-opt seccomp=unconfined", config="CONFIG_SECCOMP_FILTER",
    ),
    Feature(
        key="seccomp.notify", name="seccomp notification", since=(5, 0), calls="seccomp",
        lost="bundles whose filter has a listener are refused", config="CONFIG_SECCOMP_FILTER",
    ),
)  # fmt: skip
_FILES = (
    Feature(
        key="mount.fsopen", name="fsopen", since=(5, 2), other_way=_REFUSED, required=True,
        lost="mount(2) instead: one look-up more for each target",
        calls="fsopen, fsconfig, fsmount, move_mount",
    ),
    Feature(
        key="mount.calls", name="fsconfig, fsmount, move_mount", since=(5, 2),
        other_way=_REFUSED, required=True, calls="fsconfig, fsmount, move_mount",
        lost="mount(2) instead: one look-up more for each target",
    ),
    Feature(
        key="mount.open_tree", name="open_tree", since=(5, 2), other_way=_REFUSED, required=True,
        lost="mount(2) instead; each supervisor runs from a sealed copy (1.2 MB of memory)",
        calls="open_tree",
    ),
    Feature(
        key="mount.setattr", name="mount_setattr", since=(5, 12), other_way=_REFUSED, required=True,
        lost="each mount is remounted; each supervisor runs from a sealed copy (1.2 MB of memory)",
        calls="mount_setattr",
    ),
    Feature(
        key="mount.idmap", name="id-mapped mounts", since=(5, 12), calls="mount_setattr",
        lost="bundles with id-mapped mounts are refused",
        mend="put the files on a file system that has them (ext4, xfs, btrfs, tmpfs from 6.3)",
    ),
    Feature(
        key="mount.proc", name="proc", since=(3, 8), required=True, calls="mount",
        lost="no container without a /proc of its own",
        refused="start fastbox where nothing is mounted over parts of /proc",
    ),
    Feature(
        key="mount.sysfs", name="sysfs", since=(3, 8), required=True, calls="mount",
        lost="no container without a /sys of its own",
        refused="start fastbox where nothing is mounted over parts of /sys",
    ),
    Feature(
        key="mount.devpts", name="devpts", since=(3, 8), required=True, calls="mount",
        lost="no container without terminals of its own", config="CONFIG_UNIX98_PTYS",
    ),
    Feature(
        key="mount.mqueue", name="mqueue", since=(3, 8), required=True, calls="mount",
        lost="no container without message queues", config="CONFIG_POSIX_MQUEUE",
    ),
    Feature(
        key="mknod", name="device nodes", since=(3, 8), other_way=(errno.EPERM,), required=True,
        lost="the host's nodes are bound instead: a mount more for each", calls="mknod",
        refused="give fastbox CAP_MKNOD, outside of a user namespace",
    ),
)  # fmt: skip
_OVERLAY = (
    Feature(
        key="overlay.types", name="types in directories", since=(3, 18), required=True,
        lost="overlayfs can't lie on this file system",
        mend="put the store (FASTBOX_ROOT) on ext4, on btrfs, or on xfs made with ftype=1",
    ),
    Feature(
        key="overlay.volatile", name="volatile", since=(5, 10), required=True,
        lost="containers with --rm and those of the API can't start",
    ),
    Feature(
        key="overlay.calls", name="one call a layer", since=(6, 7), required=True,
        other_way=(*_REFUSED, errno.EINVAL), calls="fsopen, fsconfig, fsmount, move_mount",
        lost="mount(2), with all layers in one page of text",
    ),
    Feature(
        key="overlay.userxattr", name="userxattr", since=(5, 11),
        lost="no overlay in user namespaces, for containers without root's rights",
    ),
)  # fmt: skip
_NETWORK = (
    Feature(
        key="net.loopback", name="loopback", since=(3, 8), required=True, calls="ioctl",
        lost="a container's own network can't be started", refused="give fastbox CAP_NET_ADMIN",
    ),
    Feature(
        key="net.bridge", name="bridge", since=(3, 8), config="CONFIG_BRIDGE",
        lost="no network between containers", mend="modprobe bridge",
    ),
    Feature(
        key="net.veth", name="veth", since=(3, 8), config="CONFIG_VETH",
        lost="no network between containers", mend="modprobe veth",
    ),
    Feature(
        key="net.nft", name="nftables", since=(3, 14), config="CONFIG_NF_TABLES_INET",
        lost="no published ports, no address translation", mend="modprobe nf_tables",
    ),
    Feature(
        key="net.tun", name="/dev/net/tun", since=(3, 8), config="CONFIG_TUN",
        lost="no network in user space, for containers without root's rights",
        mend="modprobe tun && mkdir -p /dev/net && mknod /dev/net/tun c 10 200",
    ),
)  # fmt: skip
_GROUPS = (
    Feature(
        key="cgroup.kill", name="cgroup.kill", since=(5, 14), other_way=(errno.ENOENT,),
        lost="the processes of a group are killed one by one, looking until none is left",
    ),
    Feature(
        key="cgroup.freeze", name="cgroup.freeze", since=(5, 2),
        lost="on cgroup v2 a container can't be paused",
    ),
    Feature(
        key="cgroup.devices", name="device programs", since=(4, 15), required=True, calls="bpf",
        config="CONFIG_CGROUP_BPF", lost="on cgroup v2 no rule can say which devices are usable",
        refused="give fastbox CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN",
    ),
)  # fmt: skip


def checks(machine: Machine, results: Mapping[str, int]) -> list[Check]:
    """A line for each feature that matters on this machine."""
    found = [_check("Kernel", feature, machine, results) for feature in _PROCESSES]
    found += [_check("Mounts", feature, machine, results) for feature in _FILES]
    found.append(_overlay(machine, results))
    if results.get("overlay") == 0 or machine.file_system == "overlay":
        found += [_check("Overlay", feature, machine, results) for feature in _OVERLAY]
    found += [_check("Network", feature, machine, results) for feature in _NETWORK]
    return [check for check in found if check is not None]


def groups(machine: Machine, results: Mapping[str, int]) -> list[Check]:
    """What of control groups is a feature of the kernel and no controller."""
    found = [_check("Cgroups", feature, machine, results) for feature in _GROUPS]
    return [check for check in found if check is not None]


def _matters(key: str, machine: Machine, results: Mapping[str, int]) -> bool:
    if key == "mount.calls":  # only who has the first of the calls uses the rest
        return results.get("mount.fsopen") == 0
    if key == "ns.cgroup.unshare":
        return machine.mode != "v2"
    if key == "cgroup.devices":
        return machine.mode == "v2" and machine.unified
    return machine.unified or key not in ("clone3.cgroup", "cgroup.kill", "cgroup.freeze")


def _check(
    group: str, feature: Feature, machine: Machine, results: Mapping[str, int]
) -> Check | None:
    """None: it does not matter here."""
    if not _matters(feature.key, machine, results):
        return None
    code = results.get(feature.key, errno.EINTR)
    if code == 0:
        return Check(group=group, name=feature.name, state=OK, required=feature.required)
    other = code in feature.other_way
    return Check(
        group=group,
        name=feature.name,
        state=FALLBACK if other else MISSING,
        detail=f"{feature.lost} ({_words(code)})",
        mend=mend(feature, machine, code),
        required=feature.required,
    )


def _words(code: int) -> str:
    return "killed by a filter" if code == errno.EINTR else os.strerror(code).lower()


def mend(feature: Feature, machine: Machine, code: int) -> str:
    """The one line that most likely mends what the kernel answered with `code`."""
    if version(machine.release) < feature.since:
        return "boot Linux {}.{} or newer".format(*feature.since)
    if not machine.root and code in (errno.EPERM, errno.EACCES):
        return "run fastbox as root"
    if code in (errno.EPERM, errno.EACCES) and feature.refused:
        return feature.refused
    if code in (errno.ENOSYS, errno.EINTR) and feature.calls:
        return f"allow {feature.calls} in the seccomp filter that fastbox runs under"
    if code in (errno.EPERM, errno.EACCES):
        calls = f", and allow {feature.calls} in the filter around it" if feature.calls else ""
        return f"give fastbox CAP_SYS_ADMIN{calls}"
    if code in _NOT_BUILT and feature.config:
        first = f"{feature.mend}, or " if feature.mend.startswith("modprobe") else ""
        return f"{first}use a kernel with {feature.config}"
    return feature.mend or "use a kernel of a common distribution"


def version(release: str) -> tuple[int, int]:
    """6.18.5-rc1 as (6, 18); what is no version counts as new."""
    parts = release.replace("-", ".").replace("+", ".").split(".")[:2]
    if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit():
        return int(parts[0]), int(parts[1])
    return 999, 0


def _overlay(machine: Machine, results: Mapping[str, int]) -> Check:
    """overlayfs where the store is, or else with its writable layers in memory."""
    code, memory = results.get("overlay", errno.EINTR), results.get("overlay.memory", errno.EINTR)
    where = machine.file_system or "a tmpfs"
    name = f"overlayfs on {where}" + ("" if machine.root else ", in a user namespace")
    check = Check(group="Overlay", name=name, state=OK, required=True)
    if code == 0:
        return check
    if memory == 0 and machine.file_system == "overlay":
        lost = "writable layers are in memory, and gone after a reboot"
        return check.replace(state=FALLBACK, detail=f"{lost} ({_words(code)})", mend=_ELSEWHERE)
    if memory == 0:
        lost = "no writable layers here"
        return check.replace(state=MISSING, detail=f"{lost} ({_words(code)})", mend=_ELSEWHERE)
    feature = Feature(
        key="overlay", name=name, since=(3, 18), lost="", calls="mount",
        config="CONFIG_OVERLAY_FS", mend="modprobe overlay",
    )  # fmt: skip
    return check.replace(
        state=MISSING,
        detail=f"no container can stand on an image's layers ({_words(memory)})",
        mend=mend(feature, machine, memory),
    )
