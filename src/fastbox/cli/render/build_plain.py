"""A build as lines for logs: `#5 [2/4] RUN make`, what it writes with the seconds since it began,
`#5 DONE 0.3s`.

Steps that run at once take turns: one has the page until it is over, says nothing for a second
while another has something to say, or has had it for five.
"""

from __future__ import annotations

from fastbox.cli.render.build_vertex import CACHED, CANCELED, FAILED, Vertex, Vertices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.builds import Event

_SILENT, _TURN = 1.0, 5.0  # seconds
_MANY = 2000  # lines that may wait for their turn
_AGAIN = 5.0  # seconds between two lines about one transfer


class Plain:
    """Prints each event, or keeps it until its step's turn."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.vertices = Vertices()
        self._write, self._clock = write, clock
        self._waiting: dict[int, list[str]] = {}  # steps that are not over on paper, oldest first
        self._fresh: set[int] = set()  # of these: not even named yet
        self._current: Vertex | None = None
        self._turn = self._spoke = 0.0
        self._text: list[str] = []
        self._begun = False

    def tell(self, event: Event) -> None:
        """Take one event."""
        now = self._clock()
        taken = self.vertices.take(event, now)
        if taken is None:
            return
        vertex, lines = taken
        if vertex.number not in self._waiting:
            self._fresh.add(vertex.number)
        lines = [*lines, *_parts(vertex, now), *([_end(vertex)] if event.kind == "done" else ())]
        self._waiting.setdefault(vertex.number, []).extend(lines)
        self._print(now)

    def tick(self) -> None:
        """Time has passed: perhaps it is another's turn."""
        self._print(self._clock())

    def end(self) -> None:
        """Print what still waits."""
        for number, lines in list(self._waiting.items()):
            if lines:
                self._switch(self.vertices.all[number], self._clock())
                self._say(self.vertices.all[number], self._clock())
        self._flush()

    def _print(self, now: float) -> None:
        while True:
            if self._current is not None:
                self._say(self._current, now)
            following = self._next(now)
            if following is None:
                break
            self._switch(following, now)
        self._flush()

    def _next(self, now: float) -> Vertex | None:
        """Whose turn it is now, if it is another's."""
        steps = self.vertices.all
        ready = [steps[number] for number, lines in self._waiting.items() if lines]
        if self._current is None:
            over = [vertex for vertex in ready if vertex.over]
            fresh = [steps[number] for number in self._waiting if number in self._fresh]
            return next(iter(over or ready or fresh), None)
        patient = now - self._spoke < _SILENT and now - self._turn < _TURN
        if not ready or (patient and all(len(self._waiting[v.number]) < _MANY for v in ready)):
            return None
        return ready[0]

    def _switch(self, vertex: Vertex, now: float) -> None:
        if vertex is self._current:
            return
        if self._current is not None:
            self._text.append(f"#{self._current.number} ...\n")
        self._text.append("\n" if self._begun else "")
        self._text.append(f"#{vertex.number} {vertex.name}\n")
        self._current, self._begun = vertex, True
        self._fresh.discard(vertex.number)
        self._turn = self._spoke = now

    def _say(self, vertex: Vertex, now: float) -> None:
        lines = self._waiting.get(vertex.number)
        if lines:
            self._text += [f"#{vertex.number} {line}\n" for line in lines]
            self._spoke = now
            lines.clear()
        if vertex.over:
            self._waiting.pop(vertex.number, None)
            self._current = None

    def _flush(self) -> None:
        if self._text:
            self._write("".join(self._text))
            self._text.clear()


def _parts(vertex: Vertex, now: float) -> list[str]:
    """A line for each part that is over, and now and then for one that is not."""
    found = []
    for part in list(vertex.parts.values()):
        over = part.ended is not None
        if not over and part.told is None:
            part.told = now  # the first line comes when it takes long
        if not over and part.told is not None and now - part.told < _AGAIN:
            continue
        if part.told == float("inf"):
            continue
        seconds = (now if part.ended is None else part.ended) - part.began
        took = f" {seconds:.1f}s" if seconds >= 0.05 else ""
        ended = f"{took} done" if over else took
        found.append(" ".join(filter(None, (part.text, part.amount))) + ended)
        part.told = float("inf") if over else now
    return found


def _end(vertex: Vertex) -> str:
    if vertex.state == CACHED:
        return "CACHED"
    if vertex.state == CANCELED:
        return "CANCELED"
    if vertex.state == FAILED:
        from fastbox.errors import printable

        return f"ERROR: {printable(vertex.error)}"
    return f"DONE {vertex.seconds:.1f}s"
