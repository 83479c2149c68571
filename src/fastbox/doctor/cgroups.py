"""Control groups: which hierarchies there are, and for each controller whether the kernel has it,
whether it reaches us, and whether a group with it can be made.
"""

from __future__ import annotations

import os

from fastbox.doctor.check import FALLBACK, MISSING, OK, Check, read
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_GROUP = "Cgroups"
# Controller on v1 and on v2, a file of it on each, whether every container needs it, and what is
# lost without it.
_CONTROLLERS = (
    ("devices", "", "devices.list", "", True, "no rule of devices, which every container has"),
    (
        "pids",
        "pids",
        "pids.max",
        "pids.max",
        True,
        "no limit of processes, which every container has",
    ),
    ("memory", "memory", "memory.limit_in_bytes", "memory.max", False, "--memory is refused"),
    ("cpu", "cpu", "cpu.shares", "cpu.weight", False, "--cpus and --cpu-shares are refused"),
    ("cpuset", "cpuset", "cpuset.cpus", "cpuset.cpus", False, "--cpuset-cpus is refused"),
    ("blkio", "io", "", "io.max", False, "limits of input and output are refused"),
    ("freezer", "", "freezer.state", "", False, "a container can't be paused"),
)


class Hierarchies(Record):
    """What is mounted.

    Attributes:
        mode: "v2", "hybrid", "v1" or "none".
        v1: Where each v1 controller is mounted.
        v2: Where the unified hierarchy is mounted, or "".
    """

    mode: str
    v1: dict[str, str]
    v2: str


def hierarchies() -> Hierarchies:
    """Those of this process's mount namespace; of several views the first counts."""
    v1: dict[str, str] = {}
    v2 = ""
    for line in read("/proc/self/mountinfo", 1 << 22).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        at = before.split(" ")[4]
        if kind == "cgroup2":
            v2 = v2 or at
        elif kind == "cgroup":
            for option in rest.rpartition(" ")[2].split(","):
                v1.setdefault(option, at)
    known = {name for name, *_ in _CONTROLLERS if name in v1}
    mode = ("hybrid" if known else "v2") if v2 else ("v1" if known else "none")
    return Hierarchies(mode=mode, v1={name: v1[name] for name in known}, v2=v2)


class Group:
    """An empty group in every hierarchy for the `with` block.

    Attributes:
        unified: The directory of the one in the v2 hierarchy, or "".
        places: Each directory by the mount point of its hierarchy.
        refused: Why there is none, by mount point.
    """

    def __init__(self, found: Hierarchies) -> None:
        self._found = found
        self.unified = ""
        self.places: dict[str, str] = {}
        self.refused: dict[str, OSError] = {}

    def __enter__(self) -> Self:
        name = f"fastbox-doctor-{os.getpid()}"
        for at in {*self._found.v1.values(), self._found.v2} - {""}:
            try:
                os.mkdir(f"{at}/{name}")
                self.places[at] = f"{at}/{name}"
            except OSError as error:
                self.refused[at] = error
        self.unified = self.places.get(self._found.v2, "")
        return self

    def __exit__(self, *_: object) -> None:
        for path in self.places.values():
            os.rmdir(path)


def checks(found: Hierarchies, group: Group) -> list[Check]:
    """The mode, each controller, and what is counted."""
    mode = Check(group=_GROUP, name="mode", state=OK, required=True, detail=_mode(found))
    if found.mode == "none":
        mend = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
        return [mode.replace(state=MISSING, detail="no hierarchy is mounted", mend=mend)]
    lines = [mode]
    for v1, v2, file1, file2, required, lost in _CONTROLLERS:
        if v1 in found.v1:
            place = _v1(found.v1[v1], file1, group)
        elif v2 and found.v2:
            place = _v2(found.v2, v2, file2, group)
        elif found.mode == "v2":
            continue  # programs and core files do it there
        else:
            place = _absent(v1)
        state, detail, mend = place
        if state == MISSING:
            detail = f"{lost}: {detail}"
        name = v2 if v1 not in found.v1 and v2 else v1
        lines.append(
            Check(group=_GROUP, name=name, state=state, detail=detail, mend=mend, required=required)
        )
    return [*lines, *_swap(found, group)]


