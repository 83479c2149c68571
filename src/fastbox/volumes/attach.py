"""A container's mounts, from what was asked for to what is there: names of volumes chosen, volumes
made, and, once the container's record names them, filled with what the image has at their place.
"""

from __future__ import annotations

import os

from fastbox.errors import FastboxError, InvalidArgument, NotFound, os_error
from fastbox.store.volumes import ANONYMOUS, VolumeRecord, VolumeStore, check_name
from fastbox.support.clock import now
from fastbox.types import Mount
from fastbox.volumes import copyup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastbox.store.root import Root

DRIVER = "local"
_NEEDED_BY = {"device": ("type",), "type": ("device",), "o": ("device", "type")}


def choose(
    asked: Iterable[Mount], inherited: Iterable[Mount], image: Iterable[str]
) -> tuple[Mount, ...]:
    """Every mount point once: what was asked for goes before what comes from other containers, and
    that before the image's own volumes.

    Raises:
        InvalidArgument: Two that were asked for have the same place.
    """
    chosen: dict[str, Mount] = {}
    for mount in inherited:
        chosen[_clean(mount.target)] = mount
    own: set[str] = set()
    for mount in asked:
        place = _clean(mount.target)
        if place in own:
            raise InvalidArgument(f"duplicate mount point {place}")
        own.add(place)
        chosen[place] = mount
    for path in image:
        place = _clean(path if path.startswith("/") else "/" + path)
        if place == "/" or place == "/proc":
            raise InvalidArgument(f'the image has a VOLUME at "{place}", which can\'t be one')
        chosen.setdefault(place, Mount(kind="volume", target=place))
    return tuple(chosen.values())


def _clean(path: str) -> str:
    return os.path.normpath(path).replace("//", "/") if path else ""


def make(
    root: Root, mounts: Sequence[Mount], container: str, directory: str, driver: str
) -> tuple[Mount, ...]:
    """The mounts with the volumes that they are on, made where there were none.

    Args:
        root: The store.
        mounts: What `choose` chose.
        container: Its id.
        directory: Where its files are. The anonymous volumes are listed there (trash.h) before they
            are made, so that they end with it unless the list is removed.
        driver: Of volumes that are made and that name none.

    Raises:
        InvalidArgument: A name or an option that can't be used.
    """
    store = VolumeStore(root)
    return tuple(
        _volume(store, mount, container, directory, driver) if mount.kind == "volume" else mount
        for mount in mounts
    )


def _volume(store: VolumeStore, mount: Mount, container: str, directory: str, driver: str) -> Mount:
    check_driver(mount.driver or driver or DRIVER)
    name = mount.name or mount.source
    anonymous = mount.anonymous or not name
    if not name:
        name = os.urandom(32).hex()
    if anonymous:
        os.makedirs(f"{directory}/volumes/{name}", mode=0o700, exist_ok=True)
    record = ensure(
        store,
        check_name(name),
        labels=mount.labels or {},
        options=mount.driver_options or {},
        anonymous=anonymous,
        container=container,
    )
    return mount.replace(
        name=name,
        path=store.data(name),
        driver=record.driver,
        driver_options=record.options or None,
        anonymous=anonymous,
    )


def ensure(
    store: VolumeStore,
    name: str,
    *,
    labels: Mapping[str, str],
    options: Mapping[str, str],
    anonymous: bool,
    container: str = "",
) -> VolumeRecord:
    """The volume of that name, made when there is none; a container becomes a user of it.

    Raises:
        InvalidArgument: Options that the driver does not know.
    """
    check_options(options)
    for _ in range(100):
        found = read(store, name)
        if found is None and store.is_away(name):
            recover(store)
        elif found is None:
            label = {ANONYMOUS: ""} if anonymous else {}
            found = VolumeRecord(
                name=name, created=now(), labels={**labels, **label}, options=dict(options)
            )
            if store.make(found, container):
                return found
        elif not container or not found.anonymous or store.use(name, container):
            return found
        # An anonymous volume that ends just now, or one that another made just now.
    raise FastboxError("the volume comes and goes", where=name)


def read(store: VolumeStore, name: str) -> VolumeRecord | None:
    """The record of a volume; None without one.

    Raises:
        FastboxError: It is damaged.
    """
    try:
        return store.read(name)
    except ValueError as error:
        raise FastboxError(
            f"the volume is damaged: {error}", where=name, hint="remove it with `fastbox volume rm`"
        ) from None


def check_driver(driver: str) -> None:
    """Refuse every driver but ours."""
    if driver != DRIVER:
        raise NotFound(f'volume driver "{driver}" is not there', hint="the only driver is local")


def check_options(options: Mapping[str, str]) -> None:
    """The options of the local driver, as docker's knows them: type, device and o together.

    Raises:
        InvalidArgument: Another, or one without those that it needs.
    """
    for key in options:
        if key == "size":
            raise InvalidArgument(
                "a volume's size can't be limited", hint="a tmpfs can: type=tmpfs, o=size=64m"
            )
        if key not in ("type", "device", "o"):
            raise InvalidArgument(f'unknown volume option "{key}"', hint="type, device, o")
    for key, others in _NEEDED_BY.items():
        for other in others if key in options else ():
            if not options.get(other):
                raise InvalidArgument(f'the volume option "{key}" needs "{other}"')


def settle(root: Root, mounts: Sequence[Mount], container: str, lower: Sequence[str]) -> None:
    """After the container's record is written: nobody removes its volumes any more. Make those anew
    that somebody did remove just before, and fill those that are empty with what the image has.

    Args:
        root: The store.
        mounts: What `make` returned.
        container: Its id.
        lower: The directories of its image, topmost first.

    Raises:
        DiskFull: The image's files did not fit; the volume is as empty as before.
    """
    store = VolumeStore(root)
    for mount in mounts:
        if mount.kind != "volume":
            continue
        if not store.is_there(mount.name):
            _again(store, mount, container)
        try:
            copyup.fill(store.directory(mount.name), mount, lower)
        except FastboxError:
            raise
        except OSError as error:
            doing = "cannot copy the image's files into the volume"
            raise os_error(error, doing, mount.name) from error


def recover(store: VolumeStore) -> None:
    """Wait for whoever removes volumes, and mend what one that was killed has left."""
    from fastbox.volumes.users import users_of

    store.recover(lambda name: users_of(store.root, name))


def _again(store: VolumeStore, mount: Mount, container: str) -> None:
    recover(store)
    ensure(
        store,
        mount.name,
        labels=mount.labels or {},
        options=mount.driver_options or {},
        anonymous=mount.anonymous,
        container=container,
    )
