"""What a container is, seen from outside by the kernel's own account of its process and from inside by the probe: one flat table."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from functools import cache
from pathlib import Path

from .party import Party
from .stage import CGROUPS, GROUP

Observation = dict[str, str]

STATUS = (
    *("Umask", "Groups", "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
    *("NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "Cpus_allowed_list"),
    *("Mems_allowed_list", "Threads", "Name", "THP_enabled"),
)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "time_for_children", "user", "uts")
# Values of a group that a configuration sets. The rest is statistics, or tells of the machine.
VALUES = (
    *("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.memsw.limit_in_bytes"),
    *(
        "memory.swappiness",
        "memory.oom_control",
        "memory.use_hierarchy",
        "memory.kmem.tcp.limit_in_bytes",
    ),
    *("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.idle"),
    *("cpu.rt_period_us", "cpu.rt_runtime_us", "cpuset.cpus", "cpuset.mems"),
    *("pids.max", "devices.list", "freezer.state", "hugetlb.2MB.max", "hugetlb.1GB.max"),
    *("blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"),
    *("blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device", "blkio.bfq.weight"),
    *(
        "net_cls.classid",
        "net_prio.ifpriomap",
        "memory.max",
        "memory.low",
        "memory.high",
        "memory.swap.max",
    ),
    *("cpu.max", "cpu.max.burst", "cpu.weight", "io.max", "io.weight", "cgroup.freeze"),
)


class Normaliser:
    """Replaces what differs between two runs of the same bundle by what it is."""

    def __init__(self, party: Party, bundle: Path, name: str, given: dict[str, str]) -> None:
        self.words = [(str(bundle), "BUNDLE"), (str(party.root), "STATE"), (GROUP, "/GROUP")]
        self.words += [(GROUP[1:], "GROUP"), (name, "ID")]
        self.host = {k: _link(f"/proc/{party.stage.keeper.pid}/ns/{k}") for k in NAMESPACES}
        self.given = given

    def __call__(self, text: str) -> str:
        for what, by in self.words:
            text = text.replace(what, by)
        return text

    def namespace(self, kind: str, link: str) -> str:
        if link == self.host[kind]:
            return "host"
        return "given" if link == self.given.get(kind) else "new"


def _link(path: str | Path) -> str:
    try:
        return os.readlink(path)
    except OSError as e:
        return f"({os.strerror(e.errno or 0)})"


def report(text: str, names: Normaliser) -> Observation:
    """The probe's answers, without the numbers that no two runs share."""
    lines = [line.partition("=") for line in text.splitlines() if "=" in line]
    seen = {
        f"probe:{word}": names(re.sub(r"(pipe|socket):\[\d+\]", r"\1", rest))
        for word, _, rest in lines
    }
    if "probe:keyring" in seen:
        _number, _, description = seen["probe:keyring"].partition(" ")
        seen["probe:keyring"] = description
    return {
        key: _mounted_ones(v) if key == "probe:text:/proc/self/cgroup" else v
        for key, v in seen.items()
    }


def _mounted_ones(text: str) -> str:
    """Of a process's groups those whose hierarchy is where it should be: others come and go with somebody else's tests."""
    lines = [line for line in text.split("\\n") if line]
    return "".join(f"{line}\\n" for line in lines if _hierarchy(line.split(":")[1]).exists())


def _hierarchy(controllers: str) -> Path:
    name = controllers.removeprefix("name=") or "unified"
    pure = not (CGROUPS / "unified").exists() and name == "unified"
    return CGROUPS if pure else CGROUPS / name


@cache
def ignored() -> int:
    """The signals that a child of these tests ignores from the start."""
    status = subprocess.run(
        ["cat", "/proc/self/status"], capture_output=True, text=True, check=True
    ).stdout
    return int(status.partition("SigIgn:")[2].split()[0], 16)


