"""Containers that end with a session: made, started once more, and forgotten."""

from __future__ import annotations

import os

from fastbox.containers import create
from fastbox.containers import watch as watching
from fastbox.containers.attachment import Streams, stream_names
from fastbox.containers.exec import read_bundle
from fastbox.containers.process import Ends
from fastbox.errors import FastboxError, StateConflict
from fastbox.runtime.supervisor import Conversation, SupervisorGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.containers.fork import ForkKeywords
    from fastbox.containers.service import Containers
    from fastbox.containers.step import Steps
    from fastbox.runtime.session import Session
    from fastbox.store.containers import ContainerRecord
    from fastbox.types import RunOptions


_KILL_SECONDS = 30.0


class Tie:
    """What binds containers to an engine's session."""

    __slots__ = ("_idle", "_made", "_run", "_service", "_session", "_starter", "_store")

    def __init__(self, service: Containers, session: Session) -> None:
        self._service, self._session = service, session
        self._run, self._store, self._starter = service._run, service._store, service._starter
        self._made: set[str] = set()
        self._idle: dict[str, Conversation] = {}  # one a supervisor, for the next exec

    def run(
        self, options: RunOptions, attached: bool
    ) -> tuple[ContainerRecord, Conversation, Ends | None]:
        """Make and start one; `attached` holds its streams from its first byte on."""
        names = stream_names(options.interactive, options.tty) if attached else []
        streams = Streams(names)
        try:
            record, conversation = self._starter.tied(options, self._session, streams=streams)
        except BaseException:
            streams.close()
            raise
        self._made.add(record.id)
        if not attached:
            return record, conversation, None
        return record, conversation, self._held(record.id, conversation, streams)

    def _held(self, container: str, conversation: Conversation, streams: Streams) -> Ends:
        """Its streams, with a conversation of their own: the container's tells its end to who has
        the container.
        """
        watch = watching.watch(self._service, container)
        if watch is None:  # it has ended already
            watch = Conversation(conversation.run, conversation.supervisor)
            watch.ended = conversation.wait(10.0)
        return Ends(container, watch, streams, None)

    def create(self, options: RunOptions) -> ContainerRecord:
        """Make one, not started."""
        with self._session.starting() as name:
            held, record = self._starter.make(options, start=False, session=name)
            held.close()
        self._made.add(record.id)
        return record

    def fork(
        self, container: str, count: int, wishes: ForkKeywords
    ) -> Sequence[tuple[ContainerRecord, Conversation]]:
        """Make and start copies of one."""
        made = self._service.fork_tied(container, count, self._session, **wishes)
        self._made.update(record.id for record, _ in made)
        return made

    def start(self, container: str) -> Conversation:
        """Start one that was created or has ended."""
        with self._session.starting() as name, self._store.hold(container) as held:
            record = self._starter.restartable(held, tied=True)
            if record is None:
                raise StateConflict(f"container {container[:12]} is running")
            record = record.replace(start=True, session=name)
            _unmark(held.directory)
            conversation = Conversation(self._run, name)
            self._store.write(record)
            self._store.clear_exit(container)
            create.launch(
                self._store, held, record, conversation, Streams([]), self._starter.networks,
                tied=True,
            )  # fmt: skip
        return conversation

    def talk(self, supervisor: str) -> Conversation:
        """A conversation for an exec: what the one before it has left, or a new one."""
        idle = self._idle.pop(supervisor, None)
        if idle is None or idle.fd < 0:  # a forked child's is closed
            return Conversation(self._run, supervisor)
        return idle

    def leave(self, conversation: Conversation) -> None:
        """Its exec has ended: it is for the next."""
        conversation.renew()
        if self._idle.setdefault(conversation.supervisor, conversation) is not conversation:
            conversation.close()

    def steps(self) -> Steps:
        """Runs commands over layers, for builds."""
        from fastbox.containers.step import Steps

        return Steps(self._service, self._session)

    def forget(self, container: str) -> None:
        """It is gone."""
        self._made.discard(container)

    def close(self) -> None:
        """End the session, and what is tied to it; of what does not run, too, nothing is left."""
        while self._idle:
            self._idle.popitem()[1].close()
        self._session.close()
        made, self._made = self._made, set()
        for container in made:
            if os.path.isdir(self._service.directory(container)):
                self._service.heal(container)


def kill(service: Containers, watch: Conversation, container: str) -> None:
    """Kill one that runs, and wait until it has ended."""
    try:
        with Conversation(watch.run, watch.supervisor) as other:
            other.ask({"op": "kill", "id": container, "signal": 9})
    except (StateConflict, SupervisorGone):
        pass
    try:
        watch.wait(_KILL_SECONDS)
    except SupervisorGone:
        service.heal(container)


def discard(
    service: Containers, watch: Conversation, container: str, name: str, scratch: str
) -> bool:
    """Let the session's supervisor remove one that has ended: its directory is trash at once, and
    deleting it is not waited for. False: it can't.
    """
    bundle = service.directory(container)
    try:
        watch.ask({"op": "discard", "id": container, "bundle": bundle, "name": name})
    except FastboxError:
        return False
    if scratch:
        from fastbox.containers.heal import remove_scratch

        remove_scratch(scratch, container)
    return True


def _unmark(directory: str) -> None:
    """Overlayfs refuses a layer that was mounted without syncs, since a crash may have damaged it.
    A session does not outlive a crash of the machine, so its layers are sound.
    """
    overlay = read_bundle(directory)["fastbox"].get("overlay", {})
    if overlay.get("volatile") and overlay.get("work"):
        mark = overlay["work"] + "/work/incompat/volatile"
        try:
            os.unlink(mark + "/dirty")
            os.rmdir(mark)
        except FileNotFoundError:
            pass
