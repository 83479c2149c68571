"""A container for asyncio: the names and arguments of `fastbox.Container`."""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, AnyStr, Generic, overload

from fastbox.aio.collect import collect
from fastbox.aio.loop import Ending, Opening, ready
from fastbox.aio.process import Process
from fastbox.aio.waiting import wait_for
from fastbox.containers import running
from fastbox.containers.attachment import Streams
from fastbox.containers.process import Ends, stream_plan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Generator, Mapping, Sequence
    from typing import BinaryIO, Self, Unpack

    from fastbox.aio.loop import Pool
    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.container import Container as Blocking
    from fastbox.containers.copy import CopyKeywords
    from fastbox.containers.exec import ExecKeywords
    from fastbox.containers.fork import ForkKeywords
    from fastbox.containers.logs import LogKeywords
    from fastbox.containers.readiness import Condition
    from fastbox.containers.update import UpdateKeywords
    from fastbox.types import Change, ContainerInfo, ExecResult, LogLine, Stats, Top


class Exec(Generic[AnyStr]):
    """A command to be run: `await` it for its result, or `async with` it for the process."""

    __slots__ = ("_argv", "_container", "_encoding", "_input", "_opened", "_rest", "_used")

    def __init__(
        self,
        container: Container,
        argv: Sequence[str],
        input: bytes | None,
        encoding: str | None,
        rest: Mapping[str, Any],
    ) -> None:
        self._container, self._argv, self._input = container, argv, input
        self._encoding, self._rest, self._used = encoding, rest, False
        self._opened: Process[AnyStr] | None = None

    def __await__(self) -> Generator[Any, None, ExecResult]:
        self._used = True
        rest = self._rest
        return self._container._collected(
            self._argv, self._input, rest["wishes"], rest["timeout"]
        ).__await__()

    async def __aenter__(self) -> Process[AnyStr]:
        self._used = True
        self._opened = await self._container._open(self._argv, self._encoding, **self._rest)
        return self._opened

    async def __aexit__(self, *args: object) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(*args)

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(
                "exec was neither awaited nor used by `async with`: nothing was run",
                RuntimeWarning, source=self, stacklevel=2,
            )  # fmt: skip


