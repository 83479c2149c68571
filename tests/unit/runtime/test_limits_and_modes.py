"""Limits, devices and namespaces as OCI has them: what no container has to be started for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fastbox import units
from fastbox.errors import InvalidArgument, NotFound, Unsupported
from fastbox.runtime import cdi, devices, limits, modes, spec
from fastbox.types import Device, DeviceLimit, RunOptions

from .test_spec import IMAGE, PLACE


def made(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(spec.bundle(RunOptions(image="x", **options), IMAGE, PLACE))
    return found


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("/dev/a", Device(source="/dev/a")),
        ("/dev/a:/dev/b", Device(source="/dev/a", target="/dev/b")),
        ("/dev/a:r", Device(source="/dev/a", access="r")),
        ("/dev/a:/dev/b:rw", Device(source="/dev/a", target="/dev/b", access="rw")),
        ("vendor.com/class=all", Device(source="vendor.com/class=all")),
    ],
)
def test_devices_are_read(text: str, device: Device) -> None:
    assert units.device(text) == device


@pytest.mark.parametrize("text", ["", "a", "/dev/a:b", "/dev/a:/b:x", "/dev/a:/b:r:w", "/dev/a:", "/dev/a:rr"])  # fmt: skip
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(ValueError, match=r"absolute path|not /dev"):
        units.device(text)


def test_rules_of_devices() -> None:
    assert devices.parse_rule("c 1:3 rwm") == {
        "allow": True, "access": "rwm", "type": "c", "major": 1, "minor": 3,
    }  # fmt: skip
    assert devices.parse_rule("b *:* r") == {"allow": True, "access": "r", "type": "b"}
    for text in ("c 1:3", "c 1 r", "d 1:3 r", "c 1:3 x", "c -1:3 r", "c 1:3 rwmr", "c 1:3  r"):
        with pytest.raises(InvalidArgument):
            devices.parse_rule(text)


def test_a_namespace_of_another_is_nobodys_before_the_start() -> None:
    """A bundle that was not made ready for a start joins nothing."""
    other = "d" * 64
    linux = made(pid=f"container:{other}", ipc="host")["linux"]
    kinds = {entry["type"]: entry for entry in linux["namespaces"]}
    assert kinds["pid"] == {"type": "pid", "path": "/proc/0/ns/pid", "start_time": 1}
    assert "ipc" not in kinds
    assert kinds["network"] == {"type": "network"}


def test_user_namespaces() -> None:
    bundle = made(userns="100000:65536")
    linux = bundle["linux"]
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    assert linux["uidMappings"] == linux["gidMappings"] == ids
    assert {"type": "user"} in linux["namespaces"]
    assert "net.ipv4.ping_group_range" not in linux["sysctl"]
    mounted = {mount["destination"]: mount["options"] for mount in bundle["mounts"]}
    for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"):
        assert "idmap" in mounted[path]
    assert "user" not in str(made(userns="host")["linux"]["namespaces"])


@pytest.mark.parametrize("text", ["x", "remap:", "1:", ":1", "0:5", "1:0", "4294967295:1", "1:4294967295", "a:b", "-1:5"])  # fmt: skip
def test_mappings_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        modes.mappings(text)


def test_subordinate_ids(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("other:1:2\nbroken\nfastbox:300000:1000\nfastbox:5:5\n")
    assert modes._subordinate(str(file), ("fastbox", "dockremap")) == (300000, 1000)
    with pytest.raises(InvalidArgument, match="no subordinate ids"):
        modes._subordinate(str(file), ("nobody",))
    with pytest.raises(InvalidArgument, match="no subordinate ids"):
        modes._subordinate(str(tmp_path / "none"), ("nobody",))


def test_group_paths() -> None:
    assert made()["linux"]["cgroupsPath"] == "/fastbox/" + PLACE.id
    assert made(cgroup_parent="a/b.slice")["linux"]["cgroupsPath"] == "/a/b.slice/" + PLACE.id
    for text in ("..", "/a/../b", "a//b", "/", "a b", "a\n", "x" * 129):
        with pytest.raises(InvalidArgument):
            made(cgroup_parent=text)


def test_other_settings_are_in_the_document() -> None:
    bundle = made(oom_score_adj=-5, annotations={"a": "b"}, uts="host", ipc="none")
    assert bundle["process"]["oomScoreAdj"] == -5
    assert bundle["annotations"] == {"a": "b"}
    assert "hostname" not in bundle
    assert "/dev/shm" not in [mount["destination"] for mount in bundle["mounts"]]


def test_limits_out_of_range() -> None:
    bad = (
        {"blkio_weight": 9},
        {"memory_swappiness": 101},
        {"device_limits": (DeviceLimit(kind="weight", path="/dev/x", value=5),)},
        {"device_limits": (DeviceLimit(kind="read_bps", path="/dev/x", value=0),)},
        {"device_limits": (DeviceLimit(kind="colour", path="/dev/x", value=5),)},
    )
    for options in bad:
        with pytest.raises(InvalidArgument):
            limits.fit(RunOptions(image="x", **options))


def test_realtime_within_its_period() -> None:
    with pytest.raises(InvalidArgument, match="cannot be higher"):
        limits._realtime(RunOptions(image="x", cpu_rt_period=1000, cpu_rt_runtime=2000))


# CDI


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cdi, "DIRECTORIES", (str(tmp_path), str(tmp_path / "later")))
    return tmp_path


def write(place: Path, name: str, **spec_of: Any) -> None:
    place.mkdir(exist_ok=True)
    text = {"cdiVersion": "0.6.0", "kind": "example.com/thing", "devices": []} | spec_of
    (place / name).write_text(json.dumps(text))


def inject(*names: str) -> dict[str, Any]:
    document: dict[str, Any] = {"process": {"env": []}, "fastbox": {}, "mounts": []}
    nodes: list[dict[str, Any]] = []
    cdi.inject(list(names), document, nodes, [])
    return document | {"nodes": nodes}


def test_what_a_specification_gives(place: Path) -> None:
    edits = {"env": ["A=1"], "deviceNodes": [{"path": "/dev/null"}], "additionalGids": [5]}
    devices_of = [{"name": "a", "containerEdits": edits}, {"name": "b", "containerEdits": {}}]
    write(place, "x.json", devices=devices_of, containerEdits={"env": ["COMMON=1"]})
    found = inject("example.com/thing=a", "example.com/thing=b")
    assert found["process"]["env"] == ["COMMON=1", "A=1"]
    assert found["fastbox"]["groups"] == ["5"]
    assert [node["path"] for node in found["nodes"]] == ["/dev/null"]


def test_the_later_directory_counts(place: Path) -> None:
    for where, value in ((place, "X=1"), (place / "later", "X=2")):
        write(where, "x.json", devices=[{"name": "a", "containerEdits": {"env": [value]}}])
    assert inject("example.com/thing=a")["process"]["env"] == ["X=2"]


@pytest.mark.parametrize(
    ("spec_of", "error"),
    [
        ({"cdiVersion": "9.0.0"}, Unsupported),
        ({"devices": [{"name": "a", "containerEdits": {"hooks": [{"path": "/x"}]}}]}, Unsupported),
        ({"devices": [{"name": "a", "containerEdits": {"intelRdt": {"x": 1}}}]}, Unsupported),
        ({"devices": [{"name": "a", "containerEdits": {"deviceNodes": [{"path": "/dev/none"}]}}]}, NotFound),
        ({"devices": [{"name": "a", "containerEdits": {"deviceNodes": [{"path": "/dev/null", "permissions": "x"}]}}]}, InvalidArgument),
        ({"devices": [{"name": "a", "containerEdits": {"mounts": [{"hostPath": "rel", "containerPath": "/x"}]}}]}, InvalidArgument),
        ({"devices": "none"}, InvalidArgument),
        ({"devices": []}, NotFound),
    ],
)  # fmt: skip
def test_specifications_that_are_refused(place: Path, spec_of: dict[str, Any], error: type[Exception]) -> None:  # fmt: skip
    write(place, "x.json", **spec_of)
    with pytest.raises(error):
        inject("example.com/thing=a")


def test_a_broken_specification_is_named(place: Path) -> None:
    (place / "x.json").write_text("{")
    with pytest.raises(InvalidArgument, match=r"x\.json"):
        inject("example.com/thing=a")


def test_gpus(place: Path) -> None:
    write(place, "x.json", kind="nvidia.com/gpu", devices=[{"name": name} for name in ("0", "1", "all")])  # fmt: skip
    assert cdi.gpus("all") == ["nvidia.com/gpu=all"]
    assert cdi.gpus("2") == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert cdi.gpus('"device=1,0"') == ["nvidia.com/gpu=1", "nvidia.com/gpu=0"]
    with pytest.raises(NotFound):
        cdi.gpus("3")
    for text in ("", "some", "driver=x", "capabilities=utility"):
        with pytest.raises(InvalidArgument):
            cdi.gpus(text)
