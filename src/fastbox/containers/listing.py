"""`ps`: every container's record is read once, its state only as far as needed, and values are made
for those that are shown.

A container without live state and without a session is what its record and its exit say, and one
whose supervisor lives is what its live state says; any other is looked at by `heal`, which also
repairs what a killed supervisor left.
"""

from __future__ import annotations

import os
from operator import attrgetter

from fastbox.containers import heal
from fastbox.runtime import state
from fastbox.support import json
from fastbox.types import ContainerInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from fastbox.containers.needs import ImageService
    from fastbox.store.containers import ContainerStore

UP = ("running", "paused", "restarting")
_SHOWN = {
    "name": str, "image": str, "image_id": str, "created": str, "argv": list, "labels": dict,
    "options": dict,
}  # fmt: skip
_LIVE = {"id": str, "pid": int, "supervisor": str, "started": str, "directory": str}
_USUAL_BYTES = 16 << 10  # a read makes room for all that it may get
_MAX_BYTES = 8 << 20


class Found:
    """A container that was read, before it is made a value.

    Attributes:
        id: Its id.
        record: Its record as JSON has it, without its options; empty when it can't be read.
        exit: Its exit record, likewise.
        live: Its live state, likewise, when it runs and nothing had to be repaired.
        state: As `ContainerInfo` has it.
        info: What `heal` said, for one that it had to look at.
        created: When, RFC 3339.
        mounts: Its mounts, as they were written.
        networks: The networks that it is in.
    """

    __slots__ = (
        "created", "exit", "id", "info", "live", "mounts", "networks", "record", "state",
    )  # fmt: skip

    def __init__(
        self,
        container: str,
        record: dict[str, Any],
        state: str,
        end: dict[str, Any],
        info: ContainerInfo | None = None,
        live: dict[str, Any] | None = None,
    ) -> None:
        self.id, self.record, self.state = container, record, state
        self.exit, self.info, self.live = end, info, live or {}
        self.created: str = str(record.get("created", ""))
        # Thousands of objects that live on would have the garbage collector look at all of them.
        options = record.pop("options", None) or {}
        self.mounts: list[dict[str, Any]] = record.get("mounts") or options.get("mounts") or []
        self.networks = _networks(options)


def find(
    store: ContainerStore,
    run: str,
    images: Callable[[], ImageService],
    *,
    all: bool = False,
    filters: Sequence[str] = (),
    last: int = -1,
    size: bool = False,
) -> list[ContainerInfo]:
    """The containers that are up, or all; newest first; see `Containers.list`."""
    choose = None
    if filters:
        from fastbox.containers.selection import Selection

        choose = Selection(store, images, filters)
    everything = all or last >= 0 or (choose is not None and choose.any_state)
    found = _read_all(store, run, everything)
    if not everything:
        found = [each for each in found if each.state in UP]
    if choose is not None:
        found = choose(found)
    found.sort(key=attrgetter("created"), reverse=True)
    infos = [_info(each) for each in (found[:last] if last >= 0 else found)]
    if size:
        from fastbox.containers.sizes import with_sizes

        return with_sizes(infos, store, images)
    return infos


def _read_all(store: ContainerStore, run: str, everything: bool) -> list[Found]:
    live = set(os.listdir(run + "/containers"))
    ids = store.ids()
    found, without_record = [], []
    alive: set[str] = set()
    for container in ids if everything else live.intersection(ids):
        directory = store.directory(container)
        record = _read(directory + "/record.json")
        if record is None:
            without_record.append(container)
            continue
        each = None
        if record.get("id") == container and _is_whole(record):
            if container in live:
                each = _running(run, directory, record, alive)
            else:
                each = _at_rest(directory, record)
        if each is None:
            each = _looked_at(store, run, container, record)
        if each is not None:
            found.append(each)
    heal.sweep(store, run, ids, without_record, alive)
    return found


