"""Docker's container object in full: the members that fastbox has nothing to say about with what
docker shows then, in docker's order.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.types import RunOptions

_TOP = (
    "Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath",
    "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel",
    "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "SizeRw",
    "SizeRootFs", "Mounts", "Config", "NetworkSettings",
)  # fmt: skip
_HOST_CONFIG: Mapping[str, object] = {
    "Binds": None, "ContainerIDFile": "", "LogConfig": {}, "NetworkMode": "", "PortBindings": {},
    "RestartPolicy": {}, "AutoRemove": False, "VolumeDriver": "", "VolumesFrom": None,
    "ConsoleSize": [0, 0], "Annotations": None, "CapAdd": None, "CapDrop": None,
    "CgroupnsMode": "private", "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": None,
    "GroupAdd": None, "IpcMode": "private", "Cgroup": "", "Links": None, "OomScoreAdj": 0,
    "PidMode": "", "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False,
    "SecurityOpt": None, "StorageOpt": None, "Tmpfs": None, "UTSMode": "", "UsernsMode": "",
    "ShmSize": 0, "Sysctls": None, "Runtime": "fastbox", "Isolation": "", "CpuShares": 0,
    "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0, "BlkioWeightDevice": [],
    "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [], "BlkioDeviceReadIOps": [],
    "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
    "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
    "DeviceCgroupRules": None, "DeviceRequests": None, "KernelMemory": 0, "KernelMemoryTCP": 0,
    "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": None, "OomKillDisable": False,
    "PidsLimit": None, "Ulimits": [], "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0, "Mounts": None, "MaskedPaths": [], "ReadonlyPaths": [], "Init": None,
}  # fmt: skip
_CONFIG: Mapping[str, object] = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False,
    "AttachStderr": False, "ExposedPorts": None, "Tty": False, "OpenStdin": False,
    "StdinOnce": False, "Env": [], "Cmd": None, "Healthcheck": None, "Image": "", "Volumes": None,
    "WorkingDir": "", "Entrypoint": None, "MacAddress": "", "OnBuild": None, "Labels": {},
    "StopSignal": "", "StopTimeout": None, "Shell": None,
}  # fmt: skip
_NETWORK: Mapping[str, object] = {
    "Bridge": "", "SandboxID": "", "HairpinMode": False, "LinkLocalIPv6Address": "",
    "LinkLocalIPv6PrefixLen": 0, "Ports": {}, "SandboxKey": "", "SecondaryIPAddresses": None,
    "SecondaryIPv6Addresses": None, "EndpointID": "", "Gateway": "", "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0, "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
    "MacAddress": "", "Networks": {},
}  # fmt: skip
_ENDPOINT: Mapping[str, object] = {
    "IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None,
    "GwPriority": 0, "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "",
    "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
    "DNSNames": None,
}  # fmt: skip
# What docker leaves out when it is empty.
_OPTIONAL = frozenset((
    "Annotations", "ExposedPorts", "Healthcheck", "Init", "MacAddress", "Mounts", "Shell",
    "SizeRootFs", "SizeRw", "StopSignal", "StopTimeout", "StorageOpt", "Sysctls", "Tmpfs",
))  # fmt: skip


def complete(document: Mapping[str, object], options: RunOptions) -> dict[str, object]:
    """The object with every member that docker's has."""
    found = {name: document[name] for name in _TOP if name in document}
    for name, known in (("HostConfig", _HOST_CONFIG), ("Config", _CONFIG)):
        found[name] = _filled(_members(found[name]) | _asked(name, options), known)
    network = _filled(_members(found["NetworkSettings"]), _NETWORK, keep=True)
    network["Networks"] = {
        name: _filled(_members(each), _ENDPOINT, keep=True)
        for name, each in _members(network["Networks"]).items()
    }
    return found | {"NetworkSettings": network}


def _members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _filled(
    given: Mapping[str, object], known: Mapping[str, object], *, keep: bool = False
) -> dict[str, object]:
    found = {
        name: default if given.get(name) is None else given[name] for name, default in known.items()
    }
    found |= {name: value for name, value in given.items() if name not in known}
    if keep:
        return found
    return {name: value for name, value in found.items() if value or name not in _OPTIONAL}


def _asked(part: str, options: RunOptions) -> dict[str, object]:
    """What the command line's flags about names and streams put there."""
    if part == "HostConfig":
        return {
            "Dns": list(options.dns),
            "DnsOptions": list(options.dns_options),
            "DnsSearch": list(options.dns_search),
            "ExtraHosts": list(options.extra_hosts) or None,
        }
    attach = options.attach or ("stdout", "stderr", *(("stdin",) if options.interactive else ()))
    held = {name: name.lower() in attach and not options.detach for name in _STREAMS}
    found: dict[str, object] = {f"Attach{name}": value for name, value in held.items()}
    return found | {"StdinOnce": options.interactive and held["Stdin"]}


_STREAMS = ("Stdin", "Stdout", "Stderr")
