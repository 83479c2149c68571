"""Streams of what runs: attach, and another process in a container."""

from __future__ import annotations

from fastbox.containers import exec as execs
from fastbox.containers import heal
from fastbox.containers.attachment import Attachment, Streams, converse, not_running, stream_names
from fastbox.errors import StateConflict
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.heal import View
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerStore


def running(store: ContainerStore, run: str, reference: str, what: str = "") -> View:
    """A look at a container that runs; with `what` to do, one that is able to do it now.

    Raises:
        StateConflict: It does not, or stands still, or is about to be started again.
    """
    view = heal.view(store, run, store.find(reference))
    if not view.up or view.live is None:
        raise not_running(view.id, reference)
    if what and view.state == "paused":
        raise StateConflict(
            f"container {reference} is paused, unpause the container before {what}",
            hint=f"fastbox unpause {reference}",
        )
    if what and view.state == "restarting":
        raise StateConflict(
            f"container {view.id[:12]} is restarting, wait until the container is running",
            hint=f"`fastbox logs {reference}` shows why it ends",
        )
    return view


def attach(store: ContainerStore, run: str, reference: str, interactive: bool) -> Attachment:
    """The streams of a running container."""
    view = running(store, run, reference, "attach")
    record = view.record
    assert record is not None

    def begin(conversation: Conversation, streams: Streams) -> None:
        message = {"op": "attach", "id": view.id, "streams": streams.names}
        conversation.ask(message, streams.theirs)
        streams.sent()

    wanted = stream_names(interactive and record.open_stdin, record.tty)
    conversation, streams, _ = _hold(run, view, wanted, begin)
    return Attachment(view.id, conversation, streams, terminal=record.tty)


def exec_attached(
    store: ContainerStore,
    run: str,
    reference: str,
    argv: Sequence[str],
    wishes: ExecKeywords,
    *,
    interactive: bool,
    rows: int,
    columns: int,
) -> Attachment:
    """Start another process in a running container and hold its streams."""
    view, text = _document(store, run, reference, argv, wishes)
    tty = wishes.get("tty", False)

    def begin(conversation: Conversation, streams: Streams) -> str:
        return execs.begin(conversation, view.id, text, streams, rows=rows, columns=columns)

    conversation, streams, number = _hold(run, view, stream_names(interactive, tty), begin)
    return Attachment(view.id, conversation, streams, terminal=tty, exec_id=number)


def exec_detached(
    store: ContainerStore, run: str, reference: str, argv: Sequence[str], wishes: ExecKeywords
) -> None:
    """Start another process in a running container and leave it to itself."""
    view, text = _document(store, run, reference, argv, wishes)
    with converse(run, view) as conversation:
        execs.begin(conversation, view.id, text, Streams([]), detach=True)


def _document(
    store: ContainerStore, run: str, reference: str, argv: Sequence[str], wishes: ExecKeywords
) -> tuple[View, bytes]:
    clock.begin()
    clock.mark("services")
    view = running(store, run, reference, "exec")
    clock.mark("container")
    text = execs.document(execs.read_bundle(store.directory(view.id)), argv, wishes)
    clock.mark("document")
    return view, text


def _hold(
    run: str,
    view: View,
    names: list[str],
    begin: Callable[[Conversation, Streams], str | None],
) -> tuple[Conversation, Streams, str | None]:
    """A conversation and streams for one of its processes, once `begin` has handed them over; what
    `begin` returned.
    """
    conversation = converse(run, view)
    try:
        streams = Streams(names)
        try:
            return conversation, streams, begin(conversation, streams)
        except BaseException:
            streams.close()
            raise
    except BaseException:
        conversation.close()
        raise
