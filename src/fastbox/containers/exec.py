"""Another process in a running container: its document, its pipes, its end."""

from __future__ import annotations

import io
import os
import select
import time

from fastbox.containers.attachment import Streams
from fastbox.errors import Timeout
from fastbox.runtime.process import exec_document
from fastbox.support import clock, json
from fastbox.types import ExecResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypedDict

    from fastbox.runtime.supervisor import Conversation, Exit

    class ExecKeywords(TypedDict, total=False):
        """How another process may differ from the container's own."""

        env: Sequence[str]  # more variables, "NAME=value"
        user: str | None  # None: the container's
        workdir: str  # "": the container's
        tty: bool
        privileged: bool  # every capability, no filter


MAX_BUNDLE = 4 << 20
_CHUNK = 65536  # what a pipe holds
_WIDE = 1 << 20  # the most that a pipe may be made to hold by anybody
_READ = 1 << 18  # in pieces that stay in a processor's cache
_KILL_SECONDS = 10.0  # after a time limit: what is killed dies at once, but for a disk or a network
_LEAST_SECONDS = 0.001
_INLINE = 32768  # of 65536 that a message may have


def read_bundle(directory: str) -> dict[str, Any]:
    """The container's config.json.

    Raises:
        OSError: It can't be read; ValueError when it is damaged.
    """
    with open(directory + "/config.json", "rb") as file:
        return json.loads_object(file.read(MAX_BUNDLE))


def document(bundle: Mapping[str, Any], argv: Sequence[str], wishes: ExecKeywords) -> bytes:
    """The exec document for a container with this bundle.

    Raises:
        InvalidArgument: No command, or a wish that can't be met.
    """
    made = exec_document(bundle["process"], bundle["fastbox"], argv, **wishes)
    return json.dumps(made).encode("utf-8", "surrogateescape")


def begin(
    conversation: Conversation,
    container: str,
    text: bytes,
    streams: Streams,
    *,
    rows: int = 0,
    columns: int = 0,
    detach: bool = False,
    tied: bool = False,
    timeout: float | None = None,
    quiet: bool = False,
) -> str:
    """Start the process, return the exec's number, "" for a quiet one.

    Args:
        conversation: Which gets the exit event, unless detached.
        container: Its id.
        text: The exec document.
        streams: Whose other ends it gets.
        rows: Of its terminal.
        columns: Of its terminal.
        detach: Nobody waits for it.
        tied: The end of the conversation kills it, with all that it has started.
        timeout: Seconds until it is killed, with all that it has started; the exit event says so.
        quiet: There is no answer when it has started: `wait` for the end also tells an error. Our
            copies of the ends that it writes to stay open, so that their end does not wake us just
            before the exit event does.

    Raises:
        LaunchError: It can't be started; CommandNotFound, NotExecutable.
        StateConflict: The container does not run.
    """
    message: dict[str, object] = {"op": "exec", "id": container, "streams": streams.names}
    if rows > 0 and columns > 0:
        message |= {"rows": rows, "cols": columns}
    if detach:
        message["detach"] = True
    if tied:
        message["tied"] = True
    if timeout is not None:
        message["timeout"] = max(timeout, _LEAST_SECONDS)
    if clock.wanted():
        message["clocks"] = True
    if quiet:
        message["quiet"] = True
    fds, memory = tuple(streams.theirs), -1
    try:
        if len(text) > _INLINE:
            memory, text = _memory(text), b""
            fds = (memory, *fds)
        if quiet:
            conversation.send(message, fds, text)
            return ""
        answer = conversation.ask(message, fds, text)
    finally:
        if memory >= 0:
            os.close(memory)
        if not quiet or "stdin" in streams.names:
            streams.sent()
    clock.started("launch", answer | {"id": container})
    return str(answer.get("exec", ""))


def _memory(text: bytes) -> int:
    """A document that is too long for a message, as a file."""
    memory = os.memfd_create("exec", os.MFD_CLOEXEC)
    os.write(memory, text)
    return memory


