"""Docker's flags of limits, each looked at in the kernel's own files from inside the container."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from fastbox import Engine
from fastbox.types import DeviceLimit

from . import groups
from .conftest import Box, Docker

pytestmark = pytest.mark.integration
# A disk where there is one: any block device has limits.
DISK = "/dev/" + min(
    os.listdir("/sys/block"), key=lambda name: (name[:2] not in ("vd", "sd"), name)
)


def host_config(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box("inspect", name).stdout)[0]["HostConfig"]
    return found


def shown(box: Box, flags: list[str], *files: str) -> list[str]:
    """The lines of files of a container with these flags."""
    return box("run", "--rm", *flags, "busybox", "cat", *files).stdout.splitlines()


def test_memory_and_swap(box: Box) -> None:
    flags = ["--memory", "64m", "--memory-swap", "96m", "--memory-reservation", "32m"]
    names = [("limit_in_bytes", "max"), ("memsw.limit_in_bytes", "swap.max")]
    files = [groups.file("memory", f"memory.{v1}", f"memory.{v2}") for v1, v2 in names]
    soft = groups.file("memory", "memory.soft_limit_in_bytes", "memory.low")
    swap = (32 if groups.V2 else 96) << 20
    assert shown(box, flags, *files, soft) == [str(64 << 20), str(swap), str(32 << 20)]


def test_swappiness_and_the_oom_killer(box: Box) -> None:
    """v2 has neither: docker's warnings, and the container starts."""
    flags = ["--memory", "64m", "--memory-swappiness", "7", "--oom-kill-disable"]
    done = box("run", "--name", "swappy", *flags, "busybox", "sh", "-c",
               "cat /sys/fs/cgroup/memory/memory.swappiness /sys/fs/cgroup/memory/memory.oom_control || true")  # fmt: skip
    said = host_config(box, "swappy")
    box("rm", "swappy")
    if groups.V2:
        assert "Memory swappiness discarded" in done.stderr
        assert "OomKillDisable discarded" in done.stderr
        assert said["MemorySwappiness"] is None
        assert said["OomKillDisable"] is False
    else:
        assert done.stdout.startswith("7\noom_kill_disable 1\n")
        assert said["MemorySwappiness"] == 7
        assert said["OomKillDisable"] is True


def test_kernel_memory_is_dropped_with_dockers_warning(box: Box) -> None:
    done = box("run", "--rm", "--kernel-memory", "64m", "busybox", "true")
    assert done.stderr.startswith("WARNING: Your kernel does not support kernel memory limit")


def test_oom_score(box: Box) -> None:
    assert shown(box, ["--oom-score-adj", "321"], "/proc/self/oom_score_adj") == ["321"]


