"""Knowing of a container's end: a conversation that tells its exit."""

from __future__ import annotations

from fastbox.containers import heal
from fastbox.containers.attachment import converse
from fastbox.errors import StateConflict
from fastbox.runtime.supervisor import SupervisorGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerStore


def watch(store: ContainerStore, run: str, container: str) -> Conversation | None:
    """A conversation that gets the container's exit event; None: it does not run.

    Raises:
        ContainerNotFound: There is no such container.
    """
    view = heal.view(store, run, container)
    if view.live is None or view.exit is not None:
        return None
    try:
        conversation = converse(run, view)
    except StateConflict:
        return None
    try:
        conversation.ask({"op": "wait", "id": container})
    except (SupervisorGone, StateConflict):
        conversation.close()
        heal.heal(store, run, container)
        return None
    except BaseException:
        conversation.close()
        raise
    return conversation
