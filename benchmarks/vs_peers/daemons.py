"""docker and podman, private to the lab: nothing of theirs is shared with the host's own.

No bridge, no packet filter: what is measured has no network, and the host's stays as it is.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from .clients import Worker
from .lab import HYBRID, Lab, Missing

START_SECONDS, STOP_SECONDS = 60.0, 30.0
# Docker's and podman's defaults raise the hard limit, which takes CAP_SYS_RESOURCE.
PODMAN_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024")


class Docker:
    """A dockerd with its containerd, and the client's words to reach it."""

    name = "docker"
    network: Sequence[str] = ("--bridge", "none", "--iptables=false", "--ip6tables=false")
    run_options: Sequence[str] = ("--network", "none")

    def __init__(self, lab: Lab, wrapper: Sequence[str] = ()) -> None:
        self.client, daemon = lab.need("docker"), lab.need("dockerd")
        home = lab.sub(self.name)
        self.socket = os.path.join(home, "docker.sock")
        self.words = [self.client, "-H", f"unix://{self.socket}"]
        words = ["--data-root", home + "/data", "--exec-root", home + "/exec", "-p", home + "/pid"]
        words += self.network
        words += ["--cgroup-parent", f"/{lab.group}/{self.name}"]
        self.log = home + "/log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*wrapper, daemon, "-H", f"unix://{self.socket}", *words], env=lab.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        lab.stack.callback(self.stop)
        self._await()
        self.commands = lab.commands
        _load([*self.words, "load", "-q", "-i", lab.archive], lab.env)

    def _await(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(self.socket) == 0:
                    return
            time.sleep(0.1)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise Missing(f"dockerd does not start: {log.read()[-400:]}")

    def stop(self) -> None:
        """End its containers, which are too many for its own patience, and the daemon."""
        listed = subprocess.run([*self.words, "ps", "-aq"], capture_output=True, check=False)
        if held := listed.stdout.decode().split():
            subprocess.run([*self.words, "rm", "-f", *held], capture_output=True, check=False)
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bridged(Docker):
    """A dockerd with its default bridge, in a network namespace of the lab; without its proxy."""

    name = "bridged"
    network = ("--bip", "172.29.0.1/16", "--userland-proxy=false")
    run_options = ()


class Podman:
    """podman's words for a store and a runtime directory in the lab."""

    def __init__(self, lab: Lab) -> None:
        home = lab.sub("podman")
        run = tempfile.mkdtemp(prefix="fbp-", dir="/run")  # no longer than podman takes: 50
        lab.stack.callback(shutil.rmtree, run, ignore_errors=True)
        self.words = [lab.need("podman"), "--root", home + "/root", "--runroot", run]
        self.words += ["--tmpdir", home + "/tmp", "--cgroup-manager=cgroupfs"]
        if os.path.exists(HYBRID):  # its crun refuses hybrid control groups
            self.words += ["--runtime", lab.need("runc")]
        settings = home + "/containers.conf"
        with open(settings, "w", encoding="ascii") as file:
            file.write('[engine]\nlock_type = "file"\nevents_logger = "none"\n')
        env = {**lab.env, "CONTAINERS_CONF": settings, "TMPDIR": lab.sub("podman", "tmp")}
        self.commands = lab.stack.enter_context(Worker("commands", env))
        self.run_options = ["--network", "none", "--cgroup-parent", f"/{lab.group}/podman"]
        self.run_options += PODMAN_LIMITS
        _load([*self.words, "load", "-q", "-i", lab.archive], env)


Daemon = Docker | Podman


def _load(words: Sequence[str], env: Mapping[str, str]) -> None:
    done = subprocess.run(
        words, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise Missing(f"{' '.join(words[-4:])}: {done.stderr.strip()[-400:]}")


_KINDS: dict[str, type[Daemon]] = {"docker": Docker, "podman": Podman}


def daemon(lab: Lab, name: str) -> Daemon:
    """docker or podman of this lab, made at the first call.

    Raises:
        Missing: It is not installed or does not start.
    """
    if name not in lab.daemons:
        lab.daemons[name] = _KINDS[name](lab)
    found: Daemon = lab.daemons[name]
    return found
