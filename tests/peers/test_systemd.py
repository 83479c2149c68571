"""fastbox-oci --systemd-cgroup where systemd is the first process: scopes as runc makes them, and nothing of them left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..integration import host
from .place import oci
from .systemd import Done, Systemd

SHOWN = ("Slice", "ControlGroup", "Delegate", "DefaultDependencies", "ActiveState")
RUN = ["/bin/busybox", "sleep", "1000"]
Edit = Callable[[dict[str, Any]], None]


class Runtime:
    """A runtime's command line in the machine, and a bundle for it."""

    def __init__(self, machine: Systemd, name: str) -> None:
        self.machine, self.name = machine, name
        self.bundle = machine.base / f"bundle-{name}"
        path = str(machine.base / "fastbox-oci") if name == "fastbox" else name
        flag = "--cgroup-manager=systemd" if name == "crun" else "--systemd-cgroup"
        self.words = (path, "--root", f"/run/{name}", flag)

    def write(self, group: str | None, edit: Edit = lambda config: None) -> None:
        root = self.bundle / "rootfs"
        if not root.exists():
            for directory in ("bin", "proc", "dev", "sys"):
                (root / directory).mkdir(parents=True)
            shutil.copy("/bin/busybox", root / "bin/busybox")
        (self.bundle / "config.json").unlink(missing_ok=True)
        self.machine(*self.words, "spec", "--bundle", str(self.bundle))
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=RUN)
        config["linux"].pop("cgroupsPath", None)
        if group is not None:
            config["linux"]["cgroupsPath"] = group
        edit(config)
        (self.bundle / "config.json").write_text(json.dumps(config))

    def __call__(self, *words: str, check: bool = True) -> Done:
        return self.machine(*self.words, *words, check=check)

    def create(self, name: str, check: bool = True) -> Done:
        words = ("create", "--bundle", str(self.bundle), "--pid-file", f"{self.bundle}/pid", name)
        return self(*words, check=check)

    def refused(self, name: str = "one") -> str:
        """What `create` says, in one line, and that it leaves nothing."""
        done = self.create(name, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert self("list", "-q").stdout == ""
        return done.stderr

    def groups(self) -> dict[str, str]:
        """The container's first process's group in each hierarchy that the machine shows."""
        text = self.machine("sh", "-c", f'cat "/proc/$(cat {self.bundle}/pid)/cgroup"').stdout
        lines = [line.split(":", 2) for line in text.splitlines()]
        return {
            name: path for _, name, path in lines if (name == "") == (self.machine.version == 2)
        }


@pytest.fixture(scope="module", params=[2, 1], ids=["v2", "v1"])
def machine(request: pytest.FixtureRequest) -> Iterator[Systemd]:
    if request.param == 1 and (host.CGROUPS / "cgroup.controllers").exists():
        pytest.skip("this machine has no hierarchies of v1")
    base = Path(tempfile.mkdtemp(prefix="fastbox-systemd-", dir="/var/tmp"))
    base.chmod(0o755)
    shutil.copy(oci(), base / "fastbox-oci")
    machine = None
    try:
        machine = Systemd(base, request.param)
        yield machine
    finally:
        if machine:
            machine.close()
        shutil.rmtree(base)


@pytest.fixture
def fastbox(machine: Systemd) -> Iterator[Runtime]:
    runtime = Runtime(machine, "fastbox")
    yield runtime
    for name in runtime("list", "-q").stdout.split():
        runtime("delete", "--force", name)
    assert left(machine) == ([], [])


def left(machine: Systemd) -> tuple[list[str], list[str]]:
    end = time.monotonic() + 5 * host.SLOW
    while True:
        units = machine.units("fb-*") + machine.units("fastbox-*")
        groups = [str(path) for path in machine.groups(r"fb-.*\.scope|fastbox-.*\.scope")]
        if not (units or groups) or time.monotonic() > end:
            return units, groups
        time.sleep(0.05)


def show(machine: Systemd, unit: str) -> dict[str, str]:
    return {name: machine.property(unit, name) for name in SHOWN}


def test_the_life_of_a_container(machine: Systemd, fastbox: Runtime) -> None:
    fastbox.write("test-a.slice:fb:one")
    fastbox.create("one")
    group = "/test.slice/test-a.slice/fb-one.scope"
    assert show(machine, "fb-one.scope") == {
        "Slice": "test-a.slice",
        "ControlGroup": group,
        "Delegate": "yes",
        "DefaultDependencies": "no",
        "ActiveState": "active",
    }
    assert set(fastbox.groups().values()) == {group}
    # What held the scope until the process came is gone.
    for path in machine.groups(r"fb-one\.scope"):
        assert len((path / "cgroup.procs").read_text().split()) == 1
    assert json.loads(fastbox("state", "one").stdout)["status"] == "created"
    fastbox("start", "one")
    inside = fastbox("exec", "one", "/bin/busybox", "cat", "/proc/self/cgroup").stdout
    assert group in inside or machine.version == 2  # there a namespace hides it
    fastbox("pause", "one")
    assert json.loads(fastbox("state", "one").stdout)["status"] == "paused"
    fastbox("resume", "one")
    machine("systemctl", "daemon-reload")
    assert json.loads(fastbox("state", "one").stdout)["status"] == "running"
    fastbox("kill", "one", "KILL")
    fastbox("delete", "--force", "one")
    assert machine.units("fb-*") == []
    assert machine.groups(r"fb-one\.scope") == []


@pytest.mark.parametrize("peer", ["runc", "crun"])
def test_the_same_unit_as_others_make(machine: Systemd, fastbox: Runtime, peer: str) -> None:
    seen = []
    for runtime in (Runtime(machine, peer), fastbox):
        runtime.write("test-b.slice:fb:same")
        done = runtime.create("same", check=False)
        if peer == "crun" and re.search("hybrid mode not supported|RLIM_MEMLOCK", done.stderr):
            pytest.skip(f"crun can't here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        runtime("start", "same")
        unit, groups = show(machine, "fb-same.scope"), runtime.groups()
        groups.pop("devices", None)  # of runc 1.1's systemd takes it out again, into the slice
        runtime("kill", "same", "KILL")
        runtime("delete", "--force", "same")
        seen.append((unit, groups, left(machine)))
    assert seen[1] == seen[0]


@pytest.mark.parametrize(
    ("path", "unit", "group"),
    [
        (None, "fastbox-one.scope", "/system.slice/fastbox-one.scope"),
        (":fb:name", "fb-name.scope", "/system.slice/fb-name.scope"),
        ("-.slice:fb:name", "fb-name.scope", "/fb-name.scope"),
        ("a-b-c.slice:fb:n", "fb-n.scope", "/a.slice/a-b.slice/a-b-c.slice/fb-n.scope"),
    ],
)
def test_names(machine: Systemd, fastbox: Runtime, path: str | None, unit: str, group: str) -> None:
    fastbox.write(path)
    fastbox.create("one")
    assert set(fastbox.groups().values()) == {group}
    assert machine.property(unit, "ActiveState") == "active"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/plain/path", "must be slice:prefix:name"),
        ("a:b", "must be slice:prefix:name"),
        ("a.slice:b:c:d", "must be slice:prefix:name"),
        ("a.slice:fb:c.slice", "can't be a slice"),
        ("a--b.slice:fb:c", "systemd"),
        ("a.scope:fb:c", "systemd"),
        ("a.slice:fb:c/d", "systemd"),
    ],
)
def test_paths_that_are_none(fastbox: Runtime, path: str, why: str) -> None:
    fastbox.write(path)
    assert why in fastbox.refused()


