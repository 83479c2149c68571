"""The other ends of the timing processes: start one, ask, read what it measured, end it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HERE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclass(frozen=True)
class Measured:
    """Microseconds; `begins` on the monotonic clock; `stages`, a list a stage: the floor's only.

    `memory` is the most that one of the processes held, in KiB; 0: not known.
    """

    samples: list[float]
    wall: float
    failures: int = 0
    error: str = ""
    begins: list[float] = field(default_factory=list)
    stages: dict[str, list[float]] = field(default_factory=dict)
    memory: int = 0


Measure = Callable[[int, int], Measured]
"""How many, how many at once."""


class Client:
    """One timing process, spoken to by lines."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(env), cwd=HERE
        )

    def ask(self, line: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Read one line.

        Raises:
            RuntimeError: The process has ended; its own words are on stderr.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended with {self.process.wait()}")
        return line.rstrip("\n")

    def close(self) -> None:
        """End the process by ending its input."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Worker(Client):
    """vs_peers/worker.py, as it is or below a wrapper such as `unshare -m`."""

    def __init__(self, mode: str, env: Mapping[str, str], wrapper: Sequence[str] = ()) -> None:
        """`mode` is worker.py's words, "commands" or "binding cffi" say."""
        argv = [*wrapper, sys.executable, "-m", "benchmarks.vs_peers.worker", *mode.split()]
        super().__init__(argv, env)

    def measure(
        self,
        argv: Sequence[str],
        count: int,
        flight: int,
        *,
        files: Mapping[str, str] | None = None,
        image: str = "",
        directory: str = "",
        after: Sequence[Sequence[str]] = (),
    ) -> Measured:
        """Do the mode's work `count` times, `flight` at once, and return the times.

        Args:
            argv: The command, or what the mode makes of it.
            files: Descriptor number to the file that the command gets there.
            image: What containers are started from.
            directory: Made before the clock starts and removed after it; "{directory}" in `argv`.
            after: Commands that make undone what was done, when the clock has stopped.
        """
        request = {"argv": list(argv), "files": dict(files or {}), "image": image}
        more: dict[str, object] = {"directory": directory, "count": count, "flight": flight}
        more["after"] = [list(words) for words in after]
        self.ask(json.dumps({**request, **more}))
        got = json.loads(self.answer())
        samples = [(end - begin) / 1e3 for begin, end, *_ in got["samples"]]
        begins = [begin / 1e3 for begin, *_ in got["samples"]]
        memory = max((most for _, _, *known in got["samples"] for most in known), default=0)
        wall, failures, error = got["wall"] / 1e3, got["failures"], got["error"]
        return Measured(samples, wall, failures, error, begins, memory=memory)


class Floor(Client):
    """One of floors/, a process for each variant: "N T" in, a line of microseconds each out."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        super().__init__(argv, env)
        self.names = self.answer().split()[1:]

    def measure(self, count: int, flight: int) -> Measured:
        """Do it `count` times in C and return the times, whole and by stage."""
        self.ask(f"{count} {flight}")
        rows: list[list[float]] = []
        while not (line := self.answer()).startswith("done"):
            rows.append([float(word) for word in line.split()])
        columns = list(map(list, zip(*rows, strict=True)))
        stages = dict(zip(self.names, columns[1:], strict=True))
        return Measured(columns[0], float(line.split()[1]), stages=stages)
