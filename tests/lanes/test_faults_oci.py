"""Every system call of `fastbox-oci create` fails once, also those of the container's process up to its wait for `start`.

A create that failed leaves no state, group, mount or process; one that did not gives the very container that no failure gives.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..integration import host
from .notify import Asked

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # a start for each call of a start
LOOK = r"""
grep -E '^(Cap|NoNewPrivs|Sig[BI]|Uid|Gid|Groups|Seccomp)' /proc/self/status
awk '{o = ""; for (i = 7; $i != "-"; i++) o = o $i; print $5, $6, o, $(i + 1)}' /proc/self/mountinfo
stat -c '%n %F %a %u %g %t,%T' /dev/* /data; ls /proc/self/ns; ls /proc/self/fd
id; pwd; hostname; umask; ulimit -a; env | sort; cat /proc/self/uid_map /proc/self/oom_score_adj
touch /x /data/x /proc/sys/x 2>&1; mkdir /tmp/x 2>&1; true
"""
# What a start goes through and a test elsewhere in this package does not reach.
STAGES = {
    *("cgroup", "clone", "user namespace", "join", "mount", "dev", "pivot_root", "mask", "hook"),
    *("hostname", "rlimit", "credentials", "capabilities", "stdio"),
}


def config(name: str, ipc: str) -> dict[str, object]:
    """A bit of everything that the engine's own bundles don't have."""
    mappings = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    kinds = ("pid", "network", "uts", "mount", "cgroup", "user")
    true = {"path": "/bin/true", "args": ["true"]}
    return {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 1, "gid": 1, "additionalGids": [5], "umask": 0o27},
            "args": ["/bin/sh", "-c", LOOK],
            "env": ["PATH=/bin"],
            "cwd": "/tmp",
            "capabilities": {k: ["CAP_KILL"] for k in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 100, "soft": 90}],
            "oomScoreAdj": 100,
            "noNewPrivileges": True,
        },
        "hostname": "faults",
        "root": {"path": "rootfs", "readonly": True},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/data", "source": "data", "options": ["bind", "ro", "nosuid"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "t", "options": ["mode=1777"]},
        ],
        "hooks": {"createRuntime": [true], "createContainer": [true], "prestart": [true]},
        "linux": {
            "cgroupsPath": f"/faults-oci/{name}",
            "uidMappings": mappings,
            "gidMappings": mappings,
            "namespaces": [*({"type": k} for k in kinds), {"type": "ipc", "path": ipc}],
            "resources": {"pids": {"limit": 20}, "memory": {"limit": 1 << 26}},
            "sysctl": {"net.ipv4.ip_unprivileged_port_start": "80"},
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
            },
        },
    }


class Creator:
    """Creates containers of one bundle, each with a root of its own, so that no cache hides a call."""

    def __init__(self, base: Path, ipc: str) -> None:
        self.base, self.bundle, self.count = base, base / "bundle", 0
        found = shutil.which("fastbox-oci")
        assert found, "not on the PATH: run the tests with `make test`"
        self.program, self.ipc = found, ipc
        for name in ("bin", "tmp", "data", "dev", "proc", "sys/fs/cgroup"):
            (self.bundle / "rootfs" / name).mkdir(parents=True)
        (self.bundle / "data").mkdir()
        shutil.copy("/bin/busybox", self.bundle / "rootfs/bin/busybox")
        applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True)
        for applet in applets.stdout.split():
            if applet != "busybox":
                (self.bundle / "rootfs/bin" / applet).symlink_to("busybox")

    def create(self, number: int) -> tuple[str, list[str], int, str]:
        """What failed, the calls, the exit code of create or else of start, and the container's output or else the error."""
        self.count += 1
        name, root = f"box-{self.count}", self.base / f"root-{self.count}"
        (self.bundle / "config.json").write_text(json.dumps(config(name, self.ipc)))
        words = [self.program, "--root", str(root)]
        with (self.base / "out").open("wb") as out, (self.base / "err").open("wb") as err:
            asked = Asked(
                *(self.program, *words, "create", "--bundle", str(self.bundle), name),
                number=number, code=errno.EIO, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        code = asked.process.wait(30 * host.SLOW)
        failed = asked.disarm()
        state = {entry for entry in os.listdir(root) if entry[0] != "@"} if root.exists() else set()
        if code == 0:  # the wait for `start` may be what failed
            with (self.base / "err").open("wb") as err:
                code = subprocess.run([*words, "start", name], stderr=err, timeout=60).returncode
            self.wait(lambda: '"stopped"' in self.state(words, name))
            subprocess.run([*words, "delete", name], check=True)
            state = {entry for entry in os.listdir(root) if entry[0] != "@"}
        asked.close()
        assert state == set(), (number, failed, state)
        text = (self.base / ("err" if code else "out")).read_text(errors="replace")
        return failed, asked.calls, code, text

    def state(self, words: list[str], name: str) -> str:
        done = subprocess.run([*words, "state", name], capture_output=True, text=True, check=True)
        return done.stdout

    def wait(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + 20 * host.SLOW
        while not done():
            assert time.monotonic() < end
            time.sleep(0.002)

    def left(self) -> list[str]:
        """Processes with this test's directory in their arguments, mounts, groups."""
        found = [m for m in host.mounts() if str(self.base) in m]
        found += [group for group in host.cgroups() if "/faults-oci/" in group]
        for line in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(self.base).encode() in line.read_bytes():
                    found.append(str(line))
            except OSError:
                continue
        return found


@pytest.fixture
def creator(tmp_path: Path) -> Iterator[Creator]:
    holder = subprocess.Popen(
        ["unshare", "--ipc", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin
    assert holder.stdout
    holder.stdout.readline()
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o055)
    yield Creator(tmp_path, f"/proc/{holder.pid}/ns/ipc")
    holder.stdin.close()
    holder.stdout.close()
    holder.wait(10)
    for group in Path("/sys/fs/cgroup").glob("*/faults-oci"):
        group.rmdir()


def test_every_call_of_create_fails_once(creator: Creator) -> None:
    # How often it waits, and so how many calls it makes, is the scheduler's.
    _, calls, code, usual = min((creator.create(10**6) for _ in range(3)), key=lambda m: len(m[1]))
    assert code == 0, usual
    assert "faults\n" in usual
    assert creator.left() == []
    errors: list[str] = []
    problems: list[str] = []
    number, failed = 0, "yes"
    while failed:
        number += 1
        failed, _, code, text = creator.create(number)
        print(number, failed, code, text if code else "", flush=True)
        if code and len(text.splitlines()) != 1:
            problems.append(f"call {number}, {failed}: not one line: {text!r}")
        if code == 0 and text != usual:
            problems.append(f"call {number}, {failed}: another container: {text}")
        if left := creator.left():
            problems.append(f"call {number}, {failed}: left: {left}")
        errors += [text] if code else []
    assert number > len(calls) * 0.9
    assert not problems, "\n".join(problems)
    unreached = {stage for stage in STAGES if not any(f"{stage}: " in e for e in errors)}
    assert not unreached
