"""The doctor's other lines: rights, groups, places; how they are printed; the program that tries the kernel."""

from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

import fastbox.doctor
from fastbox.cli.commands import doctor as command
from fastbox.doctor import can_run, cgroups, places, probe, rights
from fastbox.doctor.cgroups import Group, Hierarchies
from fastbox.doctor.check import Check
from fastbox.errors import EngineUnavailable
from fastbox.store.root import Root

CHECKS = [
    Check(group="Kernel", name="clone3", state="ok", required=True),
    Check(group="Kernel", name="openat2", state="fallback", detail="slower", mend="boot Linux 5.6 or newer"),
    Check(group="Places", name="store", state="missing", detail="full", mend="enlarge it"),
]  # fmt: skip
NEEDED = [*CHECKS, Check(group="Places", name="files", state="missing", mend="x", required=True)]


def test_lines_for_people() -> None:
    assert command.lines(CHECKS, True) == [
        "Kernel",
        "  ok        clone3",
        "  fallback  openat2  slower",
        "            mend: boot Linux 5.6 or newer",
        "",
        "Places",
        "  missing   store    full",
        "            mend: enlarge it",
        "",
        "Containers can run; fallbacks: 1, missing for some: 1.",
    ]
    assert command.lines(NEEDED, False)[-1] == "Containers can't run; missing for all: 1."


@pytest.mark.parametrize(("checks", "code"), [(CHECKS, 0), (NEEDED, 1)])
def test_the_exit_code_and_the_forms(
    shell, monkeypatch: pytest.MonkeyPatch, checks: list[Check], code: int
) -> None:
    assert can_run(checks) == (code == 0)
    monkeypatch.setattr(fastbox.doctor, "examine", lambda: checks)
    assert shell("doctor") == code
    assert "mend: enlarge it" in shell.out
    assert shell("system", "doctor", "--format", "json") == code
    document = json.loads(shell.out)
    assert document["CanRun"] == (code == 0)
    assert document["Checks"][1] == {
        "Group": "Kernel", "Name": "openat2", "State": "fallback", "Detail": "slower",
        "Mend": "boot Linux 5.6 or newer", "Required": False,
    }  # fmt: skip
    assert shell("doctor", "--format", "{{.CanRun}}") == code
    assert shell.out == ("true\n" if code == 0 else "false\n")


# Rights


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities of its own")
@pytest.mark.parametrize(
    ("without", "state", "word"),
    [
        (None, "ok", ""),
        (21, "missing", "CAP_SYS_ADMIN"),
        (27, "fallback", "CAP_MKNOD"),
        (39, "ok", ""),
    ],
)
def test_capabilities(without: int | None, state: str, word: str) -> None:
    held = (1 << 41) - 1 & ~(1 << without if without is not None else 0)
    (check,) = rights._capabilities({"CapEff": f"{held:x}", "CapBnd": f"{(1 << 41) - 1:x}"})
    assert check.state == state
    assert word in check.detail
    assert word in check.mend
    (check,) = rights._capabilities({"CapEff": f"{(1 << 41) - 1:x}", "CapBnd": f"{held:x}"})
    assert check.state == state


def test_limits_and_privileges() -> None:
    assert rights._limit({"rlimit": 0}).state == "ok"
    assert rights._limit({"rlimit": errno.EPERM}).state == "fallback"
    assert rights._oom_score({"oom_score": 0}).state == "ok"
    assert "CAP_SYS_RESOURCE" in rights._oom_score({"oom_score": errno.EACCES}).mend
    assert rights._no_new_privileges({"NoNewPrivs": "0"}).state == "ok"
    assert rights._no_new_privileges({"NoNewPrivs": "1"}).state == "fallback"


def files(monkeypatch: pytest.MonkeyPatch, found: dict[str, str]) -> None:
    for module in (rights, cgroups):
        monkeypatch.setattr(module, "read", lambda path, limit=0: found.get(path, ""))


