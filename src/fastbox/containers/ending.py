"""The end of a container: asked for, forced, waited for; and what it had, removed."""

from __future__ import annotations

from fastbox.containers import heal
from fastbox.containers.attachment import converse
from fastbox.errors import StateConflict, Timeout
from fastbox.runtime import state
from fastbox.runtime.supervisor import SupervisorGone
from fastbox.support import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.containers.heal import View
    from fastbox.store.containers import ContainerStore, Held

_GRACE_SECONDS = 20.0  # from SIGKILL to the exit event, on a host that is slow


def stop(
    store: ContainerStore, run: str, container: str, timeout: float | None, signal: str | None
) -> None:
    """Send a signal (its own when None), SIGKILL after `timeout` seconds (its own when None, never
    when negative); return when it has ended.

    Raises:
        Timeout: Not even SIGKILL ended it.
    """
    view = heal.view(store, run, container)
    if not view.up or view.record is None:
        return
    wait = view.record.stop_timeout if timeout is None else timeout
    number = signals.number(signal or view.record.stop_signal or "TERM")
    _stop(store, run, view, number, wait)


def _stop(store: ContainerStore, run: str, view: View, number: int, wait: float) -> None:
    try:
        with converse(run, view) as conversation:
            conversation.ask({"op": "stop", "id": view.id, "signal": number, "timeout": wait})
            conversation.wait(None if wait < 0 else wait + _GRACE_SECONDS)
    except SupervisorGone:
        heal.heal(store, run, view.id)
    except StateConflict:
        pass  # it ended just now


def wait(store: ContainerStore, run: str, container: str) -> int:
    """Wait for its end; its exit code, 0 for one that was never started."""
    view = heal.view(store, run, container)
    if view.up:
        try:
            with converse(run, view) as conversation:
                conversation.ask({"op": "wait", "id": container})
                return conversation.wait().code
        except (SupervisorGone, StateConflict):
            heal.heal(store, run, container)
            view = heal.view(store, run, container)
    return view.exit.code if view.exit else 0


def remove(
    store: ContainerStore,
    run: str,
    container: str,
    reference: str,
    *,
    force: bool,
    volumes: bool = False,
) -> None:
    """Delete it; `force` kills it first, `volumes` deletes its anonymous volumes, too. `reference`
    is what the caller called it.

    Raises:
        StateConflict: It runs, and `force` is false.
        Timeout: It can't be killed.
    """
    view = heal.view(store, run, container)
    if view.up:
        if not force:
            raise StateConflict(
                f"container {container[:12]} is {view.state}",
                hint=f"stop it, or `fastbox rm -f {reference}`",
            )
        _kill(store, run, view)
    held = store.lock(container, missing_ok=True)
    if held is None:
        return  # --rm was faster
    with held:
        _remove_locked(store, run, held, volumes=volumes)


def _kill(store: ContainerStore, run: str, view: View) -> None:
    try:
        _stop(store, run, view, 9, 0)
    except Timeout as error:
        raise Timeout(
            f"container {view.id[:12]} can't be killed", hint="a process waits for a device"
        ) from error


def _remove_locked(store: ContainerStore, run: str, held: Held, *, volumes: bool) -> None:
    view = heal.look(store, run, held.id, held)
    if view is not None and view.up:
        raise StateConflict(f"container {held.id[:12]} was started again")
    if view is not None and view.state == "dead":
        state.end_processes(held.id, None)
        state.remove_live(run, held.id)
    record = view.record if view else None
    if volumes and record:
        from fastbox.containers import mountpoints

        mountpoints.enlist(record, held.directory)
    heal.discard(store, held, record)
