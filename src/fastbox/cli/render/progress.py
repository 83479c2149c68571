"""How far a longer work is, on stderr: bars for people, a line for each part that is done for logs,
JSON for programs (the members that docker's API streams have).
"""

from __future__ import annotations

import time

from fastbox.cli.parser import TEXT, Option
from fastbox.cli.render import human
from fastbox.errors import InvalidArgument
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments
    from fastbox.types import Progress

    Teller = Callable[[Progress], None]

MODES = ("auto", "tty", "plain", "json", "quiet")
OPTION = Option("progress", "", TEXT, f"how to show progress: {', '.join(MODES)}")
_DONE = ("complete", "exists")


class Shown:
    """A `with` block in which progress is shown; its value is what to tell it to, or None."""

    __slots__ = ("_end", "_teller")

    def __init__(self, out: Output, args: Arguments) -> None:
        """Choose by --progress, --quiet, and whether stderr is a terminal.

        Raises:
            InvalidArgument: An unknown kind.
        """
        mode = args.text("progress") or "auto"
        if mode not in MODES:
            raise InvalidArgument(f"--progress {mode}: one of {', '.join(MODES)}")
        if args.switch("quiet"):
            mode = "quiet"
        elif mode == "auto":
            mode = "tty" if out.for_people() else "plain"
        self._teller: Teller | None = None
        self._end: Callable[[], None] | None = None
        if mode == "tty":
            bars = _Bars()
            self._teller, self._end = bars.tell, bars.end
        elif mode != "quiet":
            self._teller = _Lines(out).tell if mode == "plain" else _Json(out).tell

    def __enter__(self) -> Teller | None:
        return self._teller

    def __exit__(self, *_exception: object) -> None:
        if self._end:
            self._end()


class _Lines:
    """One line for each part, when it is done."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._begun: dict[str, float] = {}

    def tell(self, part: Progress) -> None:
        now = time.monotonic()
        if part.status != "waiting":
            self._begun.setdefault(part.id, now)
        if part.status in _DONE:
            seconds = now - self._begun.pop(part.id)
            size = human.size(part.total)
            self._out.note(f"{part.id}: {part.status}, {size} in {seconds:.1f}s")


class _Json:
    """One object for each change."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._last: dict[str, Progress] = {}

    def tell(self, part: Progress) -> None:
        if self._last.get(part.id) == part:
            return
        self._last[part.id] = part
        detail = {"current": part.current, "total": part.total}
        message = {"status": part.status, "progressDetail": detail, "id": part.id}
        self._out.note(json.dumps_bytes(message).decode())


class _Bars:
    """A bar for each part, with bytes, rate and the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._bars: Any = Progress(
            TextColumn("{task.description}"),
            TextColumn("{task.fields[status]:<10}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._bars.start()
        self._ids: dict[str, Any] = {}

    def tell(self, part: Progress) -> None:
        if part.id not in self._ids:
            self._ids[part.id] = self._bars.add_task(part.id, status=part.status, start=False)
        bar = self._ids[part.id]
        if part.status != "waiting":
            self._bars.start_task(bar)
        total = part.total or None  # a pipe does not say how much will come
        self._bars.update(bar, completed=part.current, total=total, status=part.status)

    def end(self) -> None:
        self._bars.stop()
