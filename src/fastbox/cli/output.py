"""What a command says: results to stdout, everything for people to stderr."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO


class Output:
    """The two streams of a command line.

    Attributes:
        debug: Whether errors come with their traceback.
    """

    __slots__ = ("_stderr", "_stdout", "debug")

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        self._stderr = stderr or sys.stderr
        self.debug = bool(os.environ.get("FASTBOX_DEBUG"))

    def line(self, text: str) -> None:
        """One line of the result."""
        self._stdout.write(text + "\n")

    def text(self, text: str) -> None:
        """Text of the result as it is."""
        self._stdout.write(text)

    def note(self, text: str) -> None:
        """One line for people, after what was printed before it."""
        try:
            self._stdout.flush()
        except OSError:
            pass  # the last flush will say so
        self._stderr.write(text + "\n")
        self._stderr.flush()

    def raw(self, text: str, *, error: bool = False) -> None:
        """Text as it is, at once."""
        stream = self._stderr if error else self._stdout
        stream.write(text)
        stream.flush()

    def data(self, data: bytes, *, error: bool = False) -> None:
        """Bytes as they are, at once."""
        stream = self._stderr if error else self._stdout
        stream.flush()
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(data.decode("utf-8", "replace"))
        else:
            buffer.write(data)
            buffer.flush()

    def for_people(self) -> bool:
        """Whether somebody reads stderr on a terminal."""
        return self._stderr.isatty()

    def flush(self) -> None:
        """Write out what is held back.

        Raises:
            BrokenPipeError: Nobody reads it any more.
            FastboxError: There is no room for it.
        """
        try:
            self._stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            from fastbox.errors import os_error

            raise os_error(error, "cannot write the output") from error
