"""The words by which each peer does the same: same root, namespaces, capabilities and filter."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from . import machine
from .clients import Measure, Measured, Worker
from .lab import Lab

CAPABILITIES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID"
    " CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE"
)
MASKED_FILES = ("/proc/kcore", "/proc/keys", "/proc/timer_list")
MASKED_DIRECTORIES = ("/sys/firmware",)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
RUNTIMES = {"oci": "fastbox-oci", "runc": "runc", "crun": "crun"}
"""Row to program: all of them take runc's words."""


def command(
    worker: Worker,
    words: Sequence[str],
    files: Mapping[str, str] | None = None,
    directory: str = "",
    after: Sequence[Sequence[str]] = (),
) -> Measure:
    """Time a command."""

    def measure(count: int, flight: int) -> Measured:
        return worker.measure(words, count, flight, files=files, directory=directory, after=after)

    return measure


def once(worker: Worker, words: Sequence[str]) -> None:
    """Run a command that prepares something.

    Raises:
        RuntimeError: It failed; what it said.
    """
    done = worker.measure(words, 1, 1)
    if done.failures:
        raise RuntimeError(done.error)


def bubblewrap(lab: Lab) -> Measure:
    """bubblewrap with every namespace, capability and mask; it knows no cgroups and no overlay."""
    words = [lab.need("bwrap"), "--unshare-all", "--bind", lab.root, "/", "--proc", "/proc"]
    words += ["--dev", "/dev", "--mqueue", "/dev/mqueue", "--ro-bind", "/sys", "/sys"]
    words += ["--hostname", "bench"]
    config = lab.config  # it puts the files in place
    for mount in config["mounts"]:
        if mount["destination"].startswith("/etc/"):
            words += ["--bind", mount["source"], mount["destination"]]
    for target in MASKED_FILES:
        words += ["--ro-bind", "/dev/null", target] if os.path.exists(target) else []
    for target in MASKED_DIRECTORIES:
        words += ["--tmpfs", target, "--remount-ro", target]
    for target in READ_ONLY:
        words += ["--ro-bind", target, target] if os.path.exists(target) else []
    words += ["--cap-drop", "ALL"]
    for capability in CAPABILITIES.split():
        words += ["--cap-add", capability]
    words += ["--seccomp", "3", "--die-with-parent", "/bin/true"]
    return command(lab.commands, words, {"3": lab.filter})


def runtime_words(lab: Lab, row: str) -> list[str]:
    """An OCI runtime with a state directory in the lab.

    Raises:
        Missing: It is not installed.
    """
    name = RUNTIMES[row]
    return [lab.need(name), "--root", lab.sub(f"{name}-state")]


def runtime_run(lab: Lab, row: str) -> Measure:
    """`run` of the bundle of `true`."""
    words = [*runtime_words(lab, row), "run", "--bundle", lab.bundles, "{id}"]
    return command(lab.commands_for(row), words)


def floor_words(lab: Lab, *options: str) -> list[str]:
    """The floor of a start, its upper directories on the file system of fastbox's store."""
    skeleton = lab.sub("skeleton")
    for name in ("proc", "sys", "dev", "etc"):
        lab.sub("skeleton", name)
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(os.path.join(skeleton, "etc", name), "wb"):
            pass
    program = lab.build("floor", ["start.c", "start_child.c"])
    lower = lab.root if "--bind" in options else f"{lab.root}:{skeleton}"
    words = [program, "--lower", lower, "--scratch", lab.sub("floor-scratch")]
    return [*words, "--group", lab.group, "--filter", lab.filter, *options]


def versions(lab: Lab) -> dict[str, str]:
    """What was measured: name to the first line of its --version."""
    names = (
        "fastbox",
        "fastbox-oci",
        "runc",
        "crun",
        "bwrap",
        "docker",
        "dockerd",
        "podman",
        "buildah",
        "skopeo",
        "umoci",
        "tar",
        "pigz",
        "zstd",
        "cc",
    )
    found = {name: machine.version(name, lab.env) for name in names}
    return {name: line for name, line in found.items() if line}