def test_cpu_limits(box: Box) -> None:
    shares = groups.file("cpu", "cpu.shares", "cpu.weight")
    quota = groups.file("cpu", "cpu.cfs_quota_us", "cpu.max")
    flags = ["--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "25000"]
    found = shown(box, flags, shares, quota)
    assert found == (["59", "25000 50000"] if groups.V2 else ["512", "25000"])
    assert shown(box, ["--cpus", "0.25"], quota) == (["25000 100000"] if groups.V2 else ["25000"])


def test_cpusets(box: Box) -> None:
    files = [groups.file("cpuset", f"cpuset.{name}", f"cpuset.{name}") for name in ("cpus", "mems")]
    assert shown(box, ["--cpuset-cpus", "0", "--cpuset-mems", "0"], *files) == ["0", "0"]


def test_realtime(box: Box) -> None:
    """Nothing is left for a group unless the one above has it: the kernel's answer is passed on."""
    flags = ["--cpu-rt-period", "1000000", "--cpu-rt-runtime", "1000"]
    if os.path.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"):
        assert "realtime" in box.fails("run", "--rm", *flags, "busybox", "true")
        done = box("run", "--rm", "--cpu-rt-period", "500000", "busybox", "cat",
                   "/sys/fs/cgroup/cpu/cpu.rt_period_us")  # fmt: skip
        assert done.stdout == "500000\n"
    else:
        assert "does not support CPU real-time" in box.fails(
            "run", "--rm", *flags, "busybox", "true"
        )


@pytest.mark.parametrize(
    ("flag", "value", "v1", "v2"),
    [
        ("--device-read-bps", "1mb", "read_bps", "rbps=1048576"),
        ("--device-write-bps", "2mb", "write_bps", "wbps=2097152"),
        ("--device-read-iops", "300", "read_iops", "riops=300"),
        ("--device-write-iops", "400", "write_iops", "wiops=400"),
    ],
)
def test_rates_of_a_device(box: Box, flag: str, value: str, v1: str, v2: str) -> None:
    file = groups.file("blkio", f"blkio.throttle.{v1}_device", "io.max")
    found = shown(box, [flag, f"{DISK}:{value}"], file)
    numbers = os.stat(DISK).st_rdev
    device = f"{os.major(numbers)}:{os.minor(numbers)}"
    assert len(found) == 1
    assert found[0].startswith(device)
    assert v2 in found[0] if groups.V2 else found[0] == f"{device} {v2.partition('=')[2]}"


def test_weights_are_set_or_dropped_with_a_warning(box: Box) -> None:
    """A kernel has weights when a scheduler knows them, and of a device when it uses that one."""
    file = groups.file("blkio", "blkio.bfq.weight", "io.bfq.weight")
    done = box("run", "--name", "heavy", "--blkio-weight", "300", "--blkio-weight-device",
               f"{DISK}:200", "busybox", "sh", "-c", f"cat {file} || true")  # fmt: skip
    said = host_config(box, "heavy")
    box("rm", "heavy")
    dropped = "Block I/O weight or the cgroup is not mounted. Weight discarded" in done.stderr
    of_device = "Weight-device discarded" in done.stderr
    assert said["BlkioWeight"] == (0 if dropped else 300)
    assert said["BlkioWeightDevice"] == ([] if of_device else [{"Path": DISK, "Weight": 200}])
    assert dropped or "300" in done.stdout
    with open(f"/sys/block/{DISK[5:]}/queue/scheduler", encoding="utf-8") as text:
        assert of_device or "[bfq]" in text.read() or groups.V2


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--blkio-weight", "5"], "range of blkio weight is from 10 to 1000"),
        (["--blkio-weight-device", f"{DISK}:5"], "from 10 to 1000"),
        (["--device-read-bps", "vda:1mb"], "not /dev/NAME:LIMIT"),
        (["--device-read-bps", "/dev/null:1mb"], "not a block device"),
        (["--device-read-bps", "/dev/none:1mb"], "no such device"),
        (["--memory-swappiness", "101"], "not between -1 and 100"),
        (["--oom-score-adj", "1001"], "not between -1000 and 1000"),
        (["--memory", "64m", "--memory-swap", "32m"], "below the memory limit"),
        (["--cpus", "0.5", "--cpu-quota", "5000"], "--cpus already sets the quota"),
        (["--cpuset-cpus", "0-4000"], "not all there"),
        (["--io-maxbandwidth", "1m"], "linux does not support Maximum IO Bandwidth"),
        (["--io-maxiops", "5"], "linux does not support Maximum IO Bandwidth"),
        (["--isolation", "hyperv"], "linux only supports 'default'"),
        (["--runtime", "kata"], "unknown or invalid runtime name: kata"),
        (["--storage-opt", "size=1G"], "supported only for overlay over xfs"),
        (["--storage-opt", "speed=1"], "unknown option speed"),
        (["--cgroup-parent", "/../x"], "invalid cgroup parent"),
        (["--sysctl", "vm.swappiness=1"], "not the container's own"),
        (["--ipc", "host", "--sysctl", "kernel.msgmax=1"], "would change others"),
        (["--ulimit", "nofiles=1"], "nofiles"),
    ],
)
def test_what_is_refused(box: Box, flags: list[str], words: str) -> None:
    assert words in box.fails("run", "--rm", *flags, "busybox", "true")


def test_what_changes_nothing(box: Box) -> None:
    flags = [
        "--isolation",
        "default",
        "--runtime",
        "runc",
        "--cpu-count",
        "2",
        "--cpu-percent",
        "9",
    ]
    done = box("run", "--rm", *flags, "busybox", "true")
    assert done.stderr == "WARNING: linux does not support CPU percent. Percent discarded.\n"


def test_a_parent_group(box: Box) -> None:
    script = "cat /proc/self/cgroup"
    flags = ["--cgroup-parent", "/fastbox-test-parent/below", "--cgroupns", "host"]
    done = box("run", "--name", "child", *flags, "busybox", "sh", "-c", script)
    said = host_config(box, "child")
    box("rm", "child")
    assert "/fastbox-test-parent/below/" in done.stdout
    assert said["CgroupParent"] == "/fastbox-test-parent/below"
    tops = ["/sys/fs/cgroup"] if groups.V2 else [f.path for f in os.scandir("/sys/fs/cgroup")]
    for top in tops:
        for name in ("fastbox-test-parent/below", "fastbox-test-parent"):
            if os.path.isdir(f"{top}/{name}"):
                os.rmdir(f"{top}/{name}")


