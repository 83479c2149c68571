"""An exec has a control group of its own: what ends it ends all of it, and what it used is told."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.containers import exec as execs
from fastbox.containers.attachment import Streams
from fastbox.runtime import state
from fastbox.runtime.supervisor import Conversation
from fastbox.types import Mount

from . import host
from .conftest import Box
from .host import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastbox.containers.container import Container

pytestmark = pytest.mark.integration
IDLE = ("sleep", "1000")
GRACE = 0.05  # s, after the exec is said to be over


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with the static C programs."""
    top = tmp_path_factory.mktemp("programs")
    for name in ("hostile", "peeker"):
        source = str(Path(__file__).with_name(name + ".c"))
        subprocess.run(["gcc", "-static", "-O1", "-o", str(top / name), source], check=True)
    return str(top)


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        yield engine


@pytest.fixture
def container(engine: fastbox.Engine, programs: str) -> Iterator[Container]:
    mounts = (Mount(kind="bind", source=programs, target="/t", read_only=True),)
    with engine.run(image="busybox", argv=IDLE, mounts=mounts, pids_limit=100) as container:
        yield container


def members(container: str) -> set[int]:
    """The living processes of a container, by its groups; a zombie is none."""
    found = set()
    for top in directories(container):
        for path, _, files in os.walk(top):
            if "cgroup.procs" in files:
                with contextlib.suppress(OSError):  # ENODEV: removed
                    found |= set(map(int, (Path(path) / "cgroup.procs").read_text().split()))
    return {pid for pid in found if is_alive(pid)}


def directories(container: str) -> list[Path]:
    """The container's groups; no glob, which stumbles over those of others that vanish."""
    tops = [host.CGROUPS, *(host.CGROUPS / name for name in os.listdir(host.CGROUPS))]
    return [top / "fastbox" / container for top in tops if (top / "fastbox" / container).is_dir()]


def is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def groups(container: str) -> list[Path]:
    """The control groups of its execs."""
    found = []
    for top in directories(container):
        with contextlib.suppress(FileNotFoundError):
            found += [top / name for name in os.listdir(top) if name.startswith("exec-")]
    return found


def only_the_kept(container: str) -> bool:
    """Nothing is left of its execs but an empty group for the next."""
    return len(groups(container)) <= 1 and not any(
        (path / "cgroup.procs").read_text() for path in groups(container)
    )


def gone(container: str, keep: set[int], since: float) -> None:
    """All but `keep` have ended within the grace, which began at `since`."""
    while (left := members(container) - keep) and time.monotonic() < since + GRACE * host.SLOW:
        time.sleep(0.002)
    assert not left, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]


# The result


def test_the_result_tells_how_it_ended_and_what_it_used(container: Container) -> None:
    loop = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; exit 3"
    done = container.exec(["sh", "-c", loop])
    assert (done.exit_code, done.signal) == (3, 0)
    assert 0.005 < done.cpu < 2 * done.duration + 0.05
    small = container.exec(["true"]).memory
    assert 0 < small < 32 << 20
    blocks = container.exec(["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"])
    assert small + (48 << 20) < blocks.memory < 96 << 20
    killed = container.exec(["sh", "-c", "kill -USR1 $$"])
    assert (killed.exit_code, killed.signal) == (128 + signal.SIGUSR1, signal.SIGUSR1)


def test_the_time_of_children_that_nobody_waits_for_counts(container: Container) -> None:
    loop = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done; touch /tmp/done"
    script = f"(setsid sh -c '{loop}' &); while ! [ -e /tmp/done ]; do sleep 0.01; done"
    assert container.exec(["sh", "-c", script]).cpu > 0.03


def test_its_rights_are_the_containers(engine: fastbox.Engine) -> None:
    with engine.run(
        image="busybox", argv=IDLE, cap_add=("NET_ADMIN",), cap_drop=("CHOWN",)
    ) as container:
        for privileged in (False, True):
            same = privileged is False
            for name in ("CapBnd", "CapEff", "CapPrm", "CapInh", "CapAmb", "Seccomp", "SigIgn"):
                words = ["grep", "-h", f"^{name}:", "/proc/1/status", "/proc/self/status"]
                first, own = container.exec(words, privileged=privileged).stdout.splitlines()
                assert (first == own) is (same or name in ("CapInh", "CapAmb", "SigIgn")), name
        assert container.exec(["cat", "/proc/self/oom_score_adj"]).stdout == b"0\n"
        mount = container.exec(["mount", "-t", "tmpfs", "none", "/mnt"])
        assert mount.exit_code != 0


