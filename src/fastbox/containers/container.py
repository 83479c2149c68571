"""One container in our hands: what `Engine.run`, `Engine.create` and `Engine.container` give."""

from __future__ import annotations

import os

from fastbox.containers.running import Running
from fastbox.errors import FastboxError
from fastbox.runtime.supervisor import SupervisorGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Self, Unpack

    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.copy import CopyKeywords
    from fastbox.containers.fork import ForkKeywords
    from fastbox.containers.logs import LogKeywords
    from fastbox.containers.readiness import Condition
    from fastbox.containers.update import UpdateKeywords
    from fastbox.runtime.supervisor import Conversation, Exit
    from fastbox.types import Change, ContainerInfo, LogLine, Stats, Top


class Container(Running):
    """A container. One that `Engine.run` or `Engine.create` made without `detach` is tied to the
    engine: exit from `with` kills, releases and removes it, as the end of the engine or of this
    process does. Of any other, `with` only lets go.

    A forked child may look at its parent's containers and exec in them, but never ends one.

    Attributes:
        id: 64 hex digits.
        name: Its name.
    """

    __slots__ = ()

    # Its end

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code (128+n after signal n); 0 for one that was never
        started.

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It still runs.
        """
        watch = self._watching()
        return self.info.exit_code if watch is None else self._exit(watch, timeout).code

    def _exit(self, watch: Conversation, timeout: float | None) -> Exit:
        try:
            return watch.wait(timeout)
        except SupervisorGone:
            self._service.heal(self.id)
            raise

    # Looking

    def logs(self, **wishes: Unpack[LogKeywords]) -> Iterator[LogLine]:
        """What it wrote, line by line.

        Args:
            **wishes: follow (wait for more, until it ends), tail (only the last so many; None for
                all), since and until (a datetime, seconds since 1970, or a text as docker takes
                it).

        Raises:
            Unsupported: Its log driver keeps nothing that could be read.
        """
        return self._service.logs(self.id, **wishes)

    @property
    def info(self) -> ContainerInfo:
        """Its state now."""
        return self._service.get(self.id)

    def inspect(self) -> dict[str, object]:
        """Docker's inspect object."""
        return self._service.inspect(self.id)

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

    def wait_for(self, condition: Condition, timeout: float = 60.0) -> None:
        """Wait until it is ready.

        Args:
            condition: One of `fastbox.wait`.
            timeout: Seconds.

        Raises:
            NotReady: It ended before, or `timeout` was over; with its last log lines.
        """
        from fastbox.containers import readiness

        readiness.wait(self, condition, timeout)

    # What it has

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
            **wishes: follow (what a link leads to), archive (extended attributes too), owned (all
                belongs to the container's user, if it names one).
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
        """Start copies of it, tied if it is: same image, options and files, each going its own way.

        It must have ended (`wait`), so that its files are nobody's: they are shared, not copied.

        Args:
            count: How many.
            **wishes: name (of the only copy, or how their names begin), argv (another command),
                live (of one that runs: copy what it has written while it stands still).

        Raises:
            StateConflict: It runs, and `live` is false.
            LaunchError: One could not be started; no copy is left.
        """
        if self._tie is None:
            from fastbox.containers.watch import record

            made = self._service.fork(self.id, count, **wishes)
            return [Container(self._service, record(self._service, each)) for each in made]
        tied = self._tie.fork(self.id, count, wishes)
        return [Container(self._service, *each, tie=self._tie) for each in tied]

    def snapshot(self, name: str = "", *, live: bool = False) -> str:
        """Keep its files as they are now; the snapshot's name, a number when "" is given."""
        return self._service.snapshot(self.id, name, live=live)

    def rollback(self, name: str = "") -> str:
        """Put its files back to a snapshot, the newest for ""; what was written since is gone."""
        return self._service.rollback(self.id, name)

    # Its life

    def start(self) -> None:
        """Start one that was created or has ended; nothing when it runs.

        Raises:
            LaunchError: It could not be started.
        """
        if self._tie is None or not self._mine():
            self._service.start(self.id)
        elif (watch := self._watching()) is None or watch.ended is not None:
            if watch is not None:
                watch.close()
            self._watch = None
            self._watch = self._tie.start(self.id)

    def pause(self) -> None:
        """Make all its processes stand still until `unpause`.

        Raises:
            StateConflict: It is paused already, or does not run.
        """
        self._service.pause(self.id)

    def unpause(self) -> None:
        """Let its processes go on.

        Raises:
            StateConflict: It is not paused.
        """
        self._service.unpause(self.id)

    def restart(self, timeout: float | None = None) -> None:
        """Stop it, and start it again.

        Args:
            timeout: As for `stop`.
        """
        self.stop(timeout)
        self.wait()
        self.start()

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

    def stop(self, timeout: float | None = None) -> None:
        """Ask it to end with its stop signal, kill it after `timeout` seconds (its own
        `stop_timeout` when None); return when it has ended.
        """
        self._service.stop(self.id, timeout=timeout)

    def rename(self, name: str) -> None:
        """Give it another name.

        Raises:
            NameInUse: Another container has it.
        """
        self._service.rename(self.id, name)
        self.name = name

    def remove(self, force: bool = False) -> None:
        """Delete it; `force` kills it first.

        Raises:
            StateConflict: It runs, and `force` is false.
        """
        if not self._removed:
            self._service.remove(self.id, force=force)
            self._removed = True

    def close(self) -> None:
        """What exit from `with` does: the end of a container that is tied, else letting go."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams.close()
        try:
            if self._tie is not None and self._mine() and not self._removed:
                self._end()
        finally:
            if self._watch is not None:
                self._watch.close()
            if self._tie is not None:
                self._tie.forget(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _mine(self) -> bool:
        return os.getpid() == self._maker

    def _end(self) -> None:
        watch = self._watch
        if watch is not None and watch.fd < 0:
            watch = None
        from fastbox.containers import tied

        try:
            if watch is not None and watch.ended is None:
                tied.kill(self._service, watch, self.id)
            if watch is not None and tied.discard(
                self._service, watch, self.id, self.name, self._scratch
            ):
                self._removed = True
            else:
                self.remove(force=True)
        except FastboxError as error:
            if error.http_status != 404:  # --rm has removed it already
                raise
