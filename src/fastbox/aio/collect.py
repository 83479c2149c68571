"""An exec to its end, all streams at once, by the event loop."""

from __future__ import annotations

import asyncio
import io
import os
import time
from typing import TYPE_CHECKING

from fastbox.aio.loop import Ending
from fastbox.containers import exec as execs
from fastbox.errors import Timeout

if TYPE_CHECKING:
    from fastbox.aio.loop import Pool
    from fastbox.containers.process import Ends
    from fastbox.types import ExecResult

_CHUNK = 65536
_KILL_SECONDS = 10.0


async def collect(
    ends: Ends, pool: Pool, data: bytes, timeout: float | None, started: float
) -> ExecResult:
    """Feed it `data`, gather what it writes, wait for its end. Cancelled, or failing otherwise, it
    is killed with all that it has started before that goes on.
    """
    gathering = _Gathering(ends, data)
    ending = Ending(ends.conversation)
    try:
        gathering.start()
        left = None if timeout is None else started + timeout + _KILL_SECONDS - time.monotonic()
        try:
            ended = await ending.wait(left)
        except Timeout:
            ended = None
        gathering.drain()
        return execs.result(ended, gathering.outputs(), started, timeout, ends.container)
    finally:
        ending.stop()
        gathering.stop()
        if ends.conversation.ended is None:
            await pool.finish(ends.end)
        ends.close()


class _Gathering:
    def __init__(self, ends: Ends, data: bytes) -> None:
        self._streams = ends.streams
        self._loop = asyncio.get_running_loop()
        self._input = memoryview(data)
        self._outputs = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}

    def start(self) -> None:
        for name, fd in list(self._streams.ours.items()):
            os.set_blocking(fd, False)
            if name == "stdin":
                self._loop.add_writer(fd, self._feed, fd)
            else:
                self._loop.add_reader(fd, self._gather, name, fd)

    def outputs(self) -> tuple[bytes, bytes]:
        return self._outputs["stdout"].getvalue(), self._outputs["stderr"].getvalue()

    def _feed(self, fd: int) -> None:
        try:
            if self._input:
                self._input = self._input[os.write(fd, self._input[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._input = self._input[:0]
        if not self._input:
            self._finish("stdin")

    def _gather(self, name: str, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        self._outputs[name].write(data)
        if not data:
            self._finish(name)
        return bool(data)

    def drain(self) -> None:
        """What is left in the pipes: others may hold them open."""
        for name in ("stdout", "stderr"):
            fd = self._streams.end(name)
            while fd >= 0 and self._gather(name, fd):
                pass

    def _finish(self, name: str) -> None:
        fd = self._streams.end(name)
        if fd >= 0:
            (self._loop.remove_writer if name == "stdin" else self._loop.remove_reader)(fd)
            self._streams.drop(name)

    def stop(self) -> None:
        """The loop lets go of what is left."""
        for name in list(self._streams.ours):
            self._finish(name)