def test_a_name_that_is_taken(machine: Systemd, fastbox: Runtime) -> None:
    fastbox.write("test.slice:fb:one")
    fastbox.create("one")
    done = fastbox.create("two", check=False)
    assert done.returncode == 1
    assert "already" in done.stderr
    # The other's is untouched by it.
    assert json.loads(fastbox("state", "one").stdout)["status"] == "created"
    assert fastbox("list", "-q").stdout.split() == ["one"]
    assert machine.property("fb-one.scope", "ActiveState") == "active"


def test_more_properties_by_annotations(machine: Systemd, fastbox: Runtime) -> None:
    prefix = "org.systemd.property."
    values = {
        "TimeoutStopSec": "7",
        "CollectMode": "'inactive-or-failed'",
        "After": "['one.service', 'two.service']",
        "RuntimeMaxUSec": "uint64 100000000",
        "SendSIGHUP": "true",
    }
    wanted = {prefix + name: value for name, value in values.items()}
    fastbox.write("test.slice:fb:one", lambda config: config.update(annotations=wanted))
    fastbox.create("one")
    assert machine.property("fb-one.scope", "TimeoutStopUSec") == "7s"
    assert machine.property("fb-one.scope", "CollectMode") == "inactive-or-failed"
    assert {"one.service", "two.service"} <= set(machine.property("fb-one.scope", "After").split())
    assert machine.property("fb-one.scope", "RuntimeMaxUSec") == "1min 40s"
    assert machine.property("fb-one.scope", "SendSIGHUP") == "yes"
    fastbox("delete", "--force", "one")
    for name, value in (
        ("Nice", "'unknown'"),
        ("Slice", "what"),
        ("A2b", "1"),
        ("TimeoutStopSec", "'a'"),
    ):
        wrong = {prefix + name: value}
        fastbox.write("test.slice:fb:one", lambda c, wrong=wrong: c.update(annotations=wrong))
        assert name in fastbox.refused() or name == "Nice"


