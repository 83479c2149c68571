"""The logs of containers: docker's files, read as docker reads them, rotated without a loss, and the other drivers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fastbox import Engine

from . import host
from .conftest import Box, Docker

TALK = "echo out; echo err >&2; printf 'no end'"
# A line of three pieces, one of exactly 16 KiB, and bytes that are no UTF-8.
PIECES = (
    "head -c 40000 /dev/zero | tr '\\0' x; echo; "
    "head -c 16384 /dev/zero | tr '\\0' y; echo; printf 'a\\377b\\n'; printf '<&>\"\\\\\\t\\001\\n'"
)


@contextlib.contextmanager
def following(box: Box, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """`logs -f` with its output in a pipe."""
    with box.start("logs", "-f", name, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        try:
            yield client
        finally:
            client.kill()


def log_path(box: Box, name: str) -> Path:
    return Path(json.loads(box("inspect", name).stdout)[0]["LogPath"])


def run_to_end(box: Box, name: str, *words: str) -> None:
    box("run", "-d", "--name", name, *words)
    box("wait", name, timeout=600)


@pytest.fixture
def made(box: Box) -> Iterator[list[str]]:
    """Names of containers that go when the test is over."""
    names: list[str] = []
    yield names
    for name in names:
        box("rm", "-f", name)


def without_time(path: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", line.pop("time"))
    return lines


LABELS = (
    "--label", "a.b=1", "--label", "secret=2", "-e", "ONE=1 &x", "-e", "TWO=2",
    "--log-opt", "labels=a.b,none", "--log-opt", "labels-regex=^none", "--log-opt", "env=ONE",
    "--log-opt", "env-regex=^T.O$", "--log-opt", "tag=t-{{.Name}}",
)  # fmt: skip


@pytest.mark.parametrize("script", [TALK, PIECES], ids=["talk", "pieces"])
@pytest.mark.parametrize("options", [(), LABELS], ids=["plain", "attrs"])
def test_the_file_is_dockers(
    box: Box, docker: Docker, made: list[str], script: str, options: tuple[str, ...]
) -> None:
    made.append("same")
    run_to_end(box, "same", *options, "busybox", "sh", "-c", script)
    docker("run", "--name", "same", "--network", "none", *options, "busybox", "sh", "-c", script)
    try:
        theirs = Path(docker("inspect", "-f", "{{.LogPath}}", "same").stdout.decode().strip())
        ours = log_path(box, "same")
        container = ours.parent.name
        assert ours.name == f"{container}-json.log"
        assert theirs.name == f"{theirs.parent.name}-json.log"
        for stream in ("stdout", "stderr"):  # docker reads its two pipes in any order
            mine = [line for line in without_time(ours) if line["stream"] == stream]
            assert mine == [line for line in without_time(theirs) if line["stream"] == stream]
        for flags in ((), ("--details",), ("--tail", "2"), ("-n", "0")):
            with_docker = docker("logs", *flags, "same").stdout
            done = subprocess.run(
                [box.program, "logs", *flags, "same"],
                env=box.environ,
                capture_output=True,
                check=True,
            )
            if "--tail" not in flags:
                assert done.stdout == with_docker
        # Docker's own reader takes our file.
        whole = docker("logs", "same").stdout
        shutil.copy(ours, theirs)
        assert docker("logs", "same").stdout == whole
        moment = json.loads(ours.read_text().splitlines()[0])["time"]
        stamped = docker("logs", "-t", "same").stdout
        assert stamped.startswith(moment.encode())
        mine = subprocess.run(
            [box.program, "logs", "-t", "same"], env=box.environ, capture_output=True, check=True
        ).stdout
        assert mine == stamped
    finally:
        docker("rm", "-f", "same")


def test_docker_reads_our_local_files(box: Box, docker: Docker, made: list[str]) -> None:
    made.append("near")
    options = ("--log-driver", "local")
    run_to_end(box, "near", *options, "busybox", "sh", "-c", PIECES)
    docker("run", "--name", "near", "--network", "none", *options, "busybox", "true")
    try:
        identity = docker("inspect", "-f", "{{.Id}}", "near").stdout.decode().strip()
        theirs = docker.base / "data/containers" / identity / "local-logs/container.log"
        (ours,) = Path(box.root).glob("containers/*/local-logs/container.log")
        shutil.copy(ours, theirs)
        mine = subprocess.run(
            [box.program, "logs", "-t", "near"], env=box.environ, capture_output=True, check=True
        ).stdout
        # Some versions of docker end no line that came in pieces.
        theirs_read = docker("logs", "-t", "near").stdout
        assert theirs_read.replace(b"\n", b"") == mine.replace(b"\n", b"")
        assert len(mine) > 56000
    finally:
        docker("rm", "-f", "near")


def test_times_and_tails(box: Box, made: list[str]) -> None:
    made.append("times")
    run_to_end(
        box, "times", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; usleep 20000; done"
    )
    stamps = [line.split()[0] for line in box("logs", "-t", "times").stdout.splitlines()]
    assert all(len(stamp) == 30 for stamp in stamps)
    assert box("logs", "--since", stamps[2], "times").stdout == "3\n4\n5\n"
    assert box("logs", "--until", stamps[2], "times").stdout == "1\n2\n3\n"
    assert (
        box("logs", "--since", stamps[1], "--until", stamps[3], "-n", "4", "times").stdout
        == "2\n3\n4\n"
    )
    seconds = datetime.fromisoformat(stamps[0][:19]).replace(tzinfo=UTC).timestamp()
    exact = f"{seconds:.0f}.{stamps[3][20:29]}" if stamps[3][:19] == stamps[0][:19] else stamps[3]
    assert box("logs", "--since", exact, "times").stdout == "4\n5\n"
    assert box("logs", "--since", "1h", "times").stdout == "1\n2\n3\n4\n5\n"
    assert box("logs", "--until", "1h", "times").stdout == ""
    assert box("logs", "--since", "2099-01-01", "times").stdout == ""
    assert box("logs", "--tail", "2", "times").stdout == "4\n5\n"
    assert "invalid value" in box.fails("logs", "--since", "soon", "times")
    with Engine.open() as engine:
        containers = engine.containers
        when = datetime.fromisoformat(stamps[3][:26] + "+00:00")  # microseconds: a little earlier
        assert [x.text for x in containers.logs("times", since=when)] == ["4", "5"]
        assert [x.text for x in containers.logs("times", until=when.timestamp())] == ["1", "2", "3"]
        assert [x.text for x in containers.logs("times", since=stamps[4])] == ["5"]


def test_a_terminals_log(box: Box, made: list[str]) -> None:
    made.append("tty")
    run_to_end(box, "tty", "-t", "busybox", "sh", "-c", "echo one; echo two >&2")
    done = subprocess.run(
        [box.program, "logs", "tty"], env=box.environ, capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (b"one\r\ntwo\r\n", b"")


# Rotation (R16)


def numbered(count: int) -> str:
    return f"seq 1 {count}"


def check_run(text: str, last: int) -> int:
    """Each line once, in order, whole, to the last; the first one there."""
    lines = text.splitlines()
    first = int(lines[0])
    wrong = [pair for pair in enumerate(lines, first) if str(pair[0]) != pair[1]]
    assert not wrong[:3]  # not the whole text: nobody reads a difference of a million lines
    assert first + len(lines) == last + 1
    return first


@pytest.mark.parametrize("driver", ["json-file", "local"])
@pytest.mark.parametrize("count", [20000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_rotation_keeps_lines_whole(box: Box, made: list[str], driver: str, count: int) -> None:
    made.append("turn")
    options = (
        "--log-driver",
        driver,
        "--log-opt",
        "max-size=1k",
        "--log-opt",
        "max-file=20",
        "--log-opt",
        "compress=false",
    )
    run_to_end(box, "turn", *options, "busybox", "seq", "1", str(count))
    text = box("logs", "turn").stdout
    assert 1 < check_run(text, count) <= count - 150
    assert box("logs", "-n", "100", "turn").stdout.splitlines() == text.splitlines()[-100:]
    pattern = "*-json.log*" if driver == "json-file" else "local-logs/container.log*"
    files = list(Path(box.root).glob(f"containers/*/{pattern}"))
    assert len(files) == 20
    assert all(0 < file.stat().st_size <= 1000 for file in files)


@pytest.mark.parametrize("count", [20000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_enough_files_lose_nothing_and_follow_sees_all(
    box: Box, made: list[str], tmp_path: Path, count: int
) -> None:
    made.append("full")
    files = 100 if count < 1_000_000 else 1000
    options = ("--log-opt", f"max-size={count * 90 // files}", "--log-opt", f"max-file={files}")
    go = tmp_path / "go"
    os.mkfifo(go)
    script = f"read x < /go; {numbered(count)}"
    box("run", "-d", "--name", "full", *options, "-v", f"{go}:/go", "busybox", "sh", "-c", script)
    with (tmp_path / "seen").open("wb") as seen:
        follower = box.start("logs", "-f", "full", stdout=seen)
        go.write_text("x\n")
        assert follower.wait(300 * host.SLOW) == 0
    assert check_run((tmp_path / "seen").read_text(), count) == 1
    assert check_run(box("logs", "full").stdout, count) == 1


@pytest.mark.parametrize("driver", ["json-file", "local"])
def test_a_killed_writer_loses_one_line_at_most(box: Box, made: list[str], driver: str) -> None:
    host.quiet(box.run_root)  # so that there is one supervisor
    made.append("cut")
    # Room for all that it can write, however late the kill comes.
    options = (
        "--log-driver",
        driver,
        "--log-opt",
        "max-size=1m",
        "--log-opt",
        "max-file=1000",
        "--log-opt",
        "compress=false",
    )
    box("run", "-d", "--name", "cut", *options, "busybox", "seq", "1", "8000000")
    pattern = "*-json.log*" if driver == "json-file" else "local-logs/container.log*"
    while len(list(Path(box.root).glob(f"containers/*/{pattern}"))) < 4:
        time.sleep(0.01)
    (supervisor,) = host.supervisors(box.run_root)
    os.kill(supervisor, signal.SIGKILL)
    box("wait", "cut")
    text = box("logs", "cut").stdout
    count = text.count("\n")
    assert check_run(text, count) == 1
    assert count > 3000


# Following


def wakeups(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_follow_ends_with_the_container_and_wakes_by_itself(
    box: Box, made: list[str], tmp_path: Path
) -> None:
    made.append("live")
    go = tmp_path / "go"
    os.mkfifo(go)
    # Opened once and for both: nothing that is written meets a closed end.
    script = "exec 3<>/go; echo first; while read x <&3; do echo $x; [ $x = end ] && exit; done"
    box("run", "-d", "--name", "live", "-v", f"{go}:/go", "busybox", "sh", "-c", script)
    with following(box, "live") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"first\n"
        time.sleep(0.2)
        before = wakeups(follower.pid)
        time.sleep(0.5)
        assert wakeups(follower.pid) == before  # it sleeps while nothing happens
        for word in ("one", "two"):
            go.write_text(word + "\n")
            assert follower.stdout.readline() == word.encode() + b"\n"
        go.write_text("end\n")
        assert follower.stdout.read() == b"end\n"
        assert follower.wait(20) == 0


def test_follow_ends_when_the_supervisor_is_killed(box: Box, made: list[str]) -> None:
    host.quiet(box.run_root)  # so that there is one supervisor
    made.append("lost")
    box("run", "-d", "--name", "lost", "busybox", "sh", "-c", "echo here; exec sleep 1000")
    with following(box, "lost") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"here\n"
        (supervisor,) = host.supervisors(box.run_root)
        os.kill(supervisor, signal.SIGKILL)
        assert follower.wait(20) == 0
        box("rm", "-f", "lost")


def test_interrupting_follow(box: Box, made: list[str]) -> None:
    made.append("stay")
    box("run", "-d", "--name", "stay", "busybox", "sh", "-c", "echo here; exec sleep 1000")
    with following(box, "stay") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"here\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(20) == 130
        assert follower.stdout.read() == b""


def test_a_loop_of_ones_own(box: Box, made: list[str], tmp_path: Path) -> None:
    made.append("loop")
    go = tmp_path / "go"
    os.mkfifo(go)
    box(
        "run",
        "-d",
        "--name",
        "loop",
        "-v",
        f"{go}:/go",
        "busybox",
        "sh",
        "-c",
        "echo a; read x < /go; echo b",
    )
    with Engine.open() as engine, engine.containers.open_log("loop", follow=True) as log:
        texts: list[str] = []
        while not texts:
            texts += [line.text for line in log.read_ready()]
        assert texts == ["a"]
        assert log.read_ready() == []
        go.write_text("x\n")
        while not log.ended:
            assert select.select([log.fileno()], [], [], 20)[0]
            texts += [line.text for line in log.read_ready()]
        assert texts == ["a", "b"]


# Much output (R102)


def most_of(pid: int) -> int:
    """The most memory that a process has had, in KiB; 0 when it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    return 0


