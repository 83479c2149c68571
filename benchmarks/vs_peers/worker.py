"""The process that times: commands, commands in another mount namespace, or calls of the engine.

It reads one JSON request a line and answers with one line. All commands are timed by the same few
lines, so that no peer pays for a wrapper, nor for the size of the process that orders the runs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypedDict


class Request(TypedDict):
    """`{id}`, `{slot}` and `{directory}` in the words become a new name, the number of the place in
    flight, and the directory (which holds `{id}` or `{slot}` when many are in flight). `after` are
    commands that undo what was measured.
    """

    argv: list[str]
    files: dict[str, str]
    image: str
    directory: str
    after: list[list[str]]
    count: int
    flight: int


class Answer(TypedDict):
    """Nanoseconds; `samples` has begin and end of those that succeeded, on the monotonic clock, and
    where it is known the most memory that the process held, in KiB.
    """

    samples: list[tuple[int, ...]]
    wall: int
    failures: int
    error: str


Once = Callable[[Request, int, int], tuple[int, ...]]
STDERR_MAX = 400
SLEEP = ["sleep", "1000000"]


def _fill(word: str, number: int, slot: int) -> str:
    return word.replace("{id}", f"bench{os.getpid()}x{number}").replace("{slot}", str(slot))


def _undo(words: list[str]) -> None:
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()[-STDERR_MAX:]}")


@contextlib.contextmanager
def _directory(request: Request, number: int, slot: int) -> Iterator[str]:
    """A directory of the sample's own, on a disk that has written what came before it."""
    path = _fill(request["directory"], number, slot)
    if path:
        os.mkdir(path, 0o755)
        os.sync()
    try:
        yield path
    finally:
        for words in request["after"]:
            _undo([_fill(word, number, slot).replace("{directory}", path) for word in words])
        if path:
            shutil.rmtree(path)


def _actions(files: dict[str, str]) -> list[tuple[int, int, str, int, int]]:
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
    for fd, path in files.items():
        actions.append((os.POSIX_SPAWN_OPEN, int(fd), path, os.O_RDONLY, 0))
    return actions


def run_command(request: Request, number: int, slot: int) -> tuple[int, int, int]:
    """Spawn the command with its output on /dev/null, wait for it, and return when, and the most
    that it or one of its children held. It is never less than this process has: the kernel counts
    what was there before the exec.

    Raises:
        RuntimeError: It did not end with 0; what it said on stderr.
    """
    errors = os.memfd_create("stderr", os.MFD_CLOEXEC)
    try:
        with _directory(request, number, slot) as directory:
            argv = [_fill(word, number, slot) for word in request["argv"]]
            argv = [word.replace("{directory}", directory) for word in argv]
            actions = [*_actions(request["files"]), (os.POSIX_SPAWN_DUP2, errors, 2)]
            begin = time.perf_counter_ns()
            pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
            _, status, used = os.wait4(pid, 0)
            end = time.perf_counter_ns()
        if status:
            said = os.pread(errors, STDERR_MAX, 0).decode("utf-8", "replace").strip()
            code = os.waitstatus_to_exitcode(status)
            raise RuntimeError(f"{os.path.basename(argv[0])}: status {code}: {said}")
    finally:
        os.close(errors)
    return begin, end, used.ru_maxrss


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


def serve_engine(network: str = "none", publish: str = "", held: str = "0") -> None:
    """Hold one Engine open and start containers in it, on a network, with published ports, beside
    `held` others of the same kind.
    """
    from fastbox import Engine

    ports = tuple(filter(None, publish.split(",")))
    with Engine.open() as engine:
        beside: list[object] = []

        def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
            while len(beside) < int(held):
                beside.append(engine.run(request["image"], SLEEP, network=network, publish=ports))
            begin = time.perf_counter_ns()
            with engine.run(
                request["image"], request["argv"], network=network, publish=ports
            ) as container:
                code = container.wait()
            end = time.perf_counter_ns()
            if code:
                raise RuntimeError(f"exit code {code}")
            return begin, end

        serve(once)