# The conversation


def test_a_document_may_be_longer_than_a_message(container: Container) -> None:
    for size in (100, 20_000, 120_000):
        long = [f"LONG={'x' * size}", f"LONGER={'y' * size}"]
        assert container.exec(["sh", "-c", "echo ${#LONG}"], env=long).stdout == b"%d\n" % size
        with container.popen(["sh", "-c", "echo ${#LONGER}"], env=long) as process:
            assert process.stdout.read() == b"%d\n" % size


def test_one_conversation_serves_one_exec_after_the_other(container: Container) -> None:
    container.exec(["true"])
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(fastbox.errors.CommandNotFound):
        container.exec(["no-such-command"])
    with pytest.raises(fastbox.errors.Timeout):
        container.exec(["sleep", "100"], timeout=0.05)
    with ThreadPoolExecutor(4) as pool:
        numbers = pool.map(lambda n: container.exec(["echo", str(n)]).stdout, range(40))
        assert list(numbers) == [b"%d\n" % n for n in range(40)]
    assert container.exec(["sh", "-c", "echo out; echo err >&2; exit 3"]).stderr == b"err\n"
    assert len(os.listdir("/proc/self/fd")) <= before
    child = os.fork()
    if child == 0:
        os._exit(container.exec(["echo", "child"]).stdout != b"child\n")
    assert container.exec(["echo", "parent"]).stdout == b"parent\n"
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_no_exec_is_refused(container: Container) -> None:
    own = container._watching()
    assert own is not None
    text = execs.document(
        execs.read_bundle(container._service.directory(container.id)), ["true"], {}
    )
    exec_ = {"op": "exec", "id": container.id, "streams": []}
    for message, document, why in (
        (exec_ | {"quiet": True, "detach": True}, text, "detached, but quiet"),
        (exec_, b"", "no process document"),
        (exec_, text[:-1], None),
        ({"op": "wait", "id": container.id}, text, "a document of another operation"),
        (exec_ | {"quiet": 1}, text, "not true or false"),
    ):
        with Conversation(own.run, own.supervisor) as conversation:
            with pytest.raises(fastbox.FastboxError, match=why):
                conversation.ask(message, (), document)
            conversation.send(exec_ | {"quiet": True}, (), text)
            assert conversation.wait(10.0 * host.SLOW).code == 0


# The end


@pytest.mark.parametrize("how", ["still", "daemon", "runner", "bomb"])
def test_after_a_time_limit_nothing_of_it_lives(container: Container, how: str) -> None:
    tries(container, how, 4)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["still", "daemon", "runner", "bomb"])
def test_after_a_time_limit_nothing_of_it_lives_in_a_thousand_tries(
    container: Container, how: str
) -> None:
    tries(container, how, 250)


def tries(container: Container, how: str, count: int) -> None:
    before = members(container.id)
    for number in range(count):
        with pytest.raises(fastbox.errors.Timeout):
            container.exec(["/t/hostile", how], timeout=0.01 + 0.003 * (number % 10))
        gone(container.id, before, time.monotonic())
    assert container.exec(["echo", "alive"]).stdout == b"alive\n"
    until(lambda: only_the_kept(container.id))


def test_a_group_is_kept_for_the_next_exec(engine: fastbox.Engine, container: Container) -> None:
    loop = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    busy = container.exec(["sh", "-c", loop]).cpu
    kept = groups(container.id)
    assert len(kept) == 1
    assert container.exec(["true"]).cpu < busy / 2  # it counts what is its own
    assert groups(container.id) == kept
    # One that somebody is in is nobody's any more.
    pid = next(iter(members(container.id)))
    (kept[0] / "cgroup.procs").write_text(str(pid))
    assert container.exec(["true"]).exit_code == 0
    assert kept[0] in groups(container.id)
    with pytest.raises(fastbox.errors.Timeout):
        container.exec(["sleep", "100"], timeout=0.05)
    assert is_alive(pid)
    # Those of containers that have not had one for a while go.
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(engine.run(image="busybox", argv=IDLE)) for _ in range(20)]
        for other in others:
            other.exec(["true"])
        assert sum(len(groups(other.id)) for other in others) < len(others)


