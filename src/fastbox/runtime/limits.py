"""The limits that few containers have: of block devices, of realtime, of the out-of-memory killer.

Imported only when one is asked for. What this kernel has no file for is dropped with a warning in
docker's words, as docker does; the rest is an error before anything is made.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.types import DeviceLimit, RunOptions

_CGROUPS = "/sys/fs/cgroup"
_LACKS = "Your kernel does not support {} or the cgroup is not mounted. {} discarded."
_RATES = {
    "read_bps": ("throttleReadBpsDevice", "BPS Block I/O read limit", "Block I/O BPS read limit"),
    "write_bps": (
        "throttleWriteBpsDevice", "BPS Block I/O write limit", "Block I/O BPS write limit",
    ),
    "read_iops": ("throttleReadIOPSDevice", "IOPS Block read limit", "Block I/O IOPS read limit"),
    "write_iops": (
        "throttleWriteIOPSDevice", "IOPS Block write limit", "Block I/O IOPS write limit",
    ),
}  # fmt: skip


def is_v2() -> bool:
    """Whether the host has the one hierarchy of cgroup v2."""
    return os.path.exists(_CGROUPS + "/cgroup.controllers")


def fit(options: RunOptions) -> tuple[RunOptions, tuple[str, ...]]:
    """The options without what this kernel can't do, and a warning for each that was dropped.

    Raises:
        InvalidArgument: A value out of its range.
    """
    _check(options)
    changes: dict[str, Any] = {}
    warnings = _memory(options, changes)
    if options.blkio_weight and not _has_weights():
        warnings.append(_LACKS.format("Block I/O weight", "Weight"))
        changes["blkio_weight"] = None
    kept = tuple(limit for limit in options.device_limits if _is_known(limit))
    if kept != options.device_limits:
        dropped = {limit.kind for limit in options.device_limits} - {limit.kind for limit in kept}
        warnings += [_lacks_device(kind) for kind in sorted(dropped)]
        changes["device_limits"] = kept
    return (options.replace(**changes) if changes else options), tuple(warnings)


def _check(options: RunOptions) -> None:
    if options.blkio_weight and not 10 <= options.blkio_weight <= 1000:
        raise InvalidArgument("range of blkio weight is from 10 to 1000")
    swappiness = options.memory_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise InvalidArgument(
            f"invalid value: {swappiness}, valid memory swappiness range is 0-100"
        )
    for limit in options.device_limits:
        if limit.kind == "weight" and not 10 <= limit.value <= 1000:
            raise InvalidArgument(
                f"the weight of {limit.path} is {limit.value}: it must be from 10 to 1000"
            )
        if limit.kind != "weight" and (limit.kind not in _RATES or not 0 < limit.value < 1 << 62):
            raise InvalidArgument(f"the limit of {limit.path} must be a positive number")


def _memory(options: RunOptions, changes: dict[str, Any]) -> list[str]:
    warnings = []
    memory = _CGROUPS + "/memory/memory."
    if options.memory_swappiness is not None and not os.path.exists(memory + "swappiness"):
        warnings.append(_LACKS.format("memory swappiness capabilities", "Memory swappiness"))
        changes["memory_swappiness"] = None
    if options.kernel_memory:
        warnings.append(_LACKS.format("kernel memory limit capabilities", "Limitation"))
        changes["kernel_memory"] = None
    if options.oom_kill_disable:
        if not os.path.exists(memory + "oom_control"):
            warnings.append(
                "Your kernel does not support OomKillDisable. OomKillDisable discarded."
            )
            changes["oom_kill_disable"] = False
        elif options.memory is None:
            warnings.append(
                "OOM killer is disabled for the container, but no memory limit is set, this can "
                "result in the system running out of resources."
            )
    return warnings


def _has_weights() -> bool:
    if is_v2():
        return _is_in_groups("io.bfq.weight") or _is_in_groups("io.weight")
    return _is_in_groups("blkio.weight") or _is_in_groups("blkio.bfq.weight")


def _has_weight_of(path: str) -> bool:
    """BFQ's are of devices that use it; the others' of any."""
    if _is_in_groups("io.weight" if is_v2() else "blkio.weight_device"):
        return True
    number = _numbers(path)
    block = os.path.realpath(f"/sys/dev/block/{number['major']}:{number['minor']}")
    for queue in (block, os.path.dirname(block)):  # a partition has its disk's
        try:
            with open(f"{queue}/queue/scheduler", encoding="ascii") as file:
                return "[bfq]" in file.read()
        except OSError:
            continue
    return False


def _is_in_groups(name: str) -> bool:
    """Weights are in groups only, not in the root of the hierarchy."""
    top = _CGROUPS if is_v2() else _CGROUPS + "/blkio"
    try:
        with os.scandir(top) as entries:
            return any(
                os.path.exists(f"{entry.path}/{name}") for entry in entries if entry.is_dir()
            )
    except OSError:
        return False


def _is_known(limit: DeviceLimit) -> bool:
    if limit.kind == "weight":
        return _has_weight_of(limit.path)
    return is_v2() or os.path.exists(f"{_CGROUPS}/blkio/blkio.throttle.{limit.kind}_device")


def _lacks_device(kind: str) -> str:
    if kind == "weight":
        return _LACKS.format("Block I/O weight_device", "Weight-device")
    return _LACKS.format(*_RATES[kind][1:])


def add(options: RunOptions, made: dict[str, Any]) -> None:
    """Put them into `linux.resources`; the options fit this kernel.

    Raises:
        Unsupported: Realtime limits, which this kernel or cgroup v2 has not.
        NotFound: A limit's device does not exist.
    """
    memory, cpu = made.get("memory", {}), made.get("cpu", {})
    block: dict[str, Any] = {}
    if options.memory_swappiness is not None:
        memory["swappiness"] = options.memory_swappiness
    if options.oom_kill_disable:
        memory["disableOOMKiller"] = True
    if options.cpu_rt_period or options.cpu_rt_runtime:
        if not os.path.exists(_CGROUPS + "/cpu/cpu.rt_runtime_us"):
            raise Unsupported(
                "Your kernel does not support CPU real-time scheduler",
                hint="cgroup v2 has no realtime limits",
            )
        cpu |= _realtime(options)
    if options.blkio_weight:
        block["weight"] = options.blkio_weight
    for limit in options.device_limits:
        name = "weightDevice" if limit.kind == "weight" else _RATES[limit.kind][0]
        block.setdefault(name, []).append(_device(limit))
    parts = (("memory", memory), ("cpu", cpu), ("blockIO", block))
    made |= {name: part for name, part in parts if part}


def _realtime(options: RunOptions) -> dict[str, int]:
    period, runtime = options.cpu_rt_period, options.cpu_rt_runtime
    if runtime and runtime > (period or 1_000_000):
        raise InvalidArgument("cpu real-time runtime cannot be higher than cpu real-time period")
    found = (("realtimePeriod", period), ("realtimeRuntime", runtime))
    return {name: value for name, value in found if value}


def _device(limit: DeviceLimit) -> dict[str, int]:
    return _numbers(limit.path) | {"weight" if limit.kind == "weight" else "rate": limit.value}


def _numbers(path: str) -> dict[str, int]:
    try:
        status = os.stat(path)
    except OSError:
        raise NotFound("no such device for a limit", where=path) from None
    if status.st_mode & 0o170000 != 0o060000:
        raise InvalidArgument(f"{path} is not a block device, so it has no limits")
    return {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}