def test_shared_memory_and_ulimits_and_sysctls(box: Box) -> None:
    script = "df -k /dev/shm | tail -1; ulimit -n; ulimit -Hn; cat /proc/sys/kernel/msgmax"
    flags = ["--shm-size", "8m", "--ulimit", "nofile=100:200", "--sysctl", "kernel.msgmax=9000"]
    lines = box("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout.splitlines()
    assert lines[0].split()[1] == "8192"
    assert lines[1:] == ["100", "200", "9000"]


def test_annotations_are_in_the_document(box: Box) -> None:
    box("create", "--name", "noted", "--annotation", "org.example.team=web", "busybox", "true")
    directory = json.loads(box("inspect", "noted").stdout)[0]["HostsPath"].removesuffix("/hosts")
    with open(directory + "/config.json", encoding="utf-8") as file:
        assert json.load(file)["annotations"] == {"org.example.team": "web"}
    assert host_config(box, "noted")["Annotations"] == {"org.example.team": "web"}
    box("rm", "noted")


def test_groups_that_are_added(box: Box) -> None:
    out = box("run", "--rm", "--group-add", "4242", "busybox", "id").stdout
    assert "4242" in out


def test_security_options(box: Box) -> None:
    done = box("run", "--rm", "--security-opt", "writable-cgroups", "--security-opt", "label=disable",
               "--security-opt", "apparmor=docker-default", "--security-opt", "systempaths=unconfined",
               "busybox", "sh", "-c", "grep cgroup /proc/self/mounts; ls /proc/acpi >/dev/null && echo seen")  # fmt: skip
    mounts = [line.split()[3].split(",") for line in done.stdout.splitlines() if " " in line]
    assert mounts
    assert all("rw" in options for options in mounts)
    if os.path.isdir("/proc/acpi"):
        assert done.stdout.endswith("seen\n")


# What docker takes and what it refuses; dockerd 20.10 has no writable-cgroups and no seccomp=builtin.
SECURITY = """
label=disable
label:disable
label=user:u
label=role:r
label=type:t
label=level:s0:c1
label=filetype:x
label=nonsense
label=
label
apparmor=nosuch
apparmor:nosuch
apparmor=docker-default
apparmor=unconfined
apparmor=
apparmor
nonsense
nonsense=x
LABEL=disable
no-new-privileges
no-new-privileges=true
no-new-privileges:true
no-new-privileges=1
no-new-privileges=0
no-new-privileges:false
no-new-privileges=x
no-new-privileges=
seccomp=unconfined
seccomp:unconfined
seccomp=/nosuch
seccomp=
seccomp
systempaths=unconfined
systempaths=x
systempaths
credentialspec=file://x
""".split()
HELD = (
    "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status; cat /proc/self/attr/current 2>/dev/null; "
    "grep -c -E ' /proc/(kcore|sysrq-trigger) ' /proc/self/mounts; true"
)


def test_security_options_as_docker(box: Box, docker: Docker) -> None:
    for option in SECURITY:
        words = ["run", "--rm", "--network", "none", "--security-opt", option, "busybox", "sh", "-c", HELD]  # fmt: skip
        ours, theirs = box(*words, check=False), docker(*words, check=False)
        assert ours.returncode == theirs.returncode, (option, ours.stderr, theirs.stderr)
        assert ours.stdout == theirs.stdout.decode(), option
        if ours.returncode == 0 and "nosuch" not in option:
            assert ours.stderr == "", option
    for name, option in (("SecurityOpt", "label=type:t"), ("SecurityOpt", "apparmor=nosuch")):
        shown = []
        for engine in (box, docker):
            engine("create", "--name", "kept", "--network", "none", "--security-opt", option, "busybox", "true")  # fmt: skip
            (found,) = json.loads(engine("inspect", "kept").stdout)
            shown.append(
                (found["HostConfig"][name], found["AppArmorProfile"], found["ProcessLabel"])
            )
            engine("rm", "kept")
        assert shown[0] == shown[1], option


@pytest.mark.skipif(
    os.path.exists("/sys/module/apparmor/parameters/enabled"), reason="this kernel has AppArmor"
)
def test_a_profile_that_does_not_hold_is_told(box: Box) -> None:
    done = box("run", "--rm", "--security-opt", "apparmor=mine", "busybox", "echo", "ran")
    assert done.stdout == "ran\n"
    assert (
        done.stderr == 'WARNING: Your kernel does not support AppArmor. Profile "mine" discarded.\n'
    )


def test_apparmor_is_told(box: Box) -> None:
    box("create", "--name", "armed", "--security-opt", "apparmor=docker-default", "busybox", "true")
    assert json.loads(box("inspect", "armed").stdout)[0]["AppArmorProfile"] == "docker-default"
    box("rm", "armed")


def test_the_python_api_takes_them_too(box: Box) -> None:
    limit = DeviceLimit(kind="read_bps", path=DISK, value=1 << 20)
    file = groups.file("blkio", "blkio.throttle.read_bps_device", "io.max")
    with (
        Engine.open() as engine,
        engine.run(
            "busybox", ["sleep", "60"], device_limits=[limit], devices=["/dev/fuse:/dev/f:r"],
            oom_score_adj=77, annotations={"a": "b"},
        ) as container,
    ):  # fmt: skip
        assert b"1048576" in container.exec(["cat", file]).check().stdout
        assert container.exec(["cat", "/proc/1/oom_score_adj"]).check().stdout == b"77\n"
        assert b"10, 229" in container.exec(["ls", "-l", "/dev/f"]).check().stdout
