"""A default container against a default container of docker, answer by answer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from . import host
from .conftest import Box, Docker

pytestmark = pytest.mark.integration

# Where fastbox refuses what this docker lets through, or says it otherwise: docs/security-defaults.md has the reasons.
STRICTER = {"io_uring_setup": "EPERM", "socket 38": "EPERM", "socket 40": "EPERM"}
# What docker's profile allows since 23.0, where this docker is older: whoever may ptrace may do this too.
SINCE = {"process_vm_readv": "ok"}
STATUS = [
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
    "Umask",
]


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("probe") / "probe"
    source = Path(__file__).with_name("probe.c")
    subprocess.run(["gcc", "-static", "-O1", "-o", str(program), str(source)], check=True)
    return str(program)


def answers(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


def test_every_probe_is_answered_as_under_docker_or_more_strictly(
    box: Box, docker: Docker, probe: str
) -> None:
    theirs = answers(
        docker(
            "run", "--rm", "--network", "none", "-v", f"{probe}:/probe:ro", "busybox", "/probe"
        ).stdout.decode()
    )
    ours = answers(box("run", "--rm", "-v", f"{probe}:/probe:ro", "busybox", "/probe").stdout)
    assert ours.keys() == theirs.keys()
    for name, answer in theirs.items():
        if name in STRICTER | SINCE:
            assert ours[name] == (STRICTER | SINCE)[name], name
        else:
            assert (ours[name] == "ok") == (answer == "ok"), (name, ours[name], answer)


def test_the_process_status_is_dockers(box: Box, docker: Docker) -> None:
    words = ["busybox", "cat", "/proc/self/status"]
    theirs = answers(
        docker("run", "--rm", "--network", "none", *words).stdout.decode().replace(":\t", ": ")
    )
    ours = answers(box("run", "--rm", *words).stdout.replace(":\t", ": "))
    assert ours["Seccomp"] == "2"
    assert ours["CapEff"] == "00000000a80425fb"
    for name in STATUS:
        assert ours[name].split() == theirs[name].split(), name
    # What the caller blocked or ignored is not the container's; docker lets some of it through.
    assert {ours["SigBlk"], ours["SigIgn"]} == {"0" * 16}
    assert ours["Groups"].split() == ["0", "10"]


def test_masked_and_read_only_paths_are_dockers(box: Box, docker: Docker) -> None:
    script = (
        "for p in /proc/acpi /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware; do "
        "echo $p $(stat -c '%F %t:%T' $p 2>&1 | sed 's/.*: //') $(ls $p 2>/dev/null | wc -l); done"
    )
    theirs = docker(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", script
    ).stdout.decode()
    ours = box("run", "--rm", "busybox", "sh", "-c", script).stdout
    assert ours == theirs


def test_devices_are_dockers(box: Box, docker: Docker) -> None:
    script = (
        "cd /dev; for f in * pts/ptmx; do echo $f $(stat -c '%F %t:%T %a' $f) $(readlink $f); done"
    )
    theirs = docker(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", script
    ).stdout.decode()
    ours = box("run", "--rm", "busybox", "sh", "-c", script).stdout
    assert ours == theirs


def test_mount_options_are_dockers(box: Box, docker: Docker) -> None:
    """Mount points and their flags, root aside, whose options name layers."""
    words = ["busybox", "cat", "/proc/self/mountinfo"]

    def points(text: str) -> dict[str, set[str]]:
        rows = [line.split() for line in text.splitlines()]
        return {row[4]: set(row[5].split(",")) - {"relatime"} for row in rows if row[4] != "/"}

    theirs = points(docker("run", "--rm", "--network", "none", *words).stdout.decode())
    ours = points(box("run", "--rm", *words).stdout)
    # Hierarchies in which a container has no group of its own would show the host's.
    foreign = {p for p in theirs if p.startswith("/sys/fs/cgroup/") and p not in ours}
    assert theirs.keys() - ours.keys() == foreign
    theirs = {p: f for p, f in theirs.items() if p not in foreign}
    weaker = {p: f - ours[p] for p, f in theirs.items() if f - ours[p] - {"rw"}}
    assert not weaker


def test_namespaces_are_its_own(box: Box) -> None:
    import os

    script = "for n in cgroup ipc mnt net pid uts; do readlink /proc/self/ns/$n; done"
    inside = box("run", "--rm", "busybox", "sh", "-c", script).stdout.split()
    outside = [
        os.readlink(f"/proc/self/ns/{n}") for n in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
    ]
    assert len(inside) == 6
    assert not set(inside) & set(outside)
    host = box(
        "run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net"
    ).stdout.strip()
    assert host == os.readlink("/proc/self/ns/net")


def test_only_own_processes_and_three_descriptors(box: Box) -> None:
    out = box(
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "echo $$; ls /proc | grep -c '^[0-9]'; ls /proc/self/fd",
    ).stdout.split()
    assert out[0] == "1"
    assert int(out[1]) <= 3
    assert out[2:] == ["0", "1", "2", "3"]  # 3 is ls's own


def test_privileged_has_every_right(box: Box) -> None:
    out = box(
        "run",
        "--rm",
        "--privileged",
        "busybox",
        "sh",
        "-c",
        "grep -E 'CapEff|^Seccomp:' /proc/self/status; mount -t tmpfs x /tmp && echo mounted",
    ).stdout
    bounding = [
        line.split()[1]
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("CapBnd")
    ]
    assert f"CapEff:\t{bounding[0]}" in out
    assert host.UNFILTERED in out
    assert "mounted" in out


@pytest.mark.parametrize(
    ("flags", "caps"),
    [
        (["--cap-drop", "ALL"], "0000000000000000"),
        (["--cap-drop", "all", "--cap-add", "chown"], "0000000000000001"),
        (["--cap-add", "NET_ADMIN"], "00000000a80435fb"),
        (["--cap-drop", "CAP_MKNOD"], "00000000a00425fb"),
        (["--user", "app"], "0000000000000000"),
    ],
)
def test_capability_flags(box: Box, flags: list[str], caps: str) -> None:
    assert (
        caps in box("run", "--rm", *flags, "busybox", "grep", "CapEff", "/proc/self/status").stdout
    )


def test_security_options(box: Box, tmp_path: Path) -> None:
    status = ["busybox", "cat", "/proc/self/status"]
    assert (
        "NoNewPrivs:\t1"
        in box("run", "--rm", "--security-opt", "no-new-privileges", *status).stdout
    )
    assert (
        host.UNFILTERED
        in box("run", "--rm", "--security-opt", "seccomp=unconfined", *status).stdout
    )
    profile = tmp_path / "profile.json"
    profile.write_text(
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}'
    )
    done = box(
        "run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/x", check=False
    )
    assert done.returncode == 1
    assert "not permitted" in done.stderr


def test_a_setuid_program_gains_nothing_with_no_new_privileges(box: Box, tmp_path: Path) -> None:
    program = tmp_path / "suid"
    source = b'#include <stdio.h>\n#include <unistd.h>\nint main(void) { printf("%d\\n", geteuid()); return 0; }'
    subprocess.run(["gcc", "-static", "-x", "c", "-", "-o", str(program)], input=source, check=True)
    program.chmod(0o4755)
    words = ["--user", "app", "-v", f"{program}:/suid", "busybox", "/suid"]
    assert box("run", "--rm", *words).stdout == "0\n"
    assert box("run", "--rm", "--security-opt", "no-new-privileges", *words).stdout == "1000\n"


def test_no_other_container_is_seen_in_the_control_groups(box: Box) -> None:
    box("run", "-d", "--name", "other", "busybox", "sleep", "60")
    groups = box("run", "--rm", "busybox", "find", "/sys/fs/cgroup", "-type", "d").stdout.split()
    limited = ["--memory", "64m", "--cpus", "0.5"]
    more = box("run", "--rm", *limited, "busybox", "find", "/sys/fs/cgroup", "-type", "d")
    box("rm", "-f", "other")
    assert "/sys/fs/cgroup" in groups
    assert not [g for g in groups + more.stdout.split() if g.count("/") > 4 or "fastbox" in g]
