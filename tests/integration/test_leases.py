"""What a session made dies with it: however its owner ends, and whatever of the owner's lives on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

import fastbox

from . import host

if TYPE_CHECKING:
    from .conftest import Box

until = partial(host.until, seconds=5.0)

pytestmark = pytest.mark.integration

OWNER = """
import fastbox, multiprocessing, os, signal, subprocess, sys, threading, time
box = fastbox.Engine.open()
c = box.run("busybox", ["sleep", "1000"])
print(c.id, c.info.pid, flush=True)
"""


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Owner:
    """A Python process that has made a container, and goes on with some lines of its own."""

    def __init__(self, rest: str, **options: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER + rest], stdout=subprocess.PIPE, text=True, **options
        )  # type: ignore[call-overload]
        self.id, pid = self.word().split()
        self.pid = int(pid)

    def word(self) -> str:
        return str(self.process.stdout.readline()).strip()

    def end(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.wait(30 * host.SLOW)

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


LIVE_ON = {
    "fork": "pid = os.fork()\nif pid == 0:\n    time.sleep(1000)\nprint(pid, flush=True)\ntime.sleep(1000)\n",
    "multiprocessing": "p = multiprocessing.get_context('fork').Process(target=time.sleep, args=(1000,))\n"
    "p.start()\nprint(p.pid, flush=True)\ntime.sleep(1000)\n",
    "subprocess": "p = subprocess.Popen(['sleep', '1000'], close_fds=False)\nprint(p.pid, flush=True)\ntime.sleep(1000)\n",
}


@pytest.mark.parametrize("how", LIVE_ON)
def test_a_killed_owner_whose_children_live_on(box: Box, how: str) -> None:
    with Owner(LIVE_ON[how]) as owner:
        child = int(owner.word())
        owner.end()
        try:
            until(lambda: gone(owner.pid))
            until(lambda: not os.path.exists(f"{box.root}/containers/{owner.id}"))
            assert not gone(child)
        finally:
            os.kill(child, signal.SIGKILL)
        assert box("ps", "-aq").stdout == ""


def test_an_exec_in_another_container_dies_with_its_owner_whose_child_lives_on(box: Box) -> None:
    container = box("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    program = (
        "import fastbox, os, sys, time\n"
        "c = fastbox.Engine.open().container(sys.argv[1])\n"
        "p = c.popen(['sh', '-c', 'sleep 777 & sleep 777'])\n"
        "pid = os.fork()\n"
        "if pid:\n    print(pid, flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, container], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        assert box("exec", container, "ps").stdout.count("sleep 777") >= 2
        owner.kill()
        until(lambda: "sleep 777" not in box("exec", container, "ps").stdout)
        assert not gone(child)
        os.kill(child, signal.SIGKILL)
    box("rm", "-f", container)


def test_a_forked_child_has_a_session_of_its_own(box: Box) -> None:
    program = OWNER + (
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    with box:\n"
        "        with c:\n"  # not the child's to end
        "            assert c.exec(['true']).exit_code == 0\n"
        "            with box.run('busybox', ['sleep', '1000']) as own:\n"
        "                assert own.exec(['true']).exit_code == 0\n"
        "        box.run('busybox', ['sleep', '1000'])\n"
        "    os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7\n"
        "assert [info.id for info in box.containers.list()] == [c.id]\n"
        "assert c.exec(['true']).exit_code == 0\n"
        "c.kill(); assert c.wait(10) == 137\n"
        "with box.run('busybox', ['true']) as more: assert more.wait(10) == 0\n"
        "box.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60 * host.SLOW
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_child_s_wait_takes_no_event_from_the_parent(box: Box) -> None:
    with fastbox.Engine.open() as engine, engine.run("busybox", ["sleep", "1000"]) as c:
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(c.wait(30 * host.SLOW))
            finally:
                os._exit(1)
        time.sleep(0.2)
        c.kill()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137
        assert c.wait(10 * host.SLOW) == 137


def test_a_child_forked_during_an_exec_holds_none_of_its_pipes(box: Box) -> None:
    with fastbox.Engine.open() as engine, engine.run("busybox", ["sleep", "1000"]) as c:
        with c.popen(["cat"], stdin=fastbox.PIPE) as p:
            pid = os.fork()
            if pid == 0:
                time.sleep(1000)
                os._exit(0)
            p.stdin.write(b"all of it")
            p.stdin.close()  # with a copy of it in the child, cat would never see the end
            assert p.stdout.read() == b"all of it"
            assert p.wait(10 * host.SLOW) == 0
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_locks_of_a_start_do_not_stay_with_a_child(box: Box) -> None:
    """Children that are forked while others start hold neither locks nor supervisors."""
    children: list[int] = []
    with fastbox.Engine.open() as engine:

        def work() -> None:
            for _ in range(8):
                with engine.run("busybox", ["true"]) as c:
                    assert c.wait(30 * host.SLOW) == 0

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(12):
            pid = os.fork()
            if pid == 0:
                time.sleep(1000)
                os._exit(0)
            children.append(pid)
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert engine.containers.list(all=True) == []
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_execve_ends_the_session(box: Box) -> None:
    """The program that comes then has the owner's pid and knows of no session."""
    with Owner("os.execv('/bin/sleep', ['sleep', '1000'])\n") as owner:
        until(lambda: gone(owner.pid))
        assert owner.process.poll() is None
        until(lambda: not os.path.exists(f"{box.root}/containers/{owner.id}"))


