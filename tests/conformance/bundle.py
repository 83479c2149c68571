"""Bundles for the runtimes to be judged by: a small root, a base configuration as `runc spec` makes it, and the edits of a case."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .stage import GROUP, Holder, Stage

Config = dict[str, Any]
HERE = Path(__file__).parent
APPLETS = "sh cat echo true false sleep id env ls mkdir kill ps head pwd stty tty sync readlink"
CAPABILITIES = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_root(path: Path) -> None:
    """A root of Debian's static busybox and the probe, without the directories that a runtime makes for its mounts."""
    for name in ("bin", "etc", "tmp", "home/app", "data/below"):
        (path / name).mkdir(parents=True)
    (path / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", path / "bin/busybox")
    for applet in APPLETS.split():
        (path / "bin" / applet).symlink_to("busybox")
    subprocess.run(
        ["gcc", "-static", "-O1", "-o", str(path / "bin/probe"), str(HERE / "probe.c")], check=True
    )
    (path / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
    )
    (path / "etc/group").write_text("root:x:0:\napp:x:1000:\n")
    (path / "data/text").write_text("of the image\n")
    (path / "data/below/text").write_text("of the image, below\n")


def _mount(destination: str, kind: str, source: str, *options: str) -> Config:
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def base(name: str) -> Config:
    """What `runc spec` writes, with a group of the tests' own and no terminal."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/probe"],
            "env": [PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                kind: list(CAPABILITIES)
                for kind in ("bounding", "effective", "permitted", "ambient")
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "conform",
        "mounts": [
            _mount("/proc", "proc", "proc"),
            _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            _mount(
                *("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance"),
                *("ptmxmode=0666", "mode=0620", "gid=5"),
            ),
            _mount(
                "/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"
            ),
            _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
            _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        ],
        "linux": {
            "cgroupsPath": f"{GROUP}/{name}",
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
            "maskedPaths": [
                *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/timer_list"),
                *("/proc/sched_debug", "/sys/firmware", "/proc/scsi"),
            ],
            "readonlyPaths": [
                *("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
            ],
        },
    }


class Bundle:
    """A bundle on disk, edited by a case before it is written."""

    def __init__(self, path: Path, template: Path, stage: Stage, name: str, material: Path) -> None:
        self.path, self.template, self.stage, self.name = path, template, stage, name
        self.material = material  # host directories and files to mount, the same for all parties
        self.rootfs = path / "rootfs"
        self.config = base(name)
        self.asked: list[str] = []
        self.expected: dict[str, str] = {}
        self.holders: list[Holder] = []
        self.flags: list[str] = []
        shutil.copytree(template, self.rootfs, symlinks=True, copy_function=os.link)

    @property
    def process(self) -> Config:
        value: Config = self.config["process"]
        return value

    @property
    def linux(self) -> Config:
        value: Config = self.config["linux"]
        return value

    def writable(self) -> None:
        self.config["root"]["readonly"] = False

    def all_capabilities(self) -> None:
        """What a case needs that looks at what a filter or a mount forbids, and not at what a capability does."""
        for kind in ("bounding", "effective", "permitted"):
            self.process["capabilities"][kind] = [
                "CAP_SYS_ADMIN",
                "CAP_SYS_CHROOT",
                "CAP_DAC_OVERRIDE",
                "CAP_MKNOD",
            ]
        self.process["capabilities"].pop("ambient")

    def ask(self, *words: str) -> None:
        """Words for the probe; it holds after them unless a case ends it."""
        self.asked += words

    def expect(self, key: str, pattern: str) -> None:
        """What the specification says every runtime must show under `key`, as fnmatch has it."""
        self.expected[key] = pattern

    def asks(self, word: str, pattern: str) -> None:
        """Ask the probe a word and say what the answer must be."""
        self.ask(word)
        self.expect(f"probe:{word}", pattern)

    def mount(self, destination: str, kind: str, source: str, *options: str) -> Config:
        entry = _mount(destination, kind, source, *options)
        self.config["mounts"].append(entry)
        return entry

    def without_mount(self, destination: str) -> None:
        self.config["mounts"] = [
            m for m in self.config["mounts"] if m["destination"] != destination
        ]

    def namespace(self, kind: str, path: str | None = None) -> None:
        """A new namespace of `kind`, or the one behind `path`."""
        self.without_namespace(kind)
        entry = {"type": kind}
        if path:
            entry["path"] = path
        self.linux["namespaces"].append(entry)

    def without_namespace(self, kind: str) -> None:
        self.linux["namespaces"] = [n for n in self.linux["namespaces"] if n["type"] != kind]

    def hold(self, *kinds: str) -> Holder:
        """A process in new namespaces of the kinds (unshare's words), for as long as the bundle is in use."""
        holder = Holder(self.stage, *kinds)
        self.holders.append(holder)
        return holder

    def own(self, uid: int) -> None:
        """Give the root to another owner, as whoever maps ids does; hard links become copies first."""
        shutil.rmtree(self.rootfs)
        shutil.copytree(self.template, self.rootfs, symlinks=True)
        for top, _, files in os.walk(self.rootfs):
            for path in (top, *(os.path.join(top, f) for f in files)):
                os.chown(path, uid, uid, follow_symlinks=False)

    def write(self, hold: bool = True) -> None:
        if self.asked or self.process["args"] == ["/bin/probe"]:
            self.process["args"] = ["/bin/probe", *self.asked, *(["hold"] if hold else [])]
        (self.path / "config.json").write_text(json.dumps(self.config, indent=1))

    def close(self) -> None:
        for holder in self.holders:
            holder.close()
        shutil.rmtree(self.path)


class Case:
    """One bundle, run by every party that knows what it asks."""

    def __init__(self, name: str, edit: Callable[[Bundle], None], peers: tuple[str, ...]) -> None:
        self.name, self.edit, self.peers = name, edit, peers


CASES: dict[str, Case] = {}
BOTH = ("runc", "crun")


def case(
    *, peers: tuple[str, ...] = BOTH
) -> Callable[[Callable[[Bundle], None]], Callable[[Bundle], None]]:
    """Register an edit as a case; `peers` are those of the rivals that know what it asks for."""

    def register(edit: Callable[[Bundle], None]) -> Callable[[Bundle], None]:
        name = edit.__name__.strip("_").replace("_", "-")
        assert name not in CASES
        CASES[name] = Case(name, edit, peers)
        return edit

    return register
