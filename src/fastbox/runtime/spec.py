"""Options and an image's config to the OCI bundle `config.json`: the only place that makes one.

Where docker has a default, it is docker's; docs/security-defaults.md lists the differences. Nothing
here touches the kernel.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.runtime import capabilities, process, resources, seccomp, security
from fastbox.runtime.mounts import mounts
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.types import ImageConfig, RunOptions

# runc 1.1 accepts every 1.x; 1.1.0 is the first with `domainname`.
OCI_VERSION = "1.1.0"
_NAMESPACES = ("mount", "uts", "ipc", "pid", "cgroup")
_STDIN = {
    (False, False): "none",
    (False, True): "none",
    (True, False): "once",
    (True, True): "open",
}


class Place(Record):
    """Where a container lives: paths and names that are not the caller's to choose."""

    id: str
    name: str
    directory: str  # <root>/containers/<id>
    run: str
    hostname: str
    lower: tuple[str, ...]  # topmost first
    scratch: str = ""  # where upper/ and work/ are; "" for a read-only overlay
    root: str = "/"  # any directory; runtimes that know no overlay find the root file system here
    network_files: str = ""  # whose hosts, hostname and resolv.conf; "": its own
    init: str = ""  # the program for --init
    seccomp_cache: str = ""


def bundle(options: RunOptions, image: ImageConfig, place: Place) -> bytes:
    """The text of config.json.

    Raises:
        InvalidArgument: An option that is out of its range, unknown, or contradicts another.
    """
    given = security.parse(options.security_opt, privileged=options.privileged)
    held = capabilities.effective(options.cap_add, options.cap_drop, privileged=options.privileged)
    document: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": _process(options, image, place, given, held),
        "root": {"path": place.root, "readonly": options.read_only},
        "hostname": place.hostname,
        "mounts": mounts(options, place.directory),
        "fastbox": _engine(options, image, place),
    }
    if options.domainname:
        document["domainname"] = options.domainname
    if options.annotations:
        document["annotations"] = dict(options.annotations)
    linux_object = _linux(options, place, given)
    if options.devices or options.device_cgroup_rules or options.gpus:
        from fastbox.runtime import devices

        devices.add(options, document, linux_object)
    if given.writable_cgroups or _has_modes(options):
        from fastbox.runtime import modes

        document["mounts"] = modes.mounts(document["mounts"], options, place, given)
        if options.uts == "host":
            del document["hostname"]
    linux = json.dumps(linux_object)
    if given.seccomp != "unconfined":
        filtered = (
            seccomp.load_profile(given.seccomp, held)
            if given.seccomp
            else seccomp.default_profile(held)
        )
        linux = f'{linux[:-1]},"seccomp":{filtered}}}'
    # The filter is text already (400 names): joined here instead of encoded again.
    text = f'{json.dumps(document)[:-1]},"linux":{linux}}}'
    return text.encode("utf-8", "surrogateescape")


def user_of(options: RunOptions, image: ImageConfig) -> str:
    """Whom it runs as. Root is looked up like everybody, for HOME and root's groups in the image.

    Raises:
        InvalidArgument: An empty name, or characters that no name has.
    """
    user = options.user if options.user is not None else image.user
    if (
        any(c.isspace() or not c.isprintable() for c in user)
        or user.startswith(":")
        or user.count(":") > 1
    ):
        raise InvalidArgument(f'invalid user "{user}"', hint="write name[:group] or uid[:gid]")
    return user or "0"


def _process(
    options: RunOptions,
    image: ImageConfig,
    place: Place,
    given: security.Security,
    held: list[str],
) -> dict[str, object]:
    variables = process.merged_env(options.env, image.env)
    made: dict[str, object] = {
        "terminal": options.tty,
        "user": process.numeric_user(user_of(options, image)),
        "args": process.command(options, image),
        "env": process.environment(variables, place.hostname, tty=options.tty),
        "cwd": process.working_directory(options.workdir, image.workdir),
        "capabilities": process.capability_sets(held),
        "noNewPrivileges": given.no_new_privileges,
        "oomScoreAdj": options.oom_score_adj,
    }
    if options.ulimits:
        made["rlimits"] = process.rlimits(options.ulimits)
    if given.apparmor:
        made["apparmorProfile"] = given.apparmor
    return made


