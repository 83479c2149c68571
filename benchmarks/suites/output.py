"""What an exec writes, on its way to its client: through a pipe of the command's, and collected in
this process.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Worker
from ..vs_peers.daemons import daemon
from ..vs_peers.lab import SLEEP
from ..vs_peers.peers import command, once, runtime_words
from .exec import held

SIZE = 256 << 20
OUTPUT = ("/bin/busybox", "head", "-c", str(SIZE), "/dev/zero")


def _through_pipe(worker: Worker, words: Sequence[str]) -> Measure:
    return command(worker, ["/bin/sh", "-c", shlex.join(words) + " | /bin/cat > /dev/null"])


def _open_output(field: Field) -> None:
    lab = field.lab

    def base() -> Measure:
        return _through_pipe(lab.commands, [lab.root + OUTPUT[0], *OUTPUT[1:]])

    def in_process() -> Measure:
        worker = lab.stack.enter_context(Worker(f"exec {lab.image}", lab.env))
        return lambda count, flight: worker.measure(list(OUTPUT), count, flight)

    def cli() -> Measure:
        return _through_pipe(lab.commands, [lab.need("fastbox"), "exec", held(lab), *OUTPUT])

    def runc() -> Measure:
        words, worker, name = runtime_words(lab, "runc"), lab.commands_for("runc"), "output-runc"
        bundle = lab.write_bundle(name, SLEEP)
        once(worker, [*words, "run", "--detach", "--bundle", bundle, name])
        lab.stack.callback(once, worker, [*words, "delete", "--force", name])
        return _through_pipe(worker, [*words, "exec", name, *OUTPUT])

    def docker() -> Measure:
        found = daemon(lab, "docker")
        words = ["run", "-d", *found.run_options, "--name", "output", "bench:latest", *SLEEP]
        once(found.commands, [*found.words, *words])
        lab.stack.callback(once, found.commands, [*found.words, "rm", "-f", "output"])
        return _through_pipe(found.commands, [*found.words, "exec", "output", *OUTPUT])

    field.admit("floor", base)
    field.admit("in_process", in_process)
    field.admit("cli", cli)
    field.admit("runc", runc)
    field.admit("docker", docker)


SUITES = (
    Suite(
        name="output",
        title="256 MiB of an exec's output",
        rows=(
            Row("floor", "floor: head | cat, without a container", BASE),
            Row("in_process", "fastbox, in process (collected in memory)", OURS),
            Row("cli", "fastbox exec | cat", OURS),
            Row("runc", "runc exec | cat"),
            Row("docker", "docker exec | cat", daemon=True),
        ),
        open=_open_output,
        beside=("runc",),
        rounds=10,
        seconds=60.0,
        apart=True,
        budgets=(
            Budget("an exec's output, at least half the rate of a pipe", "cli", 2.0, "floor"),
        ),
    ),
)
