"""Starts: a container's record, its supervisor, its launch. Looking at what is there, which only a
second start needs, is imported then.
"""

from __future__ import annotations

from fastbox.containers import create
from fastbox.containers.attachment import Attachment, Streams, stream_names
from fastbox.errors import FastboxError, StateConflict
from fastbox.runtime import supervisor
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.containers.heal import View
    from fastbox.containers.needs import ImageService, NetworkService, VolumeService
    from fastbox.runtime.session import Session
    from fastbox.store.containers import ContainerRecord, ContainerStore, Held
    from fastbox.store.root import Root
    from fastbox.types import ImageConfig, RunOptions


class Starter:
    """Makes and starts the containers of one store.

    Attributes:
        networks: The networks of the store, called when one is needed.
    """

    __slots__ = ("_images", "_root", "_run", "_store", "_volumes", "networks")

    def __init__(
        self,
        root: Root,
        store: ContainerStore,
        images: Callable[[], ImageService],
        volumes: Callable[[], VolumeService],
        networks: Callable[[], NetworkService],
    ) -> None:
        self._root, self._run, self._store = root, root.run, store
        # Called when needed: a start from a directory, or without volumes, imports none of it.
        self._images, self._volumes, self.networks = images, volumes, networks

    def make(
        self,
        options: RunOptions,
        *,
        start: bool,
        session: str = "",
        origin: tuple[ImageConfig, str] | None = None,
        hidden: create.Hidden | None = None,
    ) -> tuple[Held, ContainerRecord]:
        """Record a container, and hold it. `origin` is a fork's: what it is made of in place of
        its image, and the topmost sealed layer of that. `hidden` are variables that are secrets.
        """
        sealed = ""
        if origin is not None:
            image, sealed = origin
        else:
            images = None if options.rootfs else self._images()
            clock.mark("services")
            image = images.resolve(options.image) if images else create.rootfs_image(options)
        if any(mount.kind == "image" for mount in options.mounts):
            from fastbox.containers import imagemounts

            options = imagemounts.with_layers(options, self._images())
        clock.mark("image")
        made = create.make(
            self._root,
            self._store,
            options,
            image,
            self._volumes,
            self.networks,
            start=start,
            session=session,
            sealed=sealed,
            hidden=hidden,
        )
        clock.mark("record")
        return made

    def detached(self, options: RunOptions) -> str:
        """Make and start one that outlives this process; its id."""
        clock.begin()
        return self.detach(*self.make(options, start=True))

    def detach(self, held: Held, record: ContainerRecord) -> str:
        """Start one that was made for it, and let it go; its id."""
        with held:
            self._launch(held, record, Streams([])).close()
        return record.id

    def attached(self, options: RunOptions, rows: int, columns: int) -> Attachment:
        """Make and start one whose streams we hold."""
        clock.begin()
        held, record = self.make(options, start=True)
        with held:
            names = stream_names(options.interactive, options.tty, options.attach)
            streams = self._streams(names, held, record)
            conversation = self._launch(held, record, streams, rows=rows, columns=columns)
        return Attachment(record.id, conversation, streams, terminal=options.tty)

    def tied(
        self,
        options: RunOptions,
        session: Session,
        origin: tuple[ImageConfig, str] | None = None,
        streams: Streams | None = None,
        hidden: create.Hidden | None = None,
    ) -> tuple[ContainerRecord, Conversation]:
        """Make and start one that ends with the session."""
        clock.begin()
        for attempt in range(3):
            with session.starting() as name:
                try:
                    return self._tied(
                        options, session, name, origin, streams or Streams([]), hidden
                    )
                except SupervisorGone:
                    session.forget(name)
                    if attempt == 2:
                        raise
        raise AssertionError("unreachable")

    def _tied(
        self,
        options: RunOptions,
        session: Session,
        name: str,
        origin: tuple[ImageConfig, str] | None,
        streams: Streams,
        hidden: create.Hidden | None,
    ) -> tuple[ContainerRecord, Conversation]:
        conversation = Conversation(self._run, name)
        clock.mark("supervisor")
        try:
            held, record = self.make(
                options, start=True, session=name, origin=origin, hidden=hidden
            )
        except BaseException:
            conversation.close()
            raise
        with held:
            count = create.launch(
                self._store, held, record, conversation, streams, self.networks, tied=True
            )
        session.holds(name, count)
        return record, conversation

    def again(self, container: str) -> None:
        """Start a created or exited one again, detached; nothing when it runs."""
        from fastbox.containers import heal

        clock.begin()
        if _is_up(heal.view(self._store, self._run, container)):
            return
        with self._store.hold(container) as held:
            record = self.restartable(held)
            if record is not None:
                self._launch_again(held, record, Streams([])).close()

    def again_attached(
        self, container: str, interactive: bool, rows: int, columns: int
    ) -> Attachment | None:
        """Start a created or exited one again, and hold its streams; None when it runs."""
        clock.begin()
        with self._store.hold(container) as held:
            record = self.restartable(held)
            if record is None:
                return None
            names = stream_names(interactive and record.open_stdin, record.tty)
            streams = self._streams(names, held, record)
            conversation = self._launch_again(held, record, streams, rows=rows, columns=columns)
        return Attachment(record.id, conversation, streams, terminal=record.tty)

    def restartable(self, held: Held, *, tied: bool = False) -> ContainerRecord | None:
        """The record, once nothing of its last run is left; None when it runs. `tied`: the session
        that it belongs to asks.
        """
        from fastbox.containers import heal

        container = held.id
        view = heal.view(self._store, self._run, container, held)
        if _is_up(view):
            return None
        if view.record is None:
            raise StateConflict(
                f"container {container[:12]} is damaged: {view.error}", hint="remove it"
            )
        if not tied and (view.record.session or view.record.options.get("volatile")):
            raise StateConflict(
                f"container {container[:12]} can't start again: its layer was not synced"
            )
        if view.live is not None:
            supervisor.sync(self._run, view.live.supervisor)
        self._store.tidy(held)
        return view.record

    def _launch_again(
        self,
        held: Held,
        record: ContainerRecord,
        streams: Streams,
        *,
        rows: int = 0,
        columns: int = 0,
    ) -> Conversation:
        self._store.write(record.replace(start=True))
        self._store.clear_exit(record.id)
        clock.mark("record")
        return self._launch(held, record, streams, rows=rows, columns=columns)

    def _launch(
        self,
        held: Held,
        record: ContainerRecord,
        streams: Streams,
        *,
        rows: int = 0,
        columns: int = 0,
    ) -> Conversation:
        try:
            conversation = Conversation(self._run, supervisor.spawn(self._run, tied=False))
        except FastboxError as error:
            streams.close()
            create.fail(self._store, held, record, error)
            raise
        clock.mark("supervisor")
        create.launch(
            self._store, held, record, conversation, streams, self.networks,
            rows=rows, columns=columns,
        )  # fmt: skip
        return conversation

    def _streams(self, names: list[str], held: Held, record: ContainerRecord) -> Streams:
        try:
            return Streams(names)
        except OSError as error:
            from fastbox.errors import os_error

            failed = os_error(error, "cannot make pipes")
            create.fail(self._store, held, record, failed)
            raise failed from error


def _is_up(view: View) -> bool:
    """Whether nothing is to be started.

    Raises:
        StateConflict: It is paused.
    """
    if view.state == "paused":
        raise StateConflict(
            f"container {view.id[:12]} is paused: it can't be started, only go on",
            hint=f"fastbox unpause {view.id[:12]}",
        )
    return view.up
