"""One temporary directory with all that a run needs: root, image, store, bundles, filter, floor.

Everything is below it, except control groups: those are below a group named after this process.
Both go in the end.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from typing import Any

from .filter import compile_filter

IMAGE = "bench:latest"
FLIGHTS = 16
SOURCES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "startup")


class Lab:
    """The directory; every path in it is an attribute or a method."""

    def __init__(self, scratch: str) -> None:
        self.path = scratch
        self.root = self.sub("rootfs")
        self.group = f"fastbox-bench-{os.getpid()}"
        self.filter = os.path.join(scratch, "filter.bpf")
        self.env = {
            **os.environ,
            "FASTBOX_ROOT": self.sub("store"),
            "FASTBOX_RUN": self.sub("run"),
            "PATH": os.path.dirname(sys.executable)
            + os.pathsep
            + os.environ.get("PATH", os.defpath),
        }

    def sub(self, *names: str) -> str:
        """A directory below the lab, made when missing."""
        path = os.path.join(self.path, *names)
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def bundle(self, slot: int | str) -> str:
        """The bundle of one place in flight, for runc and crun."""
        return os.path.join(self.path, f"bundle-{slot}")

    def which(self, command: str) -> str | None:
        """The command's path as the measured processes see it."""
        return shutil.which(command, path=self.env["PATH"])


def make_root(lab: Lab) -> None:
    """A root of one static program, busybox, and the directories that images have.

    Raises:
        RuntimeError: There is no static busybox.
    """
    busybox = shutil.which("busybox")
    if not busybox:
        raise RuntimeError("busybox (static) is needed for the root file system")
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "usr"):
        lab.sub("rootfs", name)
    shutil.copyfile(busybox, os.path.join(lab.root, "bin/busybox"))
    os.chmod(os.path.join(lab.root, "bin/busybox"), 0o755)
    for name in ("sh", "true", "sleep", "cat"):
        os.symlink("busybox", os.path.join(lab.root, "bin", name))
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(os.path.join(lab.root, "etc", name), "wb"):
            pass
    for line, name in (("root:x:0:0:root:/root:/bin/sh\n", "passwd"), ("root:x:0:\n", "group")):
        with open(os.path.join(lab.root, "etc", name), "w", encoding="ascii") as file:
            file.write(line)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def make_image(lab: Lab) -> str:
    """The root as an archive that `docker load` and `fastbox load` both read; returns its path."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(lab.root, arcname=".")
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": name, "RepoTags": [IMAGE], "Layers": [f"{digest}/layer.tar"]}]
    path = os.path.join(lab.path, "image.tar")
    with tarfile.open(path, "w") as archive:
        _add(archive, name, config)
        _add(archive, f"{digest}/layer.tar", layer.getvalue())
        _add(archive, "manifest.json", json.dumps(manifest).encode())
    return path


def build_floor(lab: Lab) -> str:
    """Compile startup/floor.c and return the program."""
    program = os.path.join(lab.path, "floor")
    sources = [os.path.join(SOURCES, name) for name in ("floor.c", "floor_child.c")]
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, "-std=gnu17", "-O2", "-pthread", "-o", program, *sources], check=True)
    return program


def fastbox(lab: Lab, *words: str) -> str:
    """Run one fastbox command in the lab's store and return what it prints."""
    command = lab.which("fastbox") or "fastbox"
    done = subprocess.run(
        [command, *words], env=lab.env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def engine_bundle(lab: Lab) -> dict[str, Any]:
    """The config.json that fastbox makes for the measured command: the peers get the same."""
    identity = fastbox(lab, "create", "--network", "none", IMAGE, "true")
    path = glob.glob(os.path.join(lab.path, "store/containers", identity, "config.json"))[0]
    with open(path, encoding="utf-8") as file:
        config: dict[str, Any] = json.load(file)
    for mount in config["mounts"]:
        source = mount.get("source", "")
        if source.startswith(lab.path):
            kept = os.path.join(lab.sub("files"), os.path.basename(source))
            shutil.copyfile(source, kept)
            mount["source"] = kept
    fastbox(lab, "rm", identity)
    return config


def write_bundles(lab: Lab, config: dict[str, Any]) -> None:
    """One bundle for each place in flight, since a bundle names its control group."""
    config = {key: value for key, value in config.items() if key != "fastbox"}
    config["root"] = {"path": lab.root, "readonly": False}
    config["process"] = {**config["process"], "terminal": False, "args": ["/bin/true"]}
    for slot in range(FLIGHTS):
        linux = {**config["linux"], "cgroupsPath": f"/{lab.group}/{slot}"}
        with open(
            os.path.join(lab.sub(f"bundle-{slot}"), "config.json"), "w", encoding="utf-8"
        ) as file:
            json.dump({**config, "linux": linux}, file)


def prepare(lab: Lab) -> None:
    """Root, image in the store, bundles and filter."""
    make_root(lab)
    fastbox(lab, "load", "-i", make_image(lab))
    config = engine_bundle(lab)
    write_bundles(lab, config)
    compile_filter(config["linux"]["seccomp"], lab.filter)


def _remove_groups(group: str) -> None:
    for parent in [*glob.glob("/sys/fs/cgroup/*/"), "/sys/fs/cgroup/"]:
        for directory, _, _ in os.walk(parent + group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


@contextlib.contextmanager
def open_lab(parent: str | None) -> Iterator[Lab]:
    """A lab below `parent` (a disk's /var/tmp unless told), gone afterwards."""
    scratch = tempfile.mkdtemp(prefix="fastbox-bench-", dir=parent or "/var/tmp")
    lab = Lab(scratch)
    try:
        yield lab
    finally:
        _remove_groups(lab.group)
        shutil.rmtree(scratch, ignore_errors=True)
