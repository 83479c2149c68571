"""Waiting until a container is ready. A condition says what to look at next; who waits, blocking or
in asyncio, sleeps and runs commands for it, and watches the container's end meanwhile.
"""

from __future__ import annotations

import select
import time

from fastbox.errors import FastboxError, NotReady, StateConflict, Timeout
from fastbox.runtime.supervisor import SupervisorGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from fastbox.containers.container import Container
    from fastbox.types import ExecResult

    # What a condition asks for, seconds to sleep or a command to run, and what it is told: the
    # command's result, or None after a sleep.
    Steps = Generator["float | Exec", ExecResult | None, None]

TAIL_LINES = 20
_QUICKEST, _SLOWEST = 0.001, 0.02


class Exec:
    """A command that a condition wants to be run in the container."""

    __slots__ = ("argv", "timeout")

    def __init__(self, argv: Sequence[str], timeout: float | None) -> None:
        self.argv, self.timeout = argv, timeout


class Condition:
    """Something that a container can be waited for to be."""

    __slots__ = ()

    def steps(self, container: Container) -> Steps:
        """Yield what to wait for or to run; return when it is met. After the container's end it is
        asked once more: what it wrote last may be what is waited for.
        """
        raise NotImplementedError

    def __str__(self) -> str:
        return type(self).__name__.lower()


def pause(begun: float) -> float:
    """Seconds to sleep between two looks: 2 % of the time it took so far, within 1 and 20 ms."""
    return min(max((time.monotonic() - begun) / 50, _QUICKEST), _SLOWEST)


class Wait:
    """One wait: advances a condition, knows the deadline and the error."""

    __slots__ = ("_condition", "_container", "_deadline", "_last", "_steps", "_timeout", "over")

    def __init__(self, container: Container, condition: Condition, timeout: float) -> None:
        self._container, self._condition, self._timeout = container, condition, timeout
        self._deadline = time.monotonic() + timeout
        self._steps = condition.steps(container)
        self._last: ExecResult | FastboxError | None = None
        self.over = False

    def next(self, answer: ExecResult | None = None) -> float | Exec | None:
        """What to do next, or None when it is ready."""
        try:
            step = self._steps.send(answer)
        except StopIteration:
            return None
        if isinstance(step, Exec):
            return step
        return min(step, max(self._deadline - time.monotonic(), 0))

    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._deadline

    def note(self, last: ExecResult | FastboxError) -> None:
        """What the last command said, for the error."""
        self._last = last

    def error(self, exit_code: int | None) -> NotReady:
        """The error: it ended with a code, or is late."""
        what = f"{self._condition}: not within {self._timeout:g} s"
        if exit_code is not None:
            what = f"{self._condition}: the container ended before, with code {exit_code}"
        said = getattr(self._last, "stderr", b"") or getattr(self._last, "stdout", b"")
        if said:
            what += f"; its last command said: {said[-300:].decode('utf-8', 'replace').strip()}"
        elif isinstance(self._last, FastboxError):
            what += f"; its last command: {self._last}"
        return NotReady(
            what, where=f"container {self._container.name}", exit_status=exit_code,
            tail=last_lines(self._container),
        )  # fmt: skip


def last_lines(container: Container, count: int = TAIL_LINES) -> str:
    """The last lines of its log, as text."""
    try:
        return "\n".join(line.text for line in container.logs(tail=count))
    except FastboxError:
        return ""


def wait(container: Container, condition: Condition, timeout: float) -> None:
    """Wait for a condition.

    Raises:
        NotReady: The container ended before, or the time is over.
    """
    waiting = Wait(container, condition, timeout)
    step = waiting.next()
    ended: int | None = None
    while step is not None:
        if ended is not None or waiting.late():
            raise waiting.error(ended)
        if isinstance(step, Exec):
            step = waiting.next(run(container, waiting, step))
        else:
            ended = exit_within(container, step)
            step = waiting.next()


def run(container: Container, waiting: Wait, step: Exec) -> ExecResult | None:
    """Run a condition's command; None when it can't be run."""
    try:
        result = container.exec(step.argv, timeout=step.timeout)
    except (StateConflict, SupervisorGone):
        return None
    except (FastboxError, Timeout) as error:
        waiting.note(error)
        return None
    waiting.note(result)
    return result


def exit_within(container: Container, seconds: float) -> int | None:
    """Sleep, but no longer than the container lives; its exit code when that was it."""
    watch = container._watching()
    if watch is None:
        return container.info.exit_code
    if watch.ended is None:
        poll = select.poll()
        poll.register(watch.fd, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
    try:
        return watch.wait(0).code
    except Timeout:
        return None
    except SupervisorGone:
        return 137
