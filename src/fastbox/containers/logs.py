"""Reading a container's log: all of it or the last records, and on as it grows.

`open_log` gives a reader that a loop of any kind can wait on; iterating it waits by itself.
"""

from __future__ import annotations

import os

from fastbox import _native
from fastbox.containers import logfiles
from fastbox.errors import InvalidArgument, Unsupported
from fastbox.support import json, moments
from fastbox.support.clock import rfc3339
from fastbox.types import LogLine

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Any, Self, TypedDict, TypeVar

    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord, ContainerStore

    T = TypeVar("T")

    class LogKeywords(TypedDict, total=False):
        """What of a log is wanted.

        `follow`: wait for more, until the container ends. `tail`: only the last so many records;
        None for all. `since`, `until`: leave out what is earlier or later: a datetime, seconds
        since 1970, or a text as docker takes it (RFC 3339, "10m" ago, seconds).
        """

        follow: bool
        tail: int | None
        since: datetime | float | str | None
        until: datetime | float | str | None


_BLOCK = 1 << 20
_MAX_RECORD = 1 << 20  # a line that is longer is none
_STREAMS = ("", "stdout", "stderr")
CACHE = "container-cached.log"  # of a driver that can't be read, as docker names it
NOT_READABLE = "configured logging driver does not support reading"


def open_log(store: ContainerStore, run: str, container: str, wishes: LogKeywords) -> LogReader:
    """Open a container's log.

    Raises:
        InvalidArgument: A time that can't be read.
        Unsupported: The container's log driver keeps nothing that could be read.
    """
    since = _moment(wishes.get("since"), moments.EARLIEST)
    until = _moment(wishes.get("until"), moments.LATEST)
    record = store.read(container)
    driver = str(record.options.get("log_driver") or "json-file") if record else "json-file"
    directory = store.directory(container)
    if driver == "json-file":
        path, kind = f"{directory}/{container}-json.log", logfiles.JSON
        if not os.path.exists(path) and os.path.exists(directory + "/log"):
            path = directory + "/log"  # of a container made by an older fastbox
    elif driver == "local":
        path, kind = directory + "/local-logs/container.log", logfiles.LOCAL
    elif driver != "none" and _has_cache(record):
        path, kind = f"{directory}/{CACHE}", logfiles.LOCAL
    else:
        why = "" if driver == "none" else " with cache-disabled: there is no copy here"
        raise Unsupported(NOT_READABLE, hint=f'the container\'s is "{driver}"{why}')
    watch = _watch(store, run, container) if wishes.get("follow") else None
    return LogReader(path, kind, wishes.get("tail"), since, until, watch)


def _has_cache(record: ContainerRecord | None) -> bool:
    options: Any = (record.options.get("log_opts") if record else None) or {}
    return str(options.get("cache-disabled", "false"))[:1] not in ("1", "t", "T")


def _moment(moment: datetime | float | str | None, absent: int) -> int:
    if moment is None or moment == "":
        return absent
    try:
        return moments.nanoseconds(moment)
    except ValueError as error:
        raise InvalidArgument(
            f'"{moment}" is no time: {error}', hint="write 2026-01-02T03:04:05Z, or 10m for ago"
        ) from None


def _watch(store: ContainerStore, run: str, container: str) -> Conversation | None:
    """Who tells of the container's end; None when it does not run."""
    from fastbox.containers import heal
    from fastbox.containers.attachment import converse
    from fastbox.errors import StateConflict
    from fastbox.runtime.supervisor import SupervisorGone

    view = heal.view(store, run, container)
    if view.state not in ("running", "paused"):
        return None
    try:
        conversation = converse(run, view)
        conversation.ask({"op": "wait", "id": container})
    except (StateConflict, SupervisorGone):
        return None
    return conversation


