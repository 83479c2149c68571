"""One container of an engine session: the object that `Engine.run` gives."""

from __future__ import annotations

from fastbox.errors import FastboxError, StateConflict
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, BinaryIO, Self, Unpack

    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.copy import CopyKeywords
    from fastbox.containers.fork import ForkKeywords
    from fastbox.containers.service import Containers
    from fastbox.containers.update import UpdateKeywords
    from fastbox.runtime.session import Session
    from fastbox.runtime.supervisor import Exit
    from fastbox.store.containers import ContainerRecord
    from fastbox.types import Change, ContainerInfo, ExecResult, LogLine, Stats, Top


class Container:
    """A running container, tied to its engine: killed, released and removed on exit from `with`.

    Attributes:
        id: 64 hex digits.
        name: Its name.
    """

    __slots__ = (
        "_bundle", "_conversation", "_removed", "_scratch", "_service", "_session", "id", "name",
    )  # fmt: skip

    def __init__(
        self,
        service: Containers,
        record: ContainerRecord,
        conversation: Conversation,
        session: Session,
    ) -> None:
        self.id, self.name = record.id, record.name
        self._service, self._conversation, self._session = service, conversation, session
        self._bundle: dict[str, Any] | None = None
        self._scratch = record.scratch
        self._removed = False

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code (128+n after signal n).

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It still runs.
        """
        return self._wait(timeout).code

    def _wait(self, timeout: float | None) -> Exit:
        try:
            return self._conversation.wait(timeout)
        except SupervisorGone:
            self._service.heal(self.id)
            raise

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        privileged: bool = False,
        timeout: float | None = None,
    ) -> ExecResult:
        """Run a command in it and collect its output.

        Args:
            argv: The command and its arguments.
            input: What it reads from stdin; None: nothing, at once.
            env: More variables.
            user: Another user than the container's.
            workdir: Another directory than the container's.
            tty: Give it a terminal; its output is then all in `stdout`.
            privileged: Every capability, no filter.
            timeout: Seconds until it is killed, or None.

        Raises:
            CommandNotFound: No such command in the container.
            Timeout: It was killed after `timeout`.
            StateConflict: The container has ended.
        """
        from fastbox.containers import exec as execs

        clock.begin()
        if self._conversation.ended is not None:
            raise StateConflict(f"container {self.id[:12]} has ended")
        if self._bundle is None:
            self._bundle = execs.read_bundle(self._service.directory(self.id))
        pairs = tuple(f"{k}={v}" for k, v in env.items()) if hasattr(env, "items") else tuple(env)
        text = execs.document(
            self._bundle, argv,
            {"env": pairs, "user": user, "workdir": workdir, "tty": tty, "privileged": privileged},
        )  # fmt: skip
        clock.mark("document")
        with Conversation(self._conversation.run, self._conversation.supervisor) as conversation:
            return execs.run(conversation, self.id, text, data=input, tty=tty, timeout=timeout)

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """What it wrote so far, line by line; with `follow` until it ends."""
        return self._service.logs(self.id, follow=follow)

    def stats(self, *, interval: float = 0.0) -> Stats:
        """What it uses now.

        Args:
            interval: Seconds between the two readings that `cpu_percent` needs; 0: it is 0.
        """
        return self._service.stats([self.id], interval=interval)[0]

    def stats_stream(self, *, interval: float = 1.0) -> Iterator[Stats]:
        """As `stats`, every so many seconds until it ends."""
        return (found[0] for found in self._service.stats_stream([self.id], interval=interval))

    def top(self, ps_args: Sequence[str] = ()) -> Top:
        """Its processes, as `ps` of the host tells them; `ps_args` are that one's options."""
        return self._service.top(self.id, ps_args)

    def diff(self) -> tuple[Change, ...]:
        """What it changed of its image's files, as `docker diff` lists it."""
        return self._service.diff(self.id)

    def export(self, output: str | int | BinaryIO) -> None:
        """Write all its files as a tar, without what is mounted in it.

        Args:
            output: A path, a descriptor (a pipe will do) or a binary stream.
        """
        self._service.export(self.id, output)

    def copy_in(self, source: str, target: str, **wishes: Unpack[CopyKeywords]) -> None:
        """Copy a file or directory of the host into it, as `docker cp` does.

        Args:
            source: A path of the host; one that ends in "/." is a directory's content.
            target: A path in the container: a directory to copy into, or the copy's name.
            **wishes: follow (what a link leads to), archive (extended attributes too).
        """
        self._service.copy_in(self.id, source, target, **wishes)

    def copy_out(self, source: str, target: str, **wishes: Unpack[CopyKeywords]) -> None:
        """Copy a file or directory of it to the host; see `copy_in`. With `archive` owners stay."""
        self._service.copy_out(self.id, source, target, **wishes)

    def copy_to(self, target: str, archive: int | BinaryIO) -> None:
        """Extract a tar in a directory of it, from a descriptor or a stream."""
        self._service.copy_to(self.id, target, archive)

    def copy_from(self, source: str, output: int | BinaryIO) -> None:
        """Write a file or directory of it as a tar, to a descriptor or a stream."""
        self._service.copy_from(self.id, source, output)

    def commit(self, name: str = "", **wishes: Unpack[CommitKeywords]) -> str:
        """Make an image of it: its image, its changes as one more layer, and its options.

        Args:
            name: repository[:tag] to give, or "".
            **wishes: author, message, changes (Dockerfile instructions), pause (stop its processes
                while its files are read: True by default).

        Returns:
            The image's id.

        Raises:
            InvalidArgument: A change or the name is malformed.
            DiskFull: No space; nothing was changed.
        """
        return self._service.commit(self.id, name, **wishes)

    def fork(self, count: int = 1, **wishes: Unpack[ForkKeywords]) -> list[Container]:
        """Start copies of it: same image, options and files, each going its own way from now on.

        It must have ended (`wait`), so that its files are nobody's: they are shared, not copied.

        Args:
            count: How many.
            **wishes: name (of the only copy, or how their names begin), argv (another command),
                live (of one that runs: copy what it has written while it stands still).

        Raises:
            StateConflict: It runs, and `live` is false.
            LaunchError: One could not be started; no copy is left.
        """
        made = self._service.fork_tied(self.id, count, self._session, **wishes)
        return [
            Container(self._service, record, conversation, self._session)
            for record, conversation in made
        ]

    def snapshot(self, name: str = "", *, live: bool = False) -> str:
        """Keep its files as they are now; the snapshot's name, a number when "" is given."""
        return self._service.snapshot(self.id, name, live=live)

    def rollback(self, name: str = "") -> str:
        """Put its files back to a snapshot, the newest for ""; what was written since is gone."""
        return self._service.rollback(self.id, name)

    def update(self, **changes: Unpack[UpdateKeywords]) -> tuple[str, ...]:
        """Change its limits, at once.

        Args:
            **changes: memory, memory_swap, memory_reservation (bytes), cpus, cpu_shares, cpu_quota,
                cpu_period, cpu_rt_period, cpu_rt_runtime, cpuset_cpus, cpuset_mems, pids_limit,
                blkio_weight; 0 leaves a limit as it is.

        Returns:
            What this kernel can't do, in docker's words; it was left out.

        Raises:
            InvalidArgument: A value out of its range, or one that contradicts another.
            StateConflict: More memory is in use than it shall have; nothing was changed.
        """
        return self._service.update(self.id, **changes)

    def kill(self, signal: int | str = "KILL") -> None:
        """Send a signal to its first process."""
        self._service.kill(self.id, signal)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to end with its stop signal, kill it after `timeout` seconds; return when it has
        ended.
        """
        self._service.stop(self.id, timeout=timeout)

    def remove(self, force: bool = False) -> None:
        """Delete it; `force` kills it first.

        Raises:
            StateConflict: It runs, and `force` is false.
        """
        if not self._removed:
            self._service.remove(self.id, force=force)
            self._removed = True

    @property
    def info(self) -> ContainerInfo:
        """Its state now."""
        return self._service.get(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            self._conversation.close()

    def _end(self) -> None:
        if self._removed or self._conversation.fd < 0:
            return
        try:
            if self._conversation.ended is None:
                self._kill_and_wait()
            if not self._discard():
                self.remove(force=True)
        except FastboxError as error:
            if error.http_status != 404:  # --rm has removed it already
                raise

    def _discard(self) -> bool:
        """Let the session's supervisor remove it: its directory is trash at once, and deleting it
        is not waited for.
        """
        bundle = self._service.directory(self.id)
        try:
            self._conversation.ask(
                {"op": "discard", "id": self.id, "bundle": bundle, "name": self.name}
            )
        except FastboxError:
            return False
        self._removed = True
        if self._scratch:
            from fastbox.containers.heal import remove_scratch

            remove_scratch(self._scratch, self.id)
        return True

    def _kill_and_wait(self) -> None:
        try:
            with Conversation(self._conversation.run, self._conversation.supervisor) as other:
                other.ask({"op": "kill", "id": self.id, "signal": 9})
        except (StateConflict, SupervisorGone):
            pass
        try:
            self._conversation.wait(30.0)
        except SupervisorGone:
            self._service.heal(self.id)
