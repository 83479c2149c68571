"""Devices given to a container: nodes, directories, rules, and what CDI describes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Box

pytestmark = pytest.mark.integration

OPEN = "exec 3<>{0} && echo opened"


def test_a_node_by_another_name_and_its_rights(box: Box) -> None:
    """/dev/fuse is a device that no default container may open."""
    assert os.path.exists("/dev/fuse")
    script = "ls -l /dev/f; " + OPEN.format("/dev/f")
    done = box("run", "--rm", "--device", "/dev/fuse:/dev/f", "busybox", "sh", "-c", script)
    assert "10, 229" in done.stdout
    assert done.stdout.endswith("opened\n")
    done = box("run", "--rm", "--device", "/dev/fuse:/dev/f:r", "busybox", "sh", "-c", script, check=False)  # fmt: skip
    assert "opened" not in done.stdout
    assert "Operation not permitted" in done.stderr
    done = box("run", "--rm", "busybox", "sh", "-c", "mknod /tmp/f c 10 229; " + OPEN.format("/tmp/f"), check=False)  # fmt: skip
    assert "Operation not permitted" in done.stderr


def test_a_directory_of_devices_and_a_link(box: Box, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    os.mknod(tmp_path / "one", 0o020666, os.makedev(1, 3))
    os.mknod(tmp_path / "below/two", 0o020666, os.makedev(10, 229))
    os.symlink(tmp_path / "one", tmp_path / "link")
    script = "ls -l /dev/many /dev/many/below /dev/one; " + OPEN.format("/dev/many/below/two")
    out = box("run", "--rm", "--device", f"{tmp_path}:/dev/many", "--device", f"{tmp_path}/link:/dev/one",
              "busybox", "sh", "-c", script).stdout  # fmt: skip
    assert "10, 229" in out
    assert "/dev/one" in out
    assert out.endswith("opened\n")


def test_a_rule_without_a_node(box: Box) -> None:
    script = "mknod /tmp/f c 10 229; " + OPEN.format("/tmp/f")
    done = box("run", "--rm", "--device-cgroup-rule", "c 10:229 rw", "busybox", "sh", "-c", script)
    assert done.stdout == "opened\n"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--device-cgroup-rule", "c 10:x rw"], "invalid device cgroup format 'c 10:x rw'"),
        (["--device-cgroup-rule", "x 1:3 r"], "invalid device cgroup format"),
        (["--device", "/dev/none"], 'adding custom device "/dev/none"'),
        (["--device", "/etc/passwd"], "not a device node"),
        (["--device", "/dev/fuse:rel:rwm"], "neither an absolute path"),
        (["--device", "nobody.example/thing=0"], "unresolvable CDI devices"),
        (["--gpus", "some"], "invalid gpus"),
        (["--gpus", "3"], "3 GPUs are asked for"),
    ],
)
def test_what_is_refused(box: Box, flags: list[str], words: str) -> None:
    assert words in box.fails("run", "--rm", *flags, "busybox", "true")


@pytest.fixture
def cdi() -> Iterator[Path]:
    """Specifications of CDI's, in a directory that this host has for them."""
    place = Path("/etc/cdi")
    made = not place.exists()
    place.mkdir(exist_ok=True)
    yield place
    for file in place.glob("fastbox-test-*.json"):
        file.unlink()
    if made:
        shutil.rmtree(place)


def describe(place: Path, kind: str, devices: dict[str, Any], **common: Any) -> None:
    spec = {
        "cdiVersion": "0.6.0", "kind": kind, "containerEdits": common,
        "devices": [{"name": name, "containerEdits": edits} for name, edits in devices.items()],
    }  # fmt: skip
    (place / f"fastbox-test-{kind.replace('/', '-')}.json").write_text(json.dumps(spec))


def test_a_device_that_cdi_describes(box: Box, cdi: Path, tmp_path: Path) -> None:
    (tmp_path / "lib").write_text("a library\n")
    node = {"path": "/dev/special", "hostPath": "/dev/fuse", "permissions": "rw"}
    mount = {"hostPath": str(tmp_path / "lib"), "containerPath": "/usr/lib/x", "options": ["ro"]}
    describe(cdi, "example.com/thing", {"a": {"deviceNodes": [node]}}, mounts=[mount], env=["X=1"])
    script = "echo $X; cat /usr/lib/x; " + OPEN.format("/dev/special")
    box("create", "--name", "special", "--device", "example.com/thing=a", "busybox", "sh", "-c", script)  # fmt: skip
    said = json.loads(box("inspect", "special").stdout)[0]["HostConfig"]["DeviceRequests"]
    out = box("start", "-a", "special").stdout
    box("rm", "special")
    assert out == "1\na library\nopened\n"
    assert said[0]["Driver"] == "cdi"
    assert said[0]["DeviceIDs"] == ["example.com/thing=a"]


def test_gpus_by_cdi(box: Box, cdi: Path) -> None:
    nodes = [
        {"deviceNodes": [{"path": f"/dev/nvidia{n}", "hostPath": "/dev/fuse"}]} for n in (0, 1)
    ]
    every = {"deviceNodes": nodes[0]["deviceNodes"] + nodes[1]["deviceNodes"]}
    describe(cdi, "nvidia.com/gpu", {"0": nodes[0], "1": nodes[1], "all": every})

    def seen(gpus: str) -> list[str]:
        out = box("run", "--rm", "--gpus", gpus, "busybox", "sh", "-c", "cd /dev; echo nvidia*").stdout  # fmt: skip
        return out.split()

    assert seen("all") == ["nvidia0", "nvidia1"]
    assert seen("1") == ["nvidia0"]
    assert seen("device=1") == ["nvidia1"]
    assert seen('"device=0,1"') == ["nvidia0", "nvidia1"]


def test_a_specification_with_hooks_is_refused(box: Box, cdi: Path) -> None:
    hook = {"hookName": "createContainer", "path": "/bin/true"}
    describe(cdi, "example.com/hooked", {"a": {"hooks": [hook]}})
    assert 'needs "hooks"' in box.fails(
        "run", "--device", "example.com/hooked=a", "busybox", "true"
    )
