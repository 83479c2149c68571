"""`container:` modes: whose namespaces a container uses, by id when it is made, by process when it
starts.

A process is named by its number and its start time, both from the live state that its supervisor
wrote. Ours opens the namespace and then looks whether the start time is still that: a number that
the kernel has given to another meanwhile joins nothing.
"""

from __future__ import annotations

from fastbox.containers import bundles, heal
from fastbox.containers.exec import read_bundle
from fastbox.errors import InvalidArgument, StateConflict
from fastbox.runtime import modes, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastbox.runtime.state import Live
    from fastbox.store.containers import ContainerRecord, ContainerStore, Held
    from fastbox.types import RunOptions

_OPTIONS = {"ipc": "ipc", "pid": "pid", "network": "network"}
_WORDS = {"ipc": "IPC", "pid": "PID", "network": "network"}
_FILES = {"pid": "pid", "ipc": "ipc", "network": "net"}


def by_id(store: ContainerStore, options: RunOptions) -> tuple[RunOptions, str, str]:
    """The options with ids for references; the host name and the directory of the container whose
    network is used, or "".

    Raises:
        ContainerNotFound: There is no such container.
    """
    modes.check(options)
    changes = {}
    for kind, reference in modes.joined(options).items():
        changes[_OPTIONS[kind]] = modes.CONTAINER + store.find(reference)
    found = options.replace(**changes)
    other = modes.joined(found).get("network")
    if other is None:
        return found, "", ""
    directory = store.directory(other)
    try:
        bundle = read_bundle(directory)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"container {other[:12]} is damaged: {error}") from None
    files = _network_files(bundle, directory)
    return found, str(bundle.get("hostname") or ""), files


def _network_files(bundle: dict[str, Any], directory: str) -> str:
    """Where they lie: the other container may use those of a third one."""
    for mount in bundle.get("mounts", ()):
        source = str(mount.get("source", ""))
        if mount.get("destination") == "/etc/hosts" and source.endswith("/hosts"):
            return source.removesuffix("/hosts")
    return directory


def refresh(store: ContainerStore, run: str, held: Held, record: ContainerRecord) -> None:
    """Write the processes of now into the bundle of a container that is about to start.

    Raises:
        StateConflict: One of the others does not run, or does not share.
    """
    bundle = read_bundle(held.directory)
    others = {
        kind: str(record.options[key]).removeprefix(modes.CONTAINER)
        for kind, key in _OPTIONS.items()
        if str(record.options.get(key)).startswith(modes.CONTAINER)
    }
    lives = {kind: _live(store, run, held.id, other, kind) for kind, other in others.items()}
    for namespace in bundle["linux"]["namespaces"]:
        live = lives.get(namespace["type"])
        if live is not None:
            namespace["path"] = f"/proc/{live.pid}/ns/{_FILES[namespace['type']]}"
            namespace["start_time"] = live.start_time
    for mount in bundle["mounts"]:
        if "of" in mount:
            live = lives["ipc"]
            mount["of"] = {"pid": live.pid, "start_time": live.start_time}
    bundles.replace(held.directory, bundle)


def _live(store: ContainerStore, run: str, own: str, other: str, kind: str) -> Live:
    if other == own:
        raise StateConflict(f"cannot join own {_WORDS[kind]} namespace")
    view = heal.look(store, run, other)
    live = view.live if view is not None and view.exit is None else None
    if live is None or live.pid <= 1 or live.boot_id != state.boot_id():
        raise StateConflict(f"cannot join {_WORDS[kind]} of a non running container: {other}")
    record = view.record if view is not None else None
    donor = str(record.options.get("ipc") or "private") if record else "private"
    if kind == "ipc" and donor in ("private", "none"):
        raise StateConflict(
            f"cannot join IPC of container {other[:12]}: non-shareable IPC",
            hint="start that one with --ipc shareable",
        )
    return live
