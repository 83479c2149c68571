"""Containers in a real terminal emulator: full-screen programs, sizes, keys. tmux draws what a person would see; screens
that never change are kept in tests/integration/screens (FASTBOX_RECORD=1 writes them anew).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import host
from .conftest import Box
from .host import until

pytestmark = pytest.mark.integration

SCREENS = Path(__file__).parent / "screens"


class Screen:
    """One tmux server of our own with one window of 80 by 24."""

    def __init__(self, box: Box, directory: Path) -> None:
        self.box, self.socket = box, str(directory / "tmux")
        self.tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24",
            "env", "PS1=host> ", "HISTFILE=", "ENV=", "sh", "-i",
        )  # fmt: skip
        self.see("host>")

    def tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", self.socket, *words],
            env={**self.box.environ, "LANG": "C.UTF-8", "TERM": "xterm"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def keys(self, *names: str) -> None:
        """Keys by tmux's names: `Enter`, `C-c`."""
        self.tmux("send-keys", *names)

    def say(self, line: str) -> None:
        self.tmux("send-keys", "-l", line)
        self.keys("Enter")

    def fastbox(self, *words: str) -> None:
        self.say(shlex.join([self.box.program, *words]))

    def text(self) -> str:
        return self.tmux("capture-pane", "-p").rstrip("\n")

    def until(self, fits: Callable[[str], object], what: str) -> str:
        end = time.monotonic() + 20 * host.SLOW
        while not fits(text := self.text()):
            assert time.monotonic() < end, f"{what} in:\n{text}"
            time.sleep(0.05)
        return text

    def see(self, *texts: str) -> str:
        """Wait until all of these are on the screen."""
        return self.until(lambda text: all(each in text for each in texts), f"no {texts}")

    def prompt(self, prompt: str = "host>") -> str:
        """Wait until a command can be typed, at the end of what is shown."""
        return self.until(lambda text: text.endswith(prompt), f"no {prompt!r} at the end")

    def clear(self) -> None:
        self.say("clear")
        self.until(lambda text: text.strip() == "host>", "not clear")

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def modes(self) -> str:
        """The terminal's modes, as its shell finds them between commands."""
        self.clear()
        self.say("stty -g")
        text = self.until(
            lambda text: text.count("host>") == 2 and text.count(":") > 20, "no modes"
        )
        return "".join(text.splitlines()[1:-1])

    def golden(self, name: str) -> None:
        """The screen is the one that was recorded, once it stands still."""
        path = SCREENS / f"{name}.txt"
        if os.environ.get("FASTBOX_RECORD"):
            time.sleep(1)
            SCREENS.mkdir(exist_ok=True)
            path.write_text(self.text() + "\n")
        wanted = path.read_text().rstrip("\n")
        self.until(lambda text: text == wanted, f"not the screen of {path.name}")


@pytest.fixture
def screen(box: Box, tmp_path: Path) -> Iterator[Screen]:
    made = Screen(box, tmp_path)
    try:
        yield made
    finally:
        made.tmux("kill-server")


VI = ("printf 'one\\ntwo\\nthree\\n' > /tmp/file", "vi /tmp/file")


@pytest.mark.parametrize("how", ["run", "exec"])
def test_vi(box: Box, screen: Screen, how: str) -> None:
    if how == "run":
        screen.fastbox("run", "--rm", "-it", "--name", "edited", "busybox", "sh")
    else:
        box("run", "-d", "--name", "edited", "busybox", "sleep", "600")
        screen.fastbox("exec", "-it", "edited", "sh")
    screen.see("/ #")
    for line in VI:
        screen.say(line)
    screen.see("three", "~")
    screen.golden("vi-opened")
    screen.keys("G", "o")
    screen.tmux("send-keys", "-l", "four, typed")
    screen.keys("Escape")
    screen.golden("vi-typed")
    screen.resize(60, 15)
    screen.see("four, typed")
    screen.say(":wq")
    screen.prompt("/ #")
    screen.say("wc -l < /tmp/file; stty size")
    screen.see("15 60")
    screen.say("exit 5")
    screen.prompt()
    screen.say("echo code=$?")
    screen.see("code=5")
    if how == "exec":
        box("rm", "-f", "edited")


@pytest.mark.parametrize("how", ["run", "exec"])
def test_top_follows_the_window(box: Box, screen: Screen, how: str) -> None:
    if how == "run":
        screen.fastbox("run", "--rm", "-it", "--name", "watched", "busybox", "top", "-d", "1")
    else:
        box("run", "-d", "--name", "watched", "busybox", "sleep", "600")
        screen.fastbox("exec", "-it", "watched", "top", "-d", "1")
    screen.see("Mem:", "CPU:", "Load average:", "COMMAND", "top -d 1")
    screen.resize(50, 10)
    screen.until(lambda text: "PID" in text and len(text.splitlines()) <= 10, "not smaller")
    screen.keys("q")
    screen.prompt()
    screen.say("stty size; echo code=$?")
    screen.see("10 50", "code=0")
    if how == "exec":
        box("rm", "-f", "watched")