@pytest.mark.parametrize(
    ("rest", "code"),
    [
        ("", 0),
        ("sys.exit(3)\n", 3),
        ("os._exit(4)\n", 4),
        ("os.abort()\n", -6),
        ("raise KeyError\n", 1),
    ],
)
def test_an_end_without_close(box: Box, rest: str, code: int) -> None:
    with Owner(rest, stderr=subprocess.DEVNULL) as owner:
        assert owner.process.wait(30 * host.SLOW) == code
        until(lambda: gone(owner.pid))
        until(lambda: not os.path.exists(f"{box.root}/containers/{owner.id}"))


def test_an_interrupt_ends_with_and_container(box: Box) -> None:
    rest = "with box, c:\n    print('waiting', flush=True)\n    c.wait()\n"
    with Owner(rest, stderr=subprocess.DEVNULL, start_new_session=True) as owner:
        assert owner.word() == "waiting"
        os.killpg(owner.process.pid, signal.SIGINT)  # as the terminal does it
        assert owner.process.wait(30 * host.SLOW) == -signal.SIGINT
        assert not os.path.exists(f"{box.root}/containers/{owner.id}")
        assert gone(owner.pid)


def test_a_thread_may_end_before_what_it_started(box: Box) -> None:
    made: list[fastbox.Container] = []
    with fastbox.Engine.open() as engine:
        thread = threading.Thread(
            target=lambda: made.append(engine.run("busybox", ["sleep", "1000"]))
        )
        thread.start()
        thread.join()
        assert made[0].exec(["true"]).exit_code == 0
        assert made[0].info.state == "running"


def test_engines_of_one_process_end_alone(box: Box) -> None:
    one, two = fastbox.Engine.open(), fastbox.Engine.open()
    first, second = one.run("busybox", ["sleep", "1000"]), two.run("busybox", ["sleep", "1000"])
    one.close()
    assert [info.id for info in two.containers.list(all=True)] == [second.id]
    assert second.exec(["true"]).exit_code == 0
    with pytest.raises(fastbox.errors.ContainerNotFound):
        _ = first.info
    with pytest.raises(fastbox.errors.EngineUnavailable):
        one.run("busybox", ["true"])
    two.close()
    assert box("ps", "-aq").stdout == ""


def test_one_that_was_never_started_is_nobody_s_once_its_owner_is_dead(box: Box) -> None:
    rest = "box.create('busybox', ['true'], name='never')\nprint('made', flush=True)\ntime.sleep(1000)\n"
    with Owner(rest) as owner:
        assert owner.word() == "made"
        assert "never" in box("ps", "-a").stdout
        owner.end()
        until(lambda: gone(owner.pid))
        until(lambda: box("ps", "-aq").stdout == "")


def test_detached_ones_outlive_their_engine(box: Box) -> None:
    with (
        fastbox.Engine.open() as engine,
        engine.run("busybox", ["sleep", "1000"], detach=True) as c,
    ):
        pass
    assert box("inspect", "-f", "{{.State.Status}}", c.id).stdout == "running\n"
    with fastbox.Engine.open() as engine, engine.container(c.id[:9]) as again:
        assert again.exec(["echo", "hi"]).stdout == b"hi\n"
        again.remove(force=True)