def run(
    conversation: Conversation,
    container: str,
    text: bytes,
    *,
    data: bytes | None,
    tty: bool,
    timeout: float | None,
) -> ExecResult:
    """Run it to its end and collect what it wrote.

    Raises:
        Timeout: It did not end in time; it was killed, with all that it had started.
    """
    started = time.monotonic()
    names = [] if data is None else ["stdin"]
    streams = Streams([*names, "stdout"] if tty else [*names, "stdout", "stderr"])
    try:
        quiet = not clock.wanted()
        begin(conversation, container, text, streams, tied=True, timeout=timeout, quiet=quiet)
        collector = _Collector(conversation, streams, data or b"")
        limit = None if timeout is None else started + timeout + _KILL_SECONDS
        ended = conversation.wait(0) if collector.collect(limit) else None
        outputs = collector.output("stdout"), collector.output("stderr")
        return result(ended, outputs, started, timeout, container)
    finally:
        streams.close()


def result(
    ended: Exit | None,
    outputs: tuple[bytes, bytes],
    started: float,
    timeout: float | None,
    container: str,
) -> ExecResult:
    """What became of it; `ended` is None when its end was waited for in vain.

    Raises:
        Timeout: It did not end in time.
    """
    if ended is None or ended.timed_out:
        raise Timeout(f"the command did not end within {timeout:g} s", where=container[:12])
    return ExecResult(
        exit_code=ended.code, signal=ended.signal, stdout=outputs[0], stderr=outputs[1],
        duration=time.monotonic() - started, cpu=ended.cpu, memory=ended.memory,
    )  # fmt: skip


class _Collector:
    """Feeds stdin and gathers output until the exit event, then what is left in the pipes: others
    may hold them open.
    """

    def __init__(self, conversation: Conversation, streams: Streams, data: bytes) -> None:
        self._conversation, self._streams = conversation, streams
        self._input = memoryview(data)
        # Of what it holds a whole is made without a copy.
        self._output = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
        self._room: memoryview | None = None  # where much output is read to
        self._poll = select.poll()
        self._poll.register(conversation.fd, select.POLLIN)
        self._names = {}
        for name, fd in streams.ours.items():
            os.set_blocking(fd, False)
            self._names[fd] = name
            self._poll.register(fd, select.POLLOUT if name == "stdin" else select.POLLIN)

    def output(self, name: str) -> bytes:
        """What it wrote, all of it once it has ended."""
        return self._output[name].getvalue()

    def collect(self, deadline: float | None) -> bool:
        """Until the exit event; False when the deadline came first."""
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0) * 1000
            ready = self._poll.poll(left)
            if not ready:
                return False
            ended = False
            for fd, _ in ready:
                if fd == self._conversation.fd:
                    ended = True
                elif self._names[fd] == "stdin":
                    self._feed(fd)
                else:
                    self._gather(fd)
            if ended:
                self._conversation.wait(0)
                # The kernel looked at the conversation first: what is left is in pipes it named.
                for fd, _ in ready:
                    while self._names.get(fd, "stdin") != "stdin" and self._gather(fd):
                        pass
                return True

    def _feed(self, fd: int) -> None:
        try:
            self._input = (
                self._input[os.write(fd, self._input[:_CHUNK]) :] if self._input else self._input
            )
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = self._input[:0]
        if not self._input:
            self._finish(fd)

    def _gather(self, fd: int) -> bool:
        """Read once; False when there is nothing more, now or ever."""
        output = self._output[self._names[fd]]
        try:
            if self._room is None:
                count = output.write(os.read(fd, _CHUNK))
            else:
                count = output.write(self._room[: os.readv(fd, (self._room,))])
        except BlockingIOError:
            return False
        if count == _CHUNK and self._room is None:
            self._widen()
        if not count:
            self._finish(fd)
        return bool(count)

    def _widen(self) -> None:
        """Its pipe was full: more will come, in larger pieces."""
        import fcntl

        self._room = memoryview(bytearray(_READ))
        for fd in self._streams.ours.values():
            try:
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _WIDE)
            except OSError:  # all the user's pipes together hold too much already
                pass

    def _finish(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._streams.drop(self._names.pop(fd))
