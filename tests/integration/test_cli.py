"""The installed command line on a real kernel: what fingers type, what scripts read."""

from __future__ import annotations

import os
import pathlib
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time

import pytest

FASTBOX = pathlib.Path(sys.executable).parent / "fastbox"
BUSYBOX = shutil.which("busybox")
APPLETS = [
    "sh",
    "ls",
    "cat",
    "sleep",
    "echo",
    "id",
    "env",
    "true",
    "false",
    "hostname",
    "stty",
    "seq",
    "head",
    "trap",
]

pytestmark = pytest.mark.integration


class Box:
    def __init__(self, home: pathlib.Path) -> None:
        self.env = os.environ | {
            "FASTBOX_ROOT": str(home / "root"), "FASTBOX_RUN": str(home / "run")
        }  # fmt: skip
        self.env.pop("FASTBOX_DEBUG", None)

    def __call__(self, *words: str, code: int = 0, **options) -> subprocess.CompletedProcess[str]:
        options = {"stdin": subprocess.DEVNULL} | options if "input" not in options else options
        done = subprocess.run(
            [str(FASTBOX), *words],
            capture_output=True,
            text=True,
            env=self.env,
            timeout=60,
            **options,
        )
        assert done.returncode == code, done
        return done

    def start(self, *words: str, **options) -> subprocess.Popen[str]:
        return subprocess.Popen([str(FASTBOX), *words], text=True, env=self.env, **options)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Box:
    home = tmp_path_factory.mktemp("cli")
    (home / "rootfs" / "bin").mkdir(parents=True)
    shutil.copy(str(BUSYBOX), home / "rootfs" / "bin" / "busybox")
    for applet in APPLETS:
        (home / "rootfs" / "bin" / applet).symlink_to("busybox")
    made = Box(home)
    archive = home / "rootfs.tar"
    subprocess.run(["tar", "-C", str(home / "rootfs"), "-cf", str(archive), "."], check=True)
    made("import", "-c", 'CMD ["echo", "hello"]', str(archive), "bb:1")
    yield made
    left = made("ps", "-aq").stdout.split()
    if left:
        made("rm", "-f", *left)