@pytest.mark.parametrize("megabytes", [64, pytest.param(2048, marks=pytest.mark.slow)])
def test_a_flood_stays_within_its_bounds(box: Box, made: list[str], megabytes: int) -> None:
    host.quiet(box.run_root)  # so that there is one supervisor
    made.append("flood")
    options = ("--log-opt", "max-size=1m", "--log-opt", "max-file=3")
    flood = (
        f"until [ -e /go ]; do sleep 0.05; done; head -c {megabytes}m /dev/zero; echo; echo done"
    )
    box("run", "-d", "--name", "flood", *options, "busybox", "sh", "-c", flood)
    (supervisor,) = host.supervisors(box.run_root)
    idle = most = most_of(supervisor)
    box("exec", "flood", "touch", "/go")
    while now := most_of(supervisor):
        most = now
        sizes = 0
        for file in Path(box.root).glob("containers/*/*-json.log*"):
            with contextlib.suppress(FileNotFoundError):  # it has another name now
                sizes += file.stat().st_size
        assert sizes <= 3_000_000
        time.sleep(0.01)
    assert box("wait", "flood").stdout == "0\n"
    assert 0 < idle <= most < idle + 2048
    assert box("logs", "-n", "1", "flood").stdout == "done\n"


# Other drivers


def test_no_log(box: Box, made: list[str]) -> None:
    made.append("silent")
    run_to_end(box, "silent", "--log-driver", "none", "busybox", "echo", "x")
    assert "configured logging driver does not support reading" in box.fails("logs", "silent")
    assert json.loads(box("inspect", "silent").stdout)[0]["LogPath"] == ""
    assert not list(Path(box.root).glob("containers/*/*.log"))


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--log-driver", "other"], 'no log driver named "other" is registered'),
        (["--log-opt", "x=1"], 'unknown log opt "x" for json-file log driver'),
        (
            ["--log-driver", "none", "--log-opt", "max-size=1m"],
            "invalid logging opts for driver none",
        ),
        (
            ["--log-driver", "local", "--log-opt", "tag=x"],
            'unknown log opt "tag" for local log driver',
        ),
        (["--log-opt", "max-size=0"], 'invalid log opt max-size="0"'),
        (["--log-opt", "max-size=big"], 'invalid log opt max-size="big"'),
        (["--log-opt", "max-file=0"], 'invalid log opt max-file="0"'),
        (["--log-opt", "compress=true"], "compress cannot be true when max-file is less than 2"),
        (["--log-opt", "mode=fast"], 'logging mode not supported: "fast"'),
        (["--log-opt", "max-buffer-size=1m"], "only supported with mode=non-blocking"),
        (["--log-opt", "tag={{.No}}"], "no field No"),
        (["--log-opt", "labels-regex=("], "labels-regex"),
        (["--log-driver", "syslog", "--log-opt", "syslog-address=ftp://x"], "syslog-address"),
        (["--log-driver", "syslog", "--log-opt", "syslog-address=tcp+tls://x:1"], "TLS"),
        (["--log-driver", "syslog", "--log-opt", "syslog-facility=no"], "syslog-facility"),
        (
            ["--log-driver", "syslog", "--log-opt", "syslog-address=unix:///no/such"],
            "no such socket",
        ),
    ],
)
def test_wrong_options(box: Box, options: list[str], part: str) -> None:
    assert part in box.fails("create", *options, "busybox", "true")


