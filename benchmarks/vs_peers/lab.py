"""One temporary directory with all that a run needs: root, image, store, bundles, filter, programs.

What is made is made when the first suite asks for it. Everything is below the directory, except
control groups: those are below a group named after this process. Both go in the end, after every
process that was started in the lab has ended.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from .clients import HERE, Floor, Worker
from .filter import compile_filter
from .image import IMAGE, make_image, make_root

FLIGHTS = 32
FLOORS = os.path.join(HERE, "benchmarks", "floors")
NATIVE = os.path.join(HERE, "build", "native")
SLEEP = ["/bin/sleep", "1000000"]
# crun refuses a hybrid host; an empty list of v2 controllers makes it see v1. Entered once, before
# the first timing.
HYBRID = "/sys/fs/cgroup/unified/cgroup.controllers"
CRUN_WRAPPER = ["unshare", "-m", "sh", "-c", f'mount --bind /dev/null {HYBRID}; exec "$@"', "sh"]


class Missing(Exception):
    """What a row needs is not there; the text says what and how to get it."""


class Lab:
    """The directory; every path in it is an attribute or a method."""

    def __init__(self, scratch: str, stack: contextlib.ExitStack) -> None:
        self.path, self.stack = scratch, stack
        self.daemons: dict[str, Any] = {}
        self.group = f"fastbox-bench-{os.getpid()}"
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

    def file(self, *names: str) -> str:
        """A path below the lab, which need not exist."""
        return os.path.join(self.path, *names)

    def which(self, command: str) -> str | None:
        """The command's path as the measured processes see it."""
        return shutil.which(command, path=self.env["PATH"])

    def need(self, command: str) -> str:
        """The command's path.

        Raises:
            Missing: It is not on the PATH.
        """
        path = self.which(command)
        if not path:
            raise Missing(f"{command} is not installed: it is not on the PATH")
        return path

    @cached_property
    def root(self) -> str:
        """A root of one static program, busybox."""
        path = self.sub("rootfs")
        make_root(path)
        return path

    @cached_property
    def archive(self) -> str:
        """The root as an image that every engine can load."""
        path = self.file("image.tar")
        make_image(self.root, path)
        return path

    @cached_property
    def commands(self) -> Worker:
        """The process that times commands."""
        return self.stack.enter_context(Worker("commands", self.env))

    @cached_property
    def crun_commands(self) -> Worker:
        """The same where crun finds no v2 hierarchy."""
        if not os.path.exists(HYBRID):
            return self.commands
        return self.stack.enter_context(Worker("commands", self.env, CRUN_WRAPPER))

    def commands_for(self, runtime: str) -> Worker:
        """Who times the commands of an OCI runtime."""
        return self.crun_commands if runtime == "crun" else self.commands

    def fastbox(self, *words: str) -> str:
        """Run one fastbox command in the lab's store and return what it prints."""
        done = subprocess.run(
            [self.need("fastbox"), *words],
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    @cached_property
    def image(self) -> str:
        """The image's name, once it is in fastbox's store."""
        self.fastbox("load", "-i", self.archive)
        return IMAGE

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config.json that fastbox makes for the measured command: the peers get the same."""
        identity = self.fastbox("create", "--network", "none", self.image, "true")
        path = glob.glob(self.file("store/containers", identity, "config.json"))[0]
        with open(path, encoding="utf-8") as file:
            config: dict[str, Any] = json.load(file)
        for mount in config["mounts"]:
            source = mount.get("source", "")
            if source.startswith(self.path):
                kept = os.path.join(self.sub("files"), os.path.basename(source))
                shutil.copyfile(source, kept)
                mount["source"] = kept
        self.fastbox("rm", identity)
        return config

    @cached_property
    def filter(self) -> str:
        """The seccomp filter of that bundle as BPF."""
        path = self.file("filter.bpf")
        compile_filter(self.config["linux"]["seccomp"], path)
        return path

    def write_bundle(self, name: str, args: Sequence[str], **more: object) -> str:
        """A bundle for any runtime, with the plain root and a control group of its own."""
        config = {key: value for key, value in self.config.items() if key != "fastbox"}
        config["root"] = {"path": self.root, "readonly": False}
        config["process"] = {**config["process"], "terminal": False, "args": list(args)}
        config["linux"] = {**config["linux"], "cgroupsPath": f"/{self.group}/{name}"}
        path = self.sub("bundles", name)
        with open(os.path.join(path, "config.json"), "w", encoding="utf-8") as file:
            json.dump({**config, **more}, file)
        return path

    @cached_property
    def bundles(self) -> str:
        """The bundles of `true`: one for each place in flight, "{slot}" in the path."""
        for slot in range(FLIGHTS):
            self.write_bundle(str(slot), ["/bin/true"])
        return self.file("bundles", "{slot}")

    def build(self, name: str, sources: Sequence[str], words: Sequence[str] = ()) -> str:
        """Compile programs of floors/ and return the program.

        Raises:
            Missing: It does not compile; a library is not there.
        """
        program = self.file(name)
        if os.path.exists(program):
            return program
        paths = [os.path.join(FLOORS, source) for source in sources]
        compiler = os.environ.get("CC", "cc")
        flags = ["-std=gnu17", "-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE="]
        done = subprocess.run(
            [compiler, *flags, "-o", program, *paths, *words],
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise Missing(f"{name} does not compile: {done.stderr.strip()[-400:]}")
        return program

    def build_library(self) -> str:
        """floors/library.c with libfastbox.

        Raises:
            Missing: libfastbox was not built.
        """
        archive = os.path.join(NATIVE, "libfastbox_start.a")
        if not os.path.exists(archive):
            raise Missing(f"{archive} is not there: make build/native/.built")
        headers = os.path.join(HERE, "src", "native")
        words = ["-iquote", headers, archive, "-lseccomp", "-ljson-c", "-lm"]
        return self.build("library", ["library.c"], words)

    def floor(self, argv: Sequence[str]) -> Floor:
        """Start one of floors/, which ends with the lab."""
        return self.stack.enter_context(Floor(argv, self.env))


def _remove_groups(group: str) -> None:
    for parent in [*glob.glob("/sys/fs/cgroup/*/"), "/sys/fs/cgroup/"]:
        for directory, _, _ in os.walk(parent + group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _remove(scratch: str) -> None:
    """The directory, from which podman's store may still be mounted on itself."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        points = [line.split()[1] for line in file]
    for point in reversed(points):
        if point.startswith(scratch + "/"):
            subprocess.run(["umount", point], check=False)
    shutil.rmtree(scratch, ignore_errors=True)
    if os.path.exists(scratch):
        print(f"could not be removed: {scratch}", file=sys.stderr)


@contextlib.contextmanager
def disk_of_its_own(parent: str, size: int) -> Iterator[str]:
    """A place on an ext4 with a journal, in a sparse file of `size` GiB below `parent`.

    An ext4 without one, as some virtual machines have, does not reuse an inode for minutes after
    its file was deleted, and looks at each of them again for every new file: whoever makes and
    deletes 15,000 files by turns measures that walk.
    """
    place = tempfile.mkdtemp(prefix="fbd-", dir=parent)
    image, point = os.path.join(place, "image"), os.path.join(place, "d")
    try:
        os.mkdir(point)
        with open(image, "wb") as file:
            file.truncate(size << 30)
        for words in (["mkfs.ext4", "-q", "-F", image], ["mount", "-o", "loop", image, point]):
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        try:
            yield point
        finally:
            subprocess.run(["umount", point], check=True)
    finally:
        if not os.path.ismount(point):
            shutil.rmtree(place)


@contextlib.contextmanager
def open_lab(parent: str | None = None) -> Iterator[Lab]:
    """A lab below `parent` (a disk's /var/tmp unless told), gone afterwards."""
    scratch = tempfile.mkdtemp(prefix="fastbox-bench-", dir=parent or "/var/tmp")
    try:
        with contextlib.ExitStack() as stack:
            lab = Lab(scratch, stack)
            stack.callback(_remove_groups, lab.group)
            yield lab
    finally:
        _remove(scratch)
