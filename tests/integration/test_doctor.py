"""The doctor on this machine: by root, by anybody, inside a container, and where calls are refused."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from . import host
from .conftest import Box

pytestmark = pytest.mark.integration
Checks = dict[str, dict[str, Any]]
# Numbers that are the same on every machine from 424 on.
PIDFD_OPEN, OPEN_TREE, MOVE_MOUNT, FSOPEN, CLONE3, CLOSE_RANGE, OPENAT2, MOUNT_SETATTR = (
    434, 428, 429, 430, 435, 436, 437, 442,
)  # fmt: skip
SECCOMP, UNSHARE = (277, 97) if platform.machine() == "aarch64" else (317, 272)


@pytest.fixture(scope="session")
def deny(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("deny") / "deny"
    source = Path(__file__).with_name("deny.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-o", str(program), str(source)], check=True)
    return str(program)


def run(box: Box, *before: str, code: int | None = None) -> tuple[int, Checks]:
    done = subprocess.run(
        [*before, box.program, "doctor", "--format", "json"],
        env=box.environ, capture_output=True, text=True, timeout=60 * host.SLOW, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["CanRun"] == (done.returncode == 0)
    if code is not None:
        assert done.returncode == code, document
    checks = {check["Name"]: check for check in document["Checks"]}
    assert len(checks) == len(document["Checks"])
    for check in checks.values():
        assert check["State"] in ("ok", "fallback", "missing")
        assert bool(check["Mend"]) == (check["State"] != "ok")
    return done.returncode, checks


def left(box: Box) -> object:
    """What could be left: groups, directories, mounts on what its probes mount on."""
    groups = [str(p) for p in Path("/sys/fs/cgroup").rglob("fastbox-doctor-*")]
    mounts = [m for m in host.mounts() if m in ("/", "/proc", "/tmp") or m.startswith(box.root)]
    return groups, mounts, list(Path(box.root).parent.glob(".fastbox-doctor*"))


def test_here_containers_can_run_and_nothing_is_left(box: Box) -> None:
    before = left(box)
    _, checks = run(box, code=0)
    assert left(box) == before
    for name in ("root", "capabilities", "clone3", "pidfd", "openat2", "mount namespaces", "proc"):
        assert checks[name]["State"] == "ok", checks[name]
    groups = [check["Group"] for check in checks.values()]
    assert list(dict.fromkeys(groups)) == [
        "Rights", "Kernel", "Mounts", "Overlay", "Network", "Cgroups", "User namespaces", "Places",
    ]  # fmt: skip
    assert checks["store"]["Detail"].startswith(box.root)
    assert checks["pids"]["Detail"].startswith("available, ")
    assert not [
        check for check in checks.values() if check["State"] == "missing" and check["Required"]
    ]


def test_for_people(box: Box) -> None:
    lines = box("doctor").stdout.splitlines()
    assert lines[0] == "Rights"
    assert lines[-1].startswith("Containers can run; ")
    assert lines.count("") == 8


def test_before_there_is_a_store(box: Box, tmp_path: Path) -> None:
    done = box(
        "doctor", FASTBOX_ROOT=str(tmp_path / "a" / "store"), FASTBOX_RUN=str(tmp_path / "run")
    )
    assert ", made by the first command" in done.stdout
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_raised_is_a_fallback(box: Box) -> None:
    """The kernel's word on this caller, asked in another way."""
    held = int(
        next(
            line.split()[1]
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("CapEff")
        ),
        16,
    )
    expected = "ok" if held >> 24 & 1 else "fallback"  # CAP_SYS_RESOURCE
    _, checks = run(box)
    assert checks["raise resource limits"]["State"] == expected
    assert checks["lower oom_score_adj"]["State"] == expected


@pytest.mark.parametrize(
    ("numbers", "name", "state"),
    [
        ([CLONE3], "clone3", "fallback"),
        ([PIDFD_OPEN], "pidfd", "missing"),
        ([OPENAT2], "openat2", "missing"),
        ([CLOSE_RANGE], "close_range", "fallback"),
        ([FSOPEN], "fsopen", "fallback"),
        ([FSOPEN, OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR], "open_tree", "fallback"),
        ([OPEN_TREE], "open_tree", "fallback"),
        ([MOUNT_SETATTR], "mount_setattr", "fallback"),
        ([MOUNT_SETATTR], "id-mapped mounts", "missing"),
        ([FSOPEN], "one call a layer", "fallback"),
        ([SECCOMP], "seccomp filters", "missing"),
        ([SECCOMP], "seccomp notification", "missing"),
        ([UNSHARE], "time namespaces", "missing"),
    ],
)
def test_a_call_that_is_refused(
    box: Box, deny: str, numbers: list[int], name: str, state: str
) -> None:
    """Said to be lost or made up for, with the line that mends it; and the kernel's own limit is named."""
    code, checks = run(box, deny, *map(str, numbers), "--")
    check = checks[name]
    assert check["State"] == state
    assert os.strerror(errno.ENOSYS).lower() in check["Detail"]
    assert check["Mend"].startswith(("allow ", "boot Linux "))
    assert code == int(any(c["State"] == "missing" and c["Required"] for c in checks.values()))


