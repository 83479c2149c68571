"""The doctor on this machine: by root, by anybody, inside a container, and where calls are refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ..lanes import shim
from . import host
from .conftest import Box

pytestmark = pytest.mark.integration
Checks = dict[str, dict[str, Any]]


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
    ("rules", "name", "state", "mend"),
    [
        (["clone3"], "clone3", "fallback", "allow clone3 "),
        (["pidfd_open"], "pidfd", "missing", "allow pidfd_open"),
        (["pidfd_send_signal"], "pidfd signals", "fallback", "allow pidfd_send_signal "),
        (["memfd_create"], "memfd", "missing", "allow memfd_create "),
        (["openat2"], "openat2", "fallback", "allow openat2 "),
        (["close_range:EPERM"], "close_range", "fallback", "give fastbox CAP_SYS_ADMIN, and allow close_range "),
        (["fsopen"], "fsopen", "fallback", "allow fsopen"),
        (["fsmount"], "fsconfig, fsmount, move_mount", "fallback", "allow fsconfig"),
        (["open_tree"], "open_tree", "fallback", "allow open_tree "),
        ([*shim.MOUNT_CALLS, "mount_setattr"], "mount_setattr", "fallback", "allow mount_setattr "),
        (["mount_setattr"], "id-mapped mounts", "missing", "allow mount_setattr "),
        (["fsopen"], "one call a layer", "fallback", ("allow fsopen", "boot Linux 6.7 ")),
        (["seccomp"], "seccomp filters", "missing", "allow seccomp "),
        (["seccomp"], "seccomp notification", "missing", "allow seccomp "),
        (["unshare"], "time namespaces", "missing", "allow unshare "),
        (["new-user-namespace:ENOSPC"], "for this caller", "missing", "sysctl -w user.max_user_namespaces=15000"),
        (["new-user-namespace:EPERM"], "for everybody", "missing", ("allow clone with CLONE_NEWUSER", "sysctl -w kernel.")),
    ],
)  # fmt: skip
def test_a_call_that_is_refused(
    box: Box, rules: list[str], name: str, state: str, mend: str | tuple[str, ...]
) -> None:
    """Said to be lost or made up for, with the line that mends it."""
    code, checks = run(box, *shim.denying(*rules))
    check = checks[name]
    assert check["State"] == state
    answer = getattr(errno, rules[0].partition(":")[2] or "ENOSYS")
    assert os.strerror(answer).lower() in check["Detail"]
    assert check["Mend"].startswith(mend)
    assert code == int(any(c["State"] == "missing" and c["Required"] for c in checks.values()))


@pytest.mark.parametrize("lane", shim.LANES, ids=lambda lane: lane.name)
def test_it_agrees_with_what_a_start_does(box: Box, lane: shim.Lane) -> None:
    """With each refusal that the fallback lanes prove: containers can run, or what they need is named."""
    code, checks = run(box, *shim.denying(*lane.rules))
    assert code == (1 if lane.needs else 0)
    missing = [c["Mend"] for c in checks.values() if c["State"] == "missing" and c["Required"]]
    assert bool(missing) == bool(lane.needs)
    assert all(lane.needs in mend for mend in missing)


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
