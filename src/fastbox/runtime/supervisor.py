"""Talking to supervisors: one conversation per connection.

The protocol is in ARCHITECTURE.md. Waiting is done by `poll` in Python, so that a signal's handler
runs at once.
"""

from __future__ import annotations

import _thread
import os
import select
import time

from fastbox import _native
from fastbox.errors import EngineUnavailable, FastboxError, StateConflict, Timeout, launch_error
from fastbox.support import forks, json, paths
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Self

PROGRAM = "fastbox-supervisor"
_ANSWER_SECONDS = 120.0
_ESRCH, _ENOENT, _EBUSY = 3, 2, 16


class Exit(Record):
    """The exit event: how a container or an exec ended."""

    code: int
    signal: int = 0
    oom: bool = False
    timed_out: bool = False  # an exec that was killed since its time was over
    cpu: float = 0.0  # of an exec: seconds
    memory: int = 0  # of an exec: bytes


class SupervisorGone(EngineUnavailable):
    """The supervisor's conversation has ended: it was killed, or it had nothing left to do."""


class Conversation:
    """One connection to a supervisor: a request and its answer, then perhaps an exit event."""

    __slots__ = ("__weakref__", "_asked", "_ended", "_reading", "fd", "run", "supervisor")

    def __init__(self, run: str, supervisor: str) -> None:
        try:
            self.fd = _native.connect(run, supervisor)
        except OSError as error:
            raise SupervisorGone(f"the supervisor {supervisor} is gone") from error
        self.run, self.supervisor = run, supervisor
        self._asked: Mapping[str, object] = {}
        self._ended: Exit | None = None
        self._reading = _thread.allocate_lock()
        forks.own(self)

    def send(
        self, message: Mapping[str, object], fds: Sequence[int] = (), document: bytes = b""
    ) -> None:
        """Send a request that is answered by its exit event; the descriptors stay ours.

        Raises:
            SupervisorGone: The connection ended.
        """
        self._asked = message
        text = json.dumps_bytes(message)
        try:
            _native.send(self.fd, b"%b\0%b" % (text, document) if document else text, fds)
        except OSError as error:
            raise SupervisorGone(f"the supervisor {self.supervisor} is gone") from error

    def ask(
        self, message: Mapping[str, object], fds: Sequence[int] = (), document: bytes = b""
    ) -> dict[str, Any]:
        """Send a request, return the answer; the descriptors stay ours.

        Raises:
            LaunchError: A launch or exec failed.
            StateConflict: The container or exec is not there (any more).
            SupervisorGone: The connection ended.
        """
        self.send(message, fds, document)
        return self._checked(self._receive(_ANSWER_SECONDS))

    def wait(self, timeout: float | None = None) -> Exit:
        """The exit event; asked again it is the same. Any number of threads may wait.

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It did not come in time.
            SupervisorGone: The connection ended before it came.
            LaunchError: An exec that was only sent failed; StateConflict as for `ask`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._reading.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            raise Timeout(f"the process did not end within {timeout:g} s")
        try:
            if self._ended is None:
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                told = self._receive(left, what="the process did not end")
                self._ended = as_exit(self._checked(told))
            return self._ended
        finally:
            self._reading.release()

    def wait_start(self, container: str, timeout: float | None = None) -> None:
        """After a restart was asked for: until it runs.

        Raises:
            LaunchError: It could not be started.
            StateConflict: It was stopped meanwhile.
            Timeout: It did not come in time.
        """
        told = self._receive(timeout, what="the container did not start again")
        failed = told.get("error")
        if isinstance(failed, dict):
            operation = "restart" if failed.get("stage") == "request" else "launch"
            raise _error(failed, {"op": operation, "id": container})

    def renew(self) -> None:
        """Its exit event is received: it may be about another process now."""
        self._ended = None

    @property
    def ended(self) -> Exit | None:
        """The exit event, if it was received."""
        return self._ended

    @ended.setter
    def ended(self, event: Exit) -> None:
        self._ended = event

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        failed = answer.get("error")
        if isinstance(failed, dict):
            raise _error(failed, self._asked)
        return answer

    def _receive(
        self, timeout: float | None, what: str = "the supervisor did not answer"
    ) -> dict[str, Any]:
        if timeout != 0:
            poll = select.poll()
            poll.register(self.fd, select.POLLIN)
            poll.poll(None if timeout is None else timeout * 1000)
        try:
            data = _native.receive(self.fd, 0)
        except TimeoutError as error:
            raise Timeout(f"{what} within {timeout:g} s") from error
        except OSError as error:
            raise SupervisorGone(f"the supervisor {self.supervisor} is gone") from error
        if not data:
            raise SupervisorGone(f"the supervisor {self.supervisor} is gone")
        return json.loads_own(data)

    def close(self) -> None:
        """End the conversation; what it was about goes on."""
        forks.disown(self)
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # Who forgets one has let go of it: an exec that is tied ends with its conversation.
        if getattr(self, "fd", -1) >= 0:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def as_exit(event: Mapping[str, object]) -> Exit:
    """The exit event as a record."""
    code, signal = event.get("code"), event.get("signal")
    cpu, memory = event.get("cpu", 0), event.get("memory", 0)
    if event.get("event") != "exit" or not (
        isinstance(code, int) and isinstance(signal, int)
        and isinstance(cpu, int) and isinstance(memory, int)
    ):  # fmt: skip
        raise EngineUnavailable("the supervisor sent something else than an exit")
    return Exit(
        code=code, signal=signal, oom=event.get("oom") is True,
        timed_out=event.get("timed_out") is True, cpu=cpu / 1e6, memory=memory,
    )  # fmt: skip


def _error(failed: dict[str, object], message: Mapping[str, object]) -> FastboxError:
    operation, container = message["op"], str(message.get("id", ""))
    errno = failed.get("code")
    if operation == "launch":
        return launch_error(failed, container)
    if errno in (_ESRCH, _ENOENT) and failed.get("stage") == "request":
        return StateConflict(
            f"container {container[:12]} is not running", hint="start it with `fastbox start`"
        )
    if errno == _EBUSY and failed.get("stage") == "request":
        return StateConflict(f"container {container[:12]}: {failed.get('detail')}")
    if operation == "exec":
        return launch_error(failed, container, "exec in")
    why = failed.get("detail") or os.strerror(int(str(errno or 0))).lower()
    return FastboxError(f"cannot {operation} container {container[:12]}: {why}")


def spawn(run: str, *, tied: bool) -> str:
    """Start a supervisor, return its name."""
    program = paths.libexec(PROGRAM)
    try:
        return _native.spawn_supervisor(program, run, tied)[1]
    except OSError as error:
        why = getattr(error, "detail", "") or (error.strerror or str(error)).lower()
        call = getattr(error, "call", "") or "spawn"
        raise EngineUnavailable(
            f"cannot start a supervisor: {call}: {why}", where=getattr(error, "path", "")
        ) from error


def sync(run: str, name: str) -> None:
    """Wait until a supervisor has released all that has ended; one that is gone has."""
    held_by(run, name)


def held_by(run: str, name: str) -> int:
    """How many containers a supervisor has, once it has released all that has ended; 0 when it is
    gone.
    """
    try:
        with Conversation(run, name) as conversation:
            return int(conversation.ask({"op": "sync"}).get("held", 0))
    except (SupervisorGone, Timeout):
        return 0
