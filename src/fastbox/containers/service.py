"""All that can be done with containers, by reference: what the command line and the Engine call.

A start needs half of it: looking, healing and exec are imported where they are used.
"""

from __future__ import annotations

from fastbox.containers.looking import Looking
from fastbox.containers.starting import Starter
from fastbox.store import names
from fastbox.store.containers import not_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from fastbox.containers.attachment import Attachment
    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.fork import Forker, ForkKeywords
    from fastbox.containers.heal import View
    from fastbox.containers.needs import ImageService, NetworkService, VolumeService
    from fastbox.containers.update import UpdateKeywords
    from fastbox.runtime.session import Session
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord
    from fastbox.store.root import Root
    from fastbox.types import Pruned, RunOptions

    _Lines = list[str]  # within the class, `list` is the method


class Containers(Looking):
    """The containers of one store."""

    __slots__ = ("_starter",)

    def __init__(
        self,
        root: Root,
        images: Callable[[], ImageService],
        volumes: Callable[[], VolumeService],
        networks: Callable[[], NetworkService],
    ) -> None:
        super().__init__(root, images, networks)
        self._starter = Starter(root, self._store, images, volumes, networks)

    # Making and starting

    def create(self, options: RunOptions) -> str:
        """Make a container and return its id; it is not started."""
        held, record = self._starter.make(options, start=False)
        held.close()
        return record.id

    def warnings(self, options: RunOptions) -> tuple[str, ...]:
        """Which of the options this kernel can't do, in docker's words: they are left out."""
        from fastbox.runtime import limits, security

        return (*limits.fit(options)[1], *security.dropped(options.security_opt))

    def start_detached(self, options: RunOptions) -> str:
        """Make and start a container that outlives this process; return its id.

        Raises:
            LaunchError: It could not be started.
        """
        return self._starter.detached(options)

    def start_attached(self, options: RunOptions, *, rows: int = 0, columns: int = 0) -> Attachment:
        """Make and start a container whose streams we hold; it still outlives this process."""
        return self._starter.attached(options, rows, columns)

    def start(self, reference: str) -> None:
        """Start a created or exited container again, detached.

        Raises:
            StateConflict: It can't be started again: its writable layer was not kept.
        """
        self._starter.again(self._store.find(reference))

    def start_again(
        self, reference: str, *, interactive: bool = False, rows: int = 0, columns: int = 0
    ) -> Attachment:
        """Start a created or exited container again, and hold its streams from its first byte on.

        One that runs is attached.

        Args:
            reference: The container.
            interactive: Take its stdin too, where it has one.
            rows: Of the terminal.
            columns: Of the terminal.

        Raises:
            StateConflict: It can't be started again: its writable layer was not kept.
        """
        container = self._store.find(reference)
        started = self._starter.again_attached(container, interactive, rows, columns)
        return started or self.attach(reference, interactive=interactive)

    # Copies of one, and its file system as it was

    def fork(
        self,
        reference: str,
        count: int = 1,
        *,
        start: bool = True,
        **wishes: Unpack[ForkKeywords],
    ) -> _Lines:
        """Make copies of a container, with its image, options and files; their ids.

        Raises:
            StateConflict: It runs, and `live` is false.
        """
        forker = self._forker()
        return (forker.detached if start else forker.created)(reference, count, wishes)

    def fork_tied(
        self, reference: str, count: int, session: Session, **wishes: Unpack[ForkKeywords]
    ) -> Sequence[tuple[ContainerRecord, Conversation]]:
        """Make and start copies of a container that end with the session."""
        return self._forker().tied(reference, count, wishes, session)

    def _forker(self) -> Forker:
        from fastbox.containers.fork import Forker

        return Forker(self._root, self._store, self._images, self._starter)

    def snapshot(self, reference: str, name: str = "", *, live: bool = False) -> str:
        """Keep its files as they are now, to come back to; the snapshot's name, a number for "".

        Raises:
            StateConflict: It runs, and `live` (copy while it stands still) is false.
            InvalidArgument: There is a snapshot of that name.
        """
        from fastbox.containers import seal

        return seal.snapshot(self._root, self._store, reference, name, live)

    def snapshots(self, reference: str) -> Sequence[str]:
        """The names of its snapshots, oldest first."""
        from fastbox.containers import seal

        return seal.snapshots(self._store, reference)

    def remove_snapshot(self, reference: str, name: str) -> None:
        """Forget a snapshot; what only it needed is deleted."""
        from fastbox.containers import seal

        seal.forget(self._root, self._store, reference, name)

    def rollback(self, reference: str, name: str = "") -> str:
        """Put its files back to a snapshot, the newest for ""; all snapshots stay.

        Raises:
            StateConflict: It runs.
        """
        from fastbox.containers import seal

        return seal.rollback(self._root, self._store, reference, name)

    def sweep_sealed(self) -> None:
        """Delete what forks and snapshots had kept and no container needs any more."""
        self._store.sweep_sealed()

    # In the foreground of one that runs

    def attach(self, reference: str, *, interactive: bool = True) -> Attachment:
        """The streams of a running container; `interactive` takes its stdin too, where it has one.

        Raises:
            StateConflict: It does not run.
        """
        from fastbox.containers import foreground

        return foreground.attach(self._store, self._run, reference, interactive)

    def exec_attached(
        self,
        reference: str,
        argv: Sequence[str],
        *,
        interactive: bool = False,
        rows: int = 0,
        columns: int = 0,
        **wishes: Unpack[ExecKeywords],
    ) -> Attachment:
        """Start another process in a running container and hold its streams.

        Args:
            reference: The container.
            argv: The command and its arguments.
            interactive: Give it our stdin.
            rows: Of the terminal.
            columns: Of the terminal.
            **wishes: What `exec.ExecKeywords` describes.

        Raises:
            StateConflict: The container does not run.
            CommandNotFound: No such command in it.
        """
        from fastbox.containers import foreground

        return foreground.exec_attached(
            self._store, self._run, reference, argv, wishes,
            interactive=interactive, rows=rows, columns=columns,
        )  # fmt: skip

    def exec_detached(
        self, reference: str, argv: Sequence[str], **wishes: Unpack[ExecKeywords]
    ) -> None:
        """Start another process in a running container and leave it to itself.

        Raises:
            StateConflict: The container does not run.
            CommandNotFound: No such command in it.
        """
        from fastbox.containers import foreground

        foreground.exec_detached(self._store, self._run, reference, argv, wishes)

    def _running(self, reference: str) -> View:
        from fastbox.containers import foreground

        return foreground.running(self._store, self._run, reference)

    # Ending

    def stop(
        self, reference: str, *, timeout: float | None = None, signal: str | None = None
    ) -> None:
        """Ask it to end, kill it after `timeout` seconds (its own by default), return when it has
        ended.

        Raises:
            Timeout: Not even SIGKILL ended it (a process in uninterruptible sleep).
        """
        from fastbox.containers import ending

        ending.stop(self._store, self._run, self._store.find(reference), timeout, signal)

    def pause(self, reference: str) -> None:
        """Make all its processes stand still until `unpause`.

        Raises:
            StateConflict: It is paused already, or does not run.
        """
        from fastbox.containers import pausing

        pausing.pause(self._store, self._run, reference, paused=True)

    def unpause(self, reference: str) -> None:
        """Let its processes go on.

        Raises:
            StateConflict: It is not paused.
        """
        from fastbox.containers import pausing

        pausing.pause(self._store, self._run, reference, paused=False)

    def restart(
        self, reference: str, *, timeout: float | None = None, signal: str | None = None
    ) -> None:
        """Stop it as `stop` does, if it runs, and start it again; return when it runs.

        Raises:
            LaunchError: It could not be started.
            Timeout: Not even SIGKILL ended it.
        """
        from fastbox.containers import restarting

        restarting.restart(
            self._store, self._run, self._starter, self._store.find(reference), timeout, signal
        )

    def set_restart(self, reference: str, policy: str) -> None:
        """Change its restart policy: "no", "on-failure[:most]", "always" or "unless-stopped".

        Raises:
            InvalidArgument: There is no such policy, or it is removed when it ends.
        """
        from fastbox.containers import restarting

        restarting.set_policy(self._store, self._run, self._store.find(reference), policy)

    def start_all(self) -> tuple[str, ...]:
        """After a boot: start what its restart policy wants to run; the ids."""
        from fastbox.containers import restarting

        return restarting.start_all(self._store, self._run, self._starter)

    def kill(self, reference: str, signal: int | str = "KILL") -> None:
        """Send a signal to its first process.

        Raises:
            StateConflict: It does not run.
        """
        from fastbox.containers.attachment import converse
        from fastbox.support import signals

        number = signals.number(signal)
        view = self._running(reference)
        with converse(self._run, view) as conversation:
            conversation.ask({"op": "kill", "id": view.id, "signal": number})

    def wait(self, reference: str) -> int:
        """Wait for its end, return its exit code; 0 for one that was never started."""
        from fastbox.containers import ending

        return ending.wait(self._store, self._run, self._store.find(reference))

    def remove(self, reference: str, *, force: bool = False, volumes: bool = False) -> None:
        """Delete a container; `force` kills it first, `volumes` deletes its anonymous volumes, too.

        Raises:
            StateConflict: It runs, and `force` is false.
        """
        from fastbox.containers import ending

        container = self._store.find(reference)
        ending.remove(self._store, self._run, container, reference, force=force, volumes=volumes)

    def prune(self, *, filters: Sequence[str] = ()) -> Pruned:
        """Remove all containers that don't run.

        Args:
            filters: Docker's: label, label! and until, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.containers.prune import prune

        return prune(self._store, self._run, self.list(all=True), filters)

    def update(self, reference: str, **changes: Unpack[UpdateKeywords]) -> tuple[str, ...]:
        """Change its limits, at once and for every later start; 0 leaves one as it is.

        What this kernel can't do is left out, and returned in docker's words.

        Raises:
            InvalidArgument: A value out of its range, or one that contradicts another.
            StateConflict: More memory is in use than it shall have; nothing was changed.
        """
        from fastbox.containers.update import update

        return update(self._store, self._run, reference, changes)

    def rename(self, reference: str, name: str) -> None:
        """Give it another name.

        Raises:
            NameInUse: Another container has it.
        """
        wanted = names.check(name)
        with self._store.hold(self._store.find(reference)) as held:
            record = self._store.read(held.id)
            if record is None:
                raise not_found(reference)
            if record.name != wanted:
                self._store.rename(record, wanted)
                from fastbox.containers import networking

                networking.renamed(self._networks, held.directory, record.name, wanted)
