"""One thread, one epoll: who is called when a descriptor is ready, and when a time has come."""

from __future__ import annotations

import errno
import heapq
import resource
import select
import socket
import time

EPOLLIN, EPOLLOUT = select.EPOLLIN, select.EPOLLOUT
EPOLLERR, EPOLLHUP = select.EPOLLERR, select.EPOLLHUP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Owner(Protocol):
        """What a handler is a method of."""

        def close(self) -> None:
            """Give up: its handler has failed."""


_EVENTS_AT_ONCE = 64
# What containers cause stays below this, so that there are always descriptors for what supervisors
# hand over, however much some container asks.
_SCARCE = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4


def spare(sock: socket.socket) -> socket.socket:
    """The socket, unless descriptors are scarce: the kernel gives the lowest number that is free.

    Raises:
        OSError: EMFILE; it is closed.
    """
    if sock.fileno() < _SCARCE:
        return sock
    sock.close()
    raise OSError(errno.EMFILE, "descriptors are scarce")


class Loop:
    """Handlers are methods of objects with a `close`: one that fails is closed, and the others go
    on. They must not wait, and be content when there is nothing to do.

    Attributes:
        now: CLOCK_MONOTONIC in seconds, as of the last time that something happened.
        running: Whether `run` goes on.
    """

    __slots__ = ("_count", "_epoll", "_handlers", "_timers", "now", "running")

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.now, self.running = time.monotonic(), True

    def watch(self, fd: int, handler: Callable[[int], None], events: int = EPOLLIN) -> None:
        """Call `handler` with the events of a descriptor."""
        self._epoll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Watch a descriptor for other events."""
        self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a descriptor no more; before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call once, later. There is no way back: the callback finds out whether it is needed."""
        self._count += 1
        heapq.heappush(self._timers, (self.now + seconds, self._count, callback))

    def run(self) -> None:
        """Until `running` is false."""
        while self.running:
            wait = max(self._timers[0][0] - time.monotonic(), 0) if self._timers else -1
            events = self._epoll.poll(wait, _EVENTS_AT_ONCE)
            self.now = time.monotonic()
            for fd, event in events:
                handler = self._handlers.get(fd)
                if handler is not None:
                    self._call(fd, handler, event)
            while self._timers and self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()

    def _call(self, fd: int, handler: Callable[[int], None], event: int) -> None:
        try:
            handler(event)
        except Exception:
            # The worker's edge: a message that nobody thought of costs its sender the conversation.
            report()
            self.forget(fd)
            owner: Owner = handler.__self__  # type: ignore[attr-defined]
            owner.close()


def report() -> None:
    """Write the exception under way to stderr, which is /dev/null unless somebody looks."""
    import sys
    import traceback

    traceback.print_exc(file=sys.stderr)