def test_the_default_driver_is_the_environments(box: Box, made: list[str]) -> None:
    given = {"FASTBOX_LOG_DRIVER": "local", "FASTBOX_LOG_OPTS": "max-size=5m max-file=2"}
    made += ["default", "chosen"]
    box("create", "--name", "default", "busybox", "true", **given)
    box("create", "--name", "chosen", "--log-driver", "json-file", "busybox", "true", **given)
    found = [json.loads(box("inspect", name).stdout)[0]["HostConfig"]["LogConfig"] for name in made]
    assert found == [
        {"Type": "local", "Config": {"max-size": "5m", "max-file": "2"}},
        {"Type": "json-file", "Config": {}},
    ]


@pytest.fixture
def short_path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fb", dir="/tmp") as path:
        yield path


def receive(listener: socket.socket, done: Callable[[bytes], bool]) -> list[bytes]:
    listener.settimeout(20 * host.SLOW)
    found: list[bytes] = []
    while not found or not done(found[-1]):
        found.append(listener.recv(1 << 17))
    return found


HEADERS = {
    "": r"<{p}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {tag}\[\d+\]: ",
    "rfc3164": r"<{p}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \S+ {tag}\[\d+\]: ",
    "rfc5424": r"<{p}>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) \S+ {tag} \d+ {tag} - ",
    "rfc5424micro": r"<{p}>1 \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{6}}(Z|[+-]\d\d:\d\d) \S+ {tag} \d+ {tag} - ",
}


