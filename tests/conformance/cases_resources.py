"""Cases of resources: each controller's files as they are after the start, on the host's side."""

from __future__ import annotations

from .bundle import Bundle, case
from .stage import GROUP

FUSE = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}


def _resources(b: Bundle, **more: object) -> None:
    b.linux["resources"].update(more)


@case()
def memory(b: Bundle) -> None:
    _resources(b, memory={"limit": 64 << 20, "reservation": 32 << 20})
    b.expect("memory:memory.limit_in_bytes", "67108864")
    b.expect("memory:memory.soft_limit_in_bytes", "33554432")


@case()
def memory_with_swap(b: Bundle) -> None:
    _resources(b, memory={"limit": 64 << 20, "swap": 64 << 20, "swappiness": 10})
    b.expect("memory:memory.memsw.limit_in_bytes", "67108864")


@case()
def memory_unlimited(b: Bundle) -> None:
    _resources(b, memory={"limit": -1, "swap": -1})


@case()
def memory_without_the_killer(b: Bundle) -> None:
    _resources(b, memory={"limit": 64 << 20, "disableOOMKiller": True})
    b.expect("memory:memory.oom_control", "oom_kill_disable 1*")


@case()
def memory_of_the_kernel(b: Bundle) -> None:
    _resources(
        b,
        memory={"limit": 64 << 20, "kernel": 32 << 20, "kernelTCP": 16 << 20, "useHierarchy": True},
    )


@case()
def cpu(b: Bundle) -> None:
    _resources(b, cpu={"shares": 512, "quota": 50000, "period": 200000})
    b.expect("cpu:cpu.shares", "512")
    b.expect("cpu:cpu.cfs_quota_us", "50000")
    b.expect("cpu:cpu.cfs_period_us", "200000")


@case()
def cpu_burst(b: Bundle) -> None:
    _resources(b, cpu={"quota": 50000, "period": 100000, "burst": 20000})


@case()
def cpu_idle(b: Bundle) -> None:
    _resources(b, cpu={"idle": 1})


@case()
def cpu_set(b: Bundle) -> None:
    _resources(b, cpu={"cpus": "1", "mems": "0"})
    b.expect("cpuset:cpuset.cpus", "1")
    b.expect("status:Cpus_allowed_list", "1")


@case()
def processes(b: Bundle) -> None:
    _resources(b, pids={"limit": 77})
    b.expect("pids:pids.max", "77")


# crun writes the -1.
@case(peers=("runc",))
def processes_unlimited(b: Bundle) -> None:
    _resources(b, pids={"limit": -1})
    b.expect("pids:pids.max", "max")


@case()
def processes_zero(b: Bundle) -> None:
    _resources(b, pids={"limit": 0})


@case()
def block_throttle(b: Bundle) -> None:
    device = {"major": 254, "minor": 0}
    _resources(
        b,
        blockIO={
            "throttleReadBpsDevice": [{**device, "rate": 1 << 20}],
            "throttleWriteBpsDevice": [{**device, "rate": 2 << 20}],
            "throttleReadIOPSDevice": [{**device, "rate": 300}],
            "throttleWriteIOPSDevice": [{**device, "rate": 400}],
        },
    )
    b.expect("blkio:blkio.throttle.read_bps_device", "254:0 1048576")
    b.expect("blkio:blkio.throttle.write_iops_device", "254:0 400")


# crun knows the weight of one scheduler only.
@case(peers=("runc",))
def block_weight(b: Bundle) -> None:
    _resources(b, blockIO={"weight": 300})
    b.expect("blkio:blkio.bfq.weight", "300")


# The rivals look for the controller on v1 alone.
@case(peers=())
def huge_pages(b: Bundle) -> None:
    _resources(b, hugepageLimits=[{"pageSize": "2MB", "limit": 4 << 20}])
    b.expect("unified:hugetlb.2MB.max", "4194304")


@case()
def devices_denied(b: Bundle) -> None:
    b.all_capabilities()
    _resources(
        b,
        devices=[
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"},
            {"allow": True, "type": "b", "major": 7, "access": "r"},
            {"allow": False, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
        ],
    )
    b.linux["devices"] = [
        {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666},
        FUSE,
    ]
    b.asks("read:/dev/kmsg", "EPERM")
    b.asks("write:/dev/fuse", "ok")
    b.asks("write:/dev/null", "ok")


@case()
def devices_all_allowed(b: Bundle) -> None:
    b.all_capabilities()
    _resources(b, devices=[{"allow": True, "access": "rwm"}])
    b.linux["devices"] = [FUSE]
    b.asks("write:/dev/fuse", "ok")


@case()
def devices_all_allowed_but(b: Bundle) -> None:
    b.all_capabilities()
    _resources(
        b,
        devices=[
            {"allow": True, "access": "rwm"},
            {"allow": False, "type": "c", "major": 10, "minor": 229, "access": "w"},
        ],
    )
    b.linux["devices"] = [FUSE]
    b.asks("read:/dev/fuse", "E*")
    b.asks("write:/dev/fuse", "EPERM")


@case()
def devices_unsaid(b: Bundle) -> None:
    del b.linux["resources"]


@case()
def network_classes(b: Bundle) -> None:
    _resources(b, network={"classID": 1048577, "priorities": [{"name": "lo", "priority": 3}]})
    b.expect("exit", "[!0]*")


@case()
def group_relative(b: Bundle) -> None:
    b.linux["cgroupsPath"] = f"{GROUP[1:]}/relative-{b.name}"


@case()
def group_deep(b: Bundle) -> None:
    b.linux["cgroupsPath"] = f"{GROUP}/{b.name}/deeper/and/deeper"


@case()
def group_absent(b: Bundle) -> None:
    del b.linux["cgroupsPath"]


@case()
def unified_on_a_mixed_machine(b: Bundle) -> None:
    _resources(b, unified={"memory.high": "1000000"})
    b.expect("exit", "[!0]*")
