"""The steps of a build as its events have told of them so far: what every renderer draws from."""

from __future__ import annotations

from fastbox.cli.render.build_text import Splitter, clean, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastbox.builds import Event

RUNNING, DONE, CACHED, FAILED, CANCELED = "running", "done", "cached", "failed", "canceled"
KEPT = 2 << 20  # bytes of a step's output that are kept for its failure


class Part:
    """A piece of work within a step: a transfer, the writing of an image."""

    __slots__ = ("began", "current", "ended", "text", "told", "total")

    def __init__(self, text: str, began: float) -> None:
        self.text, self.began = text, began
        self.current = self.total = 0
        self.ended: float | None = None
        self.told: float | None = None  # when a line was printed about it

    @property
    def amount(self) -> str:
        """How much of it: "1.2MB / 3MB"; "" when it has no size."""
        from fastbox.cli.render.human import size

        if self.total and self.current < self.total:
            return f"{size(self.current)} / {size(self.total)}"
        return size(self.current) if self.current else ""


class Vertex:
    """One step, its state and the end of its output."""

    __slots__ = (
        "_kept", "_size", "began", "error", "left_out", "line", "log", "name", "number", "parts",
        "seconds", "splitter", "state",
    )  # fmt: skip

    def __init__(self, number: int, name: str, began: float, kept: int) -> None:
        self.number, self.name, self.began = number, clean(name.replace("\n", " ")), began
        self.state, self.error, self.seconds, self.line = RUNNING, "", 0.0, 0
        self.parts: dict[str, Part] = {}
        self.splitter = Splitter()
        self.log: list[str] = []  # "0.123 text"
        self.left_out = False
        self._kept, self._size = kept, 0

    @property
    def over(self) -> bool:
        """Whether it is over, however."""
        return self.state != RUNNING

    def elapsed(self, now: float) -> float:
        """Seconds that it took, or has taken until now."""
        return self.seconds if self.over else now - self.began

    def wrote(self, lines: list[bytes], now: float) -> list[str]:
        """Remember lines, and give them as they are shown."""
        found = [f"{now - self.began:.3f} {shown(line)}" for line in lines]
        self.log += found
        self._size += sum(map(len, found))
        if self._size > 2 * self._kept:
            self._forget()
        return found

    def _forget(self) -> None:
        while self._size > self._kept and len(self.log) > 1:
            first = self._size - self._kept
            count = 0
            while first > 0 and count < len(self.log) - 1:
                first -= len(self.log[count])
                count += 1
            self._size -= sum(map(len, self.log[:count]))
            del self.log[:count]
            self.left_out = True

    def part(self, event: Event, now: float) -> Part:
        """The piece of work that a progress event tells of, brought up to date."""
        text = clean(event.text.replace("\n", " "))
        part = self.parts.get(text)
        if part is None:
            for other in self.parts.values():
                if not other.total and other.ended is None:
                    other.ended = now  # what has no size is over when the next begins
            part = self.parts[text] = Part(text, now)
        part.current, part.total = event.current, event.total
        if event.seconds:
            part.ended = part.began + event.seconds
        elif event.total and event.current >= event.total:
            part.ended = now if part.ended is None else part.ended
        return part

    def end(self, event: Event, now: float) -> None:
        """It is over."""
        self.seconds = event.seconds or (0.0 if event.cached else now - self.began)
        self.error, self.line = event.error, event.line
        for part in self.parts.values():
            part.ended = now if part.ended is None else part.ended
        if event.canceled:
            self.state = CANCELED
        elif event.error:
            self.state = FAILED
        else:
            self.state = CACHED if event.cached else DONE
        if self.state != FAILED:
            self.log.clear()  # nobody will ask for it any more


class Vertices:
    """All steps by their numbers, in the order of their first start."""

    def __init__(self, kept: int = KEPT) -> None:
        self.all: dict[int, Vertex] = {}
        self.warnings: list[tuple[str, int]] = []
        self._kept = kept

    def __iter__(self) -> Iterator[Vertex]:
        return iter(self.all.values())

    def take(self, event: Event, now: float) -> tuple[Vertex, list[str]] | None:
        """Bring the step of an event up to date; it, and the lines that it has written. None for
        a warning of no step.
        """
        if event.kind == "warning":
            self.warnings.append((event.text, event.line))
            return None
        vertex = self.all.get(event.step)
        if vertex is None:
            vertex = Vertex(event.step, event.name or f"step {event.step}", now, self._kept)
            self.all[event.step] = vertex
        lines: list[str] = []
        if event.kind == "output":
            lines = vertex.wrote(vertex.splitter.feed(event.stream, event.data), now)
        elif event.kind == "progress":
            vertex.part(event, now)
        elif event.kind == "done":
            lines = vertex.wrote(vertex.splitter.rest(), now)
            vertex.end(event, now)
        return vertex, lines

    def failed(self) -> list[Vertex]:
        """Those that failed by themselves."""
        return [vertex for vertex in self if vertex.state == FAILED]