def test_run_and_its_codes(box: Box) -> None:
    assert box("run", "--rm", "bb:1").stdout == "hello\n"
    done = box("run", "--rm", "bb:1", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert "command not found" in box("run", "--rm", "bb:1", "nope", code=127).stderr
    assert box("run", "--rm", "bb:1", "/etc", code=126).stderr.count("\n") == 1
    assert box("run", "--rm", "nope:1", code=125).stderr.startswith("fastbox: no such image")
    assert box("ps", "-aq").stdout == ""


def test_words_and_environment_arrive(box: Box) -> None:
    done = box("run", "--rm", "-e", "A=ü b", "-e", "HOME", "-w", "/tmp", "-h", "me", "bb:1", "env")
    lines = done.stdout.splitlines()
    assert "A=ü b" in lines
    assert f"HOME={os.environ['HOME']}" in lines
    assert "HOSTNAME=me" in lines
    assert box("run", "--rm", "bb:1", "echo", "--", "-e", "", "a  b").stdout == "-- -e  a  b\n"


def test_input_goes_through(box: Box) -> None:
    text = "x" * 1_000_000 + "\n"
    assert box("run", "--rm", "-i", "bb:1", "cat", input=text).stdout == text
    assert box("run", "--rm", "bb:1", "cat", input=text).stdout == ""


def test_a_life(box: Box) -> None:
    script = "trap 'echo bye; exit 3' TERM; echo hi; while :; do sleep 0.05; done"
    identity = box("run", "-d", "--name", "life", "-l", "a=b", "bb:1", "sh", "-c", script).stdout
    assert len(identity) == 65
    row = box("ps").stdout.splitlines()[1]
    assert row.startswith(identity[:12])
    assert " Up " in row
    assert row.endswith("life")
    assert box("ps", "-f" + "x", code=125).stdout == ""
    assert box("exec", "-e", "A=1", "life", "sh", "-c", "echo $A; exit 9", code=9).stdout == "1\n"
    assert (
        box("inspect", "-f", "{{.State.Status}} {{.Config.Labels}}", "life").stdout
        == "running map[a:b]\n"
    )
    deadline = time.monotonic() + 10
    while "hi" not in box("logs", "life").stdout and time.monotonic() < deadline:
        time.sleep(0.05)
    assert box("stop", "life").stdout == "life\n"
    assert box("logs", "--tail", "1", "life").stdout == "bye\n"
    assert box("wait", "life").stdout == "3\n"
    assert "Exited (3)" in box("ps", "-a").stdout
    assert box("rename", "life", "death").stdout == ""
    assert box("rm", "death", "nope", code=1).stdout == "death\n"


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(box: Box, which: signal.Signals) -> None:
    name = which.name.removeprefix("SIG")
    script = f"trap 'echo got; exit 5' {name}; echo ready; while :; do sleep 0.05; done"
    running = box.start("run", "--rm", "bb:1", "sh", "-c", script, stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert running.stdout.readline() == "ready\n"
    running.send_signal(which)
    assert running.communicate(timeout=20)[0] == "got\n"
    assert running.returncode == 5


def test_following_ends_with_its_reader(box: Box) -> None:
    box("run", "-d", "--name", "many", "bb:1", "sh", "-c", "while :; do echo x; sleep 0.01; done")
    following = box.start("logs", "-f", "many", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert following.stdout is not None
    assert following.stdout.readline() == "x\n"
    following.stdout.close()
    assert following.wait(timeout=20) == 141
    assert following.stderr is not None
    assert following.stderr.read() == ""
    following.stderr.close()
    box("rm", "-f", "many")


def test_an_interrupt_never_shows_a_traceback(box: Box) -> None:
    for delay in (0.0, 0.003, 0.006, 0.009, 0.012, 0.015, 0.02):
        running = box.start("ps", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        time.sleep(delay)
        running.send_signal(signal.SIGINT)
        _, text = running.communicate(timeout=20)
        assert text == ""
        assert running.returncode in (0, 130, -2)


class Terminal:
    """A command on a pseudo-terminal of ours."""

    def __init__(self, box: Box, *words: str) -> None:
        self.child, self.fd = pty.fork()
        if self.child == 0:
            termios.tcsetwinsize(0, (31, 97))
            os.execve(str(FASTBOX), [str(FASTBOX), *words], box.env)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while text not in self.seen and time.monotonic() < deadline:
            if select.select([self.fd], [], [], 0.2)[0]:
                self.seen += self._read()
        assert text in self.seen

    def _read(self) -> str:
        try:
            return os.read(self.fd, 4096).decode(errors="replace")
        except OSError:  # EIO: nobody is at the other end any more
            pytest.fail(f"the terminal was closed after: {self.seen}")

    def end(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        os.close(self.fd)
        return code


def test_a_terminal(box: Box) -> None:
    os.environ.pop("LINES", None)
    terminal = Terminal(
        box, "run", "-it", "--rm", "bb:1", "sh", "-c", 'stty size; read x; echo "<$x>"; exit 6'
    )
    terminal.wait_for("31 97")
    terminal.type("word\r")
    terminal.wait_for("<word>")
    assert terminal.end() == 6


def test_detach_and_attach(box: Box) -> None:
    terminal = Terminal(
        box, "run", "-it", "--name", "shell", "--detach-keys", "ctrl-x,q", "bb:1", "sh"
    )
    terminal.type("echo r''eady\r")
    terminal.wait_for("ready")
    terminal.type("\x18q")
    assert terminal.end() == 0
    assert " Up " in box("ps").stdout
    terminal = Terminal(box, "attach", "shell")
    terminal.type("echo ag''ain; exit 4\r")
    terminal.wait_for("again")
    assert terminal.end() == 4
    box("rm", "-f", "shell")


def test_a_terminal_is_needed_for_one(box: Box) -> None:
    done = box("run", "-it", "--rm", "bb:1", code=125)
    assert done.stderr.startswith("fastbox: the input device is not a TTY\n")
    assert box("run", "-t", "--rm", "bb:1").stdout == "hello\n"  # \\r\\n, read as text


def test_start_attached(box: Box) -> None:
    box("create", "--name", "again", "bb:1", "sh", "-c", "echo one; exit 2")
    done = box("start", "-a", "again", code=2)
    assert done.stdout == "one\n"
    assert box("rm", "again").stdout == "again\n"


def test_images(box: Box) -> None:
    box("tag", "bb:1", "other/name:2")
    lines = box("images").stdout.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert {tuple(line.split()[:2]) for line in lines[1:]} == {("bb", "1"), ("other/name", "2")}
    assert box("rmi", "other/name:2").stdout == "Untagged: other/name:2\n"
    box("create", "--name", "user", "bb:1")
    assert box("rmi", "bb:1", code=1).stderr.startswith("fastbox: ")
    box("rm", "user")
