"""The mounts of a container that exists, by its record: for `inspect`, `cp`, `ps` and its end."""

from __future__ import annotations

import os

from fastbox.types import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from fastbox.store.containers import ContainerRecord
    from fastbox.types import RunOptions


def mounts_of(record: ContainerRecord) -> tuple[Mount, ...]:
    """Every mount that was asked for, or that its image or another container brought."""
    found: Any = record.mounts or record.options.get("mounts") or ()
    known = set(Mount._fields)
    return tuple(
        Mount(**{key: value for key, value in each.items() if key in known}) for each in found
    )


def mount_points(record: ContainerRecord) -> list[tuple[str, str, bool]]:
    """(destination, path on the host, read-only) of each, parents before what lies in them.

    The path is "" where only the container has the files: a tmpfs, a volume on a file system of its
    own. The last part of a path may be a volume's subpath: links in it are the container's.
    """
    found = [(_clean(m.target), host_path(m), m.read_only) for m in mounts_of(record)]
    return sorted(found, key=lambda point: point[0].count("/"))


def _clean(path: str) -> str:
    return os.path.normpath(path).replace("//", "/")


def host_path(mount: Mount) -> str:
    """Where its files are on the host, or ""."""
    if mount.kind == "bind":
        return mount.source
    if mount.kind != "volume":
        return ""
    options = mount.driver_options or {}
    words = options.get("o", "").split(",")
    if options and not {"bind", "rbind"} & set(words):
        return ""
    path = options.get("device") or mount.path
    return os.path.join(path, mount.subpath.lstrip("/")) if mount.subpath else path


def uses_volume(record: ContainerRecord, text: str) -> bool:
    """Whether `ps --filter volume=text` finds it: by a volume's name, a source or a destination."""
    return any(
        text in (mount.name, mount.source, mount.path, _clean(mount.target))
        for mount in mounts_of(record)
    )


# Its anonymous volumes, at its end (trash.h)


def enlist(record: ContainerRecord, directory: str) -> None:
    """Let its anonymous volumes end with its files."""
    for mount in mounts_of(record):
        if mount.anonymous:
            os.makedirs(f"{directory}/volumes/{mount.name}", mode=0o700, exist_ok=True)


def unlist(directory: str) -> None:
    """Let them stay."""
    path = directory + "/volumes"
    for name in os.listdir(path):
        os.rmdir(f"{path}/{name}")
    os.rmdir(path)


# docker's words


def describe(record: ContainerRecord) -> list[dict[str, object]]:
    """`Mounts` of docker's inspect."""
    found = []
    for mount in mounts_of(record):
        if mount.kind == "tmpfs" and not mount.long:
            continue  # of --tmpfs: HostConfig has it
        made: dict[str, object] = {"Type": mount.kind}
        if mount.kind in ("volume", "image"):
            made |= {"Name": mount.name or mount.source}
        made |= {
            "Source": {"volume": mount.path, "image": mount.image_id}.get(mount.kind, mount.source)
        }
        made |= {"Destination": _clean(mount.target)}
        if mount.kind == "volume":
            made |= {"Driver": mount.driver or "local"}
        found.append(
            made
            | {
                "Mode": _mode(mount),
                "RW": not (mount.read_only or mount.kind == "image"),
                "Propagation": mount.propagation if mount.kind in ("bind", "image") else "",
            }
        )
    return found


def _mode(mount: Mount) -> str:
    """What `-v` has after the target; a volume that was asked for is labelled as shared."""
    given = mount.text.split(":", 2)[2:]
    asked = mount.kind == "volume" and bool(mount.source or mount.long)
    return given[0] if given else "z" if asked else ""


def host_config(options: RunOptions) -> dict[str, object]:
    """`Binds`, `Mounts`, `Tmpfs`, `VolumesFrom` and `VolumeDriver` of docker's HostConfig."""
    return {
        "Binds": [m.text for m in options.mounts if m.text and m.kind != "tmpfs"] or None,
        "Mounts": [_spec(mount) for mount in options.mounts if _is_long(mount)],
        "Tmpfs": {m.target: m.options for m in options.mounts if m.kind == "tmpfs" and not m.long}
        or None,
        "VolumesFrom": list(options.volumes_from) or None,
        "VolumeDriver": options.volume_driver,
    }


def _is_long(mount: Mount) -> bool:
    """Of the API, the ones that have no short form."""
    return mount.long or (not mount.text and mount.kind != "tmpfs" and bool(mount.source))


def _spec(mount: Mount) -> Mapping[str, object]:
    made: dict[str, object] = {"Type": mount.kind}
    if mount.source:
        made["Source"] = mount.source
    made["Target"] = mount.target
    if mount.read_only:
        made["ReadOnly"] = True
    if mount.kind == "bind" and mount.propagation != "rprivate":
        made["BindOptions"] = {"Propagation": mount.propagation}
    if mount.kind == "image" and mount.subpath:
        made["ImageOptions"] = {"Subpath": mount.subpath}
    if mount.kind == "volume":
        options: dict[str, object] = {}
        if mount.no_copy:
            options["NoCopy"] = True
        if mount.labels:
            options["Labels"] = dict(mount.labels)
        if mount.driver or mount.driver_options:
            driver: dict[str, object] = {"Name": mount.driver} if mount.driver else {}
            if mount.driver_options:
                driver["Options"] = dict(mount.driver_options)
            options["DriverConfig"] = driver
        if mount.subpath:
            options["Subpath"] = mount.subpath
        if options:
            made["VolumeOptions"] = {"DriverConfig": {}, **options}  # as docker's client writes it
    return made


def volumes_of(record: ContainerRecord) -> dict[str, object] | None:
    """`Config.Volumes`: the places of its own anonymous volumes."""
    places = [
        mount.target
        for mount in mounts_of(record)
        if mount.anonymous and not (mount.long or mount.no_copy)  # no_copy: another container's
    ]
    return {_clean(place): {} for place in places} or None
