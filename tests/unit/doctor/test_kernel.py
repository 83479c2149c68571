"""What the doctor makes of the kernel's answers: a state, what stands in, and one line that mends it."""

from __future__ import annotations

import errno

import pytest

from fastbox.doctor import kernel
from fastbox.doctor.kernel import Feature, Machine

TABLES = (kernel._PROCESSES, kernel._FILES, kernel._OVERLAY, kernel._NETWORK, kernel._GROUPS)
FEATURES = [feature for table in TABLES for feature in table]
CODES = [
    errno.ENOSYS, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENODEV, errno.ENOSPC, errno.ENOENT,
    errno.EINTR, errno.E2BIG, errno.EIO,
]  # fmt: skip
FINE = {f.key: 0 for f in FEATURES} | {"overlay": 0, "overlay.memory": 0}


def machine(**changes: object) -> Machine:
    here = Machine(release="6.18.5-x", root=True, mode="v2", unified=True, file_system="ext4")
    return here.replace(**changes)


def every(results: dict[str, int], **changes: object) -> dict[str, kernel.Check]:
    here = machine(**changes)
    checks = [*kernel.checks(here, results), *kernel.groups(here, results)]
    assert len({(c.group, c.name) for c in checks}) == len(checks)
    return {check.name: check for check in checks}


def test_all_is_well() -> None:
    assert {check.state for check in every(FINE).values()} == {"ok"}
    assert not any(check.mend or check.detail for check in every(FINE).values())


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("feature", FEATURES, ids=lambda f: f.key)
def test_what_fails_has_a_state_and_one_line_that_mends_it(feature: Feature, code: int) -> None:
    mode = "hybrid" if feature.key == "ns.cgroup.unshare" else "v2"
    check = every(FINE | {feature.key: code}, mode=mode)[feature.name]
    assert check.state == ("fallback" if code in feature.other_way else "missing")
    assert check.required == feature.required
    assert check.detail.startswith(feature.lost + " (")
    assert check.mend
    assert "\n" not in check.mend


def test_a_probe_that_did_not_answer_counts_as_killed() -> None:
    results = {key: value for key, value in FINE.items() if key != "pidfd"}
    check = every(results)["pidfd"]
    assert (check.state, check.detail.endswith("(killed by a filter)")) == ("missing", True)


@pytest.mark.parametrize(
    ("release", "root", "key", "code", "line"),
    [
        ("5.4.0-99-generic", True, "openat2", errno.ENOSYS, "boot Linux 5.6 or newer"),
        ("6.1.0", True, "openat2", errno.ENOSYS, "allow openat2 in the seccomp filter that fastbox runs under"),
        ("6.1.0", True, "openat2", errno.EINTR, "allow openat2 in the seccomp filter that fastbox runs under"),
        ("6.1.0", False, "mknod", errno.EPERM, "run fastbox as root"),
        ("6.1.0", True, "mknod", errno.EPERM, "give fastbox CAP_MKNOD, outside of a user namespace"),
        ("6.1.0", True, "ns.mount", errno.EPERM, "give fastbox CAP_SYS_ADMIN, and allow clone in the filter around it"),
        ("6.1.0", True, "ns.network", errno.ENOSPC, "sysctl -w user.max_net_namespaces=15000"),
        ("6.1.0", True, "ns.time", errno.EINVAL, "use a kernel with CONFIG_TIME_NS"),
        ("6.1.0", True, "net.bridge", errno.EOPNOTSUPP, "modprobe bridge, or use a kernel with CONFIG_BRIDGE"),
        ("6.1.0", True, "overlay.calls", errno.EINVAL, "boot Linux 6.7 or newer"),
        ("what-is-this", True, "seccomp", errno.EINVAL, "use a kernel with CONFIG_SECCOMP_FILTER"),
    ],
)  # fmt: skip
def test_the_line_that_mends(release: str, root: bool, key: str, code: int, line: str) -> None:
    feature = next(f for f in FEATURES if f.key == key)
    assert kernel.mend(feature, machine(release=release, root=root), code) == line


def test_what_does_not_matter_here_is_not_told() -> None:
    bad = dict.fromkeys(FINE, errno.ENOSYS)
    on_v1 = every(bad, mode="v1", unified=False)
    assert not {"clone3 into a cgroup", "cgroup.kill", "cgroup.freeze", "device programs"} & set(
        on_v1
    )
    assert "unshare" in on_v1
    on_v2 = every(bad)
    assert {"clone3 into a cgroup", "cgroup.kill", "cgroup.freeze", "device programs"} <= set(on_v2)
    assert "unshare" not in on_v2
    assert "device programs" not in every(bad, mode="hybrid")
    assert "fsconfig, fsmount, move_mount" not in every(
        FINE | {"mount.fsopen": errno.EPERM, "mount.calls": errno.EPERM}
    )


@pytest.mark.parametrize(
    ("store", "on_store", "in_memory", "state", "mend"),
    [
        ("ext4", 0, 0, "ok", ""),
        ("overlay", errno.EINVAL, 0, "fallback", "put the store (FASTBOX_ROOT) on ext4, xfs or btrfs"),
        ("nfs", errno.EINVAL, 0, "missing", "put the store (FASTBOX_ROOT) on ext4, xfs or btrfs"),
        ("ext4", errno.ENODEV, errno.ENODEV, "missing", "modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS"),
        ("ext4", errno.EPERM, errno.EPERM, "missing", "give fastbox CAP_SYS_ADMIN, and allow mount in the filter around it"),
    ],
)  # fmt: skip
def test_overlay(store: str, on_store: int, in_memory: int, state: str, mend: str) -> None:
    results = FINE | {"overlay": on_store, "overlay.memory": in_memory}
    check = every(results, file_system=store)[f"overlayfs on {store}"]
    assert (check.state, check.mend, check.required) == (state, mend, True)