def _mode(found: Hierarchies) -> str:
    if found.mode == "v2":
        return f"v2 at {found.v2}"
    own = f", v2 without them at {found.v2}" if found.v2 else ""
    return f"{found.mode}: controllers on v1{own}"


def _v1(at: str, file: str, group: Group) -> tuple[str, str, str]:
    error = group.refused.get(at)
    if error is not None:
        why = (error.strerror or "").lower()
        return MISSING, f"no group can be made in {at} ({why})", _mend_refused(at, error)
    if file and not os.access(f"{group.places[at]}/{file}", os.R_OK):
        return MISSING, f"{file} is not in {at}", f"mount the controller again at {at}"
    return OK, f"available, usable ({at})", ""


def _mend_refused(at: str, error: OSError) -> str:
    if error.errno == 30:
        return f"mount -o remount,rw {at}"
    return "run fastbox as root" if os.geteuid() != 0 else f"let fastbox write to {at}"


def _absent(name: str) -> tuple[str, str, str]:
    """Why a v1 controller is not mounted: /proc/cgroups knows."""
    for line in read("/proc/cgroups").splitlines():
        words = line.split()
        if len(words) == 4 and words[0] == name:
            if words[3] == "0":
                return (
                    MISSING,
                    "the kernel was told to leave it out",
                    f"boot with cgroup_enable={name}",
                )
            at = f"/sys/fs/cgroup/{name}"
            return MISSING, "not mounted", f"mkdir {at} && mount -t cgroup -o {name} cgroup {at}"
    config = {"pids": "CGROUP_PIDS", "devices": "CGROUP_DEVICE", "memory": "MEMCG"}
    return MISSING, "not in this kernel", f"use a kernel with CONFIG_{config.get(name, 'CGROUPS')}"


def _v2(at: str, name: str, file: str, group: Group) -> tuple[str, str, str]:
    if name not in read(f"{at}/cgroup.controllers").split():
        if read(f"{at}/cgroup.type"):
            return MISSING, "not delegated to us", f"delegate it above {at} (systemd: Delegate=yes)"
        return (
            MISSING,
            "not in this hierarchy",
            f"boot with cgroup_no_v1=all, or cgroup_enable={name}",
        )
    error = group.refused.get(at)
    if error is not None:
        why = (error.strerror or "").lower()
        return MISSING, f"no group can be made in {at} ({why})", _mend_refused(at, error)
    if os.path.exists(f"{group.places[at]}/{file}"):
        return OK, "available, delegated, usable", ""
    if not os.access(f"{at}/cgroup.subtree_control", os.W_OK):
        mend = f"echo +{name} >{at}/cgroup.subtree_control"
        return MISSING, "not delegated, and this user can't", mend
    # The kernel's own root may have both processes and groups with controllers; no other group may.
    if read(f"{at}/cgroup.type") and read(f"{at}/cgroup.procs"):
        # One of those named is cat, which is gone by then.
        move = f"for p in $(cat {at}/cgroup.procs); do echo $p >{at}/init/cgroup.procs || :; done"
        mend = f"mkdir {at}/init && {move} 2>/dev/null"
        return MISSING, f"processes are in {at} itself", mend
    return OK, "available, delegated by the first start that needs it", ""


def _swap(found: Hierarchies, group: Group) -> list[Check]:
    """Without swap accounting a limit of memory and swap together can't be kept."""
    if "memory" in found.v1:
        directory = group.places.get(found.v1["memory"], "")
        there = os.path.exists(f"{directory}/memory.memsw.limit_in_bytes")
    else:
        directory = group.unified if os.path.exists(f"{group.unified}/memory.max") else ""
        there = os.path.exists(f"{directory}/memory.swap.max")
    if not directory:
        return []
    check = Check(group=_GROUP, name="swap accounting", state=OK)
    if there:
        return [check]
    lost = "--memory-swap is refused, and --memory alone does not limit swap"
    return [check.replace(state=FALLBACK, detail=lost, mend="boot with swapaccount=1")]
