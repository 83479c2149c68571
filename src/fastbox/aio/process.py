"""A process in a container, its streams read and written by the event loop."""

from __future__ import annotations

import codecs
import os
from typing import TYPE_CHECKING, Any, AnyStr, Generic, cast

from fastbox.aio.loop import Ending, ready
from fastbox.errors import InvalidArgument

if TYPE_CHECKING:
    from typing import Self

    from fastbox.aio.loop import Pool
    from fastbox.containers.attachment import Streams
    from fastbox.containers.process import Ends

_CHUNK = 65536


class Reader(Generic[AnyStr]):
    """A stream to read from, bytes or text; `async for` gives its lines. One task at a time."""

    def __init__(self, streams: Streams, name: str, encoding: str | None) -> None:
        self._streams, self._name, self._fd = streams, name, streams.end(name)
        os.set_blocking(self._fd, False)
        self._ended, self._busy = False, False
        self._decoder = encoding and codecs.getincrementaldecoder(encoding)("replace")
        self._rest: Any = "" if encoding else b""

    async def _more(self) -> bool:
        """Read once more; false at its end."""
        if self._ended:
            return False
        if self._busy:
            raise RuntimeError("another task reads this stream")
        self._busy = True
        try:
            while True:
                try:
                    data = os.read(self._fd, _CHUNK)
                    break
                except BlockingIOError:
                    await ready(self._fd)
        finally:
            self._busy = False
        self._ended = not data
        self._rest += self._decoder.decode(data, not data) if self._decoder else data
        return bool(data)

    def _take(self, count: int) -> AnyStr:
        taken, self._rest = self._rest[:count], self._rest[count:]
        return cast("AnyStr", taken)

    async def read(self, size: int = -1) -> AnyStr:
        """All of it; with a size, what there is, at most so much, nothing only at its end."""
        if size < 0:
            parts = [self._take(len(self._rest))]
            while await self._more():
                parts.append(self._take(len(self._rest)))
            parts.append(self._take(len(self._rest)))
            return self._rest[:0].join(parts)  # type: ignore[no-any-return]
        while size and not self._rest and await self._more():
            pass
        return self._take(size)

    async def readline(self) -> AnyStr:
        """The next line with its newline; nothing at its end."""
        newline = "\n" if self._decoder else b"\n"
        looked = 0
        while (at := self._rest.find(newline, looked)) < 0:
            looked = len(self._rest)
            if not await self._more():
                return self._take(len(self._rest))
        return self._take(at + 1)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyStr:
        line = await self.readline()
        if not line:
            raise StopAsyncIteration
        return line

    def close(self) -> None:
        """Read no more: who writes on gets an error."""
        self._fd, self._ended = -1, True
        self._streams.drop(self._name)


class Writer(Generic[AnyStr]):
    """A stream to write to, bytes or text. One task at a time."""

    def __init__(self, streams: Streams, name: str, encoding: str | None) -> None:
        self._streams, self._name, self._fd = streams, name, streams.end(name)
        os.set_blocking(self._fd, False)
        self._encoding = encoding

    async def write(self, data: AnyStr) -> int:
        """Write all of it; returns when the process's pipe has it.

        Raises:
            BrokenPipeError: Nobody reads it any more.
        """
        raw = data.encode(self._encoding or "utf-8") if isinstance(data, str) else data
        left = memoryview(raw)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                await ready(self._fd, writing=True)
        return len(data)

    def close(self) -> None:
        """The end of what the process reads."""
        self._fd = -1
        self._streams.drop(self._name)


class Process(Generic[AnyStr]):
    """A running process, with the names of `fastbox.Process`.

    A context manager: an exec that still runs on exit from `async with` is killed, with all that it
    has started; of a container's own process (`Container.attach`) only the streams are let go.
    """

    def __init__(self, ends: Ends, pool: Pool, encoding: str | None) -> None:
        self._ends: Ends = ends
        self._pool: Pool = pool
        self._ending = Ending(ends.conversation)
        self._files: dict[str, Reader[Any] | Writer[Any]] = {}
        for name in tuple(ends.streams.ours):
            kind = Writer if name == "stdin" else Reader
            self._files[name] = kind(ends.streams, name, encoding)

    def _file(self, name: str) -> Any:
        if name not in self._files:
            raise InvalidArgument(f"{name} is no pipe of ours", hint=f"ask for it: {name}=PIPE")
        return self._files[name]

    @property
    def stdin(self) -> Writer[AnyStr]:
        """What it reads; closing it is its end of file."""
        return cast("Writer[AnyStr]", self._file("stdin"))

    @property
    def stdout(self) -> Reader[AnyStr]:
        """What it writes, and, with a terminal, its errors, too."""
        return cast("Reader[AnyStr]", self._file("stdout"))

    @property
    def stderr(self) -> Reader[AnyStr]:
        """What it writes to its stderr."""
        return cast("Reader[AnyStr]", self._file("stderr"))

    @property
    def returncode(self) -> int | None:
        """Its exit code once its end was noticed; 128+n after signal n."""
        ended = self._ends.conversation.ended
        return None if ended is None else ended.code

    async def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        from fastbox.errors import Timeout

        try:
            return await self.wait(0)
        except Timeout:
            return None

    async def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code. Read its streams first, or it may never end.

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It still runs.
        """
        return (await self._ending.wait(timeout)).code

    async def kill(self, signal: int | str = "KILL") -> None:
        """Send it a signal; KILL ends all that an exec has started. Nothing when it has ended."""
        await self._pool.call(self._ends.signal, signal)

    async def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal another size.

        Raises:
            FastboxError: It has none.
        """
        await self._pool.call(self._ends.ask, "resize", rows=rows, cols=columns)

    def close(self) -> None:
        """Let go of it: its streams are closed, and an exec that still runs is killed, which is not
        waited for.
        """
        self._let_go()
        self._ends.close()

    def _let_go(self) -> None:
        self._ending.stop()
        for file in self._files.values():
            file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._let_go()
        await self._pool.finish(self._ends.end)