class LogReader:
    """A log that is read from a place on. Close it, or use it as a context manager.

    Sync code iterates it. Other loops wait until `fileno()` is readable, call `read_ready()` until
    it gives nothing, and are done when `ended` is true.

    Attributes:
        ended: Nothing more will come.
    """

    def __init__(
        self,
        path: str,
        kind: int = logfiles.JSON,
        tail: int | None = None,
        since: int = moments.EARLIEST,
        until: int = moments.LATEST,
        watch: Conversation | None = None,
    ) -> None:
        self.ended = False
        self._path, self._kind, self._since, self._until = path, kind, since, until
        self._watch, self._epoll, self._inotify = watch, None, -1
        self._rest = b""  # what is read of a record that is not whole yet
        self._parts: list[logfiles.Part] = []
        try:
            if watch is not None:
                self._epoll = self._notify(watch.fd)
            # After the watch: what is written from now on wakes us.
            self._parts = logfiles.snapshot(path)
            if tail is not None and self._parts:
                index, offset = logfiles.tail(self._parts, kind, tail)
                for part in self._parts[:index]:
                    part.close()
                del self._parts[:index]
                self._parts[0].seek(offset)
        except BaseException:
            self.close()
            raise

    def _notify(self, ended: int) -> select.epoll:
        import select

        epoll = select.epoll()
        epoll.register(ended, select.EPOLLIN)
        self._inotify = _native.watch_directory(os.path.dirname(self._path))
        epoll.register(self._inotify, select.EPOLLIN)
        return epoll

    def fileno(self) -> int:
        """What is readable when there may be more. Only of a log that is followed."""
        if self._epoll is None:
            raise ValueError("this log is not followed: read until it has ended")
        return self._epoll.fileno()

    def read_ready(self) -> list[LogLine]:
        """Lines that are there already; none: wait, unless it has ended."""
        return self._ready(self._lines) or []

    def text_ready(self, *, timestamps: bool, details: bool) -> list[tuple[int, bytes]]:
        """The same as text to print: the stream's number and what goes to it, in order."""

        def printed(data: bytes) -> tuple[list[tuple[int, bytes]], int, bool]:
            return _native.log_print(
                self._kind, data, self._since, self._until, timestamps, details
            )

        return self._ready(printed) or []

    def wait(self) -> None:
        """Return when there may be more."""
        if self._epoll is not None and not self.ended:
            self._epoll.poll()

    def __iter__(self) -> Iterator[LogLine]:
        try:
            while not self.ended:
                yield from (lines := self.read_ready())
                if not lines:
                    self.wait()
        finally:
            self.close()

    def _lines(self, data: bytes) -> tuple[list[LogLine], int, bool]:
        found, done, over = _native.log_records(self._kind, data, self._since, self._until)
        lines = [
            LogLine(
                time=rfc3339(when),
                stream=_STREAMS[stream],
                text=text,
                partial=not ended,
                attrs=_attrs(attrs),
            )
            for when, stream, text, ended, attrs in found
        ]
        return lines, done, over

    def _ready(self, decode: Callable[[bytes], tuple[list[T], int, bool]]) -> list[T] | None:
        """The next block in which there is something."""
        while not self.ended:
            over = self._is_over()  # asked first: all that was written before is read below
            data = self._rest
            made, done, past = decode(data) if data else ([], 0, False)
            if not done and not past:
                more = self._read()
                if not more:
                    self.ended = over
                    return None
                data += more
                made, done, past = decode(data)
            self._rest = data[done:]
            if len(self._rest) > _MAX_RECORD + _BLOCK:
                self._rest = b""
            self.ended = past
            if made:
                return made
        return None

    def _is_over(self) -> bool:
        if self._epoll is None:
            return True
        over = False
        for fd, _ in self._epoll.poll(0):
            if fd == self._inotify:
                os.read(fd, 65536)
            else:
                over = True
        return over

    def _read(self) -> bytes:
        """More of the log, from file to file; nothing at its end."""
        while self._parts:
            data = self._parts[0].read(_BLOCK)
            if data:
                return data
            if not self._next():
                return b""
        first = logfiles.snapshot(self._path)
        self._parts = first
        return self._read() if first else b""

    def _next(self) -> bool:
        """Go on to the next file. The writer is done with a file before there is a newer one, but
        what it wrote last may have come after our last look.
        """
        newer = None
        if len(self._parts) == 1:
            newer = logfiles.successor(self._path, self._parts[0])
            if newer is None:
                return False
            self._parts.append(newer)
        data = self._parts[0].read(_BLOCK)
        if data:
            self._parts[0].seek(-len(data), os.SEEK_CUR)
            return True
        self._parts.pop(0).close()
        self._rest = b""  # an unfinished record of a writer that was killed
        return True

    def close(self) -> None:
        """Give up what it holds."""
        self.ended = True
        for part in self._parts:
            part.close()
        self._parts = []
        if self._inotify >= 0:
            os.close(self._inotify)
            self._inotify = -1
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _attrs(text: bytes | None) -> dict[str, str] | None:
    if text is None:
        return None
    try:
        return {str(key): str(value) for key, value in json.loads_object(text).items()}
    except ValueError:
        return None
