"""`fastbox run`: what the flags do, and what the exit code says."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from . import host
from .conftest import Box

pytestmark = pytest.mark.integration


def run(box: Box, *words: str) -> str:
    return box("run", "--rm", *words).stdout


def test_hello(box: Box) -> None:
    assert run(box, "busybox", "echo", "hello world") == "hello world\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 42"], 42),
        (["sh", "-c", "kill -9 $$"], 137),
        (["sh", "-c", "kill -TERM $$; sleep 1"], 0),
        (["/nonexistent"], 127),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_exit_codes(box: Box, command: list[str], code: int) -> None:
    done = (
        box("run", "--rm", "--init", "busybox", *command, check=False)
        if command[:1] == ["sh"] and "kill" in command[-1]
        else box("run", "--rm", "busybox", *command, check=False)
    )
    if command[-1].startswith("kill -9"):
        assert done.returncode == 137
    elif command[-1].startswith("kill -TERM"):
        assert done.returncode in (0, 143)
    else:
        assert done.returncode == code, done.stderr
    if code in (126, 127):
        assert len(done.stderr.strip().splitlines()) <= 2
        assert command[0] in done.stderr


def test_streams_are_apart_and_stdin_arrives(box: Box) -> None:
    done = box("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert box("run", "--rm", "-i", "busybox", "cat", stdin=b"a\nb").stdout == "a\nb"
    assert box("run", "--rm", "busybox", "cat", stdin=b"not read").stdout == ""


def test_much_output_arrives_whole(box: Box) -> None:
    out = box("run", "--rm", "busybox", "sh", "-c", "seq 1 200000; seq 1 1000 >&2")
    assert out.stdout.splitlines() == [str(n) for n in range(1, 200001)]
    assert out.stderr.splitlines() == [str(n) for n in range(1, 1001)]


def test_much_input_arrives_whole(box: Box) -> None:
    data = bytes(range(256)) * 8192
    done = box("run", "--rm", "-i", "busybox", "sh", "-c", "md5sum", stdin=data)
    import hashlib

    assert done.stdout.split()[0] == hashlib.md5(data).hexdigest()


def test_environment(box: Box, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# comment\nFROM_FILE=1\nTAKEN\n\nEMPTY=\n")
    out = box(
        "run",
        "--rm",
        "-e",
        "A=b c",
        "-e",
        "HOST_VALUE",
        "--env-file",
        str(file),
        "busybox",
        "env",
        HOST_VALUE="from host",
        TAKEN="taken",
    ).stdout
    lines = set(out.splitlines())
    assert {
        "A=b c",
        "HOST_VALUE=from host",
        "FROM_FILE=1",
        "TAKEN=taken",
        "EMPTY=",
        "HOME=/root",
    } <= lines
    assert "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in lines
    assert any(line.startswith("HOSTNAME=") and len(line) == 21 for line in lines)
    assert not any(line.startswith("FASTBOX") for line in lines)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "uid=0(root) gid=0(root) groups=0(root),10(wheel)"),
        ("app", "uid=1000(app) gid=1000(app) groups=10(wheel),29(audio),1000(app)"),
        ("1000", "uid=1000(app) gid=1000(app) groups=10(wheel),29(audio),1000(app)"),
        ("app:audio", "uid=1000(app) gid=29(audio) groups=29(audio)"),
        ("5:6", "uid=5 gid=6 groups=6"),
        ("7", "uid=7 gid=0(root) groups=0(root)"),
    ],
)
def test_users(box: Box, user: str, expected: str) -> None:
    def normal(text: str) -> tuple[str, ...]:
        uid, gid, groups = text.strip().split(" ")
        return uid, gid, *sorted(groups.removeprefix("groups=").split(","))

    assert normal(run(box, "--user", user, "busybox", "id")) == normal(expected)


def test_home_follows_the_user(box: Box) -> None:
    assert run(box, "--user", "app", "busybox", "sh", "-c", "echo $HOME") == "/home/app\n"
    assert run(box, "--user", "app", "-e", "HOME=/x", "busybox", "sh", "-c", "echo $HOME") == "/x\n"


@pytest.mark.parametrize(
    "user", ["nobody-here", "-1", "4294967295", "4294967296", "0x0", "+0", "1 2", "root:nogroup"]
)
def test_bad_users_are_refused(box: Box, user: str) -> None:
    done = box("run", "--rm", f"--user={user}", "busybox", "id", check=False)
    assert done.returncode == 125, (user, done)
    assert len(done.stderr.strip().splitlines()) <= 2


def test_group_add(box: Box) -> None:
    assert "29(audio)" in run(
        box, "--user", "5:6", "--group-add", "audio", "--group-add", "77", "busybox", "id"
    )


def test_workdir_is_made(box: Box) -> None:
    assert run(box, "--workdir", "/new/dir", "busybox", "pwd") == "/new/dir\n"


def test_hostname(box: Box) -> None:
    assert run(
        box,
        "--hostname",
        "moon",
        "busybox",
        "sh",
        "-c",
        "hostname; cat /etc/hostname; grep moon /etc/hosts | wc -l",
    ).split()[:2] == ["moon", "moon"]
    name = run(box, "busybox", "hostname").strip()
    assert len(name) == 12


def test_read_only_root(box: Box) -> None:
    done = box(
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/scratch",
        "busybox",
        "sh",
        "-c",
        "touch /x; touch /scratch/y && echo ok",
        check=False,
    )
    assert "Read-only" in done.stderr
    assert done.stdout == "ok\n"


def test_tmpfs_options(box: Box) -> None:
    out = run(
        box,
        "--tmpfs",
        "/t:size=1m,mode=700",
        "busybox",
        "sh",
        "-c",
        "stat -c %a /t; grep ' /t ' /proc/mounts; df -k /t | tail -1",
    )
    assert out.splitlines()[0] == "700"
    assert "size=1024k" in out
    assert "noexec" in out


def test_binds(box: Box, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("host\n")
    assert (
        run(
            box,
            "-v",
            f"{tmp_path}:/data",
            "busybox",
            "sh",
            "-c",
            "cat /data/f; echo made > /data/g",
        )
        == "host\n"
    )
    assert (tmp_path / "g").read_text() == "made\n"
    done = box(
        "run", "--rm", "-v", f"{tmp_path}:/data:ro", "busybox", "touch", "/data/h", check=False
    )
    assert "Read-only" in done.stderr
    assert run(box, "-v", f"{tmp_path}/f:/etc/motd:ro", "busybox", "cat", "/etc/motd") == "host\n"
    assert (
        run(
            box,
            "--mount",
            f"type=bind,source={tmp_path},target=/data,readonly",
            "busybox",
            "cat",
            "/data/f",
        )
        == "host\n"
    )


def test_writes_stay_in_the_container(box: Box) -> None:
    assert run(box, "busybox", "sh", "-c", "echo x > /etc/new; rm /etc/group; ls /etc") != ""
    out = run(box, "busybox", "ls", "/etc")
    assert "new" not in out
    assert "group" in out


def test_ulimits(box: Box) -> None:
    assert run(
        box,
        "--ulimit",
        "nofile=100:200",
        "--ulimit",
        "core=0",
        "busybox",
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn; ulimit -c",
    ).split() == ["100", "200", "0"]


def test_a_limit_that_may_not_be_raised_is_clamped(box: Box) -> None:
    done = box("run", "--rm", "--ulimit", "nofile=2000000:2000000", "busybox", "true", check=False)
    assert done.returncode == 0


def test_entrypoint(box: Box) -> None:
    assert run(box, "--entrypoint", "echo", "busybox", "a", "b") == "a b\n"


def test_init_is_pid_one_and_reaps(box: Box) -> None:
    out = run(
        box,
        "--init",
        "busybox",
        "sh",
        "-c",
        "echo $$; cat /proc/1/comm; (sleep 0.05 & exec true); sleep 0.2; grep -l '^State:.Z' /proc/[0-9]*/status | wc -l",
    )
    pid, comm, zombies = out.split()
    assert pid != "1"
    assert comm in ("docker-init", "fastbox-init")
    assert zombies == "0"


def test_shm_size(box: Box) -> None:
    assert "65536" in run(box, "busybox", "df", "-k", "/dev/shm")
    assert "1024" in run(box, "--shm-size", "1m", "busybox", "df", "-k", "/dev/shm")


def test_network_none_has_only_loopback_and_it_is_up(box: Box) -> None:
    assert run(
        box,
        "--network",
        "none",
        "busybox",
        "sh",
        "-c",
        "ls /sys/class/net; ping -c1 -W1 127.0.0.1 >/dev/null && echo up",
    ).split() == ["lo", "up"]


def test_rootfs_of_the_host(box: Box) -> None:
    out = box(
        "run",
        "--rm",
        "--rootfs",
        "/",
        "--",
        "/usr/bin/python3",
        "-c",
        "import os; print(os.getpid(), len(os.uname().nodename)); open('/etc/fastbox-canary','w')",
    ).stdout
    assert out == "1 12\n"
    assert not os.path.exists("/etc/fastbox-canary")


def test_the_foreground_client_forwards_signals(box: Box) -> None:
    import subprocess

    child = box.start(
        "run",
        "--rm",
        "busybox",
        "sh",
        "-c",
        "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.05; done",
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == b"got\n"
    assert child.wait(10 * host.SLOW) == 7
    child.stdout.close()


def test_a_store_on_overlayfs_keeps_writable_layers_in_memory(box: Box, tmp_path: Path) -> None:
    import subprocess

    from .conftest import busybox_tar

    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "o", "-o", layers, f"{tmp_path}/merged"], check=True)
    try:
        store = f"{tmp_path}/merged/store"
        box("import", "-", "busybox", stdin=busybox_tar(), FASTBOX_ROOT=store)
        words = ["busybox", "sh", "-c", "touch /made && ls /made"]
        assert box("run", "--rm", *words, FASTBOX_ROOT=store).stdout == "/made\n"
        box("run", "--name", "kept", *words, FASTBOX_ROOT=store)
        box("rm", "kept", FASTBOX_ROOT=store)
        assert os.listdir(f"{store}/containers") == []
        assert not [n for n in os.listdir(box.run_root) if n.startswith("fastbox-")]
        host.quiet(box.run_root)
    finally:
        subprocess.run(["umount", f"{tmp_path}/merged"], check=True)