def serve_networks() -> None:
    """Make and remove a network, or connect and disconnect a container: `argv[0]` says which."""
    from fastbox import Engine

    with Engine.open() as engine:
        beside: list[Any] = []

        def once(request: Request, number: int, _slot: int) -> tuple[int, int]:
            if request["argv"][0] == "create":
                begin = time.perf_counter_ns()
                engine.networks.create(f"bench{number}")
                engine.networks.remove(f"bench{number}")
                return begin, time.perf_counter_ns()
            if not beside:
                engine.networks.create("beside")
                beside.append(engine.run(request["image"], SLEEP, network="bridge"))
            name = beside[0].id
            begin = time.perf_counter_ns()
            engine.networks.connect(name, "beside")
            engine.networks.disconnect(name, "beside")
            return begin, time.perf_counter_ns()

        serve(once)


def serve_builds() -> None:
    """Hold one Engine open and build in it: `argv` is the context's directory and a tag."""
    from fastbox import Engine
    from fastbox.builds import BuildOptions

    with Engine.open() as engine:

        def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
            context, tag = request["argv"]
            options = BuildOptions(context=context, tags=(tag,), network="none")
            begin = time.perf_counter_ns()
            engine.builds.build(options)
            return begin, time.perf_counter_ns()

        serve(once)


ROUND_TRIPS = 2000


def serve_round_trips() -> None:
    """One byte to an echo server and back, ROUND_TRIPS times: `argv` is its address and port."""
    import socket

    def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
        address, port = request["argv"]
        with socket.create_connection((address, int(port)), timeout=20) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            begin = time.perf_counter_ns()
            for _ in range(ROUND_TRIPS):
                peer.send(b"x")
                peer.recv(1)
            return begin, begin + (time.perf_counter_ns() - begin) // ROUND_TRIPS

    serve(once)


def serve_exec(image: str) -> None:
    """Hold one container of `image` and run processes in it."""
    from fastbox import Engine

    with Engine.open() as engine, engine.run(image, SLEEP, network="none") as container:

        def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
            begin = time.perf_counter_ns()
            done = container.exec(request["argv"])
            end = time.perf_counter_ns()
            done.check()
            return begin, end

        serve(once)


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _peak() -> int:
    """The most that this process held since it was forgotten, in KiB."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def serve_extract() -> None:
    """Extract the archive `argv[0]` with fastbox's own extension, as an image's layer."""
    from fastbox import _bytes

    def once(request: Request, number: int, slot: int) -> tuple[int, int, int]:
        with _directory(request, number, slot) as directory:
            archive = os.open(request["argv"][0], os.O_RDONLY | os.O_CLOEXEC)
            root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                _forget_peak()
                begin = time.perf_counter_ns()
                _bytes.extract(archive, root, True)
                return begin, time.perf_counter_ns(), _peak()
            finally:
                os.close(archive)
                os.close(root)

    serve(once)


def serve_calls(place: str, module: str) -> None:
    """Call the functions of one binding: `argv` is ["name" or "digest", how many calls]."""
    from importlib import import_module

    sys.path.insert(0, place)
    bound = import_module(module)
    data = bytes(range(64))
    calls = {"name": (bound.stage_name, 9), "digest": (bound.digest, data)}

    def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
        function, argument = calls[request["argv"][0]]
        times = itertools.repeat(argument, int(request["argv"][1]))
        begin = time.perf_counter_ns()
        for one in times:
            function(one)
        return begin, time.perf_counter_ns()

    serve(once)


def serve_imports() -> None:
    """Time an import in a process of its own: `argv` prints its nanoseconds."""

    def once(request: Request, _number: int, _slot: int) -> tuple[int, int]:
        pipe, theirs = os.pipe()
        actions = [(os.POSIX_SPAWN_DUP2, theirs, 1)]
        pid = os.posix_spawn(request["argv"][0], request["argv"], os.environ, file_actions=actions)
        os.close(theirs)
        with open(pipe, encoding="ascii") as file:
            said = file.read()
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{request['argv'][-1]} failed")
        return 0, int(said)

    serve(once)


MODES: dict[str, Callable[..., None]] = {
    "commands": lambda: serve(run_command),
    "engine": serve_engine,
    "networks": serve_networks,
    "builds": serve_builds,
    "round-trips": serve_round_trips,
    "exec": serve_exec,
    "extract": serve_extract,
    "calls": serve_calls,
    "imports": serve_imports,
}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        MODES[sys.argv[1]](*sys.argv[2:])
