"""The same command with runc and with fastbox-oci: one observable container, one answer, one exit code."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from ..conformance.collect import ignored
from .engines import FASTBOX, RUNC, Engine
from .place import IMAGE, Place

# What a process can see of how it was set up. The overlay's own line has paths of the engine in it.
PROBE = r"""
echo "== process"; id; env | sort; pwd; umask; hostname; cat /proc/1/comm
grep -E '^(Groups|Cap|NoNewPrivs|Seccomp|Cpus_allowed_list|Mems_allowed_list|SigBlk|SigIgn)' /proc/self/status
cat /proc/self/limits /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_unprivileged_port_start
echo "== namespaces"; for n in /proc/self/ns/*; do readlink $n; done; cat /proc/self/uid_map /proc/self/gid_map
echo "== cgroup"; sed 's/^[0-9]*://' /proc/self/cgroup | sort
echo "== mounts"; sed -E 's/^[0-9]+ [0-9]+ [0-9:]+ //' /proc/self/mountinfo | grep -v ' overlay ' | grep -v -- '- ext4' | sort
grep -c ' overlay ' /proc/self/mountinfo
echo "== files"; ls -ln /dev /dev/pts /proc/self/fd 2>/dev/null | awk '{print $1,$3,$4,($1 ~ /^[bc]/ ? $5 $6 : "")}' | sort; ls /
for p in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/fs/x /etc/x /tmp/x /dev/shm/x /mnt/x; do
  (echo > $p) 2>/dev/null && echo "may write $p"; done
for p in /proc/kcore /proc/keys /proc/timer_list /sys/firmware; do head -c 1 $p 2>&1 | wc -c; ls $p | wc -l; done
mknod /tmp/n c 10 229 2>&1; true
"""

RUNS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "user": ("--user", "1000:29", "--group-add", "10"),
    "read only": ("--read-only", "--tmpfs", "/tmp:size=1m,mode=1777", "--tmpfs", "/run"),
    "privileged": ("--privileged",),
    "no capabilities": ("--cap-drop", "ALL"),
    "some capabilities": (
        "--cap-drop",
        "ALL",
        "--cap-add",
        "NET_RAW",
        "--cap-add",
        "SYS_ADMIN",
        "--user",
        "1000",
    ),
    "no new privileges": ("--security-opt", "no-new-privileges"),
    "unconfined": ("--security-opt", "seccomp=unconfined"),
    "profile": ("--security-opt", "seccomp=PROFILE"),
    "binds": (
        "-v",
        "BASE/bind:/mnt",
        "-v",
        "BASE/bind:/srv/ro:ro",
        "-v",
        "BASE/bind/file:/etc/one",
    ),
    "volume": (
        "-v",
        "/var/lib/anonymous",
        "--mount",
        "type=tmpfs,destination=/var/t,tmpfs-size=65536",
    ),
    "host network": ("NETWORK=host",),
    "host pid": ("--pid", "host"),
    "host ipc": ("--ipc", "host"),
    "host uts": ("--uts", "host"),
    "hostname": ("--hostname", "somewhere", "--add-host", "there:10.0.0.1"),
    "shm": ("--shm-size", "1m"),
    "sysctl": (
        "--sysctl",
        "kernel.msgmax=9000",
        "--sysctl",
        "net.ipv4.ip_unprivileged_port_start=0",
    ),
    "device": ("--device", "/dev/loop0:/dev/xloop:r", "--device", "/dev/fuse"),
    "oom score": ("--oom-score-adj", "500"),
    "init": ("--init",),
    "private cgroups": ("--cgroupns", "private"),
    "host cgroups": ("--cgroupns", "host"),
}

PODMAN_ONLY = {
    "rmask": ("--security-opt", "mask=/proc/version", "--security-opt", "unmask=/proc/keys"),
    "user namespace": ("--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"),
    "timezone": ("--tz", "local", "--umask", "0077"),
    "chroot dirs": ("--rootfs-propagation=none",),
}
PODMAN_ONLY.pop("chroot dirs")

ERRORS: dict[str, tuple[str, ...]] = {
    "missing": (IMAGE, "nosuch"),
    "missing path": (IMAGE, "/nosuch"),
    "missing below": (IMAGE, "/etc/nosuch/x"),
    "not executable": (IMAGE, "/etc/passwd"),
    "directory": (IMAGE, "/etc"),
    "below a file": (IMAGE, "/etc/passwd/x"),
    "relative": (IMAGE, "./nosuch"),
    "no PATH": ("-e", "PATH=", IMAGE, "nosuch"),
    "directory of a file": ("-w", "/etc/passwd/x", IMAGE, "true"),
    "device that is none": ("--device", "/dev/nosuch", IMAGE, "true"),
    "sysctl of the host": ("--sysctl", "net.ipv4.nosuch=1", IMAGE, "true"),
    "capability": ("--cap-add", "NOSUCH", IMAGE, "true"),
}


# What is as it should be, though not as runc 1.1 has it: docs/oci.md tells of each.
DIFFERENCES = [
    # A masked directory is empty, read-only, and without programs, devices and rights; runc's lacks the latter.
    (
        r"^(/ /\S+) ro,(nosuid,nodev,noexec,)?relatime - tmpfs tmpfs ro(,mode=755)?(,uid=\d+,gid=\d+)?$",
        r"\1 masked",
    ),
    # runc leaves the directory of cgroup v1's hierarchies writable, though the configuration says "ro".
    (r"^/ /sys/fs/cgroup r[ow],", "/ /sys/fs/cgroup ro,"),
    # The queues' directory belongs to who made the namespace: here at once with the user namespace, in runc after it.
    (r"^drwxrwxrwt \d+ 65534 $", "drwxrwxrwt 0 65534 "),
    # A name that nothing reads: what is mounted is said by its options.
    (r"- cgroup systemd rw,name=systemd$", "- cgroup cgroup rw,name=systemd"),
    (r"(sysctl: openat2 |error during container init: open /)proc/sys", "open /proc/sys"),
]


class Normal:
    """Text without what differs from one container to the next."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.namespaces: dict[str, str] = {}

    def __call__(self, text: str, runtime: str) -> str:
        text = re.sub(r"[0-9a-f]{64}", "ID", text)
        text = re.sub(r"\b[0-9a-f]{12}\b", "SHORT", text)
        text = text.replace(f"Error: {runtime}: ", "Error: ").replace(f": {runtime}: ", ": ")
        text = re.sub(r"(runc|fastbox-oci) (create|start) failed: ", "", text)
        for pattern, instead in DIFFERENCES:
            text = re.sub(pattern, instead, text, flags=re.M)
        text = re.sub(r"SigIgn:\t(\w+)", self._signals, text)
        return re.sub(r"(\w+):\[(\d+)\]", self._namespace, text)

    def _signals(self, match: re.Match[str]) -> str:
        """Without those that whoever runs the tests ignores: runc hands them on."""
        return f"SigIgn:\t{int(match[1], 16) & ~ignored():016x}"

    def _namespace(self, match: re.Match[str]) -> str:
        """The host's own, or a new one."""
        try:
            own = Path(f"/proc/self/ns/{match[1]}").readlink()
        except FileNotFoundError:
            return match[0]
        return f"{match[1]}:host" if str(own) == match[0] else f"{match[1]}:new"


def material(place: Place) -> None:
    directory = place.directory("bind")
    (directory / "file").write_text("a file of the host\n")
    (place.base / "profile.json").write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mknod", "mknodat"], "action": "SCMP_ACT_ERRNO"}]}'
    )


def answer(
    engine: Engine, place: Place, runtime: str, words: tuple[str, ...]
) -> tuple[int, list[str], str]:
    network = next((word[8:] for word in words if word.startswith("NETWORK=")), "none")
    words = tuple(
        word.replace("BASE", str(place.base)).replace("PROFILE", f"{place.base}/profile.json")
        for word in words
        if not word.startswith("NETWORK=")
    )
    done = engine.run("--rm", *words, runtime=runtime, network=network, check=False)
    normal = Normal(engine)
    return done.returncode, normal(done.stdout, runtime).splitlines(), normal(done.stderr, runtime)


def same(engine: Engine, place: Place, words: tuple[str, ...]) -> tuple[int, list[str], str]:
    material(place)
    runc, fastbox = (answer(engine, place, runtime, words) for runtime in (RUNC, FASTBOX))
    # A privileged container of docker asks for all that the kernel knows: runc gives up where its caller lacks one.
    if "unable to apply caps" in runc[2]:
        return fastbox
    different = [line for line in difflib.ndiff(runc[1], fastbox[1]) if line[0] in "+-"]
    assert not different, "\n".join(
        (*different, runc[2], fastbox[2])
    )  # with runc -, with fastbox-oci +
    assert fastbox == runc
    return fastbox


@pytest.mark.parametrize("name", RUNS)
def test_the_same_container(engine: Engine, place: Place, name: str) -> None:
    code, lines, _ = same(engine, place, (*RUNS[name], IMAGE, "sh", "-c", PROBE))
    assert code == 0
    assert "== files" in lines


@pytest.mark.parametrize("name", PODMAN_ONLY)
def test_the_same_container_of_podman(podman: Engine, place: Place, name: str) -> None:
    code, lines, _ = same(podman, place, (*PODMAN_ONLY[name], IMAGE, "sh", "-c", PROBE))
    assert code == 0
    assert "== files" in lines


@pytest.mark.parametrize("name", ERRORS)
def test_the_same_error(engine: Engine, place: Place, name: str) -> None:
    code, _, errors = same(engine, place, ERRORS[name])
    assert code in (125, 126, 127)
    assert errors
