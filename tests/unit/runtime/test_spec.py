"""The bundle: docker's defaults, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fastbox.errors import InvalidArgument, NotFound, Unsupported
from fastbox.runtime import process, resources, spec
from fastbox.runtime.mounts import mounts, tmpfs_options
from fastbox.types import ImageConfig, Mount, RunOptions, Ulimit

IMAGE = ImageConfig(
    id="sha256:" + "1" * 64, env=("PATH=/bin", "LANG=C"), entrypoint=("/entry",), cmd=("a", "b"), workdir="/w",
    user="app", labels={}, layers=("/layers/top", "/layers/base"),
)  # fmt: skip
PLACE = spec.Place(
    id="c" * 64, name="name", directory="/store/containers/" + "c" * 64, run="/run/f", hostname="box",
    lower=(*IMAGE.layers, "/store/skeleton"), scratch="/store/containers/" + "c" * 64, root="/store/skeleton",
    init="/libexec/fastbox-init", seccomp_cache="/store/cache/seccomp",
)  # fmt: skip


def made(image: ImageConfig = IMAGE, place: spec.Place = PLACE, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(spec.bundle(RunOptions(image="x", **options), image, place))
    return found


def test_defaults_are_dockers() -> None:
    bundle = made()
    names = [namespace["type"] for namespace in bundle["linux"]["namespaces"]]
    assert sorted(names) == ["cgroup", "ipc", "mount", "network", "pid", "uts"]
    assert [m["destination"] for m in bundle["mounts"]] == [
        "/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
        "/etc/resolv.conf", "/etc/hostname", "/etc/hosts",
    ]  # fmt: skip
    sets = bundle["process"]["capabilities"]
    assert len(sets["bounding"]) == 14
    assert sets["bounding"] == sets["effective"] == sets["permitted"]
    assert sets["inheritable"] == sets["ambient"] == []
    assert bundle["linux"]["readonlyPaths"] == [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]  # fmt: skip
    assert {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"} < set(
        bundle["linux"]["maskedPaths"]
    )
    assert bundle["linux"]["resources"]["pids"] == {"limit": 4096}
    assert "memory" not in bundle["linux"]["resources"]
    assert bundle["linux"]["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"
    assert bundle["process"]["noNewPrivileges"] is False
    assert bundle["fastbox"]["overlay"]["volatile"] is False
    assert bundle["fastbox"]["user"] == "app"


def test_privileged_has_everything() -> None:
    bundle = made(privileged=True)
    assert "seccomp" not in bundle["linux"]
    assert "maskedPaths" not in bundle["linux"]
    assert bundle["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert any(device["path"] == "/dev/null" for device in bundle["linux"]["devices"])
    assert "CAP_SYS_ADMIN" in bundle["process"]["capabilities"]["bounding"]
    assert "ro" not in next(m for m in bundle["mounts"] if m["destination"] == "/sys")["options"]


def test_the_hosts_network_is_the_hosts() -> None:
    bundle = made(network="host")
    assert {"type": "network"} not in bundle["linux"]["namespaces"]
    assert bundle["linux"]["sysctl"] == {}
    assert "network" not in bundle["fastbox"]
    assert "network" not in made(network="none")["fastbox"]
    for name in ("bridge", "my-net"):
        bundle = made(network=name)
        assert {"type": "network"} in bundle["linux"]["namespaces"]
        assert bundle["fastbox"]["network"].endswith("/network.json")


@pytest.mark.parametrize(
    ("entrypoint", "argv", "expected"),
    [
        (None, (), ("/entry", "a", "b")),
        (None, ("x",), ("/entry", "x")),
        (("/other",), (), ("/other",)),
        (("/other",), ("x",), ("/other", "x")),
        ((), ("x",), ("x",)),
    ],
)
def test_command(
    entrypoint: tuple[str, ...] | None, argv: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    options = RunOptions(entrypoint=entrypoint, argv=argv)
    assert process.command(options, IMAGE) == expected
    first = process.entrypoint(options, IMAGE)
    assert first == (("/entry",) if entrypoint is None else entrypoint)
    assert expected[: len(first)] == first


def test_no_command_is_an_error() -> None:
    with pytest.raises(InvalidArgument):
        process.command(RunOptions(entrypoint=()), IMAGE)


def test_environment() -> None:
    assert made(env=("A=1", "LANG=de", "PATH"))["process"]["env"] == [
        "HOSTNAME=box",
        "A=1",
        "LANG=de",
    ]
    assert made(tty=True)["process"]["env"] == ["PATH=/bin", "HOSTNAME=box", "TERM=xterm", "LANG=C"]
    with pytest.raises(InvalidArgument):
        made(env=("=x",))


def test_undecodable_arguments_survive() -> None:
    raw = spec.bundle(RunOptions(argv=("a\udcff",)), IMAGE, PLACE)
    assert b"a\xff" in raw


@pytest.mark.parametrize("user", ["a b", ":1", "a:b:c", "x\n", "\x1b"])
def test_invalid_users(user: str) -> None:
    with pytest.raises(InvalidArgument):
        made(user=user)


def test_limits() -> None:
    limits = made(memory=64 << 20, cpus=0.5, cpuset_cpus="0-1", pids_limit=-1)["linux"]["resources"]
    assert limits["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert limits["cpu"] == {"quota": 50000, "period": 100000, "cpus": "0-1"}
    assert limits["pids"] == {"limit": -1}
    assert made(memory=64 << 20, memory_swap=-1)["linux"]["resources"]["memory"]["swap"] == -1


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": 1 << 20}, {"memory": 1 << 63}, {"memory_swap": 64 << 20}, {"memory": 64 << 20, "memory_swap": 32 << 20},
        {"memory": 8 << 20, "memory_reservation": 16 << 20}, {"cpus": 100000.0}, {"cpus": -1.0}, {"cpus": 0.001},
        {"cpus": 1.0, "cpu_quota": 5000}, {"cpu_quota": 10}, {"cpu_period": 10}, {"cpu_shares": 1}, {"cpuset_cpus": "0-x"},
        {"pids_limit": 1 << 40}, {"shm_size": 0}, {"shm_size": 1 << 63}, {"log_driver": "fluentd"},
        {"ulimits": (Ulimit(name="nofile", soft=2, hard=1),)}, {"ulimits": (Ulimit(name="x", soft=1, hard=1),)},
        {"ulimits": (Ulimit(name="nofile", soft=-2, hard=1),)}, {"workdir": "relative"}, {"cap_add": ("NOPE",)},
    ],
)  # fmt: skip
def test_values_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        made(**wrong)


@pytest.mark.parametrize(
    ("name", "own_network", "allowed"),
    [
        ("net.ipv4.ip_forward", True, True), ("net.ipv4.ip_forward", False, False), ("net/core/somaxconn", True, True),
        ("kernel.shmmax", False, True), ("fs.mqueue.msg_max", False, True), ("kernel.core_pattern", True, False),
        ("kernel.hostname", True, False), ("vm.swappiness", True, False), ("net...kernel", True, False),
        ("net./../kernel.core_pattern", True, False), ("", True, False), ("fs.file-max", True, False),
    ],
)  # fmt: skip
def test_sysctls(name: str, own_network: bool, allowed: bool) -> None:
    if allowed:
        assert (
            resources.sysctls({name: "1"}, own_network=own_network)[name.replace("/", ".")] == "1"
        )
        return
    with pytest.raises(InvalidArgument):
        resources.sysctls({name: "1"}, own_network=own_network)


def test_security_options() -> None:
    assert made(security_opt=("no-new-privileges",))["process"]["noNewPrivileges"] is True
    assert made(security_opt=("no-new-privileges:false",))["process"]["noNewPrivileges"] is False
    assert "seccomp" not in made(security_opt=("seccomp=unconfined",))["linux"]
    assert "maskedPaths" not in made(security_opt=("systempaths=unconfined",))["linux"]
    assert made(security_opt=("no-new-privileges=F",))["process"]["noNewPrivileges"] is False
    made(security_opt=("label=disable", "apparmor=unconfined"))
    for wrong in (
        "nonsense", "seccomp=", "systempaths=x", "no-new-privileges=maybe", "no-new-privileges=",
    ):  # fmt: skip
        with pytest.raises(InvalidArgument):
            made(security_opt=(wrong,))


def test_mounts_of_the_caller_come_after_ours_and_parents_first(tmp_path: Any) -> None:
    asked = (
        Mount(kind="bind", source=str(tmp_path), target="/a/b/c", read_only=True),
        Mount(kind="tmpfs", target="/a", options="size=1m,exec"),
        Mount(kind="bind", source=str(tmp_path), target="/etc/hosts"),
    )
    found = mounts(RunOptions(mounts=asked), "/d")
    assert [m["destination"] for m in found[-3:]] == ["/a", "/etc/hosts", "/a/b/c"]
    assert found[-1]["options"] == ["rbind", "rprivate", "ro"]
    assert found[-3]["options"] == ["nosuid", "nodev", "size=1m", "exec"]
    assert [m["destination"] for m in found].count("/etc/hosts") == 1


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        (Mount(kind="bind", source="/", target="relative"), InvalidArgument),
        (Mount(kind="bind", source="/", target="/"), InvalidArgument),
        (Mount(kind="bind", source="/", target="//"), InvalidArgument),
        (Mount(kind="bind", source="/", target="/proc/../proc"), InvalidArgument),
        (Mount(kind="bind", source="name", target="/x"), InvalidArgument),
        (Mount(kind="bind", source="/does/not/exist", target="/x"), NotFound),
        (Mount(kind="bind", source="/", target="/x", propagation="odd"), InvalidArgument),
        (Mount(kind="bind", source="/", target="/x", options="suid"), InvalidArgument),
        (Mount(kind="volume", source="v", target="/x"), Unsupported),
        (Mount(kind="tmpfs", target="/x", options="upperdir=/etc"), InvalidArgument),
    ],
)
def test_refused_mounts(mount: Mount, kind: type) -> None:
    with pytest.raises(kind):
        mounts(RunOptions(mounts=(mount,)), "/d")


def test_a_mount_point_twice() -> None:
    with pytest.raises(InvalidArgument, match="/t"):
        mounts(
            RunOptions(
                mounts=(Mount(kind="tmpfs", target="/t"), Mount(kind="tmpfs", target="/t/"))
            ),
            "/d",
        )


def test_tmpfs_defaults() -> None:
    assert tmpfs_options([]) == ["noexec", "nosuid", "nodev"]
    assert tmpfs_options(["defaults", "mode=700"], read_only=True) == [
        "noexec",
        "nosuid",
        "nodev",
        "mode=700",
        "ro",
    ]


@pytest.mark.parametrize(
    ("interactive", "detach", "expected"),
    [(False, False, "none"), (False, True, "none"), (True, False, "once"), (True, True, "open")],
)
def test_stdin(interactive: bool, detach: bool, expected: str) -> None:
    assert made(interactive=interactive, detach=detach)["fastbox"]["stdin"] == expected


def test_exec_document() -> None:
    bundle = made(env=("A=1",), group_add=("77",), workdir="/old")
    found = process.exec_document(
        bundle["process"], bundle["fastbox"], argv=["id"], env=["B=2", "A"], user=None, workdir="", tty=True,
        privileged=False,
    )  # fmt: skip
    assert found["user"] == "app"
    assert found["groups"] == ["77"]
    inner: dict[str, Any] = found["process"]  # type: ignore[assignment]
    assert inner["args"] == ["id"]
    assert inner["cwd"] == "/old"
    assert inner["terminal"] is True
    assert inner["env"] == ["TERM=xterm", "PATH=/bin", "HOSTNAME=box", "LANG=C", "B=2"]
    assert "capabilities" not in inner  # the container's, which the supervisor knows
