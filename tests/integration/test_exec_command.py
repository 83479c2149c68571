"""`fastbox exec` with docker's flags, one by one, and what it says when it can't."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from .test_terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .conftest import Box

pytestmark = pytest.mark.integration
IDLE = ("sleep", "1000")


@pytest.fixture
def idle(box: Box) -> Iterator[str]:
    box("run", "-d", "--name", "idle", "-e", "OWN=1", "busybox", *IDLE)
    yield "idle"
    box("rm", "-f", "idle")


def sh(box: Box, *words: str, **options: object) -> str:
    """The output of `exec WORDS idle sh -c SCRIPT`, where the script is the last word."""
    return box("exec", *words[:-1], "idle", "sh", "-c", words[-1], **options).stdout  # type: ignore[arg-type]


def test_detach(box: Box, idle: str) -> None:
    assert sh(box, "-d", "echo unseen; echo $OWN > /tmp/made; sleep 305") == ""
    for _ in range(200):
        if sh(box, "cat /tmp/made 2>/dev/null; true") == "1\n":
            break
        time.sleep(0.02)
    assert "sleep 305" in box("exec", idle, "ps").stdout
    assert box("exec", "-d", idle, "nosuch", check=False).returncode == 127
    assert box("exec", "-d", idle, "/etc/passwd", check=False).returncode == 126


def test_detach_with_a_terminal(box: Box, idle: str) -> None:
    sh(box, "-dt", "tty > /tmp/tty; sleep 306")
    assert "/dev/pts/" in sh(box, "while ! [ -s /tmp/tty ]; do sleep 0.02; done; cat /tmp/tty")
    assert "sleep 306" in box("exec", idle, "ps").stdout


def test_detach_keys(box: Box, idle: str) -> None:
    shell = Terminal(box, "exec", "-it", "--detach-keys", "ctrl-a,x", idle, "sh")
    shell.expect(b"# ")
    shell.type(b"sleep 307\n")
    time.sleep(0.3)
    shell.type(b"\x10\x11")  # what would detach without the flag
    time.sleep(0.1)
    shell.type(b"\x01x")
    assert shell.close() == 0
    assert "sleep 307" in box("exec", idle, "ps").stdout
    message = box.fails("exec", "--detach-keys", "bogus", idle, "true")
    assert "bogus" in message


def test_environment(box: Box, idle: str) -> None:
    script = "echo $OWN,$A,${B-unset},$PATH"
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert sh(box, script) == f"1,,unset,{path}\n"
    assert sh(box, "-e", "A=x y", "--env", "OWN=2", script) == f"2,x y,unset,{path}\n"
    assert sh(box, "-e", "B", script, B="of the caller") == f"1,,of the caller,{path}\n"
    # As docker does it: a name without a value, here and there, takes the container's own away.
    assert sh(box, "-e", "OWN", "-e", "B", script) == f",,unset,{path}\n"
    assert "=x" in box.fails("exec", "-e", "=x", idle, "true")


def test_environment_files(box: Box, idle: str, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("# what it is for\nA=1\nB=2 # no comment\n\nC\nD\n")
    two.write_text("A=3\n")
    words = ["--env-file", str(one), "--env-file", str(two), "-e", "B=4"]
    script = "echo $A,$B,$C,${D-unset}"
    assert sh(box, *words[:2], script, C="c") == "1,2 # no comment,c,unset\n"
    assert sh(box, *words, script) == "3,4,,unset\n"
    assert "missing" in box.fails("exec", "--env-file", f"{tmp_path}/missing", idle, "true")


def test_interactive(box: Box, idle: str) -> None:
    assert box("exec", "-i", idle, "cat", stdin=b"a\nb").stdout == "a\nb"
    assert box("exec", idle, "cat", stdin=b"not taken").stdout == ""
    data = os.urandom(1 << 19).hex().encode()
    assert box("exec", "-i", idle, "cat", stdin=data).stdout.encode("latin-1") == data


def test_privileged(box: Box, idle: str) -> None:
    lines = sh(box, "--privileged", "grep -E 'CapEff|Seccomp:' /proc/self/status").split()
    usual = sh(box, "grep -E 'CapEff|Seccomp:' /proc/self/status").split()
    assert (int(usual[1], 16), usual[3]) == (0xA80425FB, "2")
    assert int(lines[1], 16) & (1 << 21)  # CAP_SYS_ADMIN
    assert lines[3] == "0"


def test_terminal(box: Box, idle: str) -> None:
    assert sh(box, "-t", "tty; echo $TERM; echo e >&2") == "/dev/pts/0\nxterm\ne\n"
    assert sh(box, "-t", "-e", "TERM=vt100", "echo $TERM") == "vt100\n"
    assert "not a TTY" in box.fails("exec", "-it", idle, "true")


def test_the_terminal_has_its_size_before_the_process_starts(box: Box, idle: str) -> None:
    terminal = Terminal(box, "exec", "-it", idle, "stty", "size", rows=33, columns=77)
    terminal.expect(b"33 77")
    assert terminal.close() == 0


def test_user(box: Box, idle: str) -> None:
    script = "id -un; id -u; id -G; echo $HOME"
    assert sh(box, "-u", "app", script).split() == ["app", "1000", "1000", "10", "29", "/home/app"]
    assert sh(box, "-u", "1000", "id -G").split() == ["1000", "10", "29"]
    assert sh(box, "-u", "app:audio", "id -u; id -G").split() == ["1000", "29"]
    assert sh(box, "-u", "7:9", "id -u; id -G").split() == ["7", "9"]
    assert '"nosuch": no such user' in box.fails("exec", "-u", "nosuch", idle, "true")
    assert "no such group" in box.fails("exec", "-u", "0:nosuch", idle, "true")


def test_workdir(box: Box, idle: str) -> None:
    assert sh(box, "pwd") == "/\n"
    assert sh(box, "-w", "/home/app", "pwd") == "/home/app\n"
    assert sh(box, "--workdir", "/home/../tmp", "pwd") == "/tmp\n"
    assert "/nope" in box.fails("exec", "-w", "/nope", idle, "true")
    assert "not a directory" in box.fails("exec", "-w", "/etc/passwd", idle, "true")
    assert "not absolute" in box.fails("exec", "-w", "tmp", idle, "true")


def test_exit_codes(box: Box, idle: str) -> None:
    for words, code in (
        (["sh", "-c", "exit 77"], 77),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["nosuch"], 127),
        (["/nosuch/at/all"], 127),
        (["/etc/passwd"], 126),
        (["/tmp"], 126),
    ):
        assert box("exec", idle, *words, check=False).returncode == code, words


def test_a_container_that_does_not_run(box: Box) -> None:
    assert "no such container" in box.fails("exec", "nosuch", "true")
    name = box("create", "busybox", "true").stdout.strip()
    assert "not running" in box.fails("exec", name, "true")
    box("start", name)
    box("wait", name)
    assert "not running" in box.fails("exec", name, "true")
    box("rm", name)


def test_the_first_process_dies_meanwhile(box: Box) -> None:
    """Either it was still there, or the error is clear; never a process without a container."""
    for delay in (0.0, 0.002, 0.004, 0.006, 0.008, 0.01):
        name = box("run", "-d", "busybox", *IDLE).stdout.strip()
        words = ("exec", name, "sleep", "308")
        clients = [box.start(*words, stdout=-3, stderr=-1, text=True) for _ in range(3)]
        time.sleep(0.05 + delay)
        box("kill", name)
        for client in clients:
            _, message = client.communicate(timeout=20)
            assert client.returncode in (125, 137), message
            assert client.returncode == 137 or "is not running" in message, message
        box("rm", "-f", name)
    assert subprocess.run(["pgrep", "-f", "^sleep 308"], check=False).returncode == 1


def test_both_spellings(box: Box, idle: str) -> None:
    assert box("container", "exec", idle, "echo", "here").stdout == "here\n"


def test_much_output_arrives_whole_at_a_slow_reader(box: Box, idle: str) -> None:
    """Pipe to pipe without copies, and to a file by copying."""
    words = [box.program, "exec", idle, "seq", "1", "300000"]
    wanted = "".join(f"{number}\n" for number in range(1, 300001)).encode()
    with subprocess.Popen(words, env=box.environ, stdout=-1) as client:
        assert client.stdout is not None
        time.sleep(0.3)
        assert client.stdout.read() == wanted
    read, write = os.pipe()
    with subprocess.Popen([*words[:3], "yes"], env=box.environ, stdout=write) as client:
        os.close(write)
        assert os.read(read, 4) == b"y\ny\n"
        os.close(read)
        assert client.wait(20) == 128 + signal.SIGPIPE
    box("exec", idle, "busybox", "killall", "yes", check=False)