def test_a_normal_end_leaves_the_others_alone(container: Container) -> None:
    before = members(container.id)
    done = container.exec(["sh", "-c", "sleep 300 & setsid sleep 300 & echo started"])
    assert done.stdout == b"started\n"
    time.sleep(GRACE)
    assert len(members(container.id) - before) == 2
    assert len(groups(container.id)) == 1  # and goes with the container: nothing_left


def test_groups_do_not_pile_up(engine: fastbox.Engine) -> None:
    with engine.run(image="busybox", argv=IDLE, init=True) as container:
        for _ in range(5):
            for _ in range(20):
                container.exec(["sh", "-c", "sleep 0.05 &"])
            until(lambda: not any((g / "cgroup.procs").read_text() for g in groups(container.id)))
        # At most twice as many as had a process at once are there before one looks.
        assert len(groups(container.id)) <= 2 * 20


def test_the_end_of_its_conversation_ends_a_tied_exec(container: Container) -> None:
    before = members(container.id)
    for how in ("daemon", "runner"):
        conversation, _ = begin(container, ["/t/hostile", how], tied=True)
        until(lambda: len(members(container.id)) > len(before))
        conversation.close()
        gone(container.id, before, time.monotonic())


def begin(container: Container, argv: list[str], **how: object) -> tuple[Conversation, str]:
    """An exec through a conversation of the test's own, without streams."""
    own = container._watching()
    assert own is not None
    bundle = execs.read_bundle(container._service.directory(container.id))
    conversation = Conversation(own.run, own.supervisor)
    text = execs.document(bundle, argv, {})
    number = execs.begin(conversation, container.id, text, Streams([]), **how)  # type: ignore[arg-type]
    return conversation, number


def test_sigkill_ends_all_of_an_exec_and_other_signals_its_process(container: Container) -> None:
    before = members(container.id)
    script = "trap 'echo; exit 7' TERM; setsid sleep 300 & while :; do sleep 0.01; done"
    for number, left, code in ((signal.SIGTERM, 1, 7), (signal.SIGKILL, 0, 137)):
        conversation, name = begin(container, ["sh", "-c", script], tied=True)
        with conversation, Conversation(conversation.run, conversation.supervisor) as other:
            until(lambda before=before: len(members(container.id) - before) >= 2)  # type: ignore[misc]
            time.sleep(0.05)
            other.ask({"op": "kill", "id": container.id, "exec": name, "signal": number})
            assert conversation.wait(10.0 * host.SLOW).code == code
            time.sleep(GRACE)
            assert len(members(container.id) - before) == left
        before = members(container.id)


CLIENT = """
import sys, fastbox
from fastbox.containers import exec as execs
from fastbox.containers.attachment import Streams
from fastbox.runtime import state
from fastbox.runtime import state
from fastbox.runtime.supervisor import Conversation
run, directory, name = sys.argv[1:]
live = state.read_live(run, name)
text = execs.document(execs.read_bundle(directory), ["sh", "-c", "setsid sleep 301 & sleep 302"], {})
conversation = Conversation(run, live.supervisor)
execs.begin(conversation, name, text, Streams([]), tied=True)
print("begun", flush=True)
sys.stdin.read()
"""


def test_the_death_of_the_client_ends_a_tied_exec(box: Box) -> None:
    name = box("run", "-d", "busybox", *IDLE).stdout.strip()
    before = members(name)
    words = [sys.executable, "-c", CLIENT, box.run_root, f"{box.root}/containers/{name}", name]
    with subprocess.Popen(words, stdin=-1, stdout=-1) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"begun\n"
        until(lambda: len(members(name) - before) >= 2)
        client.kill()
        client.wait()
    gone(name, before, time.monotonic())
    box("rm", "-f", name)


def test_the_death_of_the_command_leaves_its_exec_running_as_dockers_does(box: Box) -> None:
    name = box("run", "-d", "busybox", *IDLE).stdout.strip()
    before = members(name)
    with box.start("exec", name, "sleep", "303", stdout=-3) as client:
        until(lambda: len(members(name) - before) == 1)
        client.kill()
        client.wait()
    time.sleep(0.2)
    assert len(members(name) - before) == 1
    box("rm", "-f", name)


def test_a_killed_supervisor_leaves_no_group_of_an_exec(box: Box) -> None:
    name = box("run", "-d", "busybox", *IDLE).stdout.strip()
    words = [sys.executable, "-c", CLIENT, box.run_root, f"{box.root}/containers/{name}", name]
    with subprocess.Popen(words, stdin=-1, stdout=-1) as client:
        assert client.stdout is not None
        client.stdout.readline()
        until(lambda: len(groups(name)) == 1)
        (supervisor,) = host.supervisors(box.run_root)
        os.kill(supervisor, signal.SIGKILL)
        client.communicate()
    with box.start("ps", "-a", stdout=-1) as looking:
        until(lambda: looking.poll() is not None or reap_adopted())
        assert looking.stdout is not None
        assert b"Exited (137)" in looking.stdout.read()
    assert not groups(name)
    assert not members(name)
    box("rm", name)


