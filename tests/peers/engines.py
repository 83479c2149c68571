"""podman, docker and containerd, each on a private place, with the runtimes `runc` and `fastbox` to choose from."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

from ..integration import host
from .documents import configuration
from .place import Place

RUNC, FASTBOX = "runc", "fastbox"
LIMITS = {"nofile": (1024, 4096), "nproc": (1024, 4096)}  # below any caller's own

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")

Done = subprocess.CompletedProcess[str]


class Command:
    """A command line client with an environment of its own."""

    words: tuple[str, ...]
    environ: dict[str, str]
    directory: Path | None = None  # where it is called

    def __call__(
        self, *words: str, check: bool = True, stdin: bytes | None = None, timeout: float = 60
    ) -> Done:
        done = subprocess.run(
            [*self.words, *words],
            env=self.environ,
            cwd=self.directory,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout * host.SLOW,
        )
        text = Done(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
        if check:
            assert text.returncode == 0, f"{words}: {text.returncode}\n{text.stdout}\n{text.stderr}"
        return text

    def terminal(
        self, *words: str, typed: bytes, size: tuple[int, int] = (24, 80), timeout: float = 30
    ) -> tuple[int, str]:
        """Run on a terminal, type, and give back the exit code and all that was shown."""
        pid, master = pty.fork()
        if pid == 0:
            termios.tcsetwinsize(0, size)
            os.execvpe(self.words[0], [*self.words, *words], self.environ)
        shown, end = b"", time.monotonic() + timeout * host.SLOW
        while time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                try:
                    piece = os.read(master, 4096)
                except OSError:  # the last that had it open is gone
                    break
                if not piece:
                    break
                shown += piece
                # The prompt says that somebody listens; busybox asks where the cursor is after it, and clears the line on a new size.
                if typed and CONTROL.sub(b"", shown).rstrip().endswith((b"#", b"$")):
                    os.write(master, typed)
                    typed = b""
        else:
            os.kill(pid, signal.SIGKILL)
        os.close(master)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


class Engine(Command):
    """What podman and docker have in common, which is most."""

    name: str
    remove = ("rm", "-f")

    def __init__(self, place: Place) -> None:
        self.place = place

    def create(
        self, *words: str, verb: str = "run", runtime: str = FASTBOX, network: str = "none"
    ) -> tuple[str, ...]:
        raise NotImplementedError

    def run(
        self,
        *words: str,
        runtime: str = FASTBOX,
        network: str = "none",
        check: bool = True,
        **more: Any,
    ) -> Done:
        return self(*self.create(*words, runtime=runtime, network=network), check=check, **more)

    def inspect(self, container: str) -> dict[str, Any]:
        found = json.loads(self("inspect", container).stdout)
        assert isinstance(found, list)
        return dict(found[0])

    def state(self, container: str) -> dict[str, Any]:
        return dict(self.inspect(container)["State"])

    def clear(self) -> None:
        names = self("ps", "-aq").stdout.split()
        if names:
            self(*self.remove, *names, check=False)

    def wait(self, container: str, status: str) -> dict[str, Any]:
        end = time.monotonic() + 15 * host.SLOW
        while (state := self.state(container))["Status"] != status:
            assert time.monotonic() < end, state
            time.sleep(0.05)
        return state

    def close(self) -> None:
        raise NotImplementedError


class Podman(Engine):
    """podman 4: no daemon; each container has a conmon."""

    name = "podman"
    remove = ("rm", "-f", "-t", "0")

    def __init__(self, place: Place, program: str) -> None:
        super().__init__(place)
        base = place.directory("podman")
        self.directory = base  # conmon leaves a file `oom` where it was started
        limits = ", ".join(f'"{name}={soft}:{hard}"' for name, (soft, hard) in LIMITS.items())
        text = configuration("runtimes.md", "podman-configuration", program)
        (base / "containers.conf").write_text(f"[containers]\ndefault_ulimits = [{limits}]\n{text}")
        (base / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{base}/root"\nrunroot = "{base}/run"\n'
        )
        (base / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.words = (
            "podman",
            *("--tmpdir", f"{base}/tmp", "--cgroup-manager=cgroupfs", "--events-backend=file"),
            *("--network-config-dir", f"{base}/networks"),
        )
        self.environ = {
            **os.environ,
            "CONTAINERS_CONF": f"{base}/containers.conf",
            "CONTAINERS_STORAGE_CONF": f"{base}/storage.conf",
        }

    def create(
        self, *words: str, verb: str = "run", runtime: str = FASTBOX, network: str = "none"
    ) -> tuple[str, ...]:
        return (
            *("--runtime", runtime, verb, "--pull=never", "--network", network),
            *("--cgroup-parent", f"{self.place.parent}/podman", *words),
        )

    def close(self) -> None:
        self.clear()


class Docker(Engine):
    """A private dockerd without a network of its own."""

    name = "docker"

    def __init__(self, place: Place, program: str) -> None:
        super().__init__(place)
        base = self.base = place.directory("docker")
        settings = json.loads(configuration("runtimes.md", "docker-configuration", program))
        settings["default-ulimits"] = {
            name: {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in LIMITS.items()
        }
        (base / "daemon.json").write_text(json.dumps(settings))
        self.words, self.environ = (
            ("docker",),
            {**os.environ, "DOCKER_HOST": f"unix://{base}/docker.sock"},
        )
        self.log = (base / "log").open("wb")
        self.daemon = subprocess.Popen(
            [
                *("dockerd", "--config-file", f"{base}/daemon.json", "--data-root", f"{base}/data"),
                *(
                    "--exec-root",
                    f"{base}/exec",
                    "-H",
                    f"unix://{base}/docker.sock",
                    "-p",
                    f"{base}/pid",
                ),
                *("--bridge=none", "--iptables=false", "--cgroup-parent", f"{place.parent}/docker"),
            ],
            stdout=self.log,
            stderr=self.log,
            stdin=subprocess.DEVNULL,
            cwd=base,
        )
        await_ready(self, self.daemon, base / "log", "version")

    def create(
        self, *words: str, verb: str = "run", runtime: str = FASTBOX, network: str = "none"
    ) -> tuple[str, ...]:
        return (verb, "--runtime", runtime, "--network", network, *words)

    def close(self) -> None:
        try:
            self.clear()
        finally:
            self.daemon.terminate()
            self.daemon.wait(30 * host.SLOW)
            self.log.close()


def await_ready(command: Command, daemon: subprocess.Popen[bytes], log: Path, *words: str) -> None:
    end = time.monotonic() + 60 * host.SLOW
    while command(*words, check=False).returncode != 0:
        assert daemon.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < end, log.read_text()[-2000:]
        time.sleep(0.1)
