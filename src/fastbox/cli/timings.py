"""--timings, --timeline and the rest of FASTBOX_TRACE: what a command that starts something says
about its stages once it is done. Imported only when asked for.
"""

from __future__ import annotations

import os

from fastbox.errors import FastboxError, os_error
from fastbox.support import clock, timeline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments


class Report:
    """Around a command: ask for clocks before it, and tell about them whatever became of it."""

    def __init__(self, args: Arguments, out: Output) -> None:
        self._args, self._out = args, out
        self._file = -1

    def __enter__(self) -> Self:
        if self._args.given("timeline"):
            self._file = timeline.create(self._args.text("timeline"))
        clock.want()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self._file >= 0:
                _write(self._file, self._args.text("timeline"))
            if os.environ.get(clock.TRACE):
                clock.flush()
        except FastboxError as error:
            self._out.note(f"fastbox: {error}")
        if self._args.switch("timings"):
            for line in timeline.table(clock.marks()):
                self._out.note(line)


def _write(fd: int, path: str) -> None:
    try:
        timeline.write(fd, clock.marks())
    except OSError as error:
        raise os_error(error, "cannot write the timeline", path) from error
    finally:
        os.close(fd)
