"""Reading logs: the last ten lines of one of 1 GB, and all of one of 64 MB, printed.

The files are written as each engine's driver writes them, into the log of a container that has
ended: what is measured is reading.
"""

from __future__ import annotations

import subprocess
import time
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured
from ..vs_peers.daemons import daemon
from ..vs_peers.lab import Lab
from ..vs_peers.peers import command

GREAT, WHOLE = 1 << 30, 64 << 20
_TIME = "2026-01-02T03:04:05.123456789Z"
_TEXT = "GET /index.html 200 1234 and so on, as a server would write it all day long"
JSON = f'{{"log":"{_TEXT}\\n","stream":"stdout","time":"{_TIME}"}}\n'
PODMAN = f"{_TIME.removesuffix('Z')}+00:00 stdout F {_TEXT}\n"


def _fill(path: str, line: str, size: int) -> None:
    block = (line * ((1 << 20) // len(line))).encode("ascii")
    with open(path, "wb") as file:
        for _ in range(size // len(block)):
            file.write(block)


def _ask(lab: Lab, words: list[str]) -> str:
    done = subprocess.run(words, env=lab.env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _ours(lab: Lab, size: int) -> str:
    """A container with a log of that size: its id."""
    identity = lab.fastbox("run", "-d", "--network", "none", lab.image, "true")
    lab.fastbox("wait", identity)
    lab.stack.callback(lab.fastbox, "rm", "-f", identity)
    _fill(lab.file("store", "containers", identity, f"{identity}-json.log"), JSON, size)
    return identity


def _file(lab: Lab, size: int, words: list[str]) -> Measure:
    path = lab.file(f"log-of-{size}")
    _fill(path, JSON, size)
    return command(lab.commands, [lab.need(words[0]), *words[1:], path])


def _in_process(lab: Lab, size: int) -> Measure:
    from fastbox import Engine

    identity = _ours(lab, size)
    engine = Engine.open(root=lab.env["FASTBOX_ROOT"], run=lab.env["FASTBOX_RUN"])

    def measure(count: int, flight: int) -> Measured:
        samples = []
        for _ in range(count // flight):
            begin = time.perf_counter_ns()
            found = len(list(engine.containers.logs(identity, tail=10)))
            samples += [(time.perf_counter_ns() - begin) / 1e3] * flight
            if found != 10:
                return Measured([], 0, 1, f"{found} lines")
        return Measured(samples, sum(samples))

    return measure


def _cli(lab: Lab, size: int, options: list[str]) -> Measure:
    return command(lab.commands, [lab.need("fastbox"), "logs", *options, _ours(lab, size)])


def _peer(lab: Lab, name: str, size: int, options: list[str]) -> Measure:
    found = daemon(lab, name)
    held = f"logs-{size}"
    driver = {"docker": "json-file", "podman": "k8s-file"}[name]
    words = ["run", "--name", held, "--log-driver", driver, *found.run_options, "bench:latest"]
    _ask(lab, [*found.words, *words, "true"])
    lab.stack.callback(_ask, lab, [*found.words, "rm", "-f", held])
    where = {"docker": "{{.LogPath}}", "podman": "{{.HostConfig.LogConfig.Path}}"}[name]
    path = _ask(lab, [*found.words, "inspect", "-f", where, held])
    _fill(path, JSON if name == "docker" else PODMAN, size)
    return command(found.commands, [*found.words, "logs", *options, held])


def _open(size: int, options: list[str], floor: list[str], field: Field) -> None:
    lab = field.lab
    field.admit("file", partial(_file, lab, size, floor))
    if size == GREAT:
        field.admit("in_process", partial(_in_process, lab, size))
    field.admit("cli", partial(_cli, lab, size, options))
    for name in ("docker", "podman"):
        field.admit(name, partial(_peer, lab, name, size, options))


def _rows(floor: str, options: str) -> tuple[Row, ...]:
    return (
        Row("file", floor, BASE),
        Row("cli", f"fastbox logs{options}", OURS),
        Row("docker", f"docker logs{options}", daemon=True),
        Row("podman", f"podman logs{options}", daemon=True),
    )


SUITES = (
    Suite(
        name="logs_tail",
        title="the last 10 lines of a log of 1 GB",
        rows=(
            *_rows("tail -n 10 of the file", " --tail 10"),
            Row("in_process", "fastbox, in process (Containers.logs)", OURS),
        ),
        open=partial(_open, GREAT, ["--tail", "10"], ["tail", "-n", "10"]),
        base="file",
        rounds=20,
        seconds=30.0,
        apart=True,
        budgets=(Budget("`fastbox logs --tail 10`, at most 0.5 x docker's", "cli", 0.5, "docker"),),
    ),
    Suite(
        name="logs_all",
        title="all of a log of 64 MB, printed",
        rows=_rows("cat of the file", ""),
        open=partial(_open, WHOLE, [], ["cat"]),
        base="file",
        rounds=8,
        seconds=40.0,
        apart=True,
        budgets=(Budget("`fastbox logs` of all, at most 0.5 x docker's", "cli", 0.5, "docker"),),
    ),
)
