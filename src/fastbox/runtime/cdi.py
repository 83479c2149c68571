"""The Container Device Interface: what vendors' specifications say that a device needs.

JSON only, of versions 0.3.0 to 1.0.0; what is not understood (hooks above all: programs to be run
on the host) is refused, since a device that is half there is worse than none.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, NotFound, Unsupported
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIRECTORIES = ("/etc/cdi", "/var/run/cdi")  # the later one counts
_VERSIONS = ("0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0")
_MAX_BYTES = 4 << 20
_GPUS = "nvidia.com/gpu"
_EDITS = ("env", "deviceNodes", "mounts", "additionalGids")
_NODE = ("path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid")
_MOUNT = ("hostPath", "containerPath", "type", "options")


def gpus(text: str) -> list[str]:
    """`--gpus` as names of CDI's devices: "all", how many, or "device=0,1".

    Raises:
        InvalidArgument: It says something else.
        NotFound: There are not so many.
    """
    words = [word.strip('"') for word in text.strip('"').split(",")]
    if words == ["all"]:
        return [f"{_GPUS}=all"]
    if len(words) == 1 and (words[0].isdigit() or words[0] == "-1"):
        count = int(words[0])
        known = sorted(name for name in _devices(_GPUS) if name != "all")
        if count == -1:
            return [f"{_GPUS}=all"]
        if count > len(known):
            raise NotFound(f"{count} GPUs are asked for, and {len(known)} are described by CDI")
        return [f"{_GPUS}={name}" for name in known[:count]]
    if words[0].startswith("device="):
        return [f"{_GPUS}={name}" for name in (words[0][7:], *words[1:])]
    raise InvalidArgument(
        f'invalid gpus "{text}"', hint="write all, a number, or device=NAME[,NAME]"
    )


def inject(
    names: list[str],
    document: dict[str, Any],
    nodes: list[dict[str, Any]],
    rules: list[dict[str, object]],
) -> None:
    """Add what the devices need: nodes, rules, variables, mounts.

    Raises:
        NotFound: No specification describes one.
        Unsupported: A specification wants something that is not known here.
    """
    seen: set[str] = set()
    for name in names:
        kind, _, device = name.partition("=")
        if kind.count("/") != 1 or not all(kind.split("/")) or not device:
            raise InvalidArgument(f'invalid CDI device name "{name}"', hint="vendor/class=name")
        found = _devices(kind).get(device)
        if found is None:
            raise NotFound(f"CDI device injection failed: unresolvable CDI devices {name}")
        path, common, edits = found
        if path not in seen:
            seen.add(path)
            _edit(common, name, document, nodes, rules)
        _edit(edits, name, document, nodes, rules)


def _devices(kind: str) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
    """Each device of a kind: the file that describes it, that file's own edits, the device's."""
    found: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {}
    for directory in DIRECTORIES:
        try:
            files = sorted(os.listdir(directory))
        except OSError:
            continue
        for file in files:
            path = f"{directory}/{file}"
            spec = _load(path) if file.endswith(".json") else {}
            if spec.get("kind") == kind:
                common = spec.get("containerEdits") or {}
                for device in _list(spec, "devices"):
                    edits = device.get("containerEdits") or {}
                    found[str(device.get("name"))] = (path, common, edits)
    return found


def _load(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            spec = json.loads_object(file.read(_MAX_BYTES))
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"the CDI specification can't be read: {error}", where=path) from None
    if spec.get("cdiVersion") not in _VERSIONS:
        raise Unsupported(f"CDI version {spec.get('cdiVersion')} is not known", where=path)
    return spec


def _list(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = found.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidArgument(f'CDI: "{key}" is not a list of objects')
    return items


def _known(found: dict[str, Any], keys: tuple[str, ...], name: str) -> None:
    for key in found:
        if key not in keys and found[key]:
            raise Unsupported(
                f'the CDI device {name} needs "{key}", which fastbox does not do',
                hint="give its nodes with --device",
            )


def _edit(
    edits: dict[str, Any],
    name: str,
    document: dict[str, Any],
    nodes: list[dict[str, Any]],
    rules: list[dict[str, object]],
) -> None:
    _known(edits, _EDITS, name)
    process = document["process"]
    process["env"] = [*process["env"], *map(str, edits.get("env") or [])]
    gids = [int(gid) for gid in edits.get("additionalGids") or []]
    if gids:
        groups = document["fastbox"].get("groups", ())
        document["fastbox"]["groups"] = [*groups, *map(str, gids)]
    for node in _list(edits, "deviceNodes"):
        _known(node, _NODE, name)
        _add_node(node, name, nodes, rules)
    for mount in _list(edits, "mounts"):
        _known(mount, _MOUNT, name)
        document["mounts"] = [*document["mounts"], _mount(mount)]


def _add_node(
    wanted: dict[str, Any], name: str, nodes: list[dict[str, Any]], rules: list[dict[str, object]]
) -> None:
    from fastbox.runtime import resources

    path = str(wanted.get("path", ""))
    source = str(wanted.get("hostPath") or path)
    try:
        made: dict[str, Any] | None = resources.node(path, os.stat(source))
    except OSError:
        raise NotFound(f"the CDI device {name} has no node here", where=source) from None
    if made is None or not path.startswith("/"):
        raise InvalidArgument(f"the CDI device {name} names what is no device", where=source)
    for key in ("fileMode", "uid", "gid"):
        if isinstance(wanted.get(key), int):
            made[key] = wanted[key]
    access = str(wanted.get("permissions") or "rwm")
    if access.strip("rwm"):
        raise InvalidArgument(f'the CDI device {name} has permissions "{access}"')
    nodes[:] = [other for other in nodes if other["path"] != path]
    nodes.append(made)
    rules.append(resources.rule(True, access, made["type"], made["major"], made["minor"]))


def _mount(wanted: dict[str, Any]) -> dict[str, object]:
    source, target = str(wanted.get("hostPath", "")), str(wanted.get("containerPath", ""))
    if not source.startswith("/") or not target.startswith("/") or os.path.normpath(target) == "/":
        raise InvalidArgument("a CDI mount needs absolute paths", where=source)
    options = [str(option) for option in wanted.get("options") or ["ro"]]
    if not {"bind", "rbind"} & set(options):
        options.insert(0, "rbind")
    return {"destination": target, "type": "bind", "source": source, "options": options}