@pytest.mark.parametrize("form", HEADERS)
@pytest.mark.parametrize("protocol", ["unixgram", "unix", "udp", "tcp"])
def test_syslog(box: Box, made: list[str], short_path: str, protocol: str, form: str) -> None:
    made.append("sys")
    family = socket.AF_UNIX if protocol.startswith("unix") else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol in ("unix", "tcp") else socket.SOCK_DGRAM
    with socket.socket(family, kind) as listener:
        listener.bind(f"{short_path}/s" if family == socket.AF_UNIX else ("127.0.0.1", 0))
        where = (
            f"{short_path}/s"
            if family == socket.AF_UNIX
            else f"localhost:{listener.getsockname()[1]}"
        )
        if kind == socket.SOCK_STREAM:
            listener.listen()
        options = [
            "--log-driver", "syslog", "--log-opt", f"syslog-address={protocol}://{where}",
            "--log-opt", "syslog-facility=local3", "--log-opt", "tag=t/{{.Name}}",
        ]  # fmt: skip
        if form:
            options += ["--log-opt", f"syslog-format={form}"]
        run_to_end(
            box,
            "sys",
            *options,
            "busybox",
            "sh",
            "-c",
            "echo out; sleep 0.05; echo err >&2; sleep 0.05; printf end",
        )
        peer = listener.accept()[0] if kind == socket.SOCK_STREAM else listener
        with peer:
            text = b"".join(receive(peer, lambda data: b"end\n" in data)).decode()
    lines = text.splitlines()
    for line, priority, rest in zip(lines, (158, 155, 158), ("out", "err", "end"), strict=True):
        header = HEADERS[form].format(p=priority, tag="t/sys")
        assert re.fullmatch(header + rest, line), line


