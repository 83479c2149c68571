"""A build for programs: one JSON object a line. docs/builds.md names the members."""

from __future__ import annotations

from fastbox.cli.render.build_vertex import Vertices
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.builds import Built, Event
    from fastbox.errors import FastboxError

_MEMBERS = {
    "start": ("step", "name", "stage"),
    "output": ("step", "stream", "data"),
    "done": ("step", "name", "seconds", "cached", "canceled", "error"),
    "progress": ("step", "text", "current", "total"),
    "warning": ("text", "line"),
}


class Json:
    """Writes an object for each event, and one for what came of it all."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self.vertices = Vertices()
        self._write, self._clock = write, clock
        self._began = clock()

    def tell(self, event: Event) -> None:
        """Write one event."""
        self.vertices.take(event, self._clock())
        members: dict[str, object] = {
            name: getattr(event, name) for name in _MEMBERS.get(event.kind, ())
        }
        if "data" in members:
            members["data"] = event.data.decode("utf-8", "replace")
        self._object(event.kind, members)

    def tick(self) -> None:
        """Nothing waits here."""

    def end(self) -> None:
        """Nothing waits here."""

    def built(self, built: Built) -> None:
        """Write the result."""
        warnings = [warned.as_dict() for warned in built.warnings]
        names = ("image_id", "digest", "seconds")
        members = {name: getattr(built, name) for name in names}
        self._object("built", {**members, "tags": list(built.tags), "warnings": warnings})

    def failed(self, error: FastboxError) -> None:
        """Write why there is no result."""
        members: dict[str, object] = {"error": str(error), "code": error.code, "hint": error.hint}
        members["exit_status"] = getattr(error, "exit_status", None)
        self._object("failed", members)

    def _object(self, kind: str, members: dict[str, object]) -> None:
        time = round(self._clock() - self._began, 3)
        line = json.dumps_bytes({"kind": kind, "time": time, **members})
        self._write(line.decode() + "\n")