def _linux(options: RunOptions, place: Place, given: security.Security) -> dict[str, Any]:
    own = options.network != "host" and options.network[:10] != "container:"
    own_ipc = options.ipc in ("", "private", "none", "shareable")
    made: dict[str, Any] = {
        "namespaces": [{"type": name} for name in _NAMESPACES],
        "cgroupsPath": _parent(options.cgroup_parent) + place.id,
        "resources": resources.resources(options),
        "sysctl": resources.sysctls(options.sysctls, own_network=own, own_ipc=own_ipc),
    }
    if _has_modes(options):
        from fastbox.runtime import modes

        made |= modes.linux(options, made["sysctl"])
    elif own:
        made["namespaces"].append({"type": "network"})
    if options.privileged:
        made["devices"] = resources.host_devices()
    if given.masks:
        made["maskedPaths"] = security.MASKED
        made["readonlyPaths"] = security.READ_ONLY
    return made


def own_network(mode: str) -> bool:
    """Whether a container of this network mode has interfaces that `network.json` describes."""
    return mode not in ("none", "host") and mode[:10] != "container:"


def _has_modes(options: RunOptions) -> bool:
    """Whether its namespaces are others than the default ones."""
    return bool(
        options.ipc
        or options.pid
        or options.uts
        or options.cgroupns
        or options.userns
        or options.network[:10] == "container:"
    )


def _parent(group: str) -> str:
    """The control group above the container's, with a slash."""
    if not group:
        return "/fastbox/"
    parts = group.strip("/").split("/")
    if len(group) > 128 or any(
        part in ("", ".", "..")
        or not all(c.isascii() and (c.isalnum() or c in "-_.@:") for c in part)
        for part in parts
    ):
        raise InvalidArgument(
            f'invalid cgroup parent "{group}"', hint="write a path of groups such as /batch/night"
        )
    return "/" + "/".join(parts) + "/"


def _engine(options: RunOptions, image: ImageConfig, place: Place) -> dict[str, object]:
    made: dict[str, object] = {
        "id": place.id,
        "name": place.name,
        "directory": place.directory,
        "run": place.run,
        "overlay": _overlay(options, place),
        "user": user_of(options, image),
        "stdin": _STDIN[options.interactive, not options.attaches_stdin],
        "remove": options.remove,
    }
    stop_signal = options.stop_signal or image.stop_signal
    if stop_signal:
        made["stop_signal"] = _signal(stop_signal)
    if options.restart:
        made["restart"] = _restart(options)
    if options.group_add:
        made["groups"] = options.group_add
    if options.init:
        made["init"] = place.init
    if own_network(options.network):
        made["network"] = place.directory + "/network.json"
    if options.log_driver in ("", "json-file") and not options.log_opts:
        path = f"{place.directory}/{place.id}-json.log"
        made["log"] = {"path": path, "max_size": 0, "max_file": 1}
    else:
        from fastbox.runtime import logdriver

        log = logdriver.section(options, image, place)
        if log is not None:
            made["log"] = log
    if place.seccomp_cache:
        made["seccomp_cache"] = place.seccomp_cache
    return made


def _restart(options: RunOptions) -> dict[str, object]:
    from fastbox import units

    try:
        name, most = units.restart_policy(options.restart)
    except ValueError as error:
        raise InvalidArgument(str(error)) from None
    if options.remove and name != "no":
        raise InvalidArgument("conflicting options: cannot specify both --restart and --rm")
    return {"policy": name, "most": most}


def _signal(text: str) -> int:
    from fastbox.support import signals

    return signals.number(text)


def _overlay(options: RunOptions, place: Place) -> dict[str, object]:
    made: dict[str, object] = {"lower": place.lower}
    if place.scratch:
        made["upper"] = place.scratch + "/upper"
        made["work"] = place.scratch + "/work"
        made["volatile"] = options.volatile or options.remove
    return made
