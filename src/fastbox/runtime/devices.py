"""`--device`, `--device-cgroup-rule` and `--gpus`: nodes to make and rules to add.

Imported only when one is asked for. A device is named by its numbers, taken from the host's node
when the container is made.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, NotFound, Unsupported
from fastbox.runtime.resources import node, nodes_below, rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.types import Device, RunOptions

_WHOLE = (1 << 32) - 1


def add(options: RunOptions, document: dict[str, Any], linux: dict[str, Any]) -> None:
    """Put nodes and rules (and what CDI specifications say) into the bundle's two objects.

    Raises:
        NotFound: No such device, on the host or among CDI's.
        InvalidArgument: A rule that can't be read, or a path that is no device.
    """
    rules = list(linux["resources"]["devices"])
    nodes = linux.setdefault("devices", [])
    cdi = [device.source for device in options.devices if _is_cdi(device)]
    if options.gpus:
        from fastbox.runtime import cdi as specs

        cdi += specs.gpus(options.gpus)
    for device in options.devices:
        if not _is_cdi(device):
            for made in _nodes(device):
                if "uidMappings" in linux and made["path"] != device.source:
                    raise Unsupported(
                        f'with --userns the device "{device.source}" keeps its path',
                        hint="a user namespace can't make nodes: the host's own is bound",
                    )
                _put(nodes, made)
                rules.append(rule(True, device.access, made["type"], made["major"], made["minor"]))
    rules += map(parse_rule, options.device_cgroup_rules)
    if cdi:
        from fastbox.runtime import cdi as specs

        specs.inject(cdi, document, nodes, rules)
    linux["resources"] = {**linux["resources"], "devices": rules}


def _is_cdi(device: Device) -> bool:
    return device.source[:1] != "/"


def _put(nodes: list[dict[str, Any]], made: dict[str, Any]) -> None:
    """A path is one node: the last one that was asked for."""
    nodes[:] = [other for other in nodes if other["path"] != made["path"]]
    nodes.append(made)


def _nodes(device: Device) -> list[dict[str, Any]]:
    """A node, or all nodes below a directory, as docker has it."""
    source = os.path.realpath(device.source)
    target = device.target or device.source
    if not target.startswith("/") or os.path.normpath(target) in ("/", "//"):
        raise InvalidArgument(f"the path \"{target}\" can't be a device's")
    target = os.path.normpath(target).replace("//", "/")
    try:
        status = os.stat(source)
    except OSError:
        raise NotFound(
            f'error gathering device information while adding custom device "{device.source}": '
            "no such file or directory"
        ) from None
    if os.path.isdir(source):
        found = [
            found | {"path": target + str(found["path"])[len(source) :]}
            for found in nodes_below(source)
        ]
    else:
        one = node(target, status)
        found = [one] if one else []
    if not found:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{device.source}": '
            "not a device node"
        )
    return found


def parse_rule(text: str) -> dict[str, object]:
    """`--device-cgroup-rule`: "c 1:3 rwm", "b *:* r", "a *:* rwm".

    Raises:
        InvalidArgument: It has another form.
    """
    parts = text.split(" ")
    numbers = parts[1].split(":") if len(parts) == 3 else []
    if (
        len(numbers) != 2
        or parts[0] not in ("a", "b", "c")
        or not all(number == "*" or _is_number(number) for number in numbers)
        or not 1 <= len(parts[2]) <= 3
        or parts[2].strip("rwm")
    ):
        raise InvalidArgument(
            f"invalid device cgroup format '{text}'", hint='write "c MAJOR:MINOR rwm"'
        )
    major, minor = (-1 if number == "*" else int(number) for number in numbers)
    return rule(True, parts[2], parts[0], major, minor)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11 and int(text) <= _WHOLE