@pytest.mark.parametrize(
    ("file", "text", "code", "mend"),
    [
        ("/proc/sys/user/max_user_namespaces", "0", errno.ENOSPC, "sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", errno.EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", errno.EPERM, "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"),
        ("", "", errno.EINVAL, "use a kernel with CONFIG_USER_NS"),
        ("", "", errno.EPERM, "allow clone with CLONE_NEWUSER in the filter that fastbox runs under"),
    ],
)  # fmt: skip
def test_user_namespaces(
    monkeypatch: pytest.MonkeyPatch, file: str, text: str, code: int, mend: str
) -> None:
    files(monkeypatch, {file: text})
    monkeypatch.delenv("SUDO_USER", raising=False)
    mine, everybody = rights.users({"ns.user": 0, "ns.user.anybody": code})[:2]
    assert mine.state == "ok"
    assert (everybody.state, everybody.mend, everybody.required) == ("missing", mend, False)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("joe:100000:65536", "ok"),
        ("joe:100000:1000", "missing"),
        ("jim:100000:65536", "missing"),
        ("joe", "missing"),
    ],
)
def test_subordinate_ids(monkeypatch: pytest.MonkeyPatch, text: str, state: str) -> None:
    files(monkeypatch, {"/etc/subuid": f"# a comment\n{text}\n"})
    monkeypatch.setenv("SUDO_USER", "joe")
    subuid, subgid = rights.users({"ns.user": 0, "ns.user.anybody": 0})[2:]
    assert subuid.state == state
    assert subgid.state == "missing"
    assert subgid.mend == "usermod --add-subgids 100000-165535 joe"


def test_security_modules_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    files(monkeypatch, {})
    assert [check.name for check in rights._modules()] == ["security modules"]
    files(monkeypatch, {
        "/sys/module/apparmor/parameters/enabled": "Y", "/sys/fs/selinux/enforce": "1",
        "/proc/self/attr/current": "unconfined_t",
    })  # fmt: skip
    found = {check.name: check.detail for check in rights._modules()}
    assert found["SELinux"] == "enforcing; this caller's label: unconfined_t"
    assert "AppArmor" in found


# Groups

LINE = "40 31 0:37 / {} rw,relatime - {} {} rw{}"


def mountinfo(*mounts: tuple[str, str, str]) -> dict[str, str]:
    lines = [LINE.format(at, kind, kind, options) for at, kind, options in mounts]
    return {"/proc/self/mountinfo": "\n".join(lines)}


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    unified = ("/sys/fs/cgroup", "cgroup2", ",nsdelegate")
    memory, named = ("/cg/memory", "cgroup", ",memory"), ("/cg/systemd", "cgroup", ",name=systemd")
    for mounts, mode in (
        ([unified], "v2"),
        ([memory, named, unified], "hybrid"),
        ([named, unified], "v2"),
        ([memory], "v1"),
        ([named], "none"),
        ([], "none"),
    ):
        files(monkeypatch, mountinfo(*mounts))
        assert cgroups.hierarchies().mode == mode
    files(
        monkeypatch,
        mountinfo(memory, ("/other", "cgroup", ",memory"), ("/cg/cpu", "cgroup", ",cpu,cpuacct")),
    )
    assert cgroups.hierarchies().v1 == {"memory": "/cg/memory", "cpu": "/cg/cpu"}


def test_nothing_mounted() -> None:
    nothing = Hierarchies(mode="none", v1={}, v2="")
    with Group(nothing) as group:
        (check,) = cgroups.checks(nothing, group)
    assert (check.state, check.required) == ("missing", True)
    assert check.mend == "mount -t cgroup2 cgroup2 /sys/fs/cgroup"


def hierarchy(at: Path, enabled: str = "", **contents: str) -> Hierarchies:
    """A directory that stands in for a v2 hierarchy, as this machine need not have one with controllers."""
    for name, text in contents.items():
        (at / name.replace("_", ".", 1)).write_text(text)
    return Hierarchies(mode="v2", v1={}, v2=str(at))


def states(found: Hierarchies, made: str = "") -> dict[str, Check]:
    group = Group(found)
    group.__enter__()
    try:
        for name in made.split():
            Path(group.unified, name).touch()
        return {check.name: check for check in cgroups.checks(found, group)}
    finally:
        for name in made.split():
            Path(group.unified, name).unlink()
        group.__exit__()
        assert not list(Path(found.v2).glob("fastbox-doctor-*"))


def test_v2_controllers(tmp_path: Path) -> None:
    found = states(
        hierarchy(
            tmp_path, cgroup_controllers="cpu memory pids\n", cgroup_subtree_control="memory\n"
        ),
        made="memory.max",
    )
    assert found["memory"].detail == "available, delegated, usable"
    assert found["pids"].detail == "available, delegated by the first start that needs it"
    assert (found["io"].state, found["io"].mend) == (
        "missing",
        "boot with cgroup_no_v1=all, or cgroup_enable=io",
    )
    assert found["swap accounting"].mend == "boot with swapaccount=1"
    assert not {"devices", "freezer", "blkio"} & set(found)
    with_swap = states(hierarchy(tmp_path), made="memory.max memory.swap.max")
    assert with_swap["swap accounting"].state == "ok"


