"""The process that times: for commands, for commands in another mount namespace, for the engine.

It reads one JSON request a line and answers with one line. All commands are timed by the same few
lines, so that no peer pays for a wrapper, nor for the size of the process that orders the runs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TypedDict


class Request(TypedDict):
    """`{id}` and `{slot}` in the words become a new name and the number of the place in flight."""

    argv: list[str]
    files: dict[str, str]
    image: str
    count: int
    flight: int


class Answer(TypedDict):
    """Nanoseconds; `samples` has begin and end of those that succeeded, on the monotonic clock."""

    samples: list[tuple[int, int]]
    wall: int
    failures: int
    error: str


Once = Callable[[Request, int, int], tuple[int, int]]


def run_command(request: Request, number: int, slot: int) -> tuple[int, int]:
    """Spawn the command with its stdio on /dev/null, wait for it, and return when.

    Raises:
        RuntimeError: It did not end with 0.
    """
    name = f"bench{os.getpid()}x{number}"
    argv = [word.replace("{id}", name).replace("{slot}", str(slot)) for word in request["argv"]]
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    for fd, path in request["files"].items():
        actions.append((os.POSIX_SPAWN_OPEN, int(fd), path, os.O_RDONLY, 0))
    begin = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    status = os.waitpid(pid, 0)[1]
    end = time.perf_counter_ns()
    if status:
        raise RuntimeError(f"{argv[0]}: status {os.waitstatus_to_exitcode(status)}")
    return begin, end


def run_many(request: Request, once: Once, numbers: itertools.count[int]) -> Answer:
    """`count` times, `flight` of them at once, each place in flight a thread."""
    left = iter(range(request["count"]))
    answer: Answer = {"samples": [], "wall": 0, "failures": 0, "error": ""}

    def work(slot: int) -> None:
        for _ in left:  # next() of a range is atomic under the interpreter's lock
            try:
                answer["samples"].append(once(request, next(numbers), slot))
            except Exception as error:  # an edge: whatever a peer raises is a failed start
                answer["failures"] += 1
                answer["error"] = f"{type(error).__name__}: {error}"

    threads = [threading.Thread(target=work, args=(slot,)) for slot in range(1, request["flight"])]
    begin = time.perf_counter_ns()
    for thread in threads:
        thread.start()
    work(0)
    for thread in threads:
        thread.join()
    answer["wall"] = time.perf_counter_ns() - begin
    return answer


def serve(once: Once) -> None:
    """Answer requests until stdin ends."""
    numbers = itertools.count()
    for line in sys.stdin:
        print(json.dumps(run_many(json.loads(line), once, numbers)), flush=True)


def serve_engine() -> None:
    """Hold one Engine open and start containers in it."""
    from fastbox import Engine

    with Engine.open() as engine:

        def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
            begin = time.perf_counter_ns()
            with engine.run(request["image"], request["argv"]) as container:
                code = container.wait()
            end = time.perf_counter_ns()
            if code:
                raise RuntimeError(f"exit code {code}")
            return begin, end

        serve(once)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        serve_engine() if sys.argv[1:] == ["engine"] else serve(run_command)
