"""More processes in a container that runs, and terminals."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from .engines import FASTBOX, RUNC, Engine
from .place import IMAGE

SETTINGS = ("--user", "1000", "-e", "FIRST=1", "-w", "/tmp", "--cap-drop", "ALL", "--memory", "64m")


@pytest.fixture
def web(engine: Engine) -> Iterator[str]:
    engine.run("-d", "--name", "web", *SETTINGS, IMAGE, "sleep", "1000")
    yield "web"
    engine(*engine.remove, "web")


def test_exec_goes_into_the_container_with_its_settings(engine: Engine, web: str) -> None:
    # One container for all of this: a start is what takes the time.
    script = "id -u; pwd; echo $FIRST $SECOND; grep -E '^(CapEff|CapBnd)' /proc/self/status; cat /proc/self/cgroup"
    lines = engine("exec", "-e", "SECOND=2", web, "sh", "-c", script).stdout.splitlines()
    assert lines[:3] == ["1000", "/tmp", "1 2"]
    assert {line.split()[1] for line in lines[3:5]} == {"0" * 16}
    assert lines[5:] == engine("exec", web, "cat", "/proc/1/cgroup").stdout.splitlines()
    for code in (0, 3, 255):
        assert engine("exec", web, "sh", "-c", f"exit {code}", check=False).returncode == code
    assert engine("exec", web, "sh", "-c", "kill -9 $$", check=False).returncode == 137
    lines = engine(
        "exec", "--user", "0:29", "-w", "/etc", web, "sh", "-c", "id -u; id -g; pwd"
    ).stdout.split()
    assert lines == ["0", "29", "/etc"]
    done = engine("exec", "-i", web, "cat", stdin=b"x" * 300000)
    assert done.stdout == "x" * 300000
    # Privileged means the capabilities that the engine knows of, which may be fewer than the kernel's.
    words = engine(
        "exec", "--privileged", web, "grep", "CapBnd", "/proc/self/status"
    ).stdout.split()
    assert int(words[1], 16) & 1 << 21


def test_exec_detached_runs_on(engine: Engine, web: str) -> None:
    engine("exec", "-d", web, "sh", "-c", "sleep 0.2; echo done > /tmp/out; sleep 1000")
    end = time.monotonic() + 20
    while engine("exec", web, "cat", "/tmp/out", check=False).stdout != "done\n":
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    "words", [["nosuch"], ["/nosuch"], ["/etc/passwd"], ["/etc"], ["/etc/passwd/x"]], ids=str
)
def test_exec_of_what_can_t_run_says_what_it_says_with_runc(
    engine: Engine, words: list[str]
) -> None:
    answers = []
    for runtime in (RUNC, FASTBOX):
        engine.run("-d", "--name", "web", IMAGE, "sleep", "1000", runtime=runtime)
        done = engine("exec", "web", *words, check=False)
        answers.append((done.returncode, done.stdout, done.stderr.replace(f"{runtime}: ", "")))
        engine(*engine.remove, "web")
    if (
        answers[0][0] == 255
    ):  # podman 4.3 does not know runc's words for a path below a file, but ours has the same
        answers = [
            (127, text.split(": OCI runtime")[0], errors.split(": OCI runtime")[0])
            for _, text, errors in answers
        ]
    assert answers[1] == answers[0]
    assert answers[1][0] in (126, 127)


def test_run_on_a_terminal(engine: Engine) -> None:
    script = "tty; stty size; test -t 0 && test -t 1 && test -t 2 && echo all three; sh"
    code, shown = engine.terminal(
        *engine.create("--rm", "-it", IMAGE, "sh", "-c", script),
        typed=b"echo $((6*7)); ps; exit 5\n",
    )
    assert code == 5, shown
    assert "/dev/pts/0\r\n" in shown
    assert "all three" in shown
    assert "42" in shown
    assert "can't access tty" not in shown  # it is the controlling terminal: job control works


def test_exec_on_a_terminal(engine: Engine, web: str) -> None:
    code, shown = engine.terminal("exec", "-it", web, "sh", typed=b"tty; exit 6\n")
    assert code == 6, shown
    assert "/dev/pts/" in shown
    assert "can't access tty" not in shown


def test_the_terminal_of_a_detached_container_takes_a_new_size(engine: Engine) -> None:
    code, shown = engine.terminal(
        *engine.create("--rm", "-it", IMAGE, "sh", "-c", "sleep 0.5; stty size; sh"),
        typed=b"exit\n",
        size=(33, 77),
    )
    assert code == 0
    assert "33 77" in shown


def test_ctrl_c_reaches_the_foreground(engine: Engine) -> None:
    code, shown = engine.terminal(
        *engine.create(
            "--rm", "-it", IMAGE, "sh", "-c", "trap 'echo caught; exit 9' INT; echo '#'; read x"
        ),
        typed=b"\x03",
    )
    assert code == 9, shown
    assert "caught" in shown