class Container:
    """A container. One that `Engine.run` or `Engine.create` made without `detach` is tied to the
    engine: exit from `async with` kills, releases and removes it, as the end of the engine or of
    this process does. Of any other, `async with` only lets go.

    Attributes:
        id: 64 hex digits.
        name: Its name.
    """

    def __init__(self, container: Blocking, pool: Pool) -> None:
        self._c, self._pool = container, pool
        self._ending: Ending | None = None
        self.id = container.id

    @property
    def name(self) -> str:
        """Its name."""
        return self._c.name

    # Its end

    async def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, return its exit code (128+n after signal n); 0 for one that was never
        started.

        Args:
            timeout: Seconds, or None for ever.

        Raises:
            Timeout: It still runs.
        """
        ending = await self._watching()
        return (await self.info).exit_code if ending is None else (await ending.wait(timeout)).code

    async def _watching(self) -> Ending | None:
        watch = await self._pool.call(self._c._watching)
        if watch is None:
            return None
        if self._ending is None or self._ending.conversation is not watch:
            self._let_go()
            self._ending = Ending(watch)
        return self._ending

    def _let_go(self) -> None:
        ending, self._ending = self._ending, None
        if ending is not None and ending.conversation.fd >= 0:
            ending.stop()

    # Another process in it

    @overload
    def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Exec[bytes]: ...

    @overload
    def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Exec[str]: ...

    def exec(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str | None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Exec[Any]:
        """A command in it: `await c.exec(...)` collects its output (`Container.exec`), `async with
        c.exec(...) as p` writes to and reads from it while it runs (`Container.popen`). Cancelled,
        the command is killed with all that it has started, before the cancellation goes on.

        Args:
            argv: The command and its arguments.
            input: What it reads from stdin when it is awaited; None: nothing, at once.
            stdin: PIPE, or None: an empty one.
            stdout: PIPE, or DEVNULL.
            stderr: PIPE, STDOUT or DEVNULL.
            encoding: For text; None: bytes. A result that is awaited is bytes.
            env: More variables.
            user: Another user than the container's.
            workdir: Another directory than the container's.
            tty: Give it a terminal; its output is then all in `stdout`.
            size: The terminal's rows and columns; (0, 0) for none.
            privileged: Every capability, no filter.
            timeout: Seconds until it is killed, with all that it has started; or None.

        Raises:
            CommandNotFound: No such command in the container.
            Timeout: It was awaited, and killed after `timeout`.
            StateConflict: The container does not run.
        """
        rest = {
            "wishes": running._wishes(env, user, workdir, tty, privileged),
            "stdin": stdin, "stdout": stdout, "stderr": stderr, "size": size, "timeout": timeout,
        }  # fmt: skip
        return Exec(self, argv, input, encoding, rest)

    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Opening[Process[bytes]]: ...

    @overload
    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Opening[Process[str]]: ...

    def popen(
        self,
        argv: Sequence[str],
        *,
        stdin: int | None = None,
        stdout: int | None = -1,
        stderr: int | None = -1,
        encoding: str | None = None,
        env: Mapping[str, str] | Sequence[str] = (),
        user: str | None = None,
        workdir: str = "",
        tty: bool = False,
        size: tuple[int, int] = (0, 0),
        privileged: bool = False,
        timeout: float | None = None,
    ) -> Opening[Process[Any]]:
        """Start a command in it: what `async with c.exec(...)` does; awaited, it gives the process,
        which `close` lets go of.
        """
        wishes = running._wishes(env, user, workdir, tty, privileged)
        return Opening(
            lambda: self._open(argv, encoding, wishes, stdin, stdout, stderr, size, timeout)
        )

    async def _open(
        self,
        argv: Sequence[str],
        encoding: str | None,
        wishes: ExecKeywords,
        stdin: int | None,
        stdout: int | None,
        stderr: int | None,
        size: tuple[int, int],
        timeout: float | None,
    ) -> Process[Any]:
        streams = stream_plan(stdin, stdout, stderr, wishes.get("tty", False))
        ends = await self._pool.make(
            lambda: self._c._begin(argv, wishes, streams, size, timeout), Ends.end
        )
        return Process(ends, self._pool, encoding)

    async def _collected(
        self,
        argv: Sequence[str],
        input: bytes | None,
        wishes: ExecKeywords,
        timeout: float | None,
    ) -> ExecResult:
        started = time.monotonic()
        names = [] if input is None else ["stdin"]
        names += ["stdout"] if wishes.get("tty") else ["stdout", "stderr"]
        streams = Streams(names)
        ends = await self._pool.make(
            lambda: self._c._begin(argv, wishes, streams, (0, 0), timeout), Ends.end
        )
        return await collect(ends, self._pool, input or b"", timeout, started)

    # Its own streams

    @overload
    def attach(self, *, encoding: None = None) -> Opening[Process[bytes]]: ...

    @overload
    def attach(self, *, encoding: str) -> Opening[Process[str]]: ...

    def attach(self, *, encoding: str | None = None) -> Opening[Process[Any]]:
        """The streams of its own process: from its first byte on when it was started with
        `stdin=PIPE` and nobody has attached yet, else from now on (`logs` has what was before).

        Its `stdin` is there when the container was made with `stdin=PIPE` or `interactive=True`.

        Args:
            encoding: For text; None: bytes.

        Raises:
            StateConflict: It does not run.
        """
        return Opening(lambda: self._attached(encoding))

    async def _attached(self, encoding: str | None) -> Process[Any]:
        ends = await self._pool.make(self._c._attach, Ends.close)
        return Process(ends, self._pool, encoding)

    # Looking

    async def logs(self, **wishes: Unpack[LogKeywords]) -> AsyncIterator[LogLine]:
        """What it wrote, line by line.

        Args:
            **wishes: follow (wait for more, until it ends), tail (only the last so many; None for
                all), since and until (a datetime, seconds since 1970, or a text as docker takes
                it).

        Raises:
            Unsupported: Its log driver keeps nothing that could be read.
        """
        reader = await self._pool.make(
            lambda: self._c._service.open_log(self.id, **wishes), lambda made: made.close()
        )
        with reader:
            while not reader.ended:
                lines = reader.read_ready()
                for line in lines:
                    yield line
                if not lines and not reader.ended:
                    await ready(reader.fileno())

    async def stats(self, *, interval: float = 0.0) -> Stats:
        """What it uses now.

        Args:
            interval: Seconds between the two readings that `cpu_percent` needs; 0: it is 0.
        """
        return await self._pool.last(lambda: self._c.stats(interval=interval))

    async def stats_stream(self, *, interval: float = 1.0) -> AsyncIterator[Stats]:
        """As `stats`, every so many seconds until it ends."""
        found = self._c.stats_stream(interval=interval)
        while (stats := await self._pool.last(next, found, None)) is not None:
            yield stats

    async def top(self, ps_args: Sequence[str] = ()) -> Top:
        """Its processes, as `ps` of the host tells them; `ps_args` are that one's options."""
        return await self._pool.last(self._c.top, ps_args)

    @property
    def info(self) -> Awaitable[ContainerInfo]:
        """Its state now: `await c.info`."""
        return self._pool.call(lambda: self._c.info)

    async def inspect(self) -> dict[str, object]:
        """Docker's inspect object."""
        return await self._pool.call(self._c.inspect)

    async def diff(self) -> tuple[Change, ...]:
        """What it changed of its image's files, as `docker diff` lists it."""
        return await self._pool.last(self._c.diff)

    async def wait_for(self, condition: Condition, timeout: float = 60.0) -> None:
        """Wait until it is ready, at most `timeout` seconds: `Container.wait_for`."""
        await wait_for(self, condition, timeout)

    # What it has

    async def export(self, output: str | int | BinaryIO) -> None:
        """Write all its files as a tar: `Container.export`."""
        await self._pool.last(self._c.export, output)

    async def commit(self, name: str = "", **wishes: Unpack[CommitKeywords]) -> str:
        """Make an image of it: `Container.commit`; the image's id."""
        return await self._pool.last(lambda: self._c.commit(name, **wishes))

    async def copy_in(self, source: str, target: str, **wishes: Unpack[CopyKeywords]) -> None:
        """Copy a file or directory of the host into it: `Container.copy_in`."""
        await self._pool.last(lambda: self._c.copy_in(source, target, **wishes))

    async def copy_out(self, source: str, target: str, **wishes: Unpack[CopyKeywords]) -> None:
        """Copy a file or directory of it to the host: `Container.copy_out`."""
        await self._pool.last(lambda: self._c.copy_out(source, target, **wishes))

    async def copy_to(self, target: str, archive: int | BinaryIO) -> None:
        """Extract a tar in a directory of it, from a descriptor or a stream."""
        await self._pool.last(self._c.copy_to, target, archive)

    async def copy_from(self, source: str, output: int | BinaryIO) -> None:
        """Write a file or directory of it as a tar, to a descriptor or a stream."""
        await self._pool.last(self._c.copy_from, source, output)

    async def fork(self, count: int = 1, **wishes: Unpack[ForkKeywords]) -> list[Container]:
        """Start copies of it: `Container.fork`. Cancelled, it leaves none."""

        def undo(made: list[Blocking]) -> None:
            for each in made:
                with each:
                    each.remove(force=True)

        copies = await self._pool.make(lambda: self._c.fork(count, **wishes), undo)
        return [Container(each, self._pool) for each in copies]

    async def snapshot(self, name: str = "", *, live: bool = False) -> str:
        """Keep its files as they are now; the snapshot's name, a number when "" is given."""
        return await self._pool.call(lambda: self._c.snapshot(name, live=live))

    async def rollback(self, name: str = "") -> str:
        """Put its files back to a snapshot, the newest for ""; what was written since is gone."""
        return await self._pool.call(self._c.rollback, name)

    # Its life

    async def start(self) -> None:
        """Start one that was created or has ended; nothing when it runs.

        Raises:
            LaunchError: It could not be started.
        """
        self._let_go()
        await self._pool.call(self._c.start)

    async def pause(self) -> None:
        """Make all its processes stand still until `unpause`."""
        await self._pool.call(self._c.pause)

    async def unpause(self) -> None:
        """Let its processes go on."""
        await self._pool.call(self._c.unpause)

    async def restart(self, timeout: float | None = None) -> None:
        """Stop it, and start it again; `timeout` is that of `stop`."""
        await self.stop(timeout)
        await self.wait()
        await self.start()

    async def update(self, **changes: Unpack[UpdateKeywords]) -> tuple[str, ...]:
        """Change its limits, at once: `Container.update`; what this kernel can't do."""
        return await self._pool.call(lambda: self._c.update(**changes))

    async def kill(self, signal: int | str = "KILL") -> None:
        """Send a signal to its first process."""
        await self._pool.call(self._c.kill, signal)

    async def stop(self, timeout: float | None = None) -> None:
        """Ask it to end with its stop signal, kill it after `timeout` seconds (its own
        `stop_timeout` when None); return when it has ended.
        """
        self._let_go()
        await self._pool.last(self._c.stop, timeout)

    async def rename(self, name: str) -> None:
        """Give it another name.

        Raises:
            NameInUse: Another container has it.
        """
        await self._pool.call(self._c.rename, name)

    async def remove(self, force: bool = False) -> None:
        """Delete it; `force` kills it first.

        Raises:
            StateConflict: It runs, and `force` is false.
        """
        await self._pool.call(self._c.remove, force)

    async def close(self) -> None:
        """What exit from `async with` does: the end of one that is tied, else letting go."""
        self._let_go()
        await self._pool.finish(self._c.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
