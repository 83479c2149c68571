"""A client's hold on a running process: our ends of its pipes, and the conversation that tells its
exit.
"""

from __future__ import annotations

import errno
import os

from fastbox import _native
from fastbox.errors import StateConflict
from fastbox.runtime.supervisor import Conversation, SupervisorGone, as_exit, sync
from fastbox.support import forks, json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from fastbox.containers.heal import View
    from fastbox.containers.process import Ends

DETACH_KEYS = b"\x10\x11"  # ctrl-p ctrl-q


def stream_names(interactive: bool, tty: bool, only: Sequence[str] = ()) -> list[str]:
    """Which streams a client holds: a terminal has no stderr of its own; of those in `only`, unless
    it is empty.
    """
    names = [*(["stdin"] if interactive else []), "stdout", *([] if tty else ["stderr"])]
    return [name for name in names if name in only] if only else names


class AttachEnd(Record):
    """How carrying ended: `kind` is "exit" (then the rest counts), "detached" or "lost" (its
    supervisor died).
    """

    kind: str
    code: int = 0
    signal: int = 0
    oom: bool = False


class Streams:
    """Pipes for some of the streams: `ours` stay here, `theirs` go to the supervisor."""

    __slots__ = ("__weakref__", "names", "ours", "theirs")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.ours: dict[str, int] = {}
        self.theirs: list[int] = []
        forks.own(self)
        try:
            for name in names:
                reading, writing = os.pipe2(os.O_CLOEXEC)
                ours, theirs = (writing, reading) if name == "stdin" else (reading, writing)
                self.ours[name] = ours
                self.theirs.append(theirs)
        except OSError:
            self.close()
            raise

    def sent(self) -> None:
        """The other ends are the supervisor's now: an end of file is seen only when ours are
        closed.
        """
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def end(self, name: str) -> int:
        """Our end, or -1."""
        return self.ours.get(name, -1)

    def drop(self, name: str) -> None:
        """Close one of our ends."""
        fd = self.ours.pop(name, -1)
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Close all that is still open."""
        forks.disown(self)
        self.sent()
        for name in list(self.ours):
            self.drop(name)

    def __del__(self) -> None:
        if self.ours or self.theirs:
            self.close()


def converse(run: str, view: View) -> Conversation:
    """A conversation with the supervisor of a container that runs.

    Raises:
        StateConflict: It runs no more.
    """
    if view.live is None:
        raise not_running(view.id, view.id[:12])
    try:
        return Conversation(run, view.live.supervisor)
    except SupervisorGone:
        raise not_running(view.id, view.id[:12]) from None


def not_running(container: str, reference: str) -> StateConflict:
    """The error for a container that would have to run; `reference` is what the caller called
    it.
    """
    return StateConflict(
        f"container {container[:12]} is not running",
        hint=f"start it with `fastbox start {reference}`",
    )


class Attachment:
    """A process in the foreground. Close it, or use it as a context manager."""

    __slots__ = ("_conversation", "_exec", "_streams", "_terminal", "id")

    def __init__(
        self,
        container: str,
        conversation: Conversation,
        streams: Streams,
        *,
        terminal: bool,
        exec_id: str | None = None,
    ) -> None:
        self.id = container
        self._conversation, self._streams = conversation, streams
        self._terminal, self._exec = terminal, exec_id

    def carry(self, *, detach_keys: bytes = DETACH_KEYS, forward_signals: bool = True) -> AttachEnd:
        """Carry bytes between our 0, 1, 2 and the process until it ends, the keys are typed, or its
        supervisor is lost.

        Args:
            detach_keys: Typed on a terminal, they let go of the process; b"" for none.
            forward_signals: Send the signals that we get (SIGINT, SIGTERM ...) on to the process.

        Raises:
            BrokenPipeError: Nobody reads our own output any more; the process goes on.
        """
        streams = self._streams
        try:
            end, event = _native.attach(
                self._conversation.fd,
                streams.end("stdin"),
                streams.end("stdout"),
                streams.end("stderr"),
                self._terminal,
                forward_signals,
                self.id,
                self._exec,
                detach_keys,
            )
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise BrokenPipeError(error.errno, error.strerror) from error
            raise
        # The native side closes the ends it has finished with no more than we do: they stay ours.
        if end == 1:
            ended = as_exit(json.loads_object(event))
            return AttachEnd(kind="exit", code=ended.code, signal=ended.signal, oom=ended.oom)
        return AttachEnd(kind="detached" if end == 2 else "lost")

    def await_release(self) -> bool:
        """After the exit of a container: until its supervisor has given back what it held. An exec
        holds nothing: false.
        """
        if self._exec is None:
            sync(self._conversation.run, self._conversation.supervisor)
        return self._exec is None

    def ends(self) -> Ends:
        """Conversation and pipes, for who carries the bytes himself."""
        from fastbox.containers.process import Ends

        return Ends(self.id, self._conversation, self._streams, self._exec)

    def close(self) -> None:
        """Let go; the process goes on."""
        self._streams.close()
        self._conversation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
