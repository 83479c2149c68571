"""What is the state of a container, truly; and repairing what killed supervisors and killed
commands left.

Order of evidence: an exit record ends a story, even while its live state is still being released;
live state counts as long as its supervisor's lock is held; a record that says "start" without
either belongs to whoever holds its lock.
"""

from __future__ import annotations

import os
import time

from fastbox import _native
from fastbox.errors import DiskFull, FastboxError
from fastbox.runtime import state
from fastbox.store.containers import ExitRecord, exit_record, not_found
from fastbox.support import json
from fastbox.support.clock import now
from fastbox.support.record import Record
from fastbox.types import ContainerInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fastbox.runtime.state import Live
    from fastbox.store.containers import ContainerRecord, ContainerStore, Held

DIED = "supervisor died"
_YOUNG_SECONDS = 60.0
_DYING_SECONDS = 1.0
_HEALTH_BYTES = 1 << 20


class View(Record):
    """One look at a container; `state` is created, running, paused, restarting, exited or dead (its
    records can't be read). `exit` of one that is restarting is how it ended last.
    """

    id: str
    state: str
    record: ContainerRecord | None = None
    live: Live | None = None
    exit: ExitRecord | None = None
    error: str = ""

    @property
    def up(self) -> bool:
        """Whether it has a supervisor: it runs, stands still, or is about to be started again."""
        return self.state in ("running", "paused", "restarting")

    @property
    def restarts(self) -> int:
        """How often its policy has started it again."""
        if self.live is not None and self.up:
            return self.live.restarts
        return self.exit.restarts if self.exit else 0


def info(view: View) -> ContainerInfo:
    """The look as `ps` shows it."""
    record, end = view.record, view.exit
    started = (view.live.started if view.live else "") or (end.started if end else "")
    return ContainerInfo(
        id=view.id,
        name=record.name if record else "",
        image=record.image if record else "",
        image_id=record.image_id if record else "",
        command=record.argv if record else (),
        created=record.created if record else "",
        state=view.state,
        pid=view.live.pid if view.live and view.up else 0,
        exit_code=end.code if end else 0,
        oom_killed=bool(end and end.oom),
        error=view.error or (end.error if end else ""),
        started=started,
        finished=end.finished if end else "",
        health=health(view.live.directory) if view.live and view.up else "",
        restarts=view.restarts,
        ports=view.live.ports if view.live and view.up else (),
        exposed=record.exposed if record else (),
        labels=record.labels if record else {},
    )


def look(store: ContainerStore, run: str, container: str, held: Held | None = None) -> View | None:
    """The state as the records have it, remains healed on the way; None when there is no such
    container.

    `held` is the caller's own lock on it, if it has it.
    """
    for _ in range(3):
        try:
            view = _read(store, run, container)
        except (ValueError, FastboxError) as error:
            return View(id=container, state="dead", error=str(error))
        if view is None or view.state != "remains":
            return view
        try:
            if held is not None:
                _heal_held(store, run, held)
            elif not heal(store, run, container):
                # Somebody holds it: it is being started or removed right now.
                return view.replace(state="created" if view.live is None else "running")
        except DiskFull as error:
            # It can still be looked at, and removed to make room.
            last = _last(view.live)
            why = "" if last else f"{DIED}: {error}"
            return view.replace(state="exited", exit=last, error=why)
    return None


def view(store: ContainerStore, run: str, container: str, held: Held | None = None) -> View:
    """As `look`.

    Raises:
        ContainerNotFound: There is no such container.
    """
    found = look(store, run, container, held)
    if found is None:
        raise not_found(container[:12])
    return found


def _read(store: ContainerStore, run: str, container: str) -> View | None:
    record = store.read(container)
    if record is None:
        return None
    live = state.read_live(run, container)
    end = store.read_exit(container)
    if end is not None:
        dead = (live is not None and not state.supervisor_alive(run, live.supervisor)) or _orphan(
            run, record
        )
        return View(
            id=container, state="remains" if dead else "exited", record=record, live=live, exit=end
        )
    if live is not None:
        if not state.supervisor_alive(run, live.supervisor):
            return View(id=container, state="remains", record=record, live=live)
        return View(id=container, state=live.status, record=record, live=live, exit=_last(live))
    remains = record.start or _orphan(run, record)
    return View(id=container, state="remains" if remains else "created", record=record)


def _last(live: Live | None) -> ExitRecord | None:
    """How it ended, when its supervisor could write that nowhere else, or is to start it again."""
    return exit_record(live.last) if live is not None and live.last else None


def health(directory: str) -> str:
    """What the last probe of a running container said; "" when there is none."""
    try:
        with open(directory + "/health", "rb") as file:
            found = json.loads_object(file.read(_HEALTH_BYTES))
    except (OSError, ValueError):
        return ""
    return str(found.get("Status", ""))


