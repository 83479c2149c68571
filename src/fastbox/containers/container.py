"""One container in our hands: what `Engine.run`, `Engine.create` and `Engine.container` give."""

# The linter does not know our stand-in for typing.overload.
# ruff: noqa: D102, F811

from __future__ import annotations

import os

from fastbox.errors import FastboxError, StateConflict
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, BinaryIO, Self, Unpack, overload

    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.process import Ends, Process
    from fastbox.containers.readiness import Condition
    from fastbox.containers.service import Containers
    from fastbox.containers.tied import Tie
    from fastbox.containers.update import UpdateKeywords
    from fastbox.runtime.supervisor import Exit
    from fastbox.store.containers import ContainerRecord
    from fastbox.types import Change, ContainerInfo, ExecResult, LogLine
else:

    def overload(function):  # noqa: D103
        return function


class Container:
    """A container. One that `Engine.run` or `Engine.create` made without `detach` is tied to the
    engine: exit from `with` kills, releases and removes it, as the end of the engine or of this
    process does. Of any other, `with` only lets go.

    A forked child may look at its parent's containers and exec in them, but never ends one.

    Attributes:
        id: 64 hex digits.
        name: Its name.
    """

    __slots__ = (
        "_bundle", "_maker", "_removed", "_scratch", "_service", "_streams", "_tie", "_watch",
        "id", "name",
    )  # fmt: skip

    def __init__(
        self,
        service: Containers,
        record: ContainerRecord,
        watch: Conversation | None = None,
        *,
        tie: Tie | None = None,
        streams: Ends | None = None,
    ) -> None:
        self.id, self.name = record.id, record.name
        self._service, self._watch, self._tie = service, watch, tie
        self._streams = streams  # held from the start, until somebody attaches
        self._bundle: dict[str, Any] | None = None
        self._scratch = record.scratch
        self._removed = False
        self._maker = os.getpid()

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

    def _watching(self) -> Conversation | None:
        """The conversation that tells its exit; None when it does not run."""
        watch = self._watch
        if watch is None or (watch.fd < 0 and watch.ended is None):
            watch = self._watch = self._service.watch(self.id)
        return watch

    def _ran(self) -> Conversation:
        """As `_watching`, for what it takes a running one.

        Raises:
            StateConflict: It does not run.
        """
        watch = self._watching()
        if watch is not None and watch.ended is not None and self._tie is None:
            self._watch = None  # somebody may have started it again
            watch.close()
            watch = self._watching()
        if watch is None or watch.ended is not None:
            raise StateConflict(
                f"container {self.id[:12]} is not running", hint="start it with `start`"
            )
        return watch

    # Another process in it

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
            timeout: Seconds until it is killed, with all that it has started; or None.

        Raises:
            CommandNotFound: No such command in the container.
            Timeout: It was killed after `timeout`.
            StateConflict: The container does not run.
        """
        from fastbox.containers import exec as execs

        clock.begin()
        wishes = _wishes(env, user, workdir, tty, privileged)
        text = self._document(argv, wishes)
        with self._talk() as conversation:
            return execs.run(conversation, self.id, text, data=input, tty=tty, timeout=timeout)

    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Process[bytes]: ...

    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Process[str]: ...

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str | None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Process[Any]:
        """Start a command in it, and write to and read from it while it runs. Use it with `with`:
        what still runs at its end is killed, with all that it has started.

        Args:
            argv: The command and its arguments.
            stdin: PIPE, or None: an empty one.
            stdout: PIPE, or DEVNULL.
            stderr: PIPE, STDOUT or DEVNULL.
            encoding: For text; None: bytes.
            env: More variables.
            user: Another user than the container's.
            workdir: Another directory than the container's.
            tty: Give it a terminal; its output is then all in `stdout`.
            size: The terminal's rows and columns; (0, 0) for none.
            privileged: Every capability, no filter.
            timeout: Seconds until it is killed, with all that it has started; or None.

        Raises:
            CommandNotFound: No such command in the container.
            StateConflict: The container does not run.
        """
        from fastbox.containers.process import Process, stream_plan

        wishes = _wishes(env, user, workdir, tty, privileged)
        streams = stream_plan(stdin, stdout, stderr, tty)
        ends = self._begin(argv, wishes, streams, size, timeout)
        return Process(ends, encoding)

    def _begin(
        self,
        argv: Sequence[str],
        wishes: ExecKeywords,
        streams: Any,
        size: tuple[int, int] = (0, 0),
        timeout: float | None = None,
    ) -> Ends:
        """Start an exec that ends with its conversation; the streams are closed when that fails."""
        from fastbox.containers import exec as execs
        from fastbox.containers.process import Ends

        clock.begin()
        conversation = None
        try:
            text = self._document(argv, wishes)
            conversation = self._talk()
            number = execs.begin(
                conversation, self.id, text, streams, rows=size[0], columns=size[1], tied=True,
                timeout=timeout,
            )  # fmt: skip
        except BaseException:
            streams.close()
            if conversation is not None:
                conversation.close()
            raise
        return Ends(self.id, conversation, streams, number)

    def _document(self, argv: Sequence[str], wishes: ExecKeywords) -> bytes:
        from fastbox.containers import exec as execs

        if self._bundle is None:
            self._bundle = execs.read_bundle(self._service.directory(self.id))
        text = execs.document(self._bundle, argv, wishes)
        clock.mark("document")
        return text

    def _talk(self) -> Conversation:
        watch = self._ran()
        try:
            return Conversation(watch.run, watch.supervisor)
        except SupervisorGone:
            if self._tie is not None:
                raise
        self._watch = None  # it was started again, by another supervisor
        watch = self._ran()
        return Conversation(watch.run, watch.supervisor)

    # Its own streams

    @overload
    def attach(self, *, encoding: None = None) -> Process[bytes]: ...

    @overload
    def attach(self, *, encoding: str) -> Process[str]: ...

    def attach(self, *, encoding: str | None = None) -> Process[Any]:
        """The streams of its own process: from its first byte on when it was started with
        `stdin=PIPE` and nobody has attached yet, else from now on (`logs` has what was before).

        Its `stdin` is there when the container was made with `stdin=PIPE` or `interactive=True`.

        Args:
            encoding: For text; None: bytes.

        Raises:
            StateConflict: It does not run.
        """
        from fastbox.containers.process import Process

        return Process(self._attach(), encoding)

    def _attach(self) -> Ends:
        ends, self._streams = self._streams, None
        return ends or self._service.attach_ends(self.id)

    # Looking

    def logs(self, *, follow: bool = False, tail: int | None = None) -> Iterator[LogLine]:
        """What it wrote so far, line by line; with `follow` until it ends.

        Args:
            follow: Wait for more.
            tail: Only the last so many lines; None for all.
        """
        return self._service.logs(self.id, follow=follow, tail=tail)

    @property
    def info(self) -> ContainerInfo:
        """Its state now."""
        return self._service.get(self.id)

    def inspect(self) -> dict[str, object]:
        """Docker's inspect object."""
        return self._service.inspect(self.id)

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


def _wishes(
    env: Mapping[str, str] | Sequence[str], user: str | None, workdir: str, tty: bool,
    privileged: bool,
) -> ExecKeywords:  # fmt: skip
    pairs = tuple(f"{k}={v}" for k, v in env.items()) if hasattr(env, "items") else tuple(env)
    return {"env": pairs, "user": user, "workdir": workdir, "tty": tty, "privileged": privileged}
