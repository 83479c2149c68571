"""Knowing of a container's end: a conversation that tells its exit."""

from __future__ import annotations

from fastbox.containers import heal
from fastbox.containers.attachment import converse
from fastbox.errors import StateConflict
from fastbox.runtime.supervisor import SupervisorGone
from fastbox.store.containers import not_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.containers.process import Ends
    from fastbox.containers.service import Containers
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord


def record(service: Containers, reference: str) -> ContainerRecord:
    """What was recorded of a container when it was made.

    Raises:
        ContainerNotFound: There is none.
    """
    found = service._store.read(service._store.find(reference))
    if found is None:
        raise not_found(reference)
    return found


def attach(service: Containers, container: str) -> Ends:
    """The streams of a running container, stdin too where it has one, for Python to use.

    Raises:
        StateConflict: It does not run.
    """
    from fastbox.containers import foreground

    return foreground.attach(service._store, service._run, container, True).ends()


def watch(service: Containers, container: str) -> Conversation | None:
    """A conversation that gets the container's exit event; None: it does not run.

    Raises:
        ContainerNotFound: There is no such container.
    """
    store, run = service._store, service._run
    view = heal.view(store, run, container)
    if view.live is None or view.state == "exited":
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
