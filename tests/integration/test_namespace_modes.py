"""--ipc --pid --uts --cgroupns --userns --network container: whose namespaces a container has."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Box

pytestmark = pytest.mark.integration

IDS = "200000:65536"


def inspect(box: Box, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(box("inspect", name).stdout)[0]
    return found


@pytest.fixture
def donor(box: Box) -> Iterator[str]:
    box("run", "-d", "--name", "donor", "--hostname", "giver", "--ipc", "shareable", "busybox",
        "sleep", "600")  # fmt: skip
    yield "donor"
    box("rm", "-f", "donor")


def namespaces(box: Box, *flags: str) -> dict[str, str]:
    script = (
        "for n in ipc pid net uts cgroup user mnt; do echo $n $(readlink /proc/self/ns/$n); done"
    )
    out = box("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout
    return dict(line.split() for line in out.splitlines())


def test_the_hosts(box: Box) -> None:
    flags = [w for n in ("ipc", "pid", "uts", "cgroupns", "network") for w in (f"--{n}", "host")]
    found = namespaces(box, *flags)
    for name in ("ipc", "pid", "net", "uts", "cgroup"):
        assert found[name] == os.readlink(f"/proc/self/ns/{name}"), name
    assert found["mnt"] != os.readlink("/proc/self/ns/mnt")


def test_its_own_by_default_and_by_name(box: Box) -> None:
    for flags in ([], ["--ipc", "private", "--cgroupns", "private", "--userns", "host"]):
        found = namespaces(box, *flags)
        for name in ("ipc", "pid", "net", "uts", "cgroup"):
            assert found[name] != os.readlink(f"/proc/self/ns/{name}"), name
        assert found["user"] == os.readlink("/proc/self/ns/user")


def test_the_hosts_name(box: Box) -> None:
    assert box("run", "--rm", "--uts", "host", "busybox", "hostname").stdout == os.uname().nodename + "\n"  # fmt: skip
    words = box.fails("run", "--uts", "host", "--hostname", "x", "busybox", "true")
    assert "conflicting options: hostname and the UTS mode" in words


def test_no_shared_memory(box: Box) -> None:
    out = box("run", "--rm", "--ipc", "none", "busybox", "cat", "/proc/mounts").stdout
    assert " /dev/shm " not in out


def test_all_of_another_container(box: Box, donor: str) -> None:
    box("exec", donor, "sh", "-c", "echo given >/dev/shm/x; echo 10.0.0.9 friend >>/etc/hosts")
    script = (
        "cat /dev/shm/x; echo taken >/dev/shm/y; hostname; tail -1 /etc/hosts; ps; "
        "for n in ipc pid net; do readlink /proc/self/ns/$n; done"
    )
    flags = [w for n in ("ipc", "pid", "network") for w in (f"--{n}", f"container:{donor}")]
    lines = box("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout.splitlines()
    assert lines[:3] == ["given", "giver", "10.0.0.9 friend"]
    assert any("sleep 600" in line for line in lines)
    ours = box(
        "exec", donor, "sh", "-c", "for n in ipc pid net; do readlink /proc/self/ns/$n; done"
    )
    assert lines[-3:] == ours.stdout.splitlines()
    assert box("exec", donor, "cat", "/dev/shm/y").stdout == "taken\n"


def test_exec_and_stop_of_one_that_shares(box: Box, donor: str) -> None:
    """It has no process 1 whose end takes the others along: its group ends them."""
    flags = ["--pid", f"container:{donor}"]
    box("run", "-d", "--name", "guest", *flags, "busybox", "sh", "-c", "sleep 501 & sleep 502")
    assert "sleep 600" in box("exec", "guest", "ps").stdout
    box("stop", "-t", "0", "guest")
    ps = box("exec", donor, "ps").stdout
    box("rm", "guest")
    assert "sleep 501" not in ps
    assert "sleep 502" not in ps
    assert "sleep 600" in ps


def test_the_other_must_run_share_and_exist(box: Box) -> None:
    assert 'no such container "nobody"' in box.fails("run", "--pid", "container:nobody", "busybox", "true")  # fmt: skip
    box("create", "--name", "still", "busybox", "sleep", "600")
    for flag, word in (("--pid", "PID"), ("--ipc", "IPC"), ("--network", "network")):
        done = box("run", "--rm", flag, "container:still", "busybox", "true", check=False)
        assert done.returncode == 125
        assert f"cannot join {word} of a non running container" in done.stderr
    box("start", "still")
    done = box("run", "--rm", "--ipc", "container:still", "busybox", "true", check=False)
    box("rm", "-f", "still")
    assert "non-shareable IPC" in done.stderr
    words = box.fails("run", "--network", "container:still", "--hostname", "x", "busybox", "true")
    assert "conflicting options: hostname and the network mode" in words


def test_the_others_process_is_looked_up_at_each_start(box: Box, donor: str) -> None:
    """By id, so a new name changes nothing; and by the process that it has now."""
    box("create", "--name", "late", "--pid", f"container:{donor}", "busybox", "ps")
    whose = inspect(box, "late")["HostConfig"]["PidMode"]
    assert whose == "container:" + inspect(box, donor)["Id"]
    assert "sleep 600" in box("start", "-a", "late").stdout
    box("stop", "-t", "0", donor)
    assert "non running" in box("start", "late", check=False).stderr
    box("start", donor)
    assert "sleep 600" in box("start", "-a", "late").stdout
    box("rm", "late")


def test_a_number_that_another_process_has_now_joins_nothing(box: Box, donor: str) -> None:
    """The bundle of a start that was prepared for a process that has ended since."""
    from fastbox.containers import bundles, joining
    from fastbox.containers import exec as execs
    from fastbox.runtime import modes, state

    box("create", "--name", "late", "--pid", f"container:{donor}", "busybox", "ps")
    directory = inspect(box, "late")["HostsPath"].removesuffix("/hosts")
    live = state.read_live(box.run_root, inspect(box, donor)["Id"])
    assert live is not None
    real = joining.refresh

    def stale(store: Any, run: str, held: Any, record: Any) -> None:
        real(store, run, held, record)
        bundle = execs.read_bundle(directory)
        for namespace in bundle["linux"]["namespaces"]:
            if namespace["type"] == "pid":
                assert namespace["path"] == f"/proc/{live.pid}/ns/pid"
                namespace["start_time"] += 1
        bundles.replace(directory, bundle)

    from fastbox import Engine
    from fastbox.errors import FastboxError

    assert modes.CONTAINER == "container:"
    joining.refresh = stale
    try:
        with Engine.open() as engine, pytest.raises(FastboxError, match="does not run any more"):
            engine.containers.start("late")
    finally:
        joining.refresh = real
    box("rm", "late")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pid", "private"], "invalid PID mode: private"),
        (["--ipc", "some"], "invalid IPC mode: some"),
        (["--uts", "container:x"], "invalid UTS mode"),
        (["--cgroupns", "some"], "invalid cgroup namespace mode"),
        (["--network", "container:"], "invalid container format"),
        (["--userns", "some"], "invalid USER mode: some"),
        (["--userns", "0:65536"], "out of range"),
        (["--userns", "4294967000:65536"], "out of range"),
        (["--userns", "remap:nobody-such"], 'no subordinate ids for "nobody-such"'),
        (["--userns", IDS, "--privileged"], "incompatible with user namespaces"),
        (["--userns", IDS, "--pid", "host"], "cannot share the host PID namespace"),
        (["--userns", IDS, "--network", "host"], "cannot share the host's network"),
    ],
)
def test_what_is_refused(box: Box, flags: list[str], words: str) -> None:
    assert words in box.fails("run", "--rm", *flags, "busybox", "true")


def test_remapped_users(box: Box) -> None:
    """Root inside is nobody outside, and the image's and the container's files are root's inside."""
    script = "id -u; cat /proc/self/uid_map; touch /new; stat -c %u /new /bin/busybox /etc/hosts; echo x >>/etc/hosts; sleep 600"
    box("run", "-d", "--name", "mapped", "--userns", IDS, "busybox", "sh", "-c", script)
    box("exec", "mapped", "sh", "-c", "touch /second; test $(stat -c %u /second) = 0")
    lines = box("logs", "mapped").stdout.split("\n")
    found = inspect(box, "mapped")
    with open(f"/proc/{found['State']['Pid']}/status", encoding="utf-8") as file:
        uids = next(line for line in file if line.startswith("Uid:")).split()
    upper = found["GraphDriver"]["Data"]["UpperDir"]
    on_disk = os.stat(upper + "/new").st_uid
    assert box("diff", "mapped").stdout.split() == ["A", "/new", "A", "/second"]
    box("stop", "-t", "0", "mapped")
    box("start", "mapped")
    box("exec", "mapped", "test", "-e", "/second")
    box("rm", "-f", "mapped")
    assert lines[0] == "0"
    assert lines[1].split() == ["0", "200000", "65536"]
    assert lines[2:5] == ["0", "0", "0"]
    assert uids[1:] == ["200000"] * 4
    assert on_disk == 0
    assert found["HostConfig"]["UsernsMode"] == IDS


def test_a_remapped_container_can_use_host_devices_and_no_more(box: Box) -> None:
    """Those that are everybody's on the host: it is nobody in particular there."""
    script = 'exec 3<>$0 && echo opened; (exec 3<>$1) || echo refused; mknod /tmp/x c 1 3 || echo refused'  # fmt: skip
    words = []
    for name, mode in (("all", 0o666), ("own", 0o600)):
        node = f"/dev/fastbox-test-{os.getpid()}-{name}"
        os.mknod(node, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
        os.chmod(node, mode)
        words += ["--device", node]
    try:
        out = box("run", "--rm", "--userns", IDS, *words, "busybox", "sh", "-c", script, *words[1::2]).stdout  # fmt: skip
    finally:
        for node in words[1::2]:
            os.unlink(node)
    assert out == "opened\nrefused\nrefused\n"


def test_remap_reads_the_hosts_files(
    box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from fastbox.runtime import modes

    (tmp_path / "ids").write_text("other:1:2\nfastbox:300000:1000\n")
    assert modes._subordinate(str(tmp_path / "ids"), ("fastbox",)) == (300000, 1000)
