"""One container as docker's `container inspect` object: from its record, bundle and state."""

from __future__ import annotations

from fastbox.containers import hostconfig, mountpoints, netsettings
from fastbox.containers.dockershape import complete
from fastbox.containers.exec import read_bundle
from fastbox.runtime.spec import user_of
from fastbox.types import (
    Device,
    DeviceLimit,
    EndpointOptions,
    HealthCheck,
    ImageConfig,
    Mount,
    RunOptions,
    Ulimit,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fastbox.containers.heal import View
    from fastbox.containers.needs import ImageService
    from fastbox.store.containers import ContainerRecord, ContainerStore
    from fastbox.store.networks import NetworkStore

_STOP_TIMEOUT = 10.0  # docker names only another one
NEVER = "0001-01-01T00:00:00Z"
_NESTED: Mapping[str, Any] = {
    "mounts": Mount, "ulimits": Ulimit, "device_limits": DeviceLimit, "devices": Device,
    "endpoints": EndpointOptions,
}  # fmt: skip


def options_of(record: ContainerRecord) -> RunOptions:
    """The options as they were given.

    Raises:
        ValueError: The record does not hold them.
    """
    values: dict[str, Any] = dict(record.options)
    try:
        for key, kind in _NESTED.items():
            values[key] = tuple(kind(**_tuples(each)) for each in values.get(key) or ())
        if values.get("health"):
            check: dict[str, Any] = dict(values["health"])
            values["health"] = HealthCheck(**(check | {"test": tuple(check["test"])}))
        known: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v
            for key, v in values.items()
            if key in RunOptions._fields
        }
        return RunOptions(**known)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the options are damaged: {error}") from error


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def inspect(
    store: ContainerStore,
    run: str,
    images: Callable[[], ImageService],
    container: str,
    *,
    size: bool = False,
) -> dict[str, object]:
    """One container as docker's object; with `size` how much of the disk it takes."""
    from fastbox.containers import heal

    view = heal.view(store, run, container)
    document = describe(view, store.directory(container), store.networks())
    if view.record is not None and view.record.options.get("link"):
        from fastbox.containers import linking

        host: Any = document["HostConfig"]
        host["Links"] = linking.shown(store, view.record)
    if size and view.record is not None:
        from fastbox.containers import sizes

        own = sizes.writable(store, container, view.record.scratch)
        image = sizes.image_sizes(images()).get(view.record.image_id, 0)
        document |= {"SizeRw": own, "SizeRootFs": own + image}
    return document


def describe(view: View, directory: str, networks: NetworkStore | None = None) -> dict[str, object]:
    """The whole object for the container whose files are in `directory`; what only a damaged file
    could tell is left empty.
    """
    record = view.record
    if record is None:
        return {"Id": view.id, "State": state_of(view), "Name": "", "RestartCount": 0}
    options = options_of(record)
    try:
        bundle = read_bundle(directory)
    except (OSError, ValueError):
        bundle = {}
    document = {
        "Id": record.id,
        "Created": record.created,
        "Path": record.argv[0],
        "Args": list(record.argv[1:]),
        "State": state_of(view) | health_of(directory),
        "Image": record.image_id,
        "ResolvConfPath": directory + "/resolv.conf",
        "HostnamePath": directory + "/hostname",
        "HostsPath": directory + "/hosts",
        "LogPath": bundle.get("fastbox", {}).get("log", {}).get("path", "")
        if options.log_driver in ("", "json-file")
        else "",
        "Name": "/" + record.name,
        "RestartCount": view.restarts,
        "Driver": "overlayfs",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": hostconfig.apparmor(
            options, bundle.get("process", {}).get("apparmorProfile", "")
        ),
        "ExecIDs": None,
        "HostConfig": _host_config(options, bundle),
        "GraphDriver": _graph_driver(bundle),
        "Mounts": mountpoints.describe(record),
        "Config": _config(record, options, bundle),
        "NetworkSettings": netsettings.describe(options, view, directory, networks),
    }
    return complete(document, options)