@pytest.mark.parametrize(
    "numbers",
    [
        [CLONE3], [PIDFD_OPEN], [CLOSE_RANGE], [FSOPEN], [OPEN_TREE], [MOUNT_SETATTR], [SECCOMP],
        [FSOPEN, OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR],
        [CLONE3, CLOSE_RANGE, FSOPEN, OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR],
    ],
)  # fmt: skip
def test_what_it_says_is_what_a_start_does(box: Box, deny: str, numbers: list[int]) -> None:
    words = [deny, *map(str, numbers), "--"]
    code, _ = run(box, *words)
    start = [*words, box.program, "run", "--rm", "busybox", "true"]
    done = subprocess.run(
        start, env=box.environ, capture_output=True, timeout=60 * host.SLOW, check=False
    )
    assert (done.returncode == 0) == (code == 0), done.stderr


def test_inside_containers(box: Box, tmp_path: Path) -> None:
    """In a plain one it can't run another; in a privileged one it can, once mended where v2 wants it. The host's root is
    theirs, to find this Python.
    """
    inside = [
        "--rm",
        "--rootfs",
        "/",
        "-w",
        "/",
        "-e",
        "FASTBOX_ROOT=/var/tmp/inner",
        "-e",
        "FASTBOX_RUN=/var/tmp/inner-run",
    ]
    words = [box.program, "doctor", "--format", "json"]
    plain = box("run", *inside, *words, check=False)
    assert plain.returncode == 1
    checks = {check["Name"]: check for check in json.loads(plain.stdout)["Checks"]}
    assert checks["capabilities"]["State"] == "missing"
    assert "CAP_SYS_ADMIN" in checks["capabilities"]["Mend"]
    assert (
        checks["mount namespaces"]["Mend"]
        == "give fastbox CAP_SYS_ADMIN, and allow clone in the filter around it"
    )
    privileged = box("run", "--privileged", *inside, *words, check=False)
    checks = {check["Name"]: check for check in json.loads(privileged.stdout)["Checks"]}
    assert checks["overlayfs on overlay"]["State"] == "fallback"
    words = [box.program, "run", "--rm", "--rootfs", "/", "echo", "within"]
    if checks["mode"]["Detail"].startswith(
        "v2"
    ):  # the first processes of a container are in its group's root
        assert privileged.returncode == 1
        assert "processes are in" in checks["pids"]["Detail"]
        assert box("run", "--privileged", *inside, *words, check=False).returncode == 125
        words = ["sh", "-c", checks["pids"]["Mend"] + ' && exec "$@"', "sh", *words]
    else:
        assert privileged.returncode == 0
    assert box("run", "--privileged", *inside, *words).stdout == "within\n"


def test_anybody_may_ask(box: Box, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By a user without rights, who is told what is missing; the package is copied to where such a one may read."""
    import sys
    import tempfile

    import fastbox

    with tempfile.TemporaryDirectory(prefix="fastbox-anybody-", dir="/var/tmp") as copy:
        Path(copy).chmod(0o755)
        shutil.copytree(Path(fastbox.__file__).parent, f"{copy}/fastbox")
        main = f"{copy}/fastbox/cli/__main__.py"
        python = shutil.which("python3", path="/usr/bin") or sys.executable
        done = subprocess.run(
            ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", python, "-I", "-S", main,
             "doctor", "--format", "json"],
            cwd="/", env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
            timeout=60 * host.SLOW, check=False,
        )  # fmt: skip
    assert done.stderr == ""
    assert done.returncode == 1
    checks = {check["Name"]: check for check in json.loads(done.stdout)["Checks"]}
    assert checks["root"]["State"] == "missing"
    assert checks["root"]["Mend"] == "run it with sudo, or as root"
    assert checks["store"]["Mend"].startswith("run it as root")
    assert checks["/etc/subuid"]["Group"] == "User namespaces"
    # What a user namespace gives to anybody was tried in one.
    if checks["for this caller"]["State"] == "ok":
        assert checks["mount namespaces"]["State"] == "ok"
        assert checks["overlayfs on a tmpfs, in a user namespace"]["State"] == "ok"


def test_a_mended_line_is_ok_afterwards(box: Box, tmp_path: Path) -> None:
    run_root = tmp_path / "run"
    run_root.mkdir()
    line = next(
        line
        for line in box("doctor", FASTBOX_RUN=str(run_root)).stdout.splitlines()
        if "live state" in line
    )
    if " on tmpfs" in line:
        pytest.skip("the test's own directory is on a tmpfs")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", str(run_root)], check=True)
    try:
        lines = box("doctor", FASTBOX_RUN=str(run_root)).stdout.splitlines()
        assert next(line for line in lines if "live state" in line).split()[0] == "ok"
    finally:
        subprocess.run(["umount", str(run_root)], check=True)
