"""A Debian with systemd as the first process of namespaces of its own: what a host is to a runtime that asks systemd for groups.

Its control groups are a part of the machine's: the whole of cgroup v2 that the machine has, or its v1 hierarchies, whichever is asked for.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from ..integration import host
from ..integration.conftest import CACHE

Done = subprocess.CompletedProcess[str]

PACKAGES = "systemd,systemd-sysv,dbus,runc,crun"

# Run in the namespaces. $1: the root, $2: directory to have in it, $3: 2 or 1, the others: hierarchies of v1.
_INSIDE = r"""
set -eu
root=$1 base=$2 version=$3
shift 3
mount --bind "$root" "$root"
cd "$root"
mkdir -p ".$base"
mount --bind "$base" ".$base"
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ "$version" = 2 ]; then
	mount -t cgroup2 cgroup2 sys/fs/cgroup
else
	mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
	for name; do
		mkdir "sys/fs/cgroup/$name"
		case $name in systemd) options=none,name=systemd ;; *) options=$name ;; esac
		mount -t cgroup -o "$options" cgroup "sys/fs/cgroup/$name"
	done
fi
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
	mknod -m 666 "dev/${node%%:*}" c $(echo "${node#*:}" | tr : ' ')
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	sh -c 'umount -l /mnt; exec /sbin/init --unit=basic.target --log-target=null --show-status=false' </dev/null
"""


def make_root(path: Path) -> None:
    """Debian's minbase with systemd, kept between runs since it takes a minute."""
    tar = CACHE / "debian-systemd.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
            words = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
            subprocess.run([*words, f"{work}/root"], check=True, capture_output=True, timeout=900)
            shutil.rmtree(f"{work}/root/var/cache/apt")
            shutil.rmtree(f"{work}/root/var/lib/apt/lists")
            subprocess.run(["tar", "-C", f"{work}/root", "-cf", f"{tar}.part", "."], check=True)
        os.rename(f"{tar}.part", tar)
    path.mkdir()
    subprocess.run(["tar", "-C", str(path), "-xf", str(tar)], check=True)


class Systemd:
    """The booted root. Commands run in it as in a group beside systemd's own."""

    def __init__(self, base: Path, version: int) -> None:
        self.base, self.version = base, version
        pure = (host.CGROUPS / "cgroup.controllers").exists()
        self.unified = host.CGROUPS if pure else host.CGROUPS / "unified"
        self.hierarchies = (
            []
            if pure
            else sorted(
                path.name
                for path in host.CGROUPS.iterdir()
                if path.name != "unified" and path.is_dir()
            )
        )
        tops = [self.unified] if version == 2 else [host.CGROUPS / x for x in self.hierarchies]
        self.tops = [top / f"{base.name}-systemd" for top in tops]
        self.boot: subprocess.Popen[bytes] | None = None
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        for top in self.tops:
            if (top.parent / "cgroup.subtree_control").exists():
                names = (top.parent / "cgroup.controllers").read_text().split()
                control = top.parent / "cgroup.subtree_control"
                control.write_text(" ".join(f"+{name}" for name in names))
            for path in (top, top / "driver"):
                path.mkdir()
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if self.version == 1 and (path / name).exists():
                        (path / name).write_text((path.parent / name).read_text())
        root = self.base / "root"
        make_root(root)
        words = ["unshare", "--cgroup", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork"]
        words += ["--kill-child", "sh", "-c", _INSIDE, "sh", str(root), str(self.base)]
        with (self.base / "systemd.log").open("wb") as log:
            self.boot = subprocess.Popen(
                [*self._in_group(""), *words, str(self.version), *self.hierarchies],
                stdin=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60 * host.SLOW
        while self("systemctl", "is-system-running", check=False).stdout.strip() not in (
            "running",
            "degraded",
        ):
            assert self.boot.poll() is None, (self.base / "systemd.log").read_text()
            assert time.monotonic() < end, "systemd does not come up"
            time.sleep(0.1)
        # What waits for systemd is not in its tree: on v2 a group with a process gives its children no controllers.
        for top in self.tops:
            (top.parent / "cgroup.procs").write_text(str(self.boot.pid))

    @property
    def pid(self) -> int:
        """systemd's, as the machine has it; 0 before there is one."""
        assert self.boot
        try:
            text = Path(f"/proc/{self.boot.pid}/task/{self.boot.pid}/children").read_text()
        except OSError:
            return 0
        return int(text.split()[0]) if text.split() else 0

    def _in_group(self, name: str) -> list[str]:
        # systemd removes what is empty in hierarchies that it shares.
        script = (
            'for group; do shift; [ "$group" = -- ] && break; '
            'mkdir -p "$group"; echo $$ >"$group/cgroup.procs"; done; exec "$@"'
        )
        return ["sh", "-c", script, "sh", *(str(top / name) for top in self.tops), "--"]

    def words(self, *words: str) -> list[str]:
        """The command line on the machine of one that runs there."""
        enter = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *words]
        return [*self._in_group("driver"), *enter, *clean]

    def __call__(self, *words: str, check: bool = True, timeout: float = 60) -> Done:
        # Files, not pipes: a container keeps them, and is not waited for.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            ended = subprocess.run(
                self.words(*words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                timeout=timeout * host.SLOW,
            )
            out.seek(0)
            errors.seek(0)
            done = Done(words, ended.returncode, out.read(), errors.read())
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def property(self, unit: str, name: str) -> str:
        return self("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def units(self, pattern: str) -> list[str]:
        """Units that systemd has in memory, in whatever state."""
        done = self("systemctl", "list-units", "--all", "--plain", "--no-legend", pattern)
        return [line.split()[0] for line in done.stdout.splitlines()]

    def groups(self, pattern: str) -> list[Path]:
        """Groups with such a name, one in each hierarchy, where this machine has them."""
        walks = [walk for top in self.tops for walk in os.walk(top)]
        return [
            Path(path) / name
            for path, below, _ in walks
            for name in below
            if re.fullmatch(pattern, name)
        ]

    def close(self) -> None:
        if self.boot and self.boot.poll() is None:
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
            else:
                self.boot.kill()
            self.boot.wait(30 * host.SLOW)
        for top in self.tops:
            _remove(top)


def _remove(top: Path) -> None:
    end = time.monotonic() + 10 * host.SLOW
    while top.exists():
        try:
            for path, _, _ in os.walk(top, topdown=False):
                os.rmdir(path)
        except OSError:
            assert time.monotonic() < end, f"{top} does not become empty"
            time.sleep(0.05)