def _orphan(run: str, record: ContainerRecord) -> bool:
    """A container of an engine session whose supervisor is gone: nobody can ask for it any more."""
    return bool(record.session) and not state.supervisor_alive(run, record.session)


def heal(store: ContainerStore, run: str, container: str) -> bool:
    """Repair one container's remains; False when somebody holds it."""
    held = store.lock(container, wait=False, missing_ok=True)
    if held is None:
        return not os.path.isdir(store.directory(container))
    with held:
        _heal_held(store, run, held)
    return True


def bury(store: ContainerStore, run: str, held: Held, supervisor: str) -> None:
    """Repair a locked container whose supervisor has just died on its way to start it: control
    groups that it made before it could say so, for example.
    """
    deadline = time.monotonic() + _DYING_SECONDS
    while state.supervisor_alive(run, supervisor) and time.monotonic() < deadline:
        time.sleep(0.001)  # its conversation ends a moment before its lock
    _heal_held(store, run, held)


def _heal_held(store: ContainerStore, run: str, held: Held) -> None:
    try:
        view = _read(store, run, held.id)
    except (ValueError, FastboxError):
        return
    if view is not None and view.state == "remains" and view.record is not None:
        _repair(store, run, held, view, view.record)


def _repair(
    store: ContainerStore, run: str, held: Held, view: View, record: ContainerRecord
) -> None:
    ended = state.end_processes(held.id, view.live)
    if record.options.get("network") not in ("none", "host"):
        from fastbox.containers import networking

        networking.release(store, held.id, run)
    error = DIED if ended else f"{DIED}, and processes of the container can't be killed"
    # The owner of a session that died before it had this one launched; its supervisor may live yet.
    abandoned = record.session and view.live is None
    if record.remove or abandoned or _orphan(run, record):
        discard(store, held, record)
    elif view.exit is None:
        started = view.live.started if view.live else ""
        died = ExitRecord(
            code=137, signal=9, started=started, finished=now(), error=error,
            restarts=view.live.restarts if view.live else 0,
        )  # fmt: skip
        store.write_exit(held.id, _last(view.live) or died)
    if ended:
        state.remove_live(run, held.id)
    if view.live:
        state.remove_supervisor(run, view.live.supervisor)


def discard(store: ContainerStore, held: Held, record: ContainerRecord | None) -> None:
    """Remove a locked container with all that it has."""
    name = record.name if record else store.name_of(held.id)
    store.discard(held, name)
    if record:
        store.leave_volumes(record)
        remove_scratch(record.scratch, held.id)
    if record and (record.sealed or record.snapshots):
        store.sweep_sealed(record)


def remove_scratch(path: str, container: str) -> None:
    """Delete a writable layer that lies outside the container's directory; any other path is left
    alone.
    """
    parent, _, name = path.rpartition("/")
    if name != "fastbox-" + container:
        return
    try:
        fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _native.remove_tree(fd, name)
    finally:
        os.close(fd)


def sweep(
    store: ContainerStore,
    run: str,
    ids: Iterable[str],
    without_record: Iterable[str],
    alive: Collection[str] = (),
) -> None:
    """Look for what no container's record leads to: half-made directories, trash, live state,
    supervisors, scratch.

    Args:
        store: The store.
        run: The live state.
        ids: All containers.
        without_record: Those of them that had no record when they were read.
        alive: Supervisors that are known to live.
    """
    known = set(ids)
    for container in without_record:
        _sweep_half_made(store, container)
    for container in os.listdir(run + "/containers"):
        if container not in known and len(container) == 64:
            _sweep_live(run, container)
    for container in store.trashed():
        if not state.is_live(run, container):
            store.empty_trash(container)
    for name in os.listdir(run + "/supervisors"):
        if name not in alive:
            state.remove_supervisor(run, name)
    _sweep_scratch(known, run)
    store.sweep_sealed()


def _sweep_half_made(store: ContainerStore, container: str) -> None:
    held = store.lock(container, wait=False, missing_ok=True)
    if held is None:
        return
    with held:
        if not os.path.exists(held.directory + "/record.json"):
            store.discard(held, store.name_of(container))


def _sweep_live(run: str, container: str) -> None:
    """A --rm container whose directory is gone, but whose supervisor died before the rest was
    released.
    """
    try:
        live = state.read_live(run, container)
    except ValueError:
        live = None
    if live is not None and state.supervisor_alive(run, live.supervisor):
        return
    if state.end_processes(container, live):
        state.remove_live(run, container)
    if live is not None:
        state.remove_supervisor(run, live.supervisor)


def _sweep_scratch(known: set[str], run: str) -> None:
    for place in (run, "/run", "/dev/shm"):
        for name in os.listdir(place) if os.path.isdir(place) else ():
            container = name.removeprefix("fastbox-")
            path = f"{place}/{name}"
            if (
                len(container) == 64
                and name != container
                and container not in known
                and _age(path) > _YOUNG_SECONDS
            ):
                remove_scratch(path, container)


def _age(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0.0