LIMITS = {
    "memory": {"limit": 64 << 20, "swap": 64 << 20, "reservation": 32 << 20},
    "cpu": {"quota": 33333, "period": 50000, "shares": 512, "cpus": "0"},
    "pids": {"limit": 1},
}
FILES = {
    1: {
        "memory.limit_in_bytes": str(64 << 20),
        "memory.soft_limit_in_bytes": str(32 << 20),
        "cpu.cfs_quota_us": "33333",
        "cpu.cfs_period_us": "50000",
        "cpu.shares": "512",
        "cpuset.cpus": "0",
        "pids.max": "1",
    },
    2: {
        "memory.max": str(64 << 20),
        "memory.low": str(32 << 20),
        "memory.swap.max": "0",
        "cpu.max": "33333 50000",
        "cpu.weight": "59",
        "cpuset.cpus": "0",
        "pids.max": "1",
    },
}
CHANGED = {
    1: {"memory.limit_in_bytes": str(48 << 20), "cpu.cfs_quota_us": "40000", "pids.max": "20"},
    2: {"memory.max": str(48 << 20), "cpu.max": "40000 50000", "pids.max": "20"},
}
NAMES = {1: ("MemoryLimit", "CPUShares", "512"), 2: ("MemoryMax", "CPUWeight", "59")}


def limits(machine: Systemd, unit: str) -> dict[str, str]:
    found = {}
    for group in machine.groups(re.escape(unit)):
        for name in FILES[machine.version]:
            if (group / name).exists():
                found[name] = (group / name).read_text().strip()
    return found


def kept(machine: Systemd, unit: str) -> dict[str, str]:
    """The limits after systemd has read its units again, and has changed one that it knows."""
    machine("systemctl", "daemon-reload")
    machine("systemctl", "set-property", "--runtime", unit, "Description=again")
    time.sleep(0.2)
    return limits(machine, unit)


def test_limits_are_systemds_too(machine: Systemd, fastbox: Runtime) -> None:
    controllers = machine.tops[0] / "cgroup.controllers"
    if machine.version == 2 and "memory" not in controllers.read_text():
        pytest.skip("this machine's cgroup v2 has no controllers")
    fastbox.write("test.slice:fb:one", lambda c: c["linux"]["resources"].update(LIMITS))
    fastbox.create("one")
    memory, shares, weight = NAMES[machine.version]
    unit = "fb-one.scope"
    assert limits(machine, unit) == FILES[machine.version]
    assert machine.property(unit, memory) == str(64 << 20)
    assert machine.property(unit, shares) == weight
    assert machine.property(unit, "TasksMax") == "1"
    # systemd knows whole hundredths of a cpu.
    assert machine.property(unit, "CPUQuotaPerSecUSec") == "670ms"
    now = kept(machine, unit)
    quota = "cpu.max" if machine.version == 2 else "cpu.cfs_quota_us"
    assert now.pop(quota).split()[0] in ("33333", "33500")
    assert now.items() <= FILES[machine.version].items()
    fastbox("update", "--memory", "48m", "--cpu-quota", "40000", "--pids-limit", "20", "one")
    wanted = {**FILES[machine.version], **CHANGED[machine.version]}
    assert limits(machine, unit) == wanted
    assert machine.property(unit, memory) == str(48 << 20)
    assert machine.property(unit, "TasksMax") == "20"
    assert machine.property(unit, "CPUQuotaPerSecUSec") == "800ms"
    assert kept(machine, unit) == wanted