def test_v2_inside_a_part_that_was_given_to_us(tmp_path: Path) -> None:
    inside = hierarchy(
        tmp_path,
        cgroup_controllers="pids\n",
        cgroup_subtree_control="",
        cgroup_type="domain\n",
        cgroup_procs="1\n",
    )
    found = states(inside)
    assert found["pids"].state == "missing"
    assert found["pids"].required
    assert found["pids"].mend == (
        f"mkdir {tmp_path}/init && "
        f"for p in $(cat {tmp_path}/cgroup.procs); do echo $p >{tmp_path}/init/cgroup.procs || :; done 2>/dev/null"
    )
    assert found["memory"].mend == f"delegate it above {tmp_path} (systemd: Delegate=yes)"


def test_groups_that_cannot_be_made(tmp_path: Path) -> None:
    nowhere = Hierarchies(mode="v2", v1={}, v2=str(tmp_path / "none"))
    group = Group(nowhere)
    with group:
        assert group.unified == ""
        assert group.refused[nowhere.v2].errno == errno.ENOENT
    group.refused[nowhere.v2] = OSError(errno.EROFS, "Read-only file system")
    assert cgroups._v1(nowhere.v2, "", group) == (
        "missing",
        f"no group can be made in {nowhere.v2} (read-only file system)",
        f"mount -o remount,rw {nowhere.v2}",
    )


def test_v1_controllers_that_are_not_mounted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(
        monkeypatch,
        {
            "/proc/cgroups": "#subsys_name\thierarchy\tnum_cgroups\tenabled\npids\t1\t1\t1\nmemory\t0\t1\t0\n"
        },
    )
    v1 = Hierarchies(mode="v1", v1={"cpu": str(tmp_path)}, v2="")
    with Group(v1) as group:
        found = {check.name: check for check in cgroups.checks(v1, group)}
    assert (
        found["pids"].mend
        == "mkdir /sys/fs/cgroup/pids && mount -t cgroup -o pids cgroup /sys/fs/cgroup/pids"
    )
    assert found["memory"].mend == "boot with cgroup_enable=memory"
    assert found["devices"].mend == "use a kernel with CONFIG_CGROUP_DEVICE"
    assert found["devices"].required
    assert found["cpu"].mend == f"mount the controller again at {tmp_path}"


# Places


def test_places_that_are_there_and_not(tmp_path: Path) -> None:
    root = Root(str(tmp_path / "no" / "store"), "/dev/shm/no/run")
    store, space, inodes, live = places.checks(root)
    assert store.state == space.state == inodes.state == live.state == "ok"
    assert store.detail.endswith(", made by the first command")
    assert live.detail == "/dev/shm/no/run on tmpfs"
    assert not (tmp_path / "no").exists()


class Full:
    f_bavail, f_frsize, f_files, f_favail, f_flag = 10, 4096, 1000, 3, os.ST_RDONLY


def test_a_full_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places.os, "statvfs", lambda path: Full)
    checks = places.checks(Root(str(tmp_path), str(tmp_path)))
    assert [check.state for check in checks[:3]] == ["missing"] * 3
    assert all(check.required and check.mend for check in checks[:3])
    assert "read-only" in checks[0].detail
    monkeypatch.setattr(Full, "f_files", 0)
    assert places.checks(Root(str(tmp_path), str(tmp_path)))[2].detail == "made as needed"


def test_live_state_on_a_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "file_system", lambda path: "ext4")
    live = places.checks(Root(str(tmp_path), str(tmp_path)))[3]
    assert (live.state, live.required) == ("fallback", False)
    assert live.mend.startswith(f"mount -t tmpfs -o mode=700 tmpfs {tmp_path}")


# The program


def test_lines_of_the_program() -> None:
    text = b"clone3 0\npidfd 38\nnonsense\nmore than two 3\nx y\n\xff 3\n"
    assert probe.parse(text) == {"clone3": 0, "pidfd": 38, "\ufffd": 3}


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.paths, "libexec", lambda name: "/nowhere/" + name)
    with pytest.raises(EngineUnavailable, match="no such file or directory") as caught:
        probe.run("", "")
    assert caught.value.hint == "install fastbox again"


def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(probe.paths, "libexec", lambda name: str(program))
    monkeypatch.setattr(probe, "_SECONDS", 0.3)
    before = time.monotonic()
    with pytest.raises(EngineUnavailable, match="in time"):
        probe.run("", "")
    assert time.monotonic() - before < 20
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="without root nothing is made")
def test_the_scratch_directory_goes(tmp_path: Path) -> None:
    root = Root(str(tmp_path / "store"), str(tmp_path / "run"))
    with probe.Scratch(root) as scratch:
        assert Path(scratch.path).is_dir()
        assert scratch.file_system
        Path(scratch.path, "a", "b").mkdir(parents=True)
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), probe.Scratch(root):
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []
