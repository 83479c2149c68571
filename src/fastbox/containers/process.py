"""A process in a container whose streams are in our hands: an exec that is written to and read from
while it runs, or the container's own.
"""

from __future__ import annotations

import io
import os

from fastbox.containers.attachment import Streams
from fastbox.errors import FastboxError, InvalidArgument
from fastbox.runtime.supervisor import Conversation, SupervisorGone
from fastbox.support import forks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, AnyStr, Generic, Self
else:
    AnyStr = None

    class Generic:  # the real one is in `typing`, which costs a start 7 ms
        """Stands in for typing.Generic."""

        __slots__ = ()

        def __class_getitem__(cls, _: object) -> type:
            return cls


PIPE, STDOUT, DEVNULL = -1, -2, -3  # the standard library's numbers
_KILL_SECONDS = 30.0


class Ends:
    """One process of a container as its supervisor knows it, and our ends of its pipes: what the
    blocking and the asyncio process have in common.
    """

    __slots__ = ("container", "conversation", "number", "streams")

    def __init__(
        self, container: str, conversation: Conversation, streams: Streams, number: str | None
    ) -> None:
        self.container, self.conversation, self.streams = container, conversation, streams
        self.number = number  # of the exec; None: the container's own process

    def ask(self, operation: str, **members: object) -> None:
        """A short request about it, on a connection of its own: the answer must not come among its
        events.
        """
        message: dict[str, object] = {"op": operation, "id": self.container, **members}
        if self.number is not None:
            message["exec"] = self.number
        with Conversation(self.conversation.run, self.conversation.supervisor) as other:
            other.ask(message)

    def signal(self, signal: int | str) -> None:
        """Send a signal; one that has ended is let be. SIGKILL ends all that an exec started."""
        from fastbox.support import signals

        number = signals.number(signal)
        try:
            self.ask("kill", signal=number)
        except FastboxError as error:
            if error.http_status not in (409, 503):
                raise

    def end(self) -> None:
        """Kill an exec that still runs, with all that it has started, and wait until that is done;
        the container's own process is let go. Close what is ours.
        """
        try:
            if self.number is not None and self.conversation.ended is None:
                self.streams.close()  # who waits for a reader is not helped by a kill alone
                self.signal("KILL")
                try:
                    self.conversation.wait(_KILL_SECONDS)
                except SupervisorGone:
                    pass
        finally:
            self.close()

    def close(self) -> None:
        """Close what is ours: an exec that still runs is killed by its supervisor then."""
        self.streams.close()
        self.conversation.close()


def stream_plan(stdin: int | None, stdout: int | None, stderr: int | None, tty: bool) -> Streams:
    """Pipes for the streams that are wanted; a terminal has no stderr of its own.

    Raises:
        InvalidArgument: None of PIPE, DEVNULL and, for stderr, STDOUT.
    """
    for name, value, known in (
        ("stdin", stdin, (None, PIPE, DEVNULL)),
        ("stdout", stdout, (None, PIPE, DEVNULL)),
        ("stderr", stderr, (None, PIPE, STDOUT, DEVNULL)),
    ):
        if value not in known:
            raise InvalidArgument(
                f"{name}={value!r} is none of PIPE, DEVNULL and STDOUT",
                hint="a container never gets a descriptor of the host's",
            )
    names = ["stdin"] if stdin == PIPE else []
    if stdout == PIPE:
        names.append("stdout")
    if stderr == PIPE and not tty:
        names.append("stderr")
    streams = Streams(names)
    if stderr == STDOUT and stdout == PIPE and not tty:
        streams.names.append("stderr")
        try:
            streams.theirs.append(os.dup(streams.theirs[-1]))
        except OSError:
            streams.close()
            raise
    return streams


class _Through(io.BufferedWriter):
    """Each write goes out whole and at once: who forgot to flush would wait for ever."""

    def write(self, data: Any, /) -> int:
        """Write all of it."""
        written = super().write(data)
        self.flush()
        return written


def _file(fd: int, writing: bool, encoding: str | None) -> IO[Any]:
    raw = io.FileIO(fd, "w" if writing else "r")
    file: IO[Any] = _Through(raw) if writing else io.BufferedReader(raw)
    if encoding is None:
        return file
    return io.TextIOWrapper(
        file, encoding=encoding, errors="replace", newline="", write_through=writing
    )


class Process(Generic[AnyStr]):
    """A running process, as the standard library's Popen: its streams are files, binary or text.

    A context manager: an exec that still runs on exit from `with` is killed, with all that it has
    started; of a container's own process (`Container.attach`) only the streams are let go.
    """

    __slots__ = ("__weakref__", "_ends", "_files")

    def __init__(self, ends: Ends, encoding: str | None) -> None:
        self._ends = ends
        self._files: dict[str, IO[Any]] = {}
        for name in tuple(ends.streams.ours):
            fd = ends.streams.ours.pop(name)
            self._files[name] = _file(fd, name == "stdin", encoding)
        forks.own(self)

    def _file(self, name: str) -> IO[Any]:
        if name not in self._files:
            raise InvalidArgument(f"{name} is no pipe of ours", hint=f"ask for it: {name}=PIPE")
        return self._files[name]

    @property
    def stdin(self) -> IO[AnyStr]:
        """What it reads; closing it is its end of file. Each write goes out at once."""
        return self._file("stdin")

    @property
    def stdout(self) -> IO[AnyStr]:
        """What it writes, and, with a terminal, its errors, too."""
        return self._file("stdout")

    @property
    def stderr(self) -> IO[AnyStr]:
        """What it writes to its stderr."""
        return self._file("stderr")

    @property
    def returncode(self) -> int | None:
        """Its exit code once `wait` or `poll` has noticed its end; 128+n after signal n."""
        ended = self._ends.conversation.ended
        return None if ended is None else ended.code

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        from fastbox.errors import Timeout

        try:
            return self.wait(0)
        except Timeout:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code. Read its streams first, or it may never end.

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It still runs.
        """
        return self._ends.conversation.wait(timeout).code

    def kill(self, signal: int | str = "KILL") -> None:
        """Send it a signal; KILL ends all that an exec has started. Nothing when it has ended."""
        self._ends.signal(signal)

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal another size.

        Raises:
            FastboxError: It has none.
        """
        self._ends.ask("resize", rows=rows, cols=columns)

    def close(self) -> None:
        """Let go of it: its streams are closed, and an exec that still runs is killed, which is not
        waited for.
        """
        forks.disown(self)
        self._close_files()
        self._ends.close()

    def _close_files(self) -> None:
        for file in self._files.values():
            try:
                file.close()
            except BrokenPipeError:
                pass  # it ended with input unread

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        forks.disown(self)
        self._close_files()
        self._ends.end()
