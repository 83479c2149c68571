"""A build on a terminal: a line for each step with its time at the right edge, below running ones
the end of their output, all of it drawn again in place.

Each frame is one write that hides the cursor and shows it again, so whatever ends the process
leaves the terminal as it was.
"""

from __future__ import annotations

from fastbox.cli.render.build_text import fit, shown, sides
from fastbox.cli.render.build_vertex import CACHED, CANCELED, FAILED, Part, Vertex, Vertices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.builds import Event

INTERVAL = 0.05  # seconds between two frames, at least
_LOG_LINES = 6  # of a running step
_NARROWEST, _LOWEST = 20, 4
_BLUE, _RED, _YELLOW, _FAINT = "34", "31", "33", "2"
_MARKS = {CACHED: "CACHED ", FAILED: "ERROR ", CANCELED: "CANCELED "}
_COLOURS = {CANCELED: _YELLOW, FAILED: _RED, "running": ""}

Row = tuple[str, str]  # a line, and the attribute it is drawn with


class Tty:
    """Draws the steps that its events tell of."""

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float],
        size: Callable[[], tuple[int, int]],
        *,
        colour: bool = True,
    ) -> None:
        """Draw with `write`.

        Args:
            write: Takes one frame.
            clock: Seconds.
            size: The terminal's columns and lines, now.
            colour: Whether to use colours and faint text.
        """
        self.vertices = Vertices()
        self._write, self._clock, self._size, self._colour = write, clock, size, colour
        self._began = clock()
        self._drawn: list[int] = []  # how many columns each line on the screen takes
        self._last = self._began - INTERVAL

    def tell(self, event: Event) -> None:
        """Take one event; what it changes is seen with the next frame."""
        self.vertices.take(event, self._clock())

    def tick(self) -> None:
        """Draw a frame if it is time."""
        now = self._clock()
        if now - self._last >= INTERVAL and self.vertices.all:
            self._draw(self._frame(now))
            self._last = now

    def end(self) -> None:
        """Draw all steps for the last time, as they stay."""
        if self.vertices.all:
            self._draw(self._all(self._clock()))

    def _frame(self, now: float) -> list[Row]:
        """What fits: running steps, then the newest of the others; details where there is room."""
        columns, lines = self._room()
        chosen = _chosen(list(self.vertices), lines - 2)
        left = lines - 2 - len(chosen)
        parts: dict[int, list[Part]] = {}
        for vertex in reversed(chosen):
            count = min(len(vertex.parts), left)
            parts[vertex.number] = list(vertex.parts.values())[-count:] if count else []
            left -= count
        logs = _logs(chosen, left)
        rows = [self._head(now, columns)]
        for vertex in chosen:
            rows.append(_step(vertex, now, columns))
            rows += [_part(part, now, columns) for part in parts[vertex.number]]
            rows += [(fit(f" => => # {line}", columns), _FAINT) for line in logs[vertex.number]]
        return rows

    def _all(self, now: float) -> list[Row]:
        columns, _ = self._room()
        rows = [self._head(now, columns)]
        for vertex in self.vertices:
            rows.append(_step(vertex, now, columns))
            rows += [_part(part, now, columns) for part in vertex.parts.values()]
        return rows

    def _room(self) -> tuple[int, int]:
        """Columns and lines; the last column stays empty, since terminals differ in what a full
        line does to the cursor.
        """
        columns, lines = self._size()
        return max(columns - 1, _NARROWEST), max(lines, _LOWEST)

    def _head(self, now: float, columns: int) -> Row:
        over = sum(vertex.over for vertex in self.vertices)
        total = len(self.vertices.all)
        finished = " FINISHED" if over == total else ""
        text = f"[+] Building {now - self._began:.1f}s ({over}/{total}){finished}"
        return fit(text, columns), ""

    def _draw(self, rows: list[Row]) -> None:
        columns, lines = self._size()
        # A terminal that has become narrower has folded the lines that it shows.
        above = sum(max(-(-taken // max(columns, 1)), 1) for taken in self._drawn)
        above = min(above, max(lines - 1, 0))
        frame = ["\x1b[?25l", f"\x1b[{above}A" if above else "", "\r"]
        for text, attribute in rows:
            if attribute and self._colour:
                text = f"\x1b[{attribute}m{text}\x1b[0m"
            frame.append(text + "\x1b[K\n")
        frame.append("\x1b[J\x1b[?25h")
        self._drawn = [_taken(text) for text, _ in rows]
        self._write("".join(frame))


def _taken(text: str) -> int:
    from fastbox.cli.render.build_text import width

    return width(text)


def _chosen(steps: list[Vertex], room: int) -> list[Vertex]:
    """As many steps as there are lines, in their order: those that run before those that are over,
    newer ones before older ones.
    """
    if len(steps) <= room:
        return steps
    running = [vertex for vertex in steps if not vertex.over][-room:]
    others = [vertex for vertex in steps if vertex.over]
    others = others[len(others) - (room - len(running)) :]
    numbers = {vertex.number for vertex in (*running, *others)}
    return [vertex for vertex in steps if vertex.number in numbers]


def _logs(steps: list[Vertex], room: int) -> dict[int, list[str]]:
    """The last lines of running steps, each as many as the others."""
    found: dict[int, list[str]] = {vertex.number: [] for vertex in steps}
    talking = [v for v in steps if not v.over and (v.log or v.splitter.waiting())]
    for place, vertex in enumerate(reversed(talking)):
        count = min(_LOG_LINES, max(room // (len(talking) - place), min(room, 1)))
        lines = [line.partition(" ")[2] for line in vertex.log[-count:]] if count else []
        waiting = shown(vertex.splitter.waiting())
        if waiting and count:
            lines = [*lines, waiting][-count:]
        found[vertex.number] = lines = [line for line in lines if line.strip()]
        room -= len(lines)
    return found


def _step(vertex: Vertex, now: float, columns: int) -> Row:
    text = f" => {_MARKS.get(vertex.state, '')}{vertex.name}"
    row = sides(text, _seconds(vertex.elapsed(now)), columns)
    return row, _COLOURS.get(vertex.state, _BLUE)


def _part(part: Part, now: float, columns: int) -> Row:
    text = " ".join(filter(None, (f" => => {part.text}", part.amount)))
    seconds = (now if part.ended is None else part.ended) - part.began
    return sides(text, _seconds(seconds), columns), "" if part.ended is None else _BLUE


def _seconds(seconds: float) -> str:
    return f"{seconds if seconds >= 0.05 else 0.0:.1f}s"