def state_of(view: View) -> dict[str, object]:
    """`State`."""
    end, running = view.exit, view.up
    started = (view.live.started if view.live else "") or (end.started if end else "")
    return {
        "Status": view.state,
        "Running": running,
        "Paused": view.state == "paused",
        "Restarting": view.state == "restarting",
        "OOMKilled": bool(end and end.oom),
        "Dead": view.state == "dead",
        "Pid": view.live.pid if view.live and running else 0,
        "ExitCode": end.code if end else 0,
        "Error": view.error or (end.error if end else ""),
        "StartedAt": started or NEVER,
        "FinishedAt": (end.finished if end else "") or NEVER,
    }


def health_of(directory: str) -> dict[str, object]:
    """`Health`, or nothing for a container that is not asked for it."""
    from fastbox.containers.health import read

    found = read(directory)
    return {"Health": found} if found else {}


def restart_policy(text: str) -> dict[str, object]:
    """`RestartPolicy`."""
    name, _, most = text.partition(":")
    return {"Name": name or "no", "MaximumRetryCount": int(most or 0)}


def _config(
    record: ContainerRecord, options: RunOptions, bundle: Mapping[str, Any]
) -> dict[str, object]:
    process = bundle.get("process", {})
    user = user_of(
        options,
        ImageConfig(id="", labels={}, layers=(), user=bundle.get("fastbox", {}).get("user", "")),
    )
    own = {
        f"HOSTNAME={bundle.get('hostname', '')}",
        "TERM=xterm",
        *bundle.get("fastbox", {}).get("linked", ()),
    }  # ours, not the image's or the caller's
    return {
        "Hostname": bundle.get("hostname", options.hostname),
        "Domainname": options.domainname,
        "User": "" if user == "0" and not options.user else user,
        "Tty": record.tty,
        "OpenStdin": record.open_stdin,
        "Env": [entry for entry in process.get("env", options.env) if entry not in own],
        "Cmd": list(record.argv[len(record.entrypoint) :]) or None,
        "Image": record.image,
        "Volumes": mountpoints.volumes_of(record),
        "WorkingDir": process.get("cwd", options.workdir),
        "Entrypoint": list(record.entrypoint) or None,
        "Labels": dict(record.labels),
        "StopSignal": record.stop_signal,
        "StopTimeout": None if record.stop_timeout == _STOP_TIMEOUT else int(record.stop_timeout),
        "ExposedPorts": {port: {} for port in record.exposed},
        **_healthcheck(bundle),
    }


def _healthcheck(bundle: Mapping[str, Any]) -> dict[str, object]:
    """How it is asked, as the bundle has it."""
    check = bundle.get("fastbox", {}).get("healthcheck")
    return {"Healthcheck": check} if check else {}


def _host_config(options: RunOptions, bundle: Mapping[str, Any]) -> dict[str, object]:
    linux = bundle.get("linux", {})
    return {
        **mountpoints.host_config(options),
        "LogConfig": {
            "Type": options.log_driver or "json-file",
            "Config": dict(options.log_opts or {}),
        },
        "NetworkMode": options.network,
        "RestartPolicy": restart_policy(options.restart),
        "AutoRemove": options.remove,
        "CapAdd": list(options.cap_add) or None,
        "CapDrop": list(options.cap_drop) or None,
        "GroupAdd": list(options.group_add) or None,
        "PortBindings": netsettings.bindings(options),
        "PublishAllPorts": options.publish_all,
        "Runtime": "fastbox",
        "MaskedPaths": linux.get("maskedPaths", []),
        "ReadonlyPaths": linux.get("readonlyPaths", []),
        "Privileged": options.privileged,
        "ReadonlyRootfs": options.read_only,
        "SecurityOpt": list(options.security_opt) or None,
        "ShmSize": options.shm_size,
        "Sysctls": dict(options.sysctls or {}) or None,
        "Init": options.init,
        **hostconfig.fields(options),
    }


def _graph_driver(bundle: Mapping[str, Any]) -> dict[str, object]:
    overlay = bundle.get("fastbox", {}).get("overlay", {})
    data = {"LowerDir": ":".join(overlay.get("lower", ()))}
    if "upper" in overlay:
        upper = str(overlay["upper"])
        merged = upper.removesuffix("/upper") + "/merged"  # seen in the container only
        data |= {"MergedDir": merged, "UpperDir": upper, "WorkDir": overlay["work"]}
    return {"Name": "overlayfs", "Data": data}
