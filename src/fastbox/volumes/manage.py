"""Volumes by name: made, listed, inspected, removed, pruned."""

from __future__ import annotations

import os

from fastbox.errors import Conflict, FastboxError, InUse, InvalidArgument, NotFound
from fastbox.store.volumes import VolumeStore, check_name
from fastbox.support.filters import Filters
from fastbox.types import Pruned, VolumeInfo
from fastbox.volumes.attach import DRIVER, check_driver, ensure, read, recover
from fastbox.volumes.users import users, users_of
from fastbox.volumes.volume import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.store.root import Root
    from fastbox.store.volumes import VolumeRecord
    from fastbox.volumes.service import Volumes


def create(
    service: Volumes,
    root: Root,
    name: str,
    driver: str,
    options: Mapping[str, str],
    labels: Mapping[str, str],
) -> Volume:
    """See `Volumes.create`."""
    check_driver(driver or DRIVER)
    store = VolumeStore(root)
    record = ensure(
        store,
        check_name(name) if name else os.urandom(32).hex(),
        labels=labels,
        options=options,
        anonymous=not name,
    )
    if options and dict(options) != dict(record.options):
        raise Conflict(
            f'the volume "{name}" is there, with other options',
            hint="remove it first, or leave the options out",
        )
    return Volume(service, _info(store, record, users_of(root, record.name)))


def get(service: Volumes, root: Root, name: str) -> Volume:
    """See `Volumes.get`."""
    store = VolumeStore(root)
    return Volume(service, _info(store, _known(store, name), users_of(root, name)))


def _known(store: VolumeStore, name: str) -> VolumeRecord:
    try:
        found = read(store, check_name(name))
    except InvalidArgument:
        found = None
    if found is None:
        raise NotFound(f'no such volume "{name}"', hint="`fastbox volume ls` lists them")
    return found


def _info(store: VolumeStore, record: VolumeRecord, containers: Sequence[str]) -> VolumeInfo:
    return VolumeInfo(
        name=record.name,
        driver=record.driver,
        mountpoint=store.data(record.name),
        created=record.created,
        labels=record.labels,
        options=record.options,
        anonymous=record.anonymous,
        containers=tuple(containers),
    )


def listing(root: Root, filters: Sequence[str]) -> list[VolumeInfo]:
    """See `Volumes.list`."""
    wanted = Filters(filters, ("dangling", "driver", "label", "name"))
    dangling = wanted.truth("dangling")
    store, used = VolumeStore(root), users(root)
    found = []
    for name in store.names():
        if wanted.values("name") and not any(text in name for text in wanted.values("name")):
            continue
        if dangling is not None and dangling is (name in used):
            continue
        try:
            record = store.read(name)
        except (ValueError, FastboxError):  # `system check` tells
            continue
        if record is None or not wanted.labels_fit(record.labels):
            continue
        if not wanted.values("driver") or record.driver in wanted.values("driver"):
            found.append(_info(store, record, used.get(name, ())))
    return found


def inspect(root: Root, name: str) -> dict[str, object]:
    """See `Volumes.inspect`."""
    store = VolumeStore(root)
    record = _known(store, name)
    return {
        "CreatedAt": record.created[:19] + "Z" if record.created else "",
        "Driver": record.driver,
        "Labels": dict(record.labels) or None,
        "Mountpoint": store.data(name),
        "Name": record.name,
        "Options": dict(record.options) or None,
        "Scope": "local",
    }


def remove(root: Root, name: str, *, force: bool) -> None:
    """See `Volumes.remove`."""
    store = VolumeStore(root)
    try:
        check_name(name)
        used = store.remove(name, lambda text: users_of(root, text))
    except InvalidArgument:
        used = None
    if used:
        ids = ", ".join(used)
        raise InUse(f"volume is in use - [{ids}]", where=name, hint="remove its containers first")
    if used is None and not force:
        raise NotFound(f'no such volume "{name}"', hint="`fastbox volume ls` lists them")


def prune(root: Root, *, all: bool, filters: Sequence[str]) -> Pruned:
    """See `Volumes.prune`."""
    wanted = Filters(filters, ("label", "label!", "all"))
    everything = all or bool(wanted.truth("all"))
    store, used = VolumeStore(root), users(root)
    removed, reclaimed = [], 0
    recover(store)
    for name in store.names():
        try:
            record = store.read(name)
        except (ValueError, FastboxError):
            continue
        if record is None or name in used or not wanted.labels_fit(record.labels):
            continue
        if not everything and not record.anonymous:
            continue
        size = _disk_usage(store.directory(name))
        if store.remove(name, lambda text: users_of(root, text)) == ():
            removed.append(name)
            reclaimed += size
    return Pruned(lines=tuple(removed), reclaimed=reclaimed)


def _disk_usage(directory: str) -> int:
    """Bytes on disk of a volume's files; 0 when it is gone."""
    from fastbox import _bytes

    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return _bytes.DiskUsage().add(fd, ".")
    finally:
        os.close(fd)
