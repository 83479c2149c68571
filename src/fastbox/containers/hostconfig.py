"""What inspect's `HostConfig` says of limits, devices and namespaces: docker's words."""

from __future__ import annotations

from fastbox.types import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import Device

_DEFAULT_PIDS = 4096
_RATES = {
    "weight": ("BlkioWeightDevice", "Weight"),
    "read_bps": ("BlkioDeviceReadBps", "Rate"),
    "write_bps": ("BlkioDeviceWriteBps", "Rate"),
    "read_iops": ("BlkioDeviceReadIOps", "Rate"),
    "write_iops": ("BlkioDeviceWriteIOps", "Rate"),
}


def fields(options: RunOptions) -> dict[str, object]:
    """Limits, devices, namespaces."""
    return {**_spaces(options), **_limits(options), **_block_io(options), **_devices(options)}


def apparmor(options: RunOptions, applied: str) -> str:
    """The AppArmor profile that was asked for, which a kernel without AppArmor does not apply."""
    for option in options.security_opt:
        if option.startswith(("apparmor=", "apparmor:")):
            return option[9:]
    return applied


def _spaces(options: RunOptions) -> dict[str, object]:
    return {
        "CgroupnsMode": options.cgroupns or "private",
        "IpcMode": options.ipc or "private",
        "PidMode": options.pid,
        "UTSMode": options.uts,
        "UsernsMode": options.userns,
        "CgroupParent": options.cgroup_parent,
        "Annotations": dict(options.annotations or {}) or None,
        "Isolation": "",
    }


def _limits(options: RunOptions) -> dict[str, object]:
    memory = options.memory or 0
    return {
        "Memory": memory,
        "MemorySwap": options.memory_swap or memory * 2,
        "MemoryReservation": options.memory_reservation or 0,
        "MemorySwappiness": options.memory_swappiness,
        "KernelMemory": options.kernel_memory or 0,
        "OomKillDisable": options.oom_kill_disable,
        "OomScoreAdj": options.oom_score_adj,
        "NanoCpus": round((options.cpus or 0) * 1_000_000_000),
        "CpuShares": options.cpu_shares or 0,
        "CpuQuota": options.cpu_quota or 0,
        "CpuPeriod": options.cpu_period or 0,
        "CpuRealtimePeriod": options.cpu_rt_period or 0,
        "CpuRealtimeRuntime": options.cpu_rt_runtime or 0,
        "CpusetCpus": options.cpuset_cpus,
        "CpusetMems": options.cpuset_mems,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "PidsLimit": _DEFAULT_PIDS if options.pids_limit is None else options.pids_limit,
        "Ulimits": [{"Name": u.name, "Soft": u.soft, "Hard": u.hard} for u in options.ulimits]
        or None,
    }


def _block_io(options: RunOptions) -> dict[str, object]:
    made: dict[str, list[dict[str, object]]] = {name: [] for name, _ in _RATES.values()}
    for limit in options.device_limits:
        name, key = _RATES[limit.kind]
        made[name].append({"Path": limit.path, key: limit.value})
    return {"BlkioWeight": options.blkio_weight or 0, **made}


def _devices(options: RunOptions) -> dict[str, object]:
    nodes = [device for device in options.devices if device.source.startswith("/")]
    named = [device.source for device in options.devices if not device.source.startswith("/")]
    requests = []
    if named:
        requests.append(_request(driver="cdi", ids=named))
    if options.gpus:
        requests.append(_gpus(options.gpus))
    return {
        "Devices": [_device(device) for device in nodes],
        "DeviceCgroupRules": list(options.device_cgroup_rules) or None,
        "DeviceRequests": requests or None,
    }


def _device(device: Device) -> dict[str, str]:
    return {
        "PathOnHost": device.source,
        "PathInContainer": device.target or device.source,
        "CgroupPermissions": device.access,
    }


def _request(
    *, driver: str = "", count: int = 0, ids: list[str] | None = None, gpu: bool = False
) -> dict[str, object]:
    return {
        "Driver": driver,
        "Count": count,
        "DeviceIDs": ids,
        "Capabilities": [["gpu"]] if gpu else None,
        "Options": {},
    }


def _gpus(text: str) -> dict[str, object]:
    body = text.strip('"')
    if body.startswith("device="):
        return _request(ids=body[7:].split(","), gpu=True)
    return _request(count=-1 if body == "all" else int(body), gpu=True)
