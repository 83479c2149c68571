"""Documents as docker's client has them: which objects are structs, whose fields are known, and
which are maps; what an absent member is.

`docker inspect` fills a template in from its own types: an unknown field is an error there, a map's
unknown key is not, an absent list prints as `[]`.
"""

from __future__ import annotations

from fastbox.cli.render.values import NilList, NilMap, Struct
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.cli.render.template import Template

_MAPS = frozenset((
    "Annotations", "Config", "Data", "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options",
    "PortBindings", "Ports", "StorageOpt", "Sysctls", "Tmpfs", "Volumes",
))  # fmt: skip
# What is one value or none, where others are lists.
_SINGLE = frozenset((
    "ContainerIDFile", "EndpointSettings", "Health", "Healthcheck", "IPAMConfig", "Init",
    "MemorySwappiness", "OomKillDisable", "PidsLimit", "SizeRootFs", "SizeRw", "StopTimeout",
))  # fmt: skip
# What docker leaves out of the document when it is empty.
_ABSENT: Mapping[str, Mapping[str, object]] = {
    "": {"SizeRootFs": None, "SizeRw": None},
    "State": {"Health": None},
    "Config": {
        "ExposedPorts": NilMap(), "Healthcheck": None, "MacAddress": "", "NetworkDisabled": False,
        "Shell": NilList(), "StopSignal": "", "StopTimeout": None,
    },
    "HostConfig": {
        "Annotations": NilMap(), "Init": None, "Mounts": NilList(), "StorageOpt": NilMap(),
        "Sysctls": NilMap(), "Tmpfs": NilMap(),
    },
}  # fmt: skip


def fill(template: Template, document: Mapping[str, object]) -> str:
    """A template filled in from a document as docker does it: by types, and if that fails by the
    document as it is, in which every object is a map.

    Raises:
        InvalidArgument: Neither can be done.
    """
    try:
        return template.render(typed(document))
    except InvalidArgument:
        return template.render(document, strict=True)


def typed(document: object, name: str = "", parent: str = "") -> object:
    """A document whose objects know what they are; `name` is the member that it is, "" at the
    top.
    """
    if isinstance(document, dict):
        if _is_map(name, parent):
            return {key: typed(value, "*", name) for key, value in document.items()}
        fields = {key: typed(value, key, name) for key, value in document.items()}
        return Struct(fields, _ABSENT.get(name, {}))
    if isinstance(document, (list, tuple)):
        return [typed(each, "*", name) for each in document]
    if document is None and name not in _SINGLE:
        return NilMap() if _is_map(name, parent) else NilList()
    return document


def _is_map(name: str, parent: str) -> bool:
    # `Config` is a struct, but the one of a log's settings.
    return name in _MAPS and (name != "Config" or parent == "LogConfig")
