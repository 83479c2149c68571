"""The judged runtimes: one command line each, and the root of its state."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..integration.host import SLOW
from .stage import Stage

_CONTROLLERS = "/sys/fs/cgroup/unified/cgroup.controllers"
# Of a mixed machine, which crun refuses to see.
HIDE = f"[ ! -e {_CONTROLLERS} ] || mount --bind /dev/null {_CONTROLLERS}"


class Party:
    """A runtime with runc's command line."""

    def __init__(self, name: str, program: str, stage: Stage, base: Path) -> None:
        self.name, self.stage = name, stage
        found = shutil.which(program)
        assert found, f"{program} is not on the PATH: run the tests with `make test`"
        self.program = found
        self.root = base / f"{name}-state"
        self.root.mkdir()

    def __repr__(self) -> str:
        return self.name

    def argv(self, *words: str, options: tuple[str, ...] = ()) -> list[str]:
        return [*self.stage.enter, self.program, "--root", str(self.root), *options, *words]

    def __call__(
        self,
        *words: str,
        check: bool = True,
        stdin: str | None = None,
        options: tuple[str, ...] = (),
        timeout: float = 30,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Its output goes through files: a container's process may outlive it and keep them open."""
        with open_temporary() as out, open_temporary() as err:
            done = subprocess.run(
                self.argv(*words, options=options),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=out,
                stderr=err,
                text=True,
                timeout=timeout * SLOW,
            )
            out.seek(0)
            err.seek(0)
            answer = subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())
        if check:
            assert answer.returncode == 0, (self.name, words, answer.stdout, answer.stderr)
        return answer

    def start(
        self, *words: str, options: tuple[str, ...] = (), **more: object
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv(*words, options=options), **more)  # type: ignore[call-overload,no-any-return]

    def containers(self) -> list[str]:
        """What its state holds; "@" is no id, and a cache of fastbox-oci's."""
        return sorted(name for name in os.listdir(self.root) if not name.startswith("@"))

    def clean(self) -> list[str]:
        """Delete what a test left, and say what that was."""
        left = self.containers()
        for name in left:
            self("delete", "--force", name, check=False)
        return left


def open_temporary() -> IO[str]:
    """A file without a name."""
    import tempfile

    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace")


def read_until(stream: IO[bytes], end: bytes, seconds: float) -> bytes:
    """What comes until `end` or the end of the file."""
    text = b""
    deadline = time.monotonic() + seconds * SLOW
    while end not in text:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing more after {text!r}"
        part = os.read(stream.fileno(), 65536)
        if not part:
            break
        text += part
    return text


def read_pid(path: Path) -> int:
    """A pid file's number: the process may have answered before it is written."""
    for _ in range(int(500 * SLOW)):
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError(f"no {path}")


class Held:
    """A container whose probe has answered and waits."""

    def __init__(self, process: subprocess.Popen[bytes], pid: int, report: str) -> None:
        self.process, self.pid, self.report = process, pid, report
        self.code, self.errors = -1, ""


@contextmanager
def held(party: Party, bundle: Path, name: str, *flags: str) -> Iterator[Held]:
    """Run a bundle whose probe holds; at the end it is let go. pid 0: it never came so far."""
    pid_file = bundle / "pid"
    words = ("run", "--bundle", str(bundle), "--pid-file", str(pid_file), *flags, name)
    with holding(party, pid_file, *words) as process:
        yield process
    if process.code < 0:
        party("delete", "--force", name, check=False)


@contextmanager
def holding(party: Party, pid_file: Path, *words: str) -> Iterator[Held]:
    """The same for any command that starts a probe and waits for it."""
    process = party.start(
        *words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    try:
        report = read_until(process.stdout, b"end\n", 20)
        reached = report.endswith(b"end\n")
        container = Held(process, read_pid(pid_file) if reached else 0, report.decode())
        yield container
        process.stdin.close()
        container.report += process.stdout.read().decode()
        container.errors = process.stderr.read().decode()
        container.code = process.wait(20 * SLOW)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