def test_a_syslog_that_is_not_there(box: Box, short_path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{short_path}/s")
    options = ("--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{short_path}/s")
    message = box.fails("run", "--rm", *options, "busybox", "true")
    assert "failed to initialize logging driver" in message


def stalled(short_path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(f"{short_path}/s")
    return listener


def test_a_stalled_socket_holds_the_container_until_it_reads(
    box: Box, made: list[str], short_path: str
) -> None:
    made.append("held")
    with stalled(short_path) as listener:
        options = (
            "--log-driver",
            "syslog",
            "--log-opt",
            f"syslog-address=unixgram://{short_path}/s",
        )
        box("run", "-d", "--name", "held", *options, "busybox", "seq", "1", "30000")
        time.sleep(0.5)
        assert box("ps", "-q").stdout  # its pipe is full, it waits; commands are served
        found = receive(listener, lambda data: data.endswith(b": 30000\n"))
        assert [int(line.rsplit(b" ", 1)[1]) for line in found] == list(range(1, 30001))
        assert box("wait", "held").stdout == "0\n"


def test_a_non_blocking_log_drops_whole_lines(box: Box, made: list[str], short_path: str) -> None:
    made.append("free")
    with stalled(short_path) as listener:
        options = (
            "--log-driver", "syslog", "--log-opt", f"syslog-address=unixgram://{short_path}/s",
            "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=20k",
        )  # fmt: skip
        script = "seq 1 30000; touch /done; while ! [ -e /go ]; do usleep 10000; done; echo 40000"
        box("run", "-d", "--name", "free", *options, "busybox", "sh", "-c", script)
        while box("exec", "free", "test", "-e", "/done", check=False).returncode:
            pass  # it does not wait for the listener
        listener.settimeout(1)
        found: list[bytes] = []
        with contextlib.suppress(TimeoutError):
            while True:
                found.append(listener.recv(4096))
        box("exec", "free", "touch", "/go")
        found += receive(listener, lambda data: data.endswith(b": 40000\n"))
    numbers = [int(line.rsplit(b" ", 1)[1]) for line in found]
    assert numbers == sorted(set(numbers))
    assert set(numbers) < {*range(1, 30001), 40000}
    assert 1000 < len(numbers) < 25000


def fields(datagram: bytes) -> dict[str, bytes]:
    made: dict[str, bytes] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            value, datagram = datagram[8 : 8 + size], datagram[9 + size :]
        made[name.decode()] = value
    return made


@pytest.fixture
def journal(short_path: str) -> Iterator[tuple[list[str], str]]:
    """What to put before a command so that it sees a /run/systemd of the test's own."""
    Path(short_path, "journal").mkdir()
    there = os.path.exists("/run/systemd")
    os.makedirs("/run/systemd", exist_ok=True)
    script = f'mount --bind {short_path} /run/systemd && exec "$@"'
    yield ["unshare", "--mount", "sh", "-c", script, "sh"], short_path
    if not there:
        os.rmdir("/run/systemd")


def test_journald(box: Box, made: list[str], journal: tuple[list[str], str]) -> None:
    before, path = journal
    made.append("jour")
    command = [
        *before, box.program, "run", "-d", "--name", "jour", "--log-driver", "journald",
        "--log-opt", "labels=a.b", "--label", "a.b=two\nlines", "busybox", "sh", "-c",
        "echo out; sleep 0.05; echo err >&2; sleep 0.05; head -c 20000 /dev/zero | tr '\\0' x; echo",
    ]  # fmt: skip
    done = subprocess.run(command, env=box.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "failed to initialize logging driver" in done.stderr
    box("rm", "jour")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{path}/journal/socket")
        identity = subprocess.run(
            command, env=box.environ, capture_output=True, text=True, check=True
        ).stdout.strip()
        found = [fields(data) for data in receive(listener, lambda data: b"LAST=true" in data)]
    for each in found:
        assert re.fullmatch(rb"20\d\d-.*Z", each.pop("SYSLOG_TIMESTAMP"))
    short = identity[:12].encode()
    same = {
        "CONTAINER_ID": short, "CONTAINER_ID_FULL": identity.encode(), "CONTAINER_NAME": b"jour",
        "CONTAINER_TAG": short, "SYSLOG_IDENTIFIER": short, "IMAGE_NAME": b"busybox", "A_B": b"two\nlines",
    }  # fmt: skip
    out, err, first, last = found
    assert out == same | {"PRIORITY": b"6", "MESSAGE": b"out"}
    assert err == same | {"PRIORITY": b"3", "MESSAGE": b"err"}
    assert first.pop("CONTAINER_PARTIAL_ID") == last.pop("CONTAINER_PARTIAL_ID")
    assert first == same | {
        "PRIORITY": b"6", "MESSAGE": b"x" * 16384, "CONTAINER_PARTIAL_MESSAGE": b"true",
        "CONTAINER_PARTIAL_ORDINAL": b"1", "CONTAINER_PARTIAL_LAST": b"false",
    }  # fmt: skip
    assert last == same | {
        "PRIORITY": b"6", "MESSAGE": b"x" * 3616,
        "CONTAINER_PARTIAL_ORDINAL": b"2", "CONTAINER_PARTIAL_LAST": b"true",
    }  # fmt: skip
    box("wait", "jour")


def test_many_readers_while_it_rotates(box: Box, made: list[str]) -> None:
    """Whatever a reader meets, it is in order and has no line twice."""
    made.append("busy")
    options = ("--log-opt", "max-size=2k", "--log-opt", "max-file=5")
    box("run", "-d", "--name", "busy", *options, "busybox", "seq", "1", "10000000")
    wrong: list[str] = []

    def look() -> None:
        with Engine.open() as engine:
            for tail in [None, 5, 40] * 30:
                numbers = [int(line.text) for line in engine.containers.logs("busy", tail=tail)]
                if numbers != sorted(set(numbers)):
                    wrong.append(str(numbers))

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
