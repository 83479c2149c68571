"""A machine that refuses something starts the same container, or says in one line what it lacks."""

from __future__ import annotations

import difflib
import pty
import select
import shutil
import subprocess
import sys
from os import close, read
from pathlib import Path

import pytest

from ..integration import host
from ..integration.conftest import Box
from . import shim

pytestmark = pytest.mark.integration
LOOK = r"""
grep -E '^(Cap|NoNewPrivs|Sig[BI]|Uid|Gid|Groups|Seccomp:)' /proc/self/status
awk '{o = ""; for (i = 7; $i != "-"; i++) o = o $i; print $5, $6, o, $(i + 1)}' /proc/self/mountinfo | sort
stat -c '%n %F %a %u %g %t,%T' /dev/*; readlink /dev/fd /dev/std*; ls -l /proc/self/ns | sed 's/.*-> //;s/:.*//'; id; pwd; hostname; umask; ulimit -a; env
for f in 0 1 2 3 4; do readlink /proc/self/fd/$f; done | sed 's/[0-9]*\]//'
cat /etc/passwd | wc -l; head -c 10 /proc/kcore | wc -c; ls /sys/firmware | wc -l
touch /volume/x /proc/sys/x /scratch/x /tmp/x 2>&1; ls /scratch /tmp 2>&1; true
"""
# A writer in the background, since what a container leaves open would hold the engine up.
IDLE = ["busybox", "sh", "-c", "echo up; sleep 1000 & wait"]


def run(box: Box, rules: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shim.denying(*rules), box.program, *words],
        env=box.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30 * host.SLOW,
    )


def life(box: Box, rules: tuple[str, ...], volume: Path) -> list[object]:
    """All that can be seen of a container from its start to its end."""

    def done(*words: str) -> tuple[int, str, str]:
        result = run(box, rules, *words)
        return result.returncode, result.stdout, result.stderr

    mounts = ["-v", f"{volume}:/volume:ro", "--tmpfs", "/scratch", "--read-only", "--tmpfs", "/tmp"]
    limits = ["--memory", "64m", "--pids-limit", "50", "--ulimit", "nofile=100"]
    seen: list[object] = [
        done("run", "-d", "--name", "lane", "--hostname", "lane", *mounts, *limits, *IDLE)[::2],
        done("exec", "lane", "sh", "-c", LOOK),
        done("exec", "--user", "app", "-w", "/home", "lane", "sh", "-c", LOOK),
        done("exec", "lane", "none"),
        done("logs", "lane"),
        done("kill", "-s", "KILL", "lane"),
        done("wait", "lane"),
        done("rm", "lane"),
        done("run", "--rm", "--privileged", "--hostname", "lane", "busybox", "sh", "-c", LOOK),
        done("run", "--rm", "-v", f"{volume}/none:/proc/self", "busybox", "true")[0],
        done("ps", "-aq"),
    ]
    return [*seen, terminal(box, rules), in_process(box, rules)]


def terminal(box: Box, rules: tuple[str, ...]) -> bytes:
    leader, follower = pty.openpty()
    look = "tty; stat -c '%t,%T %a' /dev/console; mount | grep -c console"
    subprocess.run(
        [*shim.denying(*rules), box.program, "run", "--rm", "-t", "busybox", "sh", "-c", look],
        env=box.environ,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        timeout=30 * host.SLOW,
    )
    text = b""
    while select.select([leader], [], [], 0)[0]:
        text += read(leader, 4096)
    close(leader)
    close(follower)
    return text


ENGINE = """
import fastbox
with fastbox.Engine.open() as engine:
    with engine.run("busybox", ("sleep", "1000")) as container:
        print(container.exec(["id", "-u"]).stdout)
        container.kill("KILL")
        print(container.wait(20))
"""


def in_process(box: Box, rules: tuple[str, ...]) -> str:
    done = subprocess.run(
        [*shim.denying(*rules), sys.executable, "-c", ENGINE],
        env=box.environ,
        capture_output=True,
        text=True,
        timeout=30 * host.SLOW,
    )
    return done.stdout + done.stderr


def text(step: object) -> str:
    return "\n".join(map(str, step)) if isinstance(step, tuple) else str(step)


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    volume = tmp_path_factory.mktemp("volume")
    (volume / "file").write_text("here\n")
    return volume


@pytest.fixture(scope="module")
def usual(box: Box, volume: Path) -> list[object]:
    """Below a filter too, since a process can see that it is; but one that refuses nothing that is used."""
    return life(box, ("getpmsg",), volume)


def test_the_usual_is_what_it_should_be(usual: list[object]) -> None:
    codes = [step[0] for step in usual if isinstance(step, tuple)]
    assert codes == [0, 0, 0, 127, 0, 0, 0, 0, 0, 0]
    assert b"/dev/pts/0" in usual[-2]  # type: ignore[operator]
    assert usual[-1] == "b'0\\n'\n137\n"


@pytest.mark.parametrize("lane", [x for x in shim.LANES if not x.needs], ids=lambda x: x.name)
def test_the_same_container(box: Box, usual: list[object], volume: Path, lane: shim.Lane) -> None:
    expected, got = (
        "\n".join(map(text, steps)) for steps in (usual, life(box, lane.rules, volume))
    )
    differences = difflib.unified_diff(expected.splitlines(), got.splitlines(), n=0, lineterm="")
    assert not list(differences)


@pytest.mark.parametrize("lane", [x for x in shim.LANES if x.needs], ids=lambda x: x.name)
def test_a_clear_refusal(box: Box, lane: shim.Lane) -> None:
    # A filter that was compiled once needs no memory file any more.
    shutil.rmtree(f"{box.root}/cache/seccomp", ignore_errors=True)
    done = run(box, lane.rules, "run", "--rm", "busybox", "true")
    assert done.returncode == 125
    assert len(done.stderr.splitlines()) == 1
    assert lane.needs in done.stderr


@pytest.mark.parametrize("rule", ["fsopen:ENOSYS", "fsconfig:ENOSYS", "openat2:EPERM"])
def test_a_containers_files_are_read_the_same(box: Box, rule: str, tmp_path: Path) -> None:
    """What `export`, `diff` and `commit` say of one that runs and of one that does not."""
    script = "echo 1 >/own; rm /etc/group; ln /own /hard; rm -r /var; mkdir /var; "
    box("run", "--name", "ended", "busybox", "sh", "-c", script)
    box(
        "run",
        "-d",
        "--name",
        "runs",
        "-v",
        "/tmp:/mnt",
        "busybox",
        "sh",
        "-c",
        script + "sleep 1000",
    )
    try:
        while "D /etc/group" not in box("diff", "runs").stdout:
            pass
        seen: list[bytes | str] = []
        for rules in ((), (rule,)):
            box.environ["SOURCE_DATE_EPOCH"] = "1500000000"
            for name in ("ended", "runs"):
                archive = tmp_path / name
                run(box, rules, "export", "-o", str(archive), name)
                seen.append(archive.read_bytes())
                archive.unlink()
                seen += [run(box, rules, verb, name).stdout for verb in ("diff", "commit")]
        assert all(seen)
        assert seen[:6] == seen[6:]
        for image in {seen[2], seen[5]}:
            box("rmi", "-f", str(image).strip())
    finally:
        box.environ.pop("SOURCE_DATE_EPOCH", None)
        box("rm", "-f", "ended", "runs")
