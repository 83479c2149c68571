"""Stages side by side: each goes on as far as it can; one that needs another's files waits until
that has ended. The first failure stops all.
"""

from __future__ import annotations

import _thread
import os

from fastbox.builder.telling import Canceled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Course(Protocol):
        """What the solver drives: one stage's way through its steps."""

        def waits_for(self) -> frozenset[int]:
            """The stages that its next step needs."""

        def step(self) -> bool:
            """Make the next step; False after the last."""


class Stop:
    """That a build is to end, for who looks (`stopped`) and who sleeps (`fd` is readable)."""

    __slots__ = ("_writer", "fd", "stopped")

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.stopped = False

    def set(self) -> None:
        """It is to end now."""
        if not self.stopped:
            self.stopped = True
            if self._writer >= 0:
                os.write(self._writer, b"x")

    def check(self) -> None:
        """
        Raises:
            Canceled: It is to end.
        """
        if self.stopped:
            raise Canceled

    def close(self) -> None:
        """Nobody looks any more."""
        fd, writer = self.fd, self._writer
        self.fd = self._writer = -1
        for each in (fd, writer):
            if each >= 0:
                os.close(each)


class Solver:
    """Drives the courses of the stages that are needed, in so many threads."""

    __slots__ = (
        "_courses", "_ended", "_error", "_lock", "_over", "_ready", "_running", "_stop",
        "_threads", "_waiting",
    )  # fmt: skip

    def __init__(self, courses: Mapping[int, Course], stop: Stop, threads: int) -> None:
        self._courses, self._stop, self._threads = courses, stop, threads
        self._lock, self._over = _thread.allocate_lock(), _thread.allocate_lock()
        self._ready = sorted(courses)
        self._waiting: dict[int, list[int]] = {}  # a stage: those that wait for it
        self._ended: set[int] = set()
        self._running = 0  # threads
        self._error: BaseException | None = None

    def run(self) -> None:
        """Until all have ended, or one has failed and the others have stopped.

        Raises:
            BaseException: What the first that failed raised.
        """
        self._over.acquire()  # until the last thread is done
        try:
            with self._lock:
                self._start()
            while not self._over.acquire(timeout=0.5):
                pass  # a signal's handler runs between two waits
        except BaseException as error:
            self._fail(error)
            if self._running:
                self._over.acquire()
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        """A thread for each stage that can go on, as far as there may be more; with the lock."""
        while self._ready and self._running < self._threads:
            _thread.start_new_thread(self._work, (self._ready.pop(0),))
            self._running += 1

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None or isinstance(self._error, Canceled):
                self._error = error
            self._stop.set()

    def _next(self) -> int | None:
        """A stage to go on with; None: nothing for this thread, which ends."""
        with self._lock:
            if self._ready and self._error is None:
                return self._ready.pop(0)
            self._running -= 1
            if not self._running:
                self._over.release()
            return None

    def _work(self, number: int | None) -> None:
        while number is not None:
            try:
                if self._advance(number):
                    self._end(number)
            except BaseException as error:
                self._fail(error)
            number = self._next()

    def _advance(self, number: int) -> bool:
        """Go on with a stage; False: it waits for another."""
        course = self._courses[number]
        while True:
            self._stop.check()
            needs = course.waits_for()
            if needs and not self._has(number, needs):
                return False
            if not course.step():
                return True

    def _has(self, number: int, needs: frozenset[int]) -> bool:
        with self._lock:
            missing = next((need for need in needs if need not in self._ended), None)
            if missing is None:
                return True
            self._waiting.setdefault(missing, []).append(number)
            return False

    def _end(self, number: int) -> None:
        with self._lock:
            self._ended.add(number)
            self._ready += self._waiting.pop(number, ())
            self._start()
