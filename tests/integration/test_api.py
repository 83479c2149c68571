"""The Python API: streams of an exec and of a container, handles, life."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox import DEVNULL, PIPE, STDOUT

from . import host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Box

pytestmark = pytest.mark.integration
SECONDS = 20 * host.SLOW


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine


@pytest.fixture
def sleeper(engine: fastbox.Engine) -> Iterator[fastbox.Container]:
    with engine.run("busybox", ["sleep", "1000"]) as c:
        yield c


def test_numbers_are_those_of_subprocess() -> None:
    assert (PIPE, STDOUT, DEVNULL) == (subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL)


def test_a_conversation_with_a_command(sleeper: fastbox.Container) -> None:
    with sleeper.popen(["cat"], stdin=PIPE) as p:
        for word in (b"one\n", b"two\n"):
            p.stdin.write(word)
            assert p.stdout.readline() == word
        assert p.poll() is None
        assert p.returncode is None
        p.stdin.close()
        assert p.stdout.read() == b""
        assert p.wait(SECONDS) == 0
        assert p.returncode == 0


def test_text_and_lines(sleeper: fastbox.Container) -> None:
    with sleeper.popen(
        ["sh", "-c", "read a; echo $a; echo ä >&2; exit 3"], stdin=PIPE, encoding="utf-8"
    ) as p:
        p.stdin.write("grüße\n")
        assert list(p.stdout) == ["grüße\n"]
        assert list(p.stderr) == ["ä\n"]
        assert p.wait(SECONDS) == 3


def test_streams_joined_dropped_and_missing(sleeper: fastbox.Container) -> None:
    both = ["sh", "-c", "echo a; echo b >&2; echo c"]
    with sleeper.popen(both, stderr=STDOUT) as p:
        assert p.stdout.read() == b"a\nb\nc\n"
    with sleeper.popen(both, stdout=DEVNULL) as p:
        assert p.stderr.read() == b"b\n"
        with pytest.raises(fastbox.errors.InvalidArgument, match="stdout is no pipe"):
            _ = p.stdout
        with pytest.raises(fastbox.errors.InvalidArgument, match="stdin is no pipe"):
            _ = p.stdin
        assert p.wait(SECONDS) == 0
    with pytest.raises(fastbox.errors.InvalidArgument):
        sleeper.popen(both, stdout=1)


def test_leaving_kills_all_that_it_started(sleeper: fastbox.Container) -> None:
    script = "setsid sleep 777 & (sleep 777 &) ; echo ready; sleep 777"
    with sleeper.popen(["sh", "-c", script]) as p:
        assert p.stdout.readline() == b"ready\n"
    assert p.returncode == 137
    assert b"sleep 777" not in sleeper.exec(["ps"]).stdout
    with pytest.raises(ZeroDivisionError), sleeper.popen(["sleep", "777"]) as p:
        raise ZeroDivisionError
    assert b"sleep 777" not in sleeper.exec(["ps"]).stdout


def test_signals_and_time_limits(sleeper: fastbox.Container) -> None:
    with sleeper.popen(["sh", "-c", "trap 'exit 5' USR1; echo; while :; do sleep .1; done"]) as p:
        p.stdout.readline()
        p.kill("USR1")
        assert p.wait(SECONDS) == 5
        p.kill()  # it has ended
    with sleeper.popen(["sleep", "777"], timeout=0.2) as p:
        assert p.wait(SECONDS) == 137


def test_a_terminal_and_its_size(sleeper: fastbox.Container) -> None:
    script = "stty size; read x; stty size; tty"
    with sleeper.popen(
        ["sh", "-c", script], tty=True, stdin=PIPE, size=(30, 90), encoding="utf-8"
    ) as p:
        assert p.stdout.readline() == "30 90\r\n"
        p.resize(40, 100)
        p.stdin.write("\n")
        assert p.stdout.readline() == "\r\n"
        assert p.stdout.readline() == "40 100\r\n"
        assert p.stdout.readline().startswith("/dev/pts/")


def test_megabytes_while_it_runs(sleeper: fastbox.Container) -> None:
    data = bytes(range(256)) * 20000
    with sleeper.popen(["cat"], stdin=PIPE) as p:

        def feed() -> None:
            p.stdin.write(data)
            p.stdin.close()

        thread = threading.Thread(target=feed)
        thread.start()
        assert p.stdout.read() == data
        thread.join()


def test_who_is_forgotten_is_killed(sleeper: fastbox.Container) -> None:
    p = sleeper.popen(["sleep", "777"])
    p.close()
    q = sleeper.popen(["sleep", "777"])
    q.stdout.close()
    q.stderr.close()
    del q
    for _ in range(200):
        if b"sleep 777" not in sleeper.exec(["ps"]).stdout:
            break
    assert b"sleep 777" not in sleeper.exec(["ps"]).stdout


def test_the_container_s_own_streams(engine: fastbox.Engine) -> None:
    with engine.run(
        "busybox", ["sh", "-c", "echo first; cat; echo err >&2; exit 4"], stdin=PIPE
    ) as c:
        with c.attach(encoding="utf-8") as p:
            p.stdin.write("hello\n")
            p.stdin.close()
            assert p.stdout.read() == "first\nhello\n"
            assert p.stderr.read() == "err\n"
            assert p.wait(SECONDS) == 4
        assert c.wait(SECONDS) == 4


def test_attaching_later_and_letting_go(engine: fastbox.Engine) -> None:
    with engine.run("busybox", ["cat"], interactive=True) as c:
        for word in (b"one\n", b"two\n"):
            with c.attach() as p:
                p.stdin.write(word)
                assert p.stdout.readline() == word
        assert c.info.state == "running"
        assert [line.text for line in c.logs()] == ["one", "two"]


def test_a_life_of_one_that_is_tied(engine: fastbox.Engine, box: Box) -> None:
    with engine.create(
        "busybox",
        ["sh", "-c", "echo $((++n)) >> /n; cat /n; sleep 1000"],
        name="tied",
        stop_signal="KILL",
    ) as c:
        assert c.info.state == "created"
        assert c.wait() == 0
        with pytest.raises(fastbox.errors.StateConflict):
            c.exec(["true"])
        c.start()
        c.start()
        assert c.exec(["cat", "/n"]).stdout == b"1\n"
        c.restart()
        c.wait_for(fastbox.wait.exec(["sh", "-c", "[ $(wc -l < /n) = 2 ]"]), timeout=SECONDS)
        c.pause()
        assert c.info.state == "paused"
        c.unpause()
        c.stop()
        assert c.wait(SECONDS) == 137
        c.rename("other")
        assert c.name == "other"
        assert engine.container("other").id == c.id
        c.start()
        assert c.info.state == "running"
    assert box("ps", "-aq").stdout == ""


def test_closing_removes_what_was_not_started_and_what_has_ended(box: Box) -> None:
    engine = fastbox.Engine.open()
    engine.create("busybox", ["true"])
    assert engine.run("busybox", ["true"]).wait(SECONDS) == 0
    assert len(engine.containers.list(all=True)) == 2
    engine.close()
    assert box("ps", "-aq").stdout == ""


def test_a_handle_on_another_s_container(engine: fastbox.Engine, box: Box) -> None:
    box("run", "-d", "--name", "theirs", "busybox", "sleep", "1000")
    with engine.container("theirs") as c:
        assert c.exec(["echo", "hi"]).stdout == b"hi\n"
        with pytest.raises(fastbox.errors.Timeout):
            c.wait(0.01)
        box("stop", "-t", "0", "theirs")
        assert c.wait(SECONDS) == 137
        with pytest.raises(fastbox.errors.StateConflict):
            c.exec(["true"])
        box("start", "theirs")
        assert c.exec(["echo", "again"]).stdout == b"again\n"
        c.stop(0)
    assert box("ps", "-aq").stdout.split() == [c.id[:12]]
    box("rm", "theirs")
    with pytest.raises(fastbox.errors.ContainerNotFound):
        engine.container("theirs")
