"""Who is measured, with which words: the same root, namespaces, capabilities and filter for all."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from . import machine
from .clients import Floor, Measure, Measured, Worker
from .lab import IMAGE, Lab, build_floor

# crun refuses a hybrid host; an empty list of v2 controllers makes it see v1. Entered once, before
# the first timing.
HYBRID = "/sys/fs/cgroup/unified/cgroup.controllers"
CRUN_WRAPPER = ["unshare", "-m", "sh", "-c", f'mount --bind /dev/null {HYBRID}; exec "$@"', "sh"]
CAPABILITIES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID"
    " CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE"
)
MASKED_FILES = ("/proc/kcore", "/proc/keys", "/proc/timer_list")
MASKED_DIRECTORIES = ("/sys/firmware",)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class Peer:
    """One row of the table. `loaded`: it takes part in the throughput table too."""

    name: str
    label: str
    measure: Measure
    loaded: bool = False


@dataclass
class Field:
    """All that will be measured, and what could not be."""

    peers: list[Peer] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)

    def leave_out(self, name: str, why: str) -> None:
        """Say that a peer is missing."""
        self.missing.append({"name": name, "why": why})
        print(f"left out: {name}: {why}", file=sys.stderr)

    def admit(self, peer: Peer) -> None:
        """Take the peer when it can start one container, else say why not."""
        try:
            first = peer.measure(1, 1)
        except (OSError, RuntimeError) as error:
            first = Measured([], 0, 1, str(error))
        if first.failures:
            self.leave_out(peer.name, first.error)
        else:
            self.peers.append(peer)


def bubblewrap(path: str, lab: Lab) -> list[str]:
    """bubblewrap with every namespace, capability and mask; it knows no cgroups and no overlay."""
    words = [path, "--unshare-all", "--bind", lab.root, "/", "--proc", "/proc", "--dev", "/dev"]
    words += ["--mqueue", "/dev/mqueue", "--ro-bind", "/sys", "/sys", "--hostname", "bench"]
    for name in ("hosts", "hostname", "resolv.conf"):
        words += ["--bind", os.path.join(lab.path, "files", name), f"/etc/{name}"]
    for target in MASKED_FILES:
        words += ["--ro-bind", "/dev/null", target] if os.path.exists(target) else []
    for target in MASKED_DIRECTORIES:
        words += ["--tmpfs", target, "--remount-ro", target]
    for target in READ_ONLY:
        words += ["--ro-bind", target, target] if os.path.exists(target) else []
    words += ["--cap-drop", "ALL"]
    for capability in CAPABILITIES.split():
        words += ["--cap-add", capability]
    return [*words, "--seccomp", "3", "--die-with-parent", "/bin/true"]


def oci(path: str, lab: Lab, name: str) -> list[str]:
    """runc's and crun's common words."""
    return [
        path,
        "--root",
        lab.sub(f"{name}-state"),
        "run",
        "--bundle",
        lab.bundle("{slot}"),
        "{id}",
    ]


def floor_words(lab: Lab, program: str) -> list[str]:
    """The floor, its upper directories on the file system of fastbox's store."""
    skeleton = lab.sub("skeleton")
    for name in ("proc", "sys", "dev", "etc"):
        lab.sub("skeleton", name)
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(os.path.join(skeleton, "etc", name), "wb"):
            pass
    words = [program, "--lower", f"{lab.root}:{skeleton}", "--scratch", lab.sub("floor-scratch")]
    return [*words, "--group", lab.group, "--filter", lab.filter]


def _floors(lab: Lab, stack: contextlib.ExitStack, found: Field, variants: bool) -> None:
    words = floor_words(lab, build_floor(lab))
    found.admit(
        Peer(
            "floor",
            "floor: the same system calls in C",
            stack.enter_context(Floor(words, lab.env)).measure,
            True,
        )
    )
    for option in ("--no-net", "--read-only", "--tmpfs-upper") if variants else ():
        measure = stack.enter_context(Floor([*words, option], lab.env)).measure
        found.admit(Peer(f"floor{option}", f"floor, {option[2:]}", measure))