def reap_adopted() -> bool:
    """What an init does, where these tests are one: the exec's zombie keeps its pid namespace."""
    for path in Path("/proc").glob("[0-9]*/stat") if os.getpid() == 1 else ():
        try:
            pid, name, state, parent = path.read_text().split()[:4]
        except OSError:
            continue
        if (name, state, parent) == ("(sleep)", "Z", "1"):
            os.waitpid(int(pid), 0)
    return False


# Many


def test_a_thousand_at_sixteen_in_flight(engine: fastbox.Engine) -> None:
    with (
        engine.run(image="busybox", argv=IDLE) as one,
        engine.run(image="busybox", argv=IDLE) as two,
    ):

        def work(number: int) -> bool:
            done = (one, two)[number % 2].exec(
                ["sh", "-c", f"read x; echo $x; echo {number} >&2; exit {number % 100}"],
                input=b"%d\n" % number,
                timeout=60 * host.SLOW,
            )
            wanted = b"%d\n" % number
            return (done.exit_code, done.stdout, done.stderr) == (number % 100, wanted, wanted)

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(work, range(1000)))
        assert only_the_kept(one.id)
        assert only_the_kept(two.id)


# Who looks


def test_who_looks_at_entering_processes_sees_nothing_of_the_host(
    box: Box, programs: str, tmp_path: Path
) -> None:
    peek(box, programs, tmp_path, 60)


@pytest.mark.slow
def test_who_looks_at_a_thousand_entering_processes_sees_nothing_of_the_host(
    box: Box, programs: str, tmp_path: Path
) -> None:
    peek(box, programs, tmp_path, 1000)


def peek(box: Box, programs: str, tmp_path: Path, count: int) -> None:
    """A process in the container reads what /proc has of every process that exec puts there."""
    mark = f"fastbox-mark-{os.getpid()}"
    place = tmp_path / mark
    place.mkdir()
    root = os.stat("/").st_dev
    subprocess.run(["mount", "-t", "tmpfs", mark, str(place)], check=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + mark)
        listener.listen()
        try:
            name = box("run", "-d", "-v", f"{programs}:/t:ro", "busybox", *IDLE).stdout.strip()
            words = [str(os.major(root)), str(os.minor(root)), mark]
            with box.start("exec", "-i", name, "/t/peeker", *words, stdin=-1, stdout=-1) as peeker:
                assert peeker.stdout is not None
                assert peeker.stdout.readline() == b"ready\n"
                enter(box, name, count)
                out, _ = peeker.communicate(timeout=60 * host.SLOW)
            box("rm", "-f", name)
        finally:
            subprocess.run(["umount", str(place)], check=True)
    seen = {key: int(value) for key, value in (x.split(": ") for x in out.decode().splitlines())}
    print(seen)
    # It was there before exec: that it found nothing is no accident.
    assert seen.pop("seen") > 0
    assert seen.pop("cmdline") > 0
    assert not any(seen.values()), seen


def enter(box: Box, name: str, count: int) -> None:
    live = state.read_live(box.run_root, name)
    assert live is not None
    text = execs.document(execs.read_bundle(f"{box.root}/containers/{name}"), ["true"], {})
    for _ in range(count):
        with Conversation(box.run_root, live.supervisor) as conversation:
            execs.run(conversation, name, text, data=None, tty=False, timeout=60 * host.SLOW)


def test_an_exec_after_a_freeze_is_frozen_with_the_others_next_time(box: Box) -> None:
    """On v1 the freezer's group is made when somebody first asks for it."""
    name = box("run", "-d", "busybox", *IDLE).stdout.strip()
    before = members(name)
    box("commit", name, "frozen")
    box("exec", "-d", name, "sleep", "304")
    until(lambda: len(members(name) - before) == 1)
    (pid,) = members(name) - before
    groups_of = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert [line for line in groups_of if "freezer" in line or line[:3] == "0::"]
    assert all(name in line for line in groups_of if "freezer" in line)
    box("rm", "-f", name)
    box("rmi", "frozen")
