"""Stages side by side: each goes on as far as it can; one that needs another's files waits until
that has ended. The first failure stops all.
"""

from __future__ import annotations

import os
import threading
from collections import deque

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
    """Drives the courses of the stages that are needed, with so many threads."""

    __slots__ = (
        "_changed", "_courses", "_ended", "_error", "_left", "_ready", "_stop", "_threads",
        "_waiting",
    )  # fmt: skip

    def __init__(self, courses: Mapping[int, Course], stop: Stop, threads: int) -> None:
        self._courses, self._stop = courses, stop
        self._changed = threading.Condition()
        self._ready: deque[int] = deque(sorted(courses))
        self._waiting: dict[int, list[int]] = {}  # a stage: those that wait for it
        self._ended: set[int] = set()
        self._left = len(courses)
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._work, daemon=True)
            for _ in range(min(threads, len(courses)))
        ]

    def run(self) -> None:
        """Until all have ended, or one has failed and the others have stopped.

        Raises:
            BaseException: What the first that failed raised.
        """
        for thread in self._threads:
            thread.start()
        try:
            with self._changed:
                while self._left and self._error is None:
                    self._changed.wait(0.5)  # a signal's handler runs between two waits
        except BaseException as error:
            self._fail(error)
        for thread in self._threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._error is None or isinstance(self._error, Canceled):
                self._error = error
            self._stop.set()
            self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            while not self._ready:
                if not self._left or self._error is not None:
                    return None
                self._changed.wait()
            return None if self._error is not None else self._ready.popleft()

    def _work(self) -> None:
        while (number := self._next()) is not None:
            try:
                if self._advance(number):
                    self._end(number)
            except BaseException as error:
                self._fail(error)
                return

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
        with self._changed:
            missing = next((need for need in needs if need not in self._ended), None)
            if missing is None:
                return True
            self._waiting.setdefault(missing, []).append(number)
            return False

    def _end(self, number: int) -> None:
        with self._changed:
            self._ended.add(number)
            self._left -= 1
            self._ready.extend(self._waiting.pop(number, ()))
            self._changed.notify_all()
