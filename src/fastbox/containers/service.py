"""All that can be done with containers, by reference: what the command line and the Engine call.

A start needs half of it: looking, healing and exec are imported where they are used.
"""

from __future__ import annotations

from fastbox.containers.starting import Starter
from fastbox.store import names
from fastbox.store.containers import ContainerStore, not_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, Unpack

    from fastbox.containers.attachment import Attachment
    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.copy import CopyKeywords
    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.fork import Forker, ForkKeywords
    from fastbox.containers.heal import View
    from fastbox.containers.logs import LogKeywords, LogReader
    from fastbox.containers.needs import ImageService, VolumeService
    from fastbox.containers.update import UpdateKeywords
    from fastbox.runtime.session import Session
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord, Held
    from fastbox.store.root import Root
    from fastbox.types import Change, ContainerInfo, LogLine, Pruned, RunOptions, Stats, Top

    _Lines = list[str]  # within the class, `list` is the method


class Containers:
    """The containers of one store."""

    __slots__ = ("_images", "_root", "_run", "_starter", "_store")

    def __init__(
        self,
        root: Root,
        images: Callable[[], ImageService],
        volumes: Callable[[], VolumeService],
    ) -> None:
        self._root, self._run = root, root.run
        self._images = images  # called when needed: a start from a directory imports none of it
        self._store = ContainerStore(root)
        self._starter = Starter(root, self._store, images, volumes)

    # Making and starting

    def create(self, options: RunOptions) -> str:
        """Make a container and return its id; it is not started."""
        held, record = self._starter.make(options, start=False)
        held.close()
        return record.id

    def warnings(self, options: RunOptions) -> tuple[str, ...]:
        """Which of the options this kernel can't do, in docker's words: they are left out."""
        from fastbox.runtime import limits

        return limits.fit(options)[1]

    def start_detached(self, options: RunOptions) -> str:
        """Make and start a container that outlives this process; return its id.

        Raises:
            LaunchError: It could not be started.
        """
        return self._starter.detached(options)

    def start_attached(self, options: RunOptions, *, rows: int = 0, columns: int = 0) -> Attachment:
        """Make and start a container whose streams we hold; it still outlives this process."""
        return self._starter.attached(options, rows, columns)

    def start_tied(
        self, options: RunOptions, session: Session
    ) -> tuple[ContainerRecord, Conversation]:
        """Make and start a container that ends with the session."""
        return self._starter.tied(options, session)

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
        """Make copies of a container that does not run (or, with `live`, does): same image, options
        and files, each going its own way; their ids. `fork.ForkKeywords` describes the wishes.

        Raises:
            StateConflict: It runs, and `live` is false.
            NameInUse, LaunchError: One could not be made or started; no copy is left.
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
        """Put its files back to a snapshot, the newest for ""; what was written since is gone, but
        all snapshots stay.

        Raises:
            StateConflict: It runs.
            NotFound: There is no such snapshot.
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

    # Looking

    def list(
        self,
        *,
        all: bool = False,
        filters: Sequence[str] = (),
        last: int = -1,
        size: bool = False,
    ) -> list[ContainerInfo]:
        """The running ones, or all, newest first.

        Args:
            all: Those that don't run, too.
            filters: Docker's, as key=value: ancestor, before, exited, expose, health, id, is-task,
                label, name, network, publish, since, status, volume.
            last: Only so many, in any state; below 0: no limit.
            size: Find out how much of the disk each takes.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.containers import listing

        return listing.find(
            self._store, self._run, self._images, all=all, filters=filters, last=last, size=size
        )

    def get(self, reference: str) -> ContainerInfo:
        """One container by id, unique beginning of an id, or name."""
        from fastbox.containers import heal

        return heal.info(self._view(self._store.find(reference)))

    def inspect(self, reference: str, *, size: bool = False) -> dict[str, object]:
        """One container as docker's inspect object; `size`: with how much of the disk it takes."""
        from fastbox.containers import inspect

        container = self._store.find(reference)
        return inspect.inspect(self._store, self._run, self._images, container, size=size)

    def logs(self, reference: str, **wishes: Unpack[LogKeywords]) -> Iterator[LogLine]:
        """What it wrote, line by line; what may be wished is in `logs.LogKeywords`."""
        return iter(self.open_log(reference, **wishes))

    def open_log(self, reference: str, **wishes: Unpack[LogKeywords]) -> LogReader:
        """Its log as a `logs.LogReader`, which any loop can wait on; Unsupported: none is kept."""
        from fastbox.containers import logs

        return logs.open_log(self._store, self._run, self._store.find(reference), wishes)

    def diff(self, reference: str) -> tuple[Change, ...]:
        """What it changed of its image's files, as `docker diff` lists it."""
        from fastbox.containers import filesystem

        return filesystem.diff(self._store, self._run, reference)

    def export(self, reference: str, output: str | int | BinaryIO) -> None:
        """Write all its files as a tar to a path, a descriptor or a stream."""
        from fastbox.containers import filesystem

        filesystem.export(self._root, self._store, reference, output)

    def copy_out(
        self, reference: str, source: str, target: str, **wishes: Unpack[CopyKeywords]
    ) -> int:
        """Copy a file or directory of a container to the host, as `docker cp` does; how many bytes
        a tar of it has. `copy.CopyKeywords` describes the wishes.

        Raises:
            NotFound: No such file, or the target's directory does not exist.
            StateConflict: A directory where a file must be, or the other way round.
        """
        from fastbox.containers import copy

        return copy.copy_out(self._store, self._run, reference, source, target, wishes)

    def copy_in(
        self, reference: str, source: str, target: str, **wishes: Unpack[CopyKeywords]
    ) -> int:
        """Copy a file or directory of the host into a container; see `copy_out`.

        Raises:
            PermissionDenied: The container's root, or what is mounted there, is read-only.
        """
        from fastbox.containers import copy

        return copy.copy_in(self._store, self._run, reference, source, target, wishes)

    def copy_from(
        self, reference: str, source: str, output: int | BinaryIO, *, follow: bool = False
    ) -> None:
        """Write a file or directory of a container as a tar, to a descriptor or a stream."""
        from fastbox.containers import copy

        copy.copy_from(self._store, self._run, reference, source, output, follow)

    def copy_to(self, reference: str, target: str, archive: int | BinaryIO) -> None:
        """Extract a tar (plain, gzip or zstd) in a directory of a container."""
        from fastbox.containers import copy

        copy.copy_to(self._store, self._run, reference, target, archive)

    def commit(self, reference: str, name: str = "", **wishes: Unpack[CommitKeywords]) -> str:
        """Make an image of it, and give it a name unless that is ""; the image's id."""
        from fastbox.containers.commit import commit

        return commit(self._store, self._run, reference, self._images(), name, wishes)

    def stats(
        self, references: Sequence[str] = (), *, all: bool = False, interval: float = 1.0
    ) -> tuple[Stats, ...]:
        """What containers use now: those named, else the running ones, or all.

        Args:
            references: The containers.
            all: Without references: those too that don't run.
            interval: Seconds between the two readings that CPU percentages need; 0: one reading,
                and percentages of 0.
        """
        from fastbox.containers import stats

        return stats.once(self._store, self._run, references, all, interval)

    def stats_stream(
        self, references: Sequence[str] = (), *, all: bool = False, interval: float = 1.0
    ) -> Iterator[tuple[Stats, ...]]:
        """As `stats`, again and again; it ends when none of the containers named runs any more."""
        from fastbox.containers import stats

        return stats.stream(self._store, self._run, references, all, interval)

    def top(self, reference: str, ps_args: Sequence[str] = ()) -> Top:
        """The processes of a running container, as `ps` of the host tells them.

        Args:
            reference: The container.
            ps_args: Options of `ps`; () is -ef.

        Raises:
            StateConflict: It does not run.
            InvalidArgument: `ps` does not take the options, or prints no PID with them.
        """
        from fastbox.containers import top

        return top.top(self._store, self._run, reference, ps_args)

    def directory(self, container: str) -> str:
        """Where a container's files are."""
        return self._store.directory(container)

    def heal(self, container: str) -> None:
        """Repair what a killed supervisor left of a container."""
        from fastbox.containers import heal

        heal.heal(self._store, self._run, container)

    def _look(self, container: str, held: Held | None = None) -> View | None:
        from fastbox.containers import heal

        return heal.look(self._store, self._run, container, held)

    def _view(self, container: str, held: Held | None = None) -> View:
        from fastbox.containers import heal

        return heal.view(self._store, self._run, container, held)

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