def test_the_size_arrives(box: Box, screen: Screen) -> None:
    """At the start, and as SIGWINCH whenever the window changes."""
    script = "trap 'echo now $(stty size)' WINCH; trap 'exit 0' INT; stty size; while :; do sleep 0.05; done"
    screen.fastbox("run", "--rm", "-it", "busybox", "sh", "-c", script)
    screen.see("24 80")
    screen.resize(100, 30)
    screen.see("now 30 100")
    screen.resize(70, 20)
    screen.see("now 20 70")
    screen.keys("C-c")
    screen.prompt()


def test_detach_and_attach(box: Box, screen: Screen) -> None:
    screen.fastbox("run", "-it", "--name", "kept", "busybox", "sh")
    screen.see("/ #")
    screen.say("X=kept; echo v=$X")
    screen.see("v=kept")
    screen.keys("C-p", "C-q")
    screen.prompt()
    assert box("ps", "--format", "{{.Names}}").stdout == "kept\n"
    screen.clear()
    screen.fastbox("attach", "--detach-keys", "ctrl-x,d", "kept")
    screen.keys("Enter")
    screen.see("/ #")
    screen.say("echo again=$X")
    screen.see("again=kept")
    screen.keys("C-p", "C-q")  # not the keys this time: the shell gets them
    screen.keys("C-x", "d")
    screen.prompt()
    screen.clear()
    screen.fastbox("start", "-ai", "kept")
    screen.keys("Enter")
    screen.see("/ #")
    screen.keys("C-c")
    screen.say("exit 6")
    screen.prompt()
    screen.say("echo code=$?")
    screen.see("code=6")
    box("rm", "kept")


def test_interrupt_and_suspend_are_the_containers(box: Box, screen: Screen) -> None:
    """^C and ^Z go to the foreground of the container's terminal, as under docker; the client stays."""
    screen.fastbox("run", "--rm", "-it", "busybox", "sh")
    screen.see("/ #")
    screen.say("sleep 600")
    until(lambda: host.runs("sleep", "600"))
    screen.keys("C-c")
    screen.say("echo after=$?")
    screen.see("after=130")
    screen.say("sleep 601")
    until(lambda: host.runs("sleep", "601"))
    screen.keys("C-z")
    screen.see("Stopped")
    screen.say("jobs")
    screen.see("Stopped", "sleep 601")
    screen.say("kill -9 %1; wait; echo nothing is left")
    screen.see("\nnothing is left")
    screen.say("exec true")
    screen.prompt()
    screen.clear()
    # Without a shell ^C is the first process's; under --init its child ends of it.
    screen.fastbox("run", "--rm", "-it", "--init", "busybox", "sleep", "602")
    until(lambda: host.runs("sleep", "602"))
    screen.keys("C-c")
    screen.prompt()
    screen.say("echo code=$?")
    screen.see("code=130")


def test_without_a_terminal_the_client_is_interrupted(box: Box, screen: Screen) -> None:
    """Without -t, ^C interrupts the client, which passes it on."""
    script = "trap 'echo told; exit 8' INT; echo up; while :; do sleep 0.05; done"
    screen.fastbox("run", "--rm", "busybox", "sh", "-c", script)
    screen.see("\nup")
    screen.keys("C-c")
    screen.see("told")
    screen.say("echo code=$?")
    screen.see("code=8")


def test_modes_come_back_after_kill(box: Box, screen: Screen) -> None:
    """kill -9 of all that is in the container, and of the supervisor: the user's terminal is as before."""
    before = screen.modes()
    for victim in ("container", "client"):
        screen.clear()
        screen.fastbox("run", "-it", "--name", "shot", "busybox", "sh")
        screen.see("/ #")
        screen.say("stty raw -echo; echo raw now")
        screen.see("raw now")
        if victim == "container":
            box("kill", "-s", "KILL", "shot")
        else:
            box("stop", "-t", "0", "shot")
        screen.prompt()
        assert screen.modes() == before
        box("rm", "-f", "shot")


def test_the_alternate_screen_is_left(box: Box, screen: Screen) -> None:
    """What was on the screen before vi is there again after it."""
    screen.clear()
    screen.say("echo before vi")
    screen.fastbox("run", "--rm", "-it", "busybox", "sh", "-c", r"printf '\033[?1049h\033[Hfull'; read x; printf '\033[?1049l'")  # fmt: skip
    screen.until(lambda text: text.strip() == "full", "no alternate screen")
    screen.keys("Enter")
    screen.see("before vi")
    screen.prompt()
