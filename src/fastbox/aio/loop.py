"""Between asyncio and what blocks: threads for starts, descriptors for everything that lasts.

A start is a few milliseconds of blocking work, and runs in a small pool. What may last (a process,
its streams, a log) is waited for by descriptor, so no thread waits. A thread can't be interrupted:
who is cancelled meanwhile waits those milliseconds, and undoes what came of them.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar

from fastbox.errors import FastboxError, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from types import TracebackType
    from typing import Self

    from fastbox.runtime.supervisor import Conversation, Exit


class Manager(Protocol):
    """An asynchronous context manager that gives itself."""

    async def __aenter__(self) -> Self:
        """Itself."""
        ...

    async def __aexit__(self, *args: object) -> None:
        """Its end."""


P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Manager)

_THREADS = min(32, 4 * (os.cpu_count() or 1) + 4)


class Pool:
    """The threads of one engine."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fastbox")

    async def call(
        self,
        function: Callable[P, T],
        *args: P.args,
        **keywords: P.kwargs,
    ) -> T:
        """Run it in a thread. Cancelled, it is waited for all the same."""
        return await self.make(lambda: function(*args, **keywords), None)

    async def make(self, function: Callable[[], T], undo: Callable[[T], object] | None) -> T:
        """Run it in a thread; cancelled meanwhile, `undo` what it made, in a thread too."""
        loop = asyncio.get_running_loop()
        made = loop.run_in_executor(self._threads, function)
        try:
            return await asyncio.shield(made)
        except asyncio.CancelledError:
            await settled(made)
            if undo is not None and not made.cancelled() and made.exception() is None:
                await settled(loop.run_in_executor(self._threads, undo, made.result()))
            raise

    async def last(self, function: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """Run what may take seconds, in a thread that no start waits for. Cancelled, it goes on."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(None, lambda: function(*args, **keywords)))

    async def finish(self, function: Callable[[], object]) -> None:
        """Run it in a thread and wait for it, cancelled or not: the cancellation comes after it."""
        made = asyncio.get_running_loop().run_in_executor(self._threads, function)
        cancelled = await settled(made)
        made.result()
        if cancelled:
            raise asyncio.CancelledError

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


async def settled(future: asyncio.Future[Any]) -> bool:
    """Wait for a future whatever happens to us; whether we were cancelled meanwhile."""
    cancelled = False
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            cancelled = True
    if not future.cancelled():
        future.exception()  # it counts as looked at
    return cancelled


async def ready(fd: int, writing: bool = False) -> None:
    """Wait until a descriptor can be read, or written."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add, remove = (
        (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    )
    add(fd, wake)
    try:
        await future
    finally:
        remove(fd)


class Ending:
    """The exit event of a conversation, for any number of tasks."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self._told: asyncio.Future[Exit | FastboxError] | None = None

    async def wait(self, timeout: float | None = None) -> Exit:
        """The event.

        Raises:
            Timeout: It did not come in time.
        """
        if self.conversation.ended is not None:
            return self.conversation.ended
        if self._told is None or self._told.get_loop() is not asyncio.get_running_loop():
            self._told = self._watch()
        await asyncio.wait([self._told], timeout=timeout)
        if not self._told.done():
            raise Timeout(f"the process did not end within {timeout:g} s")
        told = self._told.result()
        if isinstance(told, FastboxError):
            raise told
        return told

    def _watch(self) -> asyncio.Future[Exit | FastboxError]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Exit | FastboxError] = loop.create_future()
        fd = self.conversation.fd

        def readable() -> None:
            loop.remove_reader(fd)
            if not told.done():
                try:
                    told.set_result(self.conversation.wait(0))
                except FastboxError as error:
                    told.set_result(error)

        loop.add_reader(fd, readable)
        return told

    def stop(self) -> None:
        """Before the conversation is closed or waited for by others: the loop lets go of it."""
        told, self._told = self._told, None
        if told is not None and not told.done():
            told.get_loop().remove_reader(self.conversation.fd)
            told.cancel()


class Opening(Generic[M]):
    """What is being made: `await` it, or `async with` it, once."""

    __slots__ = ("_made", "_make", "_used")

    def __init__(self, make: Callable[[], Coroutine[Any, Any, M]]) -> None:
        self._make = make
        self._made: M | None = None
        self._used = False

    def _start(self) -> Coroutine[Any, Any, M]:
        if self._used:
            raise RuntimeError("this was awaited already")
        self._used = True
        return self._make()

    def __await__(self) -> Generator[Any, None, M]:
        return self._start().__await__()

    async def __aenter__(self) -> M:
        self._made = await self._start()
        return await self._made.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._made is not None:
            await self._made.__aexit__(kind, error, trace)

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(
                "this was neither awaited nor used by `async with`: nothing was done",
                RuntimeWarning,
                source=self,
                stacklevel=2,
            )
