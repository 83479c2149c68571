"""The Engine and its containers, on the real kernel, from a busybox root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.types import Mount, RunOptions

from . import host
from .host import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration
BUSYBOX = "/bin/busybox"


def remains() -> dict[str, object]:
    """What a container could leave behind on the host."""
    groups = [str(p) for p in Path("/sys/fs/cgroup").glob("*/fastbox/*")]
    groups += [str(p) for p in Path("/sys/fs/cgroup").glob("fastbox/*")]
    mounts = Path("/proc/self/mountinfo").read_text().count("\n")
    return {"cgroups": sorted(g for g in groups if os.path.isdir(g)), "mounts": mounts}


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    top = tmp_path_factory.mktemp("rootfs")
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
        (top / name).mkdir()
    (top / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, top / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout
    for applet in applets.split():
        if applet != "busybox":
            (top / "bin" / applet).symlink_to("busybox")
    (top / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n"
    )
    (top / "etc/group").write_text("root:x:0:\nwheel:x:10:root\napp:x:1000:\nextra:x:77:app\n")
    return str(top)


@pytest.fixture
def engine(tmp_path: Path, rootfs: str) -> Iterator[fastbox.Engine]:
    before = remains()
    engine = fastbox.Engine.open(root=str(tmp_path / "store"), run=str(tmp_path / "run"))
    with engine:
        yield engine
        for info in engine.containers.list(all=True):
            engine.containers.remove(info.id, force=True)
    # A supervisor answers first and releases then.
    until(lambda: remains() == before, 5.0)
    assert list((tmp_path / "store/containers").iterdir()) == []


def sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def output(
    engine: fastbox.Engine, container: fastbox.Container, stream: str = "stdout"
) -> list[str]:
    return [line.text for line in container.logs() if line.stream == stream]


def test_run_reports_exit_code_and_output(engine: fastbox.Engine, rootfs: str) -> None:
    with engine.run(rootfs=rootfs, argv=sh("echo out; echo err >&2; exit 7")) as c:
        assert c.wait(20 * host.SLOW) == 7
        assert output(engine, c) == ["out"]
        assert output(engine, c, "stderr") == ["err"]
        assert c.info.state == "exited"
        assert c.info.exit_code == 7
    with pytest.raises(fastbox.errors.ContainerNotFound):
        engine.containers.get(c.id)


def test_a_signal_is_128_plus_its_number(engine: fastbox.Engine, rootfs: str) -> None:
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c:
        c.kill("KILL")
        assert c.wait(20 * host.SLOW) == 137


def test_wait_times_out(engine: fastbox.Engine, rootfs: str) -> None:
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c:
        begun = time.monotonic()
        with pytest.raises(fastbox.errors.Timeout):
            c.wait(0.2)
        assert time.monotonic() - begun < 5 * host.SLOW


def test_exec_carries_input_output_environment_and_user(
    engine: fastbox.Engine, rootfs: str
) -> None:
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100"), env={"A": "1"}) as c:
        done = c.exec(
            sh("cat; echo $A$B; id -u; pwd; echo bad >&2; exit 3"), input=b"in\n", env={"B": "2"}, user="app",
            workdir="/tmp",
        )  # fmt: skip
        assert done.stdout == b"in\n12\n1000\n/tmp\n"
        assert done.stderr == b"bad\n"
        assert done.exit_code == 3
        with pytest.raises(fastbox.errors.ExecFailed):
            done.check()


def test_exec_moves_megabytes_both_ways(engine: fastbox.Engine, rootfs: str) -> None:
    data = os.urandom(3 << 20)
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c:
        assert c.exec(["/bin/cat"], input=data, timeout=60 * host.SLOW).stdout == data
        assert c.exec(["/bin/true"], input=data).exit_code == 0


def test_exec_times_out_and_is_killed(engine: fastbox.Engine, rootfs: str) -> None:
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c:
        with pytest.raises(fastbox.errors.Timeout):
            c.exec(["/bin/sleep", "77"], timeout=0.3)
        assert b"sleep 77" not in c.exec(["/bin/ps"]).stdout


def test_exec_with_a_terminal(engine: fastbox.Engine, rootfs: str) -> None:
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c:
        assert c.exec(sh("tty; echo $TERM"), tty=True).stdout == b"/dev/pts/0\r\nxterm\r\n"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("/bin/nothing", fastbox.errors.CommandNotFound),
        ("/etc/passwd", fastbox.errors.NotExecutable),
    ],
)
def test_a_command_that_cannot_run(
    engine: fastbox.Engine, rootfs: str, command: str, kind: type
) -> None:
    with pytest.raises(kind, match=command):
        engine.run(rootfs=rootfs, argv=(command,))
    assert engine.containers.list(all=True) == []
    with engine.run(rootfs=rootfs, argv=("/bin/sleep", "100")) as c, pytest.raises(kind):
        c.exec([command])


def test_defaults_of_safety(engine: fastbox.Engine, rootfs: str) -> None:
    script = (
        "grep -E 'CapEff|CapInh|CapAmb|Seccomp:' /proc/self/status; id -G; umask; echo $$; hostname; "
        "cat /proc/kcore 2>/dev/null | head -c 9 | wc -c; mount -t tmpfs x /mnt 2>&1; echo x 2>&1 > /proc/sys/kernel/hostname"
    )
    with engine.run(rootfs=rootfs, argv=sh(script)) as c:
        c.wait(20 * host.SLOW)
        lines = output(engine, c)
        assert lines[:3] == [
            "CapInh:\t0000000000000000",
            "CapEff:\t00000000a80425fb",
            "CapAmb:\t0000000000000000",
        ]
        assert lines[3:9] == ["Seccomp:\t2", "0 10", "0022", "1", c.id[:12], "0"]
        assert "ermission denied" in lines[9] or "not permitted" in lines[9]
        assert any("Read-only" in line for line in (*lines, *output(engine, c, "stderr")))


def test_new_address_families_are_refused(engine: fastbox.Engine, rootfs: str) -> None:
    python = Path(sys.executable).resolve()
    probe = "import socket\nfor f in (1,2,10,38,40):\n try: socket.socket(f, socket.SOCK_SEQPACKET if f==38 else socket.SOCK_STREAM); print(f,'ok')\n except OSError as e: print(f, e.errno)"
    mounts = tuple(
        Mount(kind="bind", source=d, target=d, read_only=True)
        for d in {"/usr", "/lib", "/lib64", str(python.parent.parent)}
        if os.path.isdir(d)
    )
    with engine.run(rootfs=rootfs, argv=(str(python), "-I", "-S", "-c", probe), mounts=mounts) as c:
        assert c.wait(60 * host.SLOW) == 0
        assert output(engine, c) == ["1 ok", "2 ok", "10 ok", "38 1", "40 1"]


def test_read_only_root_tmpfs_and_binds(
    engine: fastbox.Engine, rootfs: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    mounts = (Mount(kind="bind", source=str(tmp_path / "in"), target="/data"),)
    script = (
        "touch /x; touch /scratch/y && touch /data/z && touch /etc/hosts; mount | grep ' /scratch '"
    )
    with engine.run(
        rootfs=rootfs, argv=sh(script), read_only=True, mounts=mounts, tmpfs={"/scratch": "size=1m"}
    ) as c:
        c.wait(20 * host.SLOW)
        assert (tmp_path / "in/z").exists()
        assert "size=1024k" in output(engine, c)[0]
        assert "noexec" in output(engine, c)[0]
        assert len(output(engine, c, "stderr")) == 2


def test_a_missing_source_is_made_only_for_v(
    engine: fastbox.Engine, rootfs: str, tmp_path: Path
) -> None:
    source = str(tmp_path / "new/dir")
    with pytest.raises(fastbox.errors.NotFound):
        engine.run(
            rootfs=rootfs,
            argv=("/bin/true",),
            mounts=(Mount(kind="bind", source=source, target="/d"),),
        )
    made = (Mount(kind="bind", source=source, target="/d", create=True),)
    with engine.run(rootfs=rootfs, argv=("/bin/true",), mounts=made) as c:
        assert c.wait(20 * host.SLOW) == 0
    assert os.path.isdir(source)


def test_limits_reach_the_kernel(engine: fastbox.Engine, rootfs: str) -> None:
    script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; ulimit -n"
    with engine.run(rootfs=rootfs, argv=sh(script), memory="64m", ulimits={"nofile": 99}) as c:
        c.wait(20 * host.SLOW)
        assert output(engine, c) == [str(64 << 20), "99"]


def test_memory_hog_is_killed_and_said_so(engine: fastbox.Engine, rootfs: str) -> None:
    hog = sh("x=a; while :; do x=$x$x; done")
    with engine.run(rootfs=rootfs, argv=hog, memory="16m", memory_swap="16m") as c:
        assert c.wait(60 * host.SLOW) == 137
        assert c.info.oom_killed


def test_the_root_of_the_host_with_a_writable_layer_in_memory(engine: fastbox.Engine) -> None:
    with engine.run(
        rootfs="/", argv=sh("touch /made-inside && ls /made-inside && test -d /etc")
    ) as c:
        assert c.wait(20 * host.SLOW) == 0
        record = engine.containers.inspect(c.id)
        upper = record["GraphDriver"]["Data"]["UpperDir"]  # type: ignore[index]
        assert os.path.exists(upper + "/made-inside")
    assert not os.path.exists("/made-inside")
    assert not os.path.exists(upper)


def test_many_threads_start_at_once(engine: fastbox.Engine, rootfs: str) -> None:
    codes: list[int] = []

    def one(number: int) -> None:
        with engine.run(rootfs=rootfs, argv=sh(f"exit {number}")) as c:
            codes.append(c.wait(60 * host.SLOW))

    threads = [threading.Thread(target=one, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == list(range(24))


def test_closing_ends_what_still_runs(tmp_path: Path, rootfs: str) -> None:
    with fastbox.Engine.open(root=str(tmp_path / "s"), run=str(tmp_path / "r")) as engine:
        first = engine.run(rootfs=rootfs, argv=("/bin/sleep", "100"))
        pid = first.info.pid
    assert gone(pid)
    with pytest.raises(fastbox.errors.EngineUnavailable):
        engine.run(rootfs=rootfs, argv=("/bin/true",))
    with fastbox.Engine.open(root=str(tmp_path / "s"), run=str(tmp_path / "r")) as other:
        assert other.containers.list(all=True) == []
    assert os.listdir(tmp_path / "s/containers") == []
    assert os.listdir(tmp_path / "r/supervisors") == []


def test_a_killed_owner_takes_its_containers_along(engine: fastbox.Engine, rootfs: str) -> None:
    program = (
        "import fastbox, sys, time\n"
        "engine = fastbox.Engine.open(root=sys.argv[1], run=sys.argv[2])\n"
        "c = engine.run(rootfs=sys.argv[3], argv=['/bin/sleep', '100'])\n"
        "print(c.info.pid, flush=True)\ntime.sleep(100)\n"
    )
    argv = [sys.executable, "-c", program, engine.root.store, engine.root.run, rootfs]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()
    until(lambda: gone(pid), 2.0)
    until(lambda: engine.containers.list(all=True) == [], 5.0)


# What the command line drives


def test_detached_life(engine: fastbox.Engine, rootfs: str) -> None:
    service = engine.containers
    options = RunOptions(
        rootfs=rootfs, argv=sh("trap 'exit 5' TERM; echo $((++n)); sleep 100 & wait"), name="web"
    )
    container = service.start_detached(options)
    assert service.get("web").state == "running"
    assert service.get(container[:8]).id == container
    with pytest.raises(fastbox.errors.NameInUse):
        service.create(options)
    with pytest.raises(fastbox.errors.StateConflict):
        service.remove("web")
    until(lambda: [line.text for line in service.logs("web")] == ["1"])
    service.stop("web", timeout=5 * host.SLOW)
    assert service.wait("web") == 5
    assert service.get("web").state == "exited"
    service.start("web")
    assert service.get("web").state == "running"
    service.rename("web", "other")
    assert service.get("other").id == container
    with pytest.raises(fastbox.errors.ContainerNotFound):
        service.get("web")
    service.kill("other")
    assert service.wait("other") == 137
    service.remove("other")
    assert service.list(all=True) == []


def test_create_then_start(engine: fastbox.Engine, rootfs: str) -> None:
    container = engine.containers.create(RunOptions(rootfs=rootfs, argv=sh("exit 4")))
    assert engine.containers.get(container).state == "created"
    engine.containers.start(container)
    assert engine.containers.wait(container) == 4


def test_stop_kills_what_does_not_listen(engine: fastbox.Engine, rootfs: str) -> None:
    container = engine.containers.start_detached(
        RunOptions(rootfs=rootfs, argv=sh("trap '' TERM; while :; do sleep 1; done"))
    )
    until(lambda: True)
    begun = time.monotonic()
    engine.containers.stop(container, timeout=0.5)
    assert time.monotonic() - begun < 5 * host.SLOW
    assert engine.containers.get(container).exit_code == 137


def test_rm_removes_itself(engine: fastbox.Engine, rootfs: str) -> None:
    container = engine.containers.start_detached(
        RunOptions(rootfs=rootfs, argv=("/bin/true",), remove=True, name="gone")
    )
    until(lambda: engine.containers.list(all=True) == [])
    until(
        lambda: (
            not os.listdir(engine.root.path("tmp"))
            and not os.listdir(engine.root.live("containers"))
        )
    )
    assert os.listdir(engine.root.path("names")) == []
    assert container


def test_logs_follow_to_the_end(engine: fastbox.Engine, rootfs: str) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; sleep 0.3; echo last"
    container = engine.containers.start_detached(RunOptions(rootfs=rootfs, argv=sh(script)))
    lines = [line.text for line in engine.containers.logs(container, follow=True)]
    assert lines == [*(f"line {n}" for n in range(300)), "last"]
    assert [line.text for line in engine.containers.logs(container, tail=2)] == ["line 299", "last"]
    assert list(engine.containers.logs(container, tail=0)) == []


def test_failed_start_of_a_named_container_is_recorded(engine: fastbox.Engine, rootfs: str) -> None:
    with pytest.raises(fastbox.errors.CommandNotFound):
        engine.containers.start_detached(RunOptions(rootfs=rootfs, argv=("/nothing",), name="bad"))
    info = engine.containers.get("bad")
    assert info.exit_code == 127
    assert "/nothing" in info.error
    with pytest.raises(fastbox.errors.CommandNotFound):
        engine.containers.start_detached(
            RunOptions(rootfs=rootfs, argv=("/nothing",), name="bad2", remove=True)
        )
    with pytest.raises(fastbox.errors.ContainerNotFound):
        engine.containers.get("bad2")


def gone(pid: int) -> bool:
    """No such process, or one that its parent has not reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def supervisor_pid(container_pid: int) -> int:
    return int(Path(f"/proc/{container_pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("remove", [False, True])
def test_a_killed_supervisor_is_healed(engine: fastbox.Engine, rootfs: str, remove: bool) -> None:
    options = RunOptions(
        rootfs=rootfs, argv=("/bin/sleep", "100"), name="orphan", remove=remove, memory=32 << 20
    )
    engine.containers.start_detached(options)
    pid = engine.containers.get("orphan").pid
    os.kill(supervisor_pid(pid), signal.SIGKILL)
    until(lambda: "orphan" not in [info.name for info in engine.containers.list()])
    assert gone(pid)
    if remove:
        assert engine.containers.list(all=True) == []
    else:
        info = engine.containers.get("orphan")
        assert (info.state, info.exit_code, info.error) == ("exited", 137, "supervisor died")
        engine.containers.start("orphan")
        assert engine.containers.get("orphan").state == "running"


def test_damaged_records_are_reported_and_removable(engine: fastbox.Engine, rootfs: str) -> None:
    for name in ("record.json", "exit"):
        container = engine.containers.start_detached(
            RunOptions(rootfs=rootfs, argv=("/bin/true",), name="hurt")
        )
        engine.containers.wait(container)
        Path(engine.containers.directory(container), name).write_bytes(b'{"schema":1,')
        assert engine.containers.get(container).state == "dead"
        assert len(engine.containers.list(all=True)) == 1
        assert engine.containers.inspect(container)["Id"] == container
        engine.containers.remove(container)
        assert engine.containers.list(all=True) == []


def test_inspect_has_dockers_shape(engine: fastbox.Engine, rootfs: str) -> None:
    options = RunOptions(
        rootfs=rootfs, argv=("/bin/sleep", "9"), name="seen", memory=64 << 20, labels={"a": "b"}
    )
    engine.containers.start_detached(options)
    found = engine.containers.inspect("seen")
    assert found["Name"] == "/seen"
    assert found["Path"] == "/bin/sleep"
    assert found["Args"] == ["9"]
    state: dict[str, object] = found["State"]  # type: ignore[assignment]
    assert state["Running"] is True
    assert state["Pid"] == engine.containers.get("seen").pid
    assert found["HostConfig"]["Memory"] == 64 << 20  # type: ignore[index]
    assert found["Config"]["Labels"] == {"a": "b"}  # type: ignore[index]


def test_attached_streams_in_a_process_of_their_own(engine: fastbox.Engine, rootfs: str) -> None:
    program = (
        "import fastbox, sys\nfrom fastbox.types import RunOptions\n"
        "engine = fastbox.Engine.open(root=sys.argv[1], run=sys.argv[2])\n"
        "options = RunOptions(rootfs=sys.argv[3], argv=('/bin/sh', '-c', 'cat; echo err >&2; exit 9'), interactive=True, remove=True)\n"
        "with engine.containers.start_attached(options) as a:\n    end = a.carry()\n    sys.exit(end.code)\n"
    )
    argv = [sys.executable, "-c", program, engine.root.store, engine.root.run, rootfs]
    done = subprocess.run(
        argv, input=b"some\ninput\n", capture_output=True, timeout=60 * host.SLOW, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (9, b"some\ninput\n", b"err\n")
    until(lambda: engine.containers.list(all=True) == [])


def test_parallel_removal_and_look(engine: fastbox.Engine, rootfs: str) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        for _ in range(6):
            try:
                engine.containers.start_detached(
                    RunOptions(rootfs=rootfs, argv=("/bin/sleep", "50"), name="one")
                )
            except fastbox.errors.NameInUse:
                pass
            try:
                engine.containers.inspect("one")
                engine.containers.list(all=True)
                engine.containers.remove("one", force=True)
            except (fastbox.errors.NotFound, fastbox.errors.Conflict):
                pass
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
