"""Friendly keywords to `RunOptions`: "256m" to bytes, mappings to tuples. Docker's words, Python's
types.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.types import Device, EndpointOptions, HealthCheck, Mount, RunOptions, Ulimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypedDict

    from fastbox.types import DeviceLimit

    class RunKeywords(TypedDict, total=False):
        """The keywords of `Engine.run`; `types.RunOptions` describes them."""

        name: str
        rootfs: str
        hostname: str
        domainname: str
        env: Mapping[str, str] | Sequence[str]
        user: str | None
        group_add: Sequence[str]
        workdir: str
        entrypoint: Sequence[str] | None
        tty: bool
        interactive: bool
        remove: bool
        init: bool
        read_only: bool
        privileged: bool
        cap_add: Sequence[str]
        cap_drop: Sequence[str]
        security_opt: Sequence[str]
        mounts: Sequence[Mount]
        tmpfs: Mapping[str, str] | Sequence[str]
        volumes: Mapping[str, str | Mapping[str, str]] | Sequence[str]
        volumes_from: Sequence[str]
        shm_size: int | str
        memory: int | str | None
        memory_swap: int | str | None
        memory_reservation: int | str | None
        cpus: float | None
        cpu_shares: int | None
        cpu_quota: int | None
        cpu_period: int | None
        cpuset_cpus: str
        cpuset_mems: str
        pids_limit: int | None
        memory_swappiness: int | None
        kernel_memory: int | str | None
        oom_kill_disable: bool
        oom_score_adj: int
        cpu_rt_period: int | None
        cpu_rt_runtime: int | None
        blkio_weight: int | None
        device_limits: Sequence[DeviceLimit]
        devices: Sequence[Device | str]
        device_cgroup_rules: Sequence[str]
        gpus: str
        cgroup_parent: str
        ulimits: Mapping[str, int | tuple[int, int]] | Sequence[Ulimit]
        sysctls: Mapping[str, str] | None
        extra_hosts: Sequence[str]
        dns: Sequence[str]
        dns_options: Sequence[str]
        dns_search: Sequence[str]
        expose: Sequence[str]
        network: str
        endpoints: Sequence[EndpointOptions | str]
        publish: Sequence[str | int]
        publish_all: bool
        link: Sequence[str]
        ipc: str
        pid: str
        uts: str
        cgroupns: str
        userns: str
        annotations: Mapping[str, str] | None
        labels: Mapping[str, str] | None
        stop_signal: str
        stop_timeout: float
        restart: str
        health: HealthCheck | None
        log_driver: str
        log_opts: Mapping[str, str] | None


_SIZES = ("shm_size", "memory", "memory_swap", "memory_reservation", "kernel_memory")
_TUPLES = (
    "group_add", "cap_add", "cap_drop", "security_opt", "mounts", "entrypoint", "device_limits",
    "device_cgroup_rules", "extra_hosts", "dns", "dns_options", "dns_search", "expose", "link",
)  # fmt: skip


def _size(size: int | str) -> int:
    if isinstance(size, int):
        return size
    from fastbox import units

    try:
        return -1 if size == "-1" else units.size(size)  # of memory and swap: no limit
    except ValueError as error:
        raise InvalidArgument(
            f'"{size}" is not a size: {error}', hint="write a number and b, k, m or g: 256m"
        ) from None


def from_keywords(image: str, argv: Sequence[str], given: RunKeywords) -> RunOptions:
    """The options that `Engine.run`'s arguments mean.

    Raises:
        TypeError: An unknown keyword, or a text where a list is wanted.
        InvalidArgument: A value that can't be read.
    """
    values: dict[str, object] = dict(given)
    for key in _SIZES:
        if values.get(key) is not None:
            values[key] = _size(values[key])  # type: ignore[arg-type]
    for key in _TUPLES:
        if values.get(key) is not None:
            values[key] = _tuple(key, values[key])
    values["env"] = _env(given.get("env") or ())
    values["ulimits"] = _ulimits(given.get("ulimits") or ())
    if given.get("devices"):
        values["devices"] = tuple(map(_device, _tuple("devices", given["devices"])))
    if values.get("volumes_from") is not None:
        values["volumes_from"] = _tuple("volumes_from", values["volumes_from"])
    if given.get("publish"):
        values["publish"] = tuple(map(str, _tuple("publish", given["publish"])))
    if given.get("endpoints"):
        values |= _endpoints(_tuple("endpoints", given["endpoints"]), given.get("network"))
    volumes = values.pop("volumes", None) or ()
    values["mounts"] = (
        *given.get("mounts", ()),
        *(_volumes(volumes) if volumes else ()),  # type: ignore[arg-type]
        *_tmpfs(values.pop("tmpfs", None) or ()),  # type: ignore[arg-type]
    )
    return RunOptions(image=image, argv=_tuple("argv", argv), **values)  # type: ignore[arg-type]


def _endpoints(given: Sequence[EndpointOptions | str], network: str | None) -> dict[str, object]:
    """The networks, each by name or with how it is in it; the first is the container's mode."""
    found = tuple(EndpointOptions(network=e) if isinstance(e, str) else e for e in given)
    if network is not None and network != found[0].network:
        raise InvalidArgument(
            f'the network is "{network}", but the first of the endpoints is in '
            f'"{found[0].network}"',
            hint="leave network out",
        )
    return {"network": found[0].network, "endpoints": found}


def _device(given: Device | str) -> Device:
    if isinstance(given, Device):
        return given
    from fastbox import units

    try:
        return units.device(given)
    except ValueError as error:
        raise InvalidArgument(
            f'invalid device "{given}": {error}', hint="write /dev/host[:/dev/inside][:rwm]"
        ) from None


def _tuple(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} is a list of texts, not one text")
    return tuple(value)  # type: ignore[arg-type]


def _env(env: Mapping[str, str] | Sequence[str]) -> tuple[str, ...]:
    if hasattr(env, "items"):
        return tuple(f"{name}={value}" for name, value in env.items())
    return _tuple("env", env)


def _ulimits(given: Mapping[str, int | tuple[int, int]] | Sequence[Ulimit]) -> tuple[Ulimit, ...]:
    if not hasattr(given, "items"):
        return tuple(given)
    pairs = ((name, (v, v) if isinstance(v, int) else v) for name, v in given.items())
    return tuple(Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in pairs)


def _tmpfs(given: Mapping[str, str] | Sequence[str]) -> list[Mount]:
    if isinstance(given, str):
        raise TypeError("tmpfs is a list of texts, not one text")
    pairs = (
        given.items() if hasattr(given, "items") else (entry.partition(":")[::2] for entry in given)
    )
    return [Mount(kind="tmpfs", target=target, options=options) for target, options in pairs]


def _volumes(given: Mapping[str, str | Mapping[str, str]] | Sequence[str]) -> list[Mount]:
    """As `-v` writes them: "name:/path:ro", or {"name": "/path"}, or {"name": {"bind": "/path",
    "mode": "ro"}} as docker's Python library has it.
    """
    from fastbox.support.volumewords import parse

    texts = _tuple("volumes", given) if not hasattr(given, "items") else ()
    if hasattr(given, "items"):
        texts = tuple(f"{source}:{_place(where)}" for source, where in given.items())
    try:
        return [parse(text) for text in texts]
    except ValueError as error:
        raise InvalidArgument(f"volumes: {error}") from None


def _place(where: str | Mapping[str, str]) -> str:
    if isinstance(where, str):
        return where
    return where["bind"] + (":" + where["mode"] if where.get("mode") else "")
