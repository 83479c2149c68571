"""Which way a build is shown, and the thread that lets time pass for it."""

from __future__ import annotations

import _thread
import os
import time

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from fastbox.builds import Built, Event
    from fastbox.cli.output import Output
    from fastbox.cli.render.build_vertex import Vertices
    from fastbox.errors import FastboxError

    class Renderer(Protocol):
        """What shows a build."""

        vertices: Vertices

        def tell(self, event: Event) -> None:
            """Take one event."""
            ...

        def tick(self) -> None:
            """Time has passed."""
            ...

        def end(self) -> None:
            """Nothing more comes."""
            ...


MODES = ("auto", "tty", "plain", "json", "quiet")
VARIABLE = "FASTBOX_PROGRESS"
_OTHER_NAMES = {"rawjson": "json", "none": "quiet"}  # docker's
_STEP = {"tty": 0.05, "plain": 0.5}  # seconds between two ticks


def mode(wish: str, quiet: bool, out: Output) -> str:
    """What --progress, $FASTBOX_PROGRESS, -q and the kind of stderr come to: "tty", "plain", "json"
    or "quiet".

    Raises:
        InvalidArgument: An unknown one.
    """
    asked = wish or os.environ.get(VARIABLE, "")
    name = _OTHER_NAMES.get(asked, asked) or "auto"
    if name not in MODES:
        where = f"--progress {asked}" if wish else f"{VARIABLE}={asked}"
        raise InvalidArgument(f"{where}: one of {', '.join(MODES)}")
    if quiet:
        return "quiet"
    if name == "auto":
        return "tty" if out.for_people() and os.environ.get("TERM") != "dumb" else "plain"
    return name


class Quiet:
    """Shows nothing, but knows what a failed step wrote."""

    def __init__(self) -> None:
        from fastbox.cli.render.build_vertex import Vertices

        self.vertices = Vertices()

    def tell(self, event: Event) -> None:
        """Take one event."""
        self.vertices.take(event, time.monotonic())

    def tick(self) -> None:
        """Nothing changes."""

    def end(self) -> None:
        """Nothing is left to say."""


class Watch:
    """A `with` block in which a build is shown; `tell` is what to give it.

    Attributes:
        mode: How.
    """

    def __init__(self, out: Output, mode: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.mode = mode
        self._out, self._clock = out, clock
        self._lock = _thread.allocate_lock()  # events and ticks come from different threads
        self._stop, self._stopped = _thread.allocate_lock(), _thread.allocate_lock()
        self._ticking = self._over = self._deaf = False
        self._renderer = self._make()

    def _make(self) -> Renderer:
        if self.mode == "plain":
            from fastbox.cli.render.build_plain import Plain

            return Plain(self._write, self._clock)
        if self.mode == "json":
            from fastbox.cli.render.build_json import Json

            return Json(self._write, self._clock)
        if self.mode == "tty":
            from fastbox.cli.render.build_tty import Tty

            colour = not os.environ.get("NO_COLOR")
            return Tty(self._write, self._clock, _terminal_size, colour=colour)
        return Quiet()

    @property
    def vertices(self) -> Vertices:
        """The steps as they are told of so far."""
        return self._renderer.vertices

    def tell(self, event: Event) -> None:
        """Show one event. It never fails: a build does not end because nobody looks."""
        with self._lock:
            if self._over:
                return
            self._renderer.tell(event)
            if not self._ticking and self.mode in _STEP:
                self._ticking = True
                self._stop.acquire()
                self._stopped.acquire()
                _thread.start_new_thread(self._tick, (_STEP[self.mode],))

    def _tick(self, step: float) -> None:
        try:
            while not self._stop.acquire(timeout=step):
                with self._lock:
                    if not self._over:
                        self._renderer.tick()
        finally:
            self._stopped.release()

    def _write(self, text: str) -> None:
        if self._deaf:
            return
        try:
            self._out.raw(text, error=True)
        except (OSError, ValueError):
            self._deaf = True

    def built(self, built: Built) -> None:
        """Tell programs what came of it."""
        if self.mode != "json":
            return  # without loading what would say it
        from fastbox.cli.render.build_json import Json

        if isinstance(self._renderer, Json):
            self._renderer.built(built)

    def failed(self, error: FastboxError) -> None:
        """Tell programs why nothing came of it."""
        if self.mode != "json":
            return
        from fastbox.cli.render.build_json import Json

        if isinstance(self._renderer, Json):
            self._renderer.failed(error)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._lock:
            self._over = True
            self._renderer.end()
        if self._ticking:
            self._stop.release()
            self._stopped.acquire(timeout=1)


def _terminal_size() -> tuple[int, int]:
    """Columns and lines of stderr's terminal; 80 and 24 when it does not say."""
    try:
        columns, lines = os.get_terminal_size(2)
    except OSError:
        return 80, 24
    return columns or 80, lines or 24