def _ours(lab: Lab, stack: contextlib.ExitStack, found: Field, commands: Worker) -> None:
    engine = stack.enter_context(Worker("engine", lab.env))
    measure = partial(_in_process, engine)
    found.admit(Peer("in_process", "fastbox, in process (Engine.run)", measure, True))
    path = lab.which("fastbox")
    if not path:
        found.leave_out("cli", "no fastbox on PATH")
        return
    words = [path, "run", "--rm", "--network", "none", IMAGE, "true"]
    found.admit(Peer("cli", "fastbox run --rm", _command(commands, words), True))


def _in_process(worker: Worker, count: int, flight: int) -> Measured:
    return worker.measure(["true"], count, flight, image=IMAGE)


def _command(worker: Worker, words: list[str], files: dict[str, str] | None = None) -> Measure:
    def measure(count: int, flight: int) -> Measured:
        return worker.measure(words, count, flight, files=files)

    return measure


def _references(lab: Lab, found: Field, commands: Worker) -> None:
    true = os.path.join(lab.root, "bin/true")
    found.admit(Peer("spawn", "posix_spawn of the static program", _command(commands, [true])))
    python = os.path.realpath(sys.executable)
    words = [python, "-I", "-S", "-c", "pass"]
    found.admit(Peer("python", "python3 -I -S -c pass", _command(commands, words)))


def _runtimes(lab: Lab, stack: contextlib.ExitStack, found: Field, commands: Worker) -> None:
    for name in ("runc", "crun", "bwrap"):
        path = shutil.which(name)
        if not path:
            found.leave_out(name, "not installed")
        elif name == "bwrap":
            measure = _command(commands, bubblewrap(path, lab), {"3": lab.filter})
            found.admit(Peer(name, "bubblewrap, every namespace", measure))
        elif name == "crun" and os.path.exists(HYBRID):
            wrapped = stack.enter_context(Worker("commands", lab.env, CRUN_WRAPPER))
            found.admit(Peer(name, "crun run", _command(wrapped, oci(path, lab, name)), True))
        else:
            found.admit(Peer(name, f"{name} run", _command(commands, oci(path, lab, name)), True))


def _docker(lab: Lab, found: Field, commands: Worker, socket: str | None) -> None:
    path = shutil.which("docker")
    if not socket or not path:
        found.leave_out("docker", "no --docker-socket given" if path else "not installed")
        return
    words = [path, "-H", f"unix://{socket}"]
    archive = os.path.join(lab.path, "image.tar")
    loaded = commands.measure([*words, "load", "-q", "-i", archive], 1, 1)
    if loaded.failures:
        found.leave_out("docker", loaded.error)
        return
    words += ["run", "--rm", "--network", "none", IMAGE, "true"]
    found.admit(Peer("docker", "docker run --rm", _command(commands, words)))


@contextlib.contextmanager
def assemble(lab: Lab, *, variants: bool, docker_socket: str | None) -> Iterator[Field]:
    """Start the timing processes and try every peer once; they end with the block."""
    found = Field()
    with contextlib.ExitStack() as stack:
        commands = stack.enter_context(Worker("commands", lab.env))
        _floors(lab, stack, found, variants)
        _ours(lab, stack, found, commands)
        _references(lab, found, commands)
        _runtimes(lab, stack, found, commands)
        _docker(lab, found, commands, docker_socket)
        yield found


def versions(lab: Lab) -> dict[str, str]:
    """What was measured: name to the first line of its --version."""
    names = ("fastbox", "runc", "crun", "bwrap", "docker", "cc")
    found = {name: machine.version(name, lab.env) for name in names}
    return {name: line for name, line in found.items() if line}