def process(pid: int, names: Normaliser) -> Observation:
    """What /proc says of a process."""
    top = Path(f"/proc/{pid}")
    lines = [line.partition(":") for line in (top / "status").read_text().splitlines()]
    seen = {f"status:{k}": " ".join(v.split()) for k, _, v in lines if k in STATUS}
    # Go's runtimes hand on what the caller ignores, a C library's own signal too; here the caller is whoever runs the tests.
    seen["status:SigIgn"] = f"{int(seen['status:SigIgn'], 16) & ~ignored():016x}"
    seen["status:depth"] = next(str(len(v.split())) for k, _, v in lines if k == "NSpid")
    for kind in NAMESPACES:
        seen[f"namespace:{kind}"] = names.namespace(kind, _link(top / "ns" / kind))
    for line in (top / "limits").read_text().splitlines()[1:]:
        seen[f"limit:{line[:25].strip()}"] = " ".join(line[25:].split())
    seen["environ"] = names((top / "environ").read_bytes().replace(b"\0", b"\n").decode())
    seen["arguments"] = names((top / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    seen["oom_score_adj"] = (top / "oom_score_adj").read_text().strip()
    seen["personality"] = (top / "personality").read_text().strip()
    seen["scheduler"] = f"{os.sched_getscheduler(pid)} nice {os.getpriority(os.PRIO_PROCESS, pid)}"
    for name in ("uid_map", "gid_map", "setgroups", "timens_offsets"):
        seen[name] = " ".join((top / name).read_text().split())
    return seen


def mounts(pid: int, names: Normaliser, order: bool = True) -> Observation:
    """Every mount below the container's root: target, where it comes from, options, propagation; and their order."""
    seen: Observation = {}
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    for line in lines:
        before, _, after = line.partition(" - ")
        _, _, _device, root, target, options, *tags = before.split()
        fstype, source, more = after.split(" ", 2)
        words = [w for w in more.split(",") if not w.startswith(("nr_inodes=", "inode"))]
        on_disk = fstype in ("ext4", "overlay", "btrfs", "xfs")
        what = f"{fstype}" if on_disk else f"{fstype} {names(source)}"
        if fstype not in ("ext4", "overlay", "btrfs", "xfs", "devtmpfs"):
            what += f" [{','.join(sorted(words))}]"
        kinds = " ".join(sorted({tag.partition(":")[0] for tag in tags}))
        key = f"mount:{names(target)}"
        while key in seen:
            key += "+"
        seen[key] = f"{what} {names(root)} {','.join(sorted(options.split(',')))} {kinds}".strip()
    return seen


def devices(pid: int) -> Observation:
    """The nodes and links in /dev."""
    top = f"/proc/{pid}/root/dev"
    seen: Observation = {}
    if not os.path.isdir(top):
        return seen
    for name in sorted(os.listdir(top)):
        st = os.lstat(f"{top}/{name}")
        kind = stat.filemode(st.st_mode)
        rest = _link(f"{top}/{name}") if kind[0] == "l" else f"{st.st_uid}:{st.st_gid}"
        number = f" {os.major(st.st_rdev)}:{os.minor(st.st_rdev)}" if kind[0] in "cb" else ""
        seen[f"device:{name}"] = f"{kind} {rest}{number}"
    return seen


def _memberships(pid: int) -> list[tuple[str, str, Path]]:
    """Name of the hierarchy, path in it, directory."""
    found = []
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        top = _hierarchy(controllers)
        if top.exists():
            found.append((controllers.removeprefix("name=") or "unified", path, top / path[1:]))
    return found


def own_groups(pid: int) -> list[Path]:
    """The directories of a process's groups, but for those that the tests run in."""
    tests = {path for _, _, path in _memberships(os.getpid())}
    return [path for _, _, path in _memberships(pid) if path not in tests]


def groups(pid: int, names: Normaliser) -> Observation:
    """The groups of a process, and what their files hold."""
    seen: Observation = {}
    for name, path, directory in _memberships(pid):
        seen[f"cgroup:{name}"] = names(path)
        for value in VALUES:
            file = directory / value
            if path != "/" and file.exists():
                lines = file.read_text().splitlines()
                seen[f"{name}:{value}"] = "; ".join(
                    sorted(lines) if value == "devices.list" else lines
                )
    return seen


def left(rootfs: Path) -> Observation:
    """What a runtime made in the bundle's root: mount points, and whatever else."""
    seen = {}
    for top, directories, files in os.walk(rootfs):
        for name in (*directories, *files):
            path = Path(top) / name
            st = path.lstat()
            seen[str(path.relative_to(rootfs))] = (
                f"{stat.filemode(st.st_mode)} {st.st_uid}:{st.st_gid}"
            )
    return {f"root:{k}": v for k, v in sorted(seen.items())}