def _read(path: str) -> dict[str, Any] | None:
    """A record of ours; empty when it is damaged; None when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        data = os.read(fd, _USUAL_BYTES)
        if len(data) == _USUAL_BYTES:
            data += os.read(fd, _MAX_BYTES)
        return _brief(data) or json.loads_own(data)
    except (ValueError, OSError):
        return {}
    finally:
        os.close(fd)


def _brief(data: bytes) -> dict[str, Any] | None:
    """A container's record with no more of its options than the network: they are most of its text.
    None for any that does not look as usual.

    A quote within JSON's text comes after a backslash: what is found here is a member's name.
    """
    begin, end = data.find(b',"options":{'), data.rfind(b'},"session":"')
    if not 0 < begin < end:
        return None
    options = data[begin:end]
    _, found, network = options.partition(b',"network":"')
    if not found or b',"mounts":[],' not in options or b',"endpoints":[],' not in options:
        return None
    record = json.loads_own(data[:begin] + data[end + 1 :])
    record["options"] = {"network": network.partition(b'"')[0].decode()}
    return record


def _at_rest(directory: str, record: dict[str, Any]) -> Found | None:
    """One that neither runs nor is about to; None when that can't be told from its records."""
    if record.get("session") != "":
        return None
    end = _read(directory + "/exit")
    if end is None:
        return None if record.get("start") else Found(record["id"], record, "created", {})
    if not isinstance(end.get("code"), int) or end.get("schema") != 1:
        return None
    return Found(record["id"], record, "exited", end)


def _running(run: str, directory: str, record: dict[str, Any], alive: set[str]) -> Found | None:
    """One that runs or is paused; None when more than its live state has to be asked.

    `alive`: supervisors that are known to live, to which its own is added.
    """
    container = record["id"]
    live = _read(f"{run}/containers/{container}") or {}
    if not all(map(isinstance, map(live.get, _LIVE), _LIVE.values())):
        return None
    name, status = live["supervisor"], live.get("status")
    if live["id"] != container or live.get("last") or status not in ("running", "paused"):
        return None
    # Its exit is written before its live state goes.
    if os.path.exists(directory + "/exit"):
        return None
    if name not in alive and not state.supervisor_alive(run, name):
        return None
    alive.add(name)
    return Found(container, record, status, {}, live=live)


def _is_whole(record: dict[str, Any]) -> bool:
    """Whether all that is shown of a record is there, and what it should be."""
    values = map(record.get, _SHOWN)
    if record.get("schema") != 1 or not all(map(isinstance, values, _SHOWN.values())):
        return False
    mounts = record.get("mounts") or record["options"].get("mounts") or ()
    return isinstance(mounts, (list, tuple)) and all(isinstance(each, dict) for each in mounts)


def _looked_at(
    store: ContainerStore, run: str, container: str, record: dict[str, Any]
) -> Found | None:
    view = heal.look(store, run, container)
    if view is None:
        return None
    info = heal.info(view)
    return Found(container, record if view.record else {}, info.state, {}, info)


def _info(found: Found) -> ContainerInfo:
    record, end, live = found.record, found.exit, found.live
    more: dict[str, Any] = {}
    if found.mounts:
        more = {
            "mounts": tuple(filter(None, map(_mount_name, found.mounts))),
            "volumes": sum(mount.get("kind") == "volume" for mount in found.mounts),
            "mounted_images": tuple(filter(None, (m.get("image_id") for m in found.mounts))),
        }
    if found.info is not None:
        return found.info.replace(network=",".join(found.networks), **more)
    if live:
        more |= {"pid": live["pid"], "health": heal.health(live["directory"])}
        more["ports"] = tuple(live.get("ports") or ())
    return ContainerInfo(
        id=found.id,
        name=record["name"],
        image=record["image"],
        image_id=record["image_id"],
        command=tuple(record["argv"]),
        created=record["created"],
        state=found.state,
        exit_code=end.get("code", 0),
        oom_killed=bool(end.get("oom")),
        error=str(end.get("error", "")),
        started=str((live or end).get("started", "")),
        finished=str(end.get("finished", "")),
        restarts=int((live or end).get("restarts", 0)),
        labels=record["labels"],
        network=",".join(found.networks),
        exposed=tuple(record.get("exposed") or ()),
        **more,
    )


def _networks(options: dict[str, Any]) -> tuple[str, ...]:
    """The names of its networks, as they were given."""
    every = [str(each.get("network", "")) for each in options.get("endpoints") or ()]
    mode = str(options.get("network") or "")
    if mode[:10] == "container:":
        return ()
    return tuple(name for name in every if name != "none") if every else (mode,)


def _mount_name(mount: dict[str, Any]) -> str:
    """What `ps` calls a mount: a volume's name, an image's, or the host's path."""
    return str(mount.get("name") or mount.get("source") or "")


def ids_of(found: Iterable[Found]) -> set[str]:
    """The images that they were made from."""
    return {str(each.record.get("image_id", "")) for each in found}