def test_the_device_rule_is_systemds_too(machine: Systemd, fastbox: Runtime) -> None:
    if machine.version == 2:
        pytest.skip("on v2 the rule is a program that systemd does not touch")
    fastbox.write("test.slice:fb:one")
    fastbox.create("one")
    file = next(
        p / "devices.list"
        for p in machine.groups(r"fb-one\.scope")
        if (p / "devices.list").exists()
    )
    before = sorted(file.read_text().splitlines())
    assert "c 1:3 rwm" in before
    assert "a *:* rwm" not in before
    machine("systemctl", "set-property", "--runtime", "fb-one.scope", "DeviceAllow=/dev/full rw")
    machine("systemctl", "daemon-reload")
    assert sorted(file.read_text().splitlines()) == before


def test_a_limit_that_the_kernel_refuses(machine: Systemd, fastbox: Runtime) -> None:
    def wrong(config: dict[str, Any]) -> None:
        config["linux"]["resources"]["cpu"] = {"realtimeRuntime": 1}

    fastbox.write("test.slice:fb:one", wrong)
    began = time.monotonic()
    assert "realtime" in fastbox.refused()
    assert time.monotonic() - began < 5 * host.SLOW
    assert left(machine) == ([], [])


def test_a_container_that_ends_by_itself(machine: Systemd, fastbox: Runtime) -> None:
    def short(config: dict[str, Any]) -> None:
        config["process"]["args"] = ["/bin/busybox", "true"]

    fastbox.write("test.slice:fb:one", short)
    fastbox.create("one")
    fastbox("start", "one")
    assert left(machine)[0] == []
    fastbox("delete", "one")
    assert fastbox("run", "--bundle", str(fastbox.bundle), "two").returncode == 0
    assert machine.units("fb-*") == []


def test_create_is_killed_at_any_instant(machine: Systemd, fastbox: Runtime) -> None:
    fastbox.write("test.slice:fb:one")
    for step in range(24):
        create = subprocess.Popen(
            machine.words(*fastbox.words, "create", "--bundle", str(fastbox.bundle), "one"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 5 * host.SLOW
        while (runs := named(create.pid)) == 0 and create.poll() is None:
            assert time.monotonic() < deadline
        time.sleep(step * 0.0005 * host.SLOW)
        if runs:
            try:
                os.kill(runs, signal.SIGKILL)
            except ProcessLookupError:
                pass
        create.wait(10 * host.SLOW)
        fastbox("delete", "--force", "one")
        assert left(machine) == ([], []), step
        assert fastbox("list", "-q").stdout == ""


def named(parent: int) -> int:
    """The process below `parent` (or itself) that has become fastbox-oci; 0: not yet."""
    todo = [parent]
    while todo:
        pid = todo.pop()
        try:
            # In this order: one that has not become it yet has no child that is a copy of it.
            below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/fastbox-oci"):
            return pid
        todo += map(int, below)
    return 0


def test_over_the_bus_daemon(machine: Systemd, fastbox: Runtime) -> None:
    """Where systemd's own socket is not to be had."""
    fastbox.write("test.slice:fb:one")
    hide = 'mount --bind /dev/null /run/systemd/private; exec "$@"'
    away = ("unshare", "-m", "sh", "-c", hide, "sh", *fastbox.words)
    machine(*away, "create", "--bundle", str(fastbox.bundle), "one")
    assert machine.property("fb-one.scope", "Slice") == "test.slice"
    machine(*away, "delete", "--force", "one")
    assert machine.units("fb-*") == []


def test_without_systemd(tmp_path: Path) -> None:
    if Path("/run/systemd/system").exists():
        pytest.skip("systemd runs this machine")
    (tmp_path / "rootfs").mkdir()
    words = [oci(), "--root", str(tmp_path / "state"), "--systemd-cgroup"]
    subprocess.run([*words, "spec", "--bundle", str(tmp_path)], check=True)
    config = json.loads((tmp_path / "config.json").read_text())
    config["process"]["terminal"] = False
    config["linux"]["cgroupsPath"] = "system.slice:fastbox:web"
    (tmp_path / "config.json").write_text(json.dumps(config))
    done = subprocess.run(
        [*words, "create", "--bundle", str(tmp_path), "web"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "leave out --systemd-cgroup, and write a path" in done.stderr
    assert list((tmp_path / "state").glob("web*")) == []
