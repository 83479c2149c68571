"""A container as a template of `ps` sees it: docker's fields, and `.Label "name"`."""

from __future__ import annotations

from fastbox.cli.render import human
from fastbox.cli.render.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.types import ContainerInfo

_MOUNT_WIDTH = 15


def row(info: ContainerInfo, columns: Mapping[str, str], whole_text: bool) -> Struct:
    """Its fields: the columns of the plain table, and what only templates show."""
    mounts = info.mounts if whole_text else [human.cut(name, _MOUNT_WIDTH) for name in info.mounts]
    made = {
        **columns,
        "CreatedAt": human.moment(info.created),
        "State": info.state,
        "Labels": ",".join(f"{name}={value}" for name, value in sorted(info.labels.items())),
        "LocalVolumes": str(info.volumes),
        "Mounts": ",".join(mounts),
        "Networks": info.network,
        "Platform": None,
    }
    return Struct(
        {name: made[name] for name in sorted(made)},
        {"Label": lambda name: info.labels.get(name, "")},
    )
