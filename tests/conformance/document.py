"""A configuration with every field of the specification."""

from __future__ import annotations

from typing import Any

DEVICE = {"major": 8, "minor": 0}
MAPPING = {"containerID": 0, "hostID": 100000, "size": 65536}


def _hooks() -> list[dict[str, Any]]:
    return [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}]


def _resources() -> dict[str, Any]:
    rates = (
        "throttleReadBpsDevice",
        "throttleWriteBpsDevice",
        "throttleReadIOPSDevice",
        "throttleWriteIOPSDevice",
    )
    return {
        "unified": {"memory.high": "1000000"},
        "devices": [{"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}],
        "pids": {"limit": 100},
        "blockIO": {
            "weight": 100,
            "leafWeight": 100,
            "weightDevice": [{**DEVICE, "weight": 100, "leafWeight": 100}],
            **{rate: [{**DEVICE, "rate": 1000}] for rate in rates},
        },
        "cpu": {
            "cpus": "0",
            "mems": "0",
            "period": 100000,
            "quota": 50000,
            "burst": 0,
            "realtimePeriod": 1000000,
            "realtimeRuntime": 0,
            "shares": 1024,
            "idle": 0,
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 1 << 21}],
        "memory": {
            "kernel": -1,
            "kernelTCP": -1,
            "limit": 1 << 28,
            "reservation": 1 << 27,
            "swap": 1 << 29,
            "swappiness": 10,
            "disableOOMKiller": False,
            "useHierarchy": True,
            "checkBeforeUpdate": False,
        },
        "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 1}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}},
    }


def _process() -> dict[str, Any]:
    capabilities = ("bounding", "permitted", "effective", "inheritable", "ambient")
    return {
        "args": ["true"],
        "consoleSize": {"height": 24, "width": 80},
        "cwd": "/",
        "env": ["PATH=/bin"],
        "terminal": False,
        "user": {"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5]},
        "capabilities": {kind: ["CAP_KILL"] for kind in capabilities},
        "apparmorProfile": "",
        "oomScoreAdj": 100,
        "selinuxLabel": "",
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
        "noNewPrivileges": True,
        "scheduler": {
            "policy": "SCHED_OTHER",
            "nice": 1,
            "priority": 0,
            "flags": ["SCHED_FLAG_RESET_ON_FORK"],
            "runtime": 0,
            "deadline": 0,
            "period": 0,
        },
        "rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
    }


def _linux() -> dict[str, Any]:
    argument = {"index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_EQ"}
    device = {"type": "c", "path": "/dev/x", "fileMode": 438, "major": 1, "minor": 3}
    return {
        "devices": [{**device, "uid": 0, "gid": 0}],
        "uidMappings": [dict(MAPPING)],
        "gidMappings": [dict(MAPPING)],
        "namespaces": [
            {"type": "network", "path": "/proc/1/ns/net"},
            *({"type": kind} for kind in ("pid", "mount", "ipc", "uts", "user", "cgroup", "time")),
        ],
        "resources": _resources(),
        "cgroupsPath": "/conformance-full",
        "rootfsPropagation": "private",
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/x",
            "listenerMetadata": "x",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {
                    "names": ["getppid"],
                    "action": "SCMP_ACT_ERRNO",
                    "errnoRet": 1,
                    "args": [argument],
                }
            ],
        },
        "sysctl": {"net.core.somaxconn": "100"},
        "maskedPaths": ["/proc/kcore"],
        "readonlyPaths": ["/proc/sys"],
        "mountLabel": "",
        "intelRdt": {
            "closID": "x",
            "l3CacheSchema": "L3:0=f",
            "memBwSchema": "MB:0=20",
            "enableCMT": False,
            "enableMBM": False,
        },
        "personality": {"domain": "LINUX", "flags": []},
        "timeOffsets": {kind: {"secs": 1, "nanosecs": 1} for kind in ("boottime", "monotonic")},
    }


def full() -> dict[str, Any]:
    """One value of the right type for every field that is not another platform's."""
    mount = {"destination": "/mnt", "type": "bind", "source": "/data", "options": ["bind"]}
    return {
        "ociVersion": "1.2.0",
        "hooks": {
            kind: _hooks()
            for kind in (
                "prestart",
                "createRuntime",
                "createContainer",
                "startContainer",
                "poststart",
                "poststop",
            )
        },
        "annotations": {"a": "b"},
        "hostname": "x",
        "domainname": "x",
        "mounts": [{**mount, "uidMappings": [dict(MAPPING)], "gidMappings": [dict(MAPPING)]}],
        "root": {"path": "rootfs", "readonly": False},
        "process": _process(),
        "linux": _linux(),
    }
