"""What can be done in a running container: other processes, and its own streams."""

# The linter does not know our stand-in for typing.overload.
# ruff: noqa: D102, F811

from __future__ import annotations

import os

from fastbox.errors import StateConflict
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, overload

    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.process import Ends, Process
    from fastbox.containers.service import Containers
    from fastbox.containers.tied import Tie
    from fastbox.store.containers import ContainerRecord
    from fastbox.types import ExecResult
else:

    def overload(function):  # noqa: D103
        return function


class Running:
    """The half of `Container` that needs it to run.

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

    def _watching(self) -> Conversation | None:
        """The conversation that tells its exit; None when it does not run."""
        watch = self._watch
        if watch is None or (watch.fd < 0 and watch.ended is None):
            from fastbox.containers import watch as watching

            watch = self._watch = watching.watch(self._service, self.id)
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
        tie = None if tty else self._tie  # a terminal's last output may not be delivered yet
        conversation = tie.talk(self._ran().supervisor) if tie else self._talk()
        try:
            done = execs.run(conversation, self.id, text, data=input, tty=tty, timeout=timeout)
        except BaseException:
            conversation.close()
            raise
        if tie is None:
            conversation.close()
        else:
            tie.leave(conversation)
        return done

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
        from fastbox.containers import watch as watching

        ends, self._streams = self._streams, None
        return ends or watching.attach(self._service, self.id)


def _wishes(
    env: Mapping[str, str] | Sequence[str], user: str | None, workdir: str, tty: bool,
    privileged: bool,
) -> ExecKeywords:  # fmt: skip
    pairs = tuple(f"{k}={v}" for k, v in env.items()) if hasattr(env, "items") else tuple(env)
    return {"env": pairs, "user": user, "workdir": workdir, "tty": tty, "privileged": privileged}
