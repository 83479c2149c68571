"""Telling whoever watches a build: vertices are numbered in the order in which they begin."""

from __future__ import annotations

import _thread
import time

from fastbox.builds import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


class Teller:
    """Where events go, one at a time."""

    __slots__ = ("_count", "_lock", "_watch")

    def __init__(self, watch: Callable[[Event], None] | None) -> None:
        self._watch, self._lock, self._count = watch, _thread.allocate_lock(), 0

    def vertex(self, name: str, stage: str = "") -> Vertex:
        """One more vertex, which begins now."""
        with self._lock:
            self._count += 1
            vertex = Vertex(self, self._count, name)
            self._tell(Event(kind="start", step=self._count, name=name, stage=stage))
        return vertex

    def tell(self, event: Event) -> None:
        """Something happened."""
        with self._lock:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        if self._watch is not None:
            self._watch(event)


class Vertex:
    """One thing that a build does, as people see it. A `with` block: it ends as the block does.

    Attributes:
        number: From 1.
        seconds: How long it took, once it is over.
        status: done, cached, failed or canceled, once it is over.
        tail: The last of what it wrote.
    """

    __slots__ = ("_began", "_name", "_teller", "number", "seconds", "status", "tail")

    def __init__(self, teller: Teller, number: int, name: str) -> None:
        self._teller, self.number, self._name = teller, number, name
        self._began = time.monotonic()
        self.seconds, self.status, self.tail = 0.0, "", b""

    def output(self, stream: int, data: bytes) -> None:
        """It wrote something."""
        self.tail = (self.tail + data)[-8192:]
        self._teller.tell(
            Event(kind="output", step=self.number, name=self._name, stream=stream, data=data)
        )

    def note(self, text: str) -> None:
        """A part of it is over: a line about that."""
        self._teller.tell(
            Event(kind="progress", step=self.number, name=self._name, text=text, seconds=1e-9)
        )

    def end(self, status: str = "done", error: str = "") -> None:
        """It is over: done, cached, failed or canceled."""
        if self.status:
            return
        self.status, self.seconds = status, time.monotonic() - self._began
        self._teller.tell(
            Event(
                kind="done", step=self.number, name=self._name, seconds=self.seconds, error=error,
                cached=status == "cached", canceled=status == "canceled",
            )
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.end()
        elif isinstance(error, (Canceled, KeyboardInterrupt)):
            self.end("canceled")
        else:
            self.end("failed", str(error))


class Canceled(Exception):
    """Another step failed, or somebody wants the build to end."""
