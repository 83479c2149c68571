"""A container whose processes stand still until somebody lets them go on."""

from __future__ import annotations

from fastbox.containers import foreground
from fastbox.containers.attachment import converse
from fastbox.errors import StateConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.containers import ContainerStore


def pause(store: ContainerStore, run: str, reference: str, *, paused: bool) -> None:
    """Stop or continue all its processes. The state is the container's: it outlasts the caller.

    Raises:
        StateConflict: There is nothing to do, or it does not run.
    """
    view = foreground.running(store, run, reference)
    if view.state == "restarting":
        raise StateConflict(
            f"container {view.id[:12]} is restarting, wait until the container is running"
        )
    if (view.state == "paused") is paused:
        raise StateConflict(f"container {view.id[:12]} is {'already' if paused else 'not'} paused")
    with converse(run, view) as conversation:
        conversation.ask({"op": "pause", "id": view.id, "paused": paused})
