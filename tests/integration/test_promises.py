"""What hostile images, hostile containers, full disks and damaged records may not do."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..lanes import shim
from . import host
from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration

BINARY = Path("/bin/busybox").read_bytes()
IDLE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]


@pytest.fixture(autouse=True)
def ended(box: Box) -> Iterator[None]:
    """Whatever a test that fails has left running ends here."""
    yield
    for name in box("ps", "-aq", check=False).stdout.split():
        box("rm", "-f", name, check=False)


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **members: object) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = 0o755, len(data)
    for key, value in members.items():
        setattr(entry, key, value)
    tar.addfile(entry, io.BytesIO(data))


@pytest.fixture(scope="module")
def hostile(box: Box) -> Iterator[str]:
    """An image whose author wants out."""
    out = io.BytesIO(busybox_tar())
    links = {
        "to-root": "/",
        "to-proc": "/proc",
        "to-sys-settings": "/proc/sys",
        "to-self": "/proc/self/fd/5",
        "to-own-root": "/proc/self/root",
        "up": "../../../../../../../../../etc",
        "loop": "loop",
        "dangling": "/not/there",
        "exe": "/proc/self/exe",
    }
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name, target in links.items():
            add(tar, name, type=tarfile.SYMTYPE, linkname=target)
        add(tar, "fifo", type=tarfile.FIFOTYPE)
        add(tar, "directory", type=tarfile.DIRTYPE)
        add(tar, "empty")
        add(tar, "cut", BINARY[:5000])
        add(tar, "header", BINARY[:64])
        add(tar, "shebang", b"#!/proc/self/exe\n")
        add(tar, "missing-interpreter", b"#!/no/such/program\n")
        add(tar, "own-interpreter", b"#!/own-interpreter\n")
        add(tar, "plain", b"echo hi\n", mode=0o644)
        add(tar, "file", b"text", mode=0o644)
    box("import", "-", "hostile", stdin=out.getvalue())
    yield "hostile"
    box("rmi", "hostile")


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    """The host's own files are what they were."""
    paths = ["/", "/etc", "/dev", "/etc/passwd", "/etc/hosts", "/dev/null", "/proc/sys/kernel"]

    def state() -> dict[str, object]:
        found: dict[str, object] = {path: sorted(os.listdir(path)) for path in paths[:3]}
        for path in paths[3:]:
            stat = os.stat(path)
            found[path] = (stat.st_ino, stat.st_mode, stat.st_uid, stat.st_gid, stat.st_dev)
        found["core_pattern"] = Path("/proc/sys/kernel/core_pattern").read_text()
        return found

    before = state()
    yield
    assert state() == before


# The start of a container

ENTRIES = {
    "/exe": 126,
    "/proc/self/exe": 126,
    "/shebang": 126,
    "/fifo": 126,
    "/directory": 126,
    "/empty": 126,
    "/header": 126,
    "/plain": 126,
    "/loop": 126,
    "/own-interpreter": 126,
    "/missing-interpreter": 127,
    "/dangling": 127,
    "/nothing": 127,
    "nothing": 127,
    "": 127,
    "/file/x": 127,
}

OWN_PROGRAM = ("/exe", "/proc/self/exe", "/shebang")


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_point_that_is_no_program(box: Box, hostile: str, entry: str) -> None:
    done = box("run", "--rm", hostile, entry, check=False)
    codes = {ENTRIES[entry]}
    if entry in OWN_PROGRAM:  # a sanitized supervisor needs a loader, which the image has not got
        codes.add(127)
    assert done.returncode in codes, done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("hint: ")]
    assert len(lines) == 1, done.stderr
    assert entry in lines[0] or "exe" in lines[0]


def test_a_cut_program_ends_with_a_code(box: Box, hostile: str) -> None:
    """What the kernel takes for a program and kills as one, or refuses."""
    done = box("run", "--rm", hostile, "/cut", check=False)
    assert done.returncode in (126, 128 + signal.SIGSEGV, 128 + signal.SIGBUS), done.stderr


@pytest.mark.parametrize("number", range(3, 24, 2))
def test_a_working_directory_at_a_descriptor(box: Box, number: int) -> None:
    for path in (f"/proc/self/fd/{number}", f"/proc/1/fd/{number}", f"/proc/self/fd/{number}/x"):
        done = box("run", "--rm", "-w", path, "busybox", "ls", check=False)
        assert done.returncode == 125, (path, done.stdout)


@pytest.mark.parametrize("path", ["/to-self", "/to-own-root", "/file", "/loop", "/fifo", "/exe"])
def test_a_working_directory_that_is_none(box: Box, hostile: str, path: str) -> None:
    message = box.fails("run", "--rm", "-w", path, hostile, "true")
    assert path[1:] in message


@pytest.mark.parametrize(
    ("path", "seen"), [("/to-root", "/"), ("/up", "/etc"), ("/../../../etc", "/etc")]
)
def test_a_working_directory_through_links_is_inside(
    box: Box, hostile: str, path: str, seen: str
) -> None:
    with untouched():
        out = box("run", "--rm", "-w", path, hostile, "sh", "-c", "pwd -P; cat /etc/passwd").stdout
    assert out.startswith(f"{seen}\nroot:x:0:0:root:/root:/bin/sh\napp:")


COVERS = [
    ["-v", "{host}:/proc"],
    ["-v", "{host}:/proc/sys"],
    ["-v", "{host}:/proc/self"],
    ["-v", "{host}:/proc/kcore"],
    ["-v", "{host}:/proc/sys/kernel/core_pattern"],
    ["-v", "{host}:/to-proc"],
    ["-v", "{host}:/to-proc/sys"],
    ["-v", "{host}:/to-root/proc"],
    ["-v", "{host}:/to-root/proc/sys"],
    ["-v", "{host}:/to-sys-settings"],
    ["-v", "{host}:/to-self"],
    ["-v", "{host}:/to-own-root/proc"],
    ["-v", "{host}:/x/../proc"],
    ["-v", "{host}:/"],
    ["-v", "{host}:/loop/x"],
    ["--tmpfs", "/proc"],
    ["--tmpfs", "/to-proc"],
    ["--tmpfs", "/to-root/proc"],
    ["--tmpfs", "/to-sys-settings"],
    ["--tmpfs", "/proc/scsi"],
    ["--mount", "type=tmpfs,target=/to-proc/acpi"],
]


@pytest.mark.parametrize("flags", COVERS, ids=" ".join)
def test_nothing_covers_proc(box: Box, hostile: str, tmp_path: Path, flags: list[str]) -> None:
    words = [word.format(host=tmp_path) for word in flags]
    with untouched():
        box.fails("run", "--rm", *words, hostile, "true")


def test_a_link_to_the_root_as_a_mount_point(box: Box, hostile: str, tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("host")
    with untouched():
        message = box.fails("run", "--rm", "-v", f"{tmp_path}:/to-root", hostile, "true")
    assert "to-root" in message
    assert os.listdir(tmp_path) == ["canary"]


@pytest.mark.parametrize("target", ["/up/inner", "/to-root/inner", "/to-own-root/inner"])
def test_mount_points_through_links_are_made_inside(
    box: Box, hostile: str, tmp_path: Path, target: str
) -> None:
    with untouched():
        done = box("run", "--rm", "-v", f"{tmp_path}:{target}", hostile, "true", check=False)
    assert done.returncode in (0, 125)
    assert not os.path.exists("/etc/inner")
    assert not os.path.exists("/inner")


def test_what_the_caller_has_stays_with_the_caller(box: Box) -> None:
    """Groups, umask, capabilities, signals, descriptors, limits of the core: a container's are its
    own.
    """
    script = (
        "umask; grep -E '^(Groups|CapInh|CapAmb|SigBlk|SigIgn)' /proc/self/status; ls /proc/self/fd"
    )
    inner = f"umask 0777; trap '' HUP INT QUIT PIPE ALRM USR1; exec {box.program} run --rm busybox sh -c \"$SCRIPT\""
    words = ["setpriv", "--groups=5,6,7", "--inh-caps=+chown,+net_raw", "--ambient-caps=+net_raw"]
    read, write = os.pipe()
    done = subprocess.run(
        [*words, "bash", "-c", inner],
        env=box.environ | {"SCRIPT": script},
        capture_output=True,
        text=True,
        pass_fds=(read, write),
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {10, 12, 14, 34}),
        check=True,
        timeout=20,
    )
    os.close(read)
    os.close(write)
    found = dict(re.findall(r"(?m)^(\w+):\t(.*)$", done.stdout))
    assert done.stdout.startswith("0022\n")
    assert found["Groups"].split() == ["0", "10"]
    zero = "0" * 16
    assert [found[key] for key in ("CapInh", "CapAmb", "SigBlk", "SigIgn")] == [zero] * 4
    assert done.stdout.endswith("\n0\n1\n2\n3\n")  # 3 is ls's own


@pytest.mark.parametrize(
    ("flags", "groups"),
    [
        ([], "0 10"),
        (["--user", "root"], "0 10"),
        (["--user", "app"], "1000 10 29"),
        (["--user", "1000:0"], "0"),
        (["--user", "4242"], "0"),
        (["--group-add", "77", "--group-add", "audio", "--user", "app"], "1000 10 29 77"),
    ],
)
def test_groups_are_the_images(box: Box, flags: list[str], groups: str) -> None:
    assert box("run", "--rm", *flags, "busybox", "id", "-G").stdout.strip() == groups


@pytest.mark.parametrize(
    "user",
    "-1|+0|0x0| |0 |4294967295|4294967296|18446744073709551616|0:-1|0:4294967295|nobody-such|"
    "app:nobody-such|:|root:x:0|0\n0".split("|"),
)
def test_numbers_never_become_root(box: Box, user: str) -> None:
    done = box("run", "--rm", "--user", user, "busybox", "id", "-u", check=False)
    assert done.returncode == 125, (user, done.stdout)


def test_no_mount_is_shared(box: Box, tmp_path: Path) -> None:
    for flags in ([], ["-v", f"{tmp_path}:/x"], ["--privileged"], ["--init", "--read-only"]):
        out = box("run", "--rm", *flags, "busybox", "cat", "/proc/self/mountinfo").stdout
        assert "shared:" not in out, flags


SETTINGS = [
    "kernel.hostname=x",
    "kernel.domainname=x",
    "kernel.core_pattern=x",
    "kernel.panic=1",
    "kernel.shmmax_x=1",
    "vm.overcommit_memory=1",
    "fs.file-max=1",
    "fs.mqueue..msg_max=1",
    "net/../kernel/core_pattern=x",
    "net.../kernel.core_pattern=x",
    "net.ipv4.ip_forward=1\n",
    "/net.ipv4.ip_forward=1",
    "net.ipv4.no_such=1",
    "=1",
    "net.",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_the_host_are_refused(box: Box, setting: str) -> None:
    with untouched():
        box.fails("run", "--rm", "--sysctl", setting, "busybox", "true")


def test_settings_of_its_own_are_taken(box: Box) -> None:
    host_value = Path("/proc/sys/kernel/msgmax").read_text()
    words = ["--sysctl", "kernel.msgmax=4096", "--sysctl", "net.ipv4.ip_forward=1"]
    names = ["/proc/sys/kernel/msgmax", "/proc/sys/net/ipv4/ip_forward"]
    assert box("run", "--rm", *words, "busybox", "cat", *names).stdout == "4096\n1\n"
    assert Path("/proc/sys/kernel/msgmax").read_text() == host_value
    message = box.fails("run", "--rm", "--network", "host", *words, "busybox", "true")
    assert "ip_forward" in message


def test_a_read_only_root_stays_so(box: Box, tmp_path: Path) -> None:
    script = (
        "touch /x && echo wrote; mount -o remount,rw / && echo remounted; "
        "touch /t/x /v/x && echo exempt; touch /dev/x && echo dev"
    )
    out = box(
        *["run", "--rm", "--read-only", "--tmpfs", "/t", "-v", f"{tmp_path}:/v"],
        *["busybox", "sh", "-c", script],
        check=False,
    ).stdout
    assert out in ("exempt\n", "exempt\ndev\n")


# exec

SWAP = """
mkdir -p /a /b; cp -a /etc/passwd /real; i=0; echo ready
while :; do
    rm -rf /work; ln -s /proc/1/root /work; rm -f /work; mkdir /work; ln -sfn /dev/null /etc/passwd
    rm -f /etc/passwd; mkfifo /etc/passwd; rm -f /etc/passwd; cp /real /etc/passwd
    mv /bin /nib; ln -s /proc/self/exe /bin; rm /bin; mv /nib /bin
done
"""


def test_exec_while_the_container_swaps_links(box: Box) -> None:
    box("run", "-d", "--name", "swapper", "busybox", "/bin/busybox", "sh", "-c", SWAP)
    with untouched():
        codes = set()
        for _ in range(12):
            # A program that reads no passwd of its own: it would wait for ever on the fifo.
            words = ["swapper", "stat", "-L", "-c", "%u", "/proc/self"]
            done = box("exec", "-u", "app", "-w", "/work", *words, check=False)
            assert done.stdout in ("", "1000\n"), done
            codes.add(done.returncode)
    assert codes <= {0, 125, 126, 127}, codes
    box("rm", "-f", "swapper")


def test_exec_while_the_container_ends_leaves_no_process(box: Box) -> None:
    for number in range(4):
        name = box("run", "-d", "busybox", *IDLE).stdout.strip()
        running = [
            box.start("exec", name, "sleep", "1234", stdout=-3, stderr=-3, stdin=-3)
            for _ in range(4)
        ]
        time.sleep(0.02 * number)
        box("stop" if number % 2 else "kill", name)
        for client in running:
            assert client.wait(10) in (125, 137)
        done = box("exec", name, "true", check=False)
        assert done.returncode == 125
        assert "not running" in done.stderr
        box("rm", "-f", name)
    mine = [p for p in Path("/proc").glob("[0-9]*/cmdline") if read(p) == b"sleep\x001234\0"]
    assert not mine


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


# The program that enters a container


def test_the_supervisors_program_cannot_be_written(box: Box) -> None:
    """Not while it runs, and not afterwards through a descriptor that was opened meanwhile."""
    name = box("run", "-d", "--rm", "busybox", *IDLE).stdout.strip()
    pid = host.supervisor(box.run_root)
    with pytest.raises(OSError, match=r"\[Errno (26|30)\]"):  # ETXTBSY, EROFS
        os.open(f"/proc/{pid}/exe", os.O_WRONLY)
    held = os.open(f"/proc/{pid}/exe", os.O_PATH)
    box("stop", "-t", "0", name)
    host.quiet(box.run_root)
    try:
        with pytest.raises(OSError, match=r"\[Errno 30\]"):  # EROFS
            os.open(f"/proc/self/fd/{held}", os.O_WRONLY)
    finally:
        os.close(held)


def test_a_sealed_copy_where_the_kernel_has_no_detached_mounts(box: Box) -> None:
    """Without open_tree the supervisor runs from memory that nobody can write."""
    program = [box.program, "run", "-d", "--rm", "busybox", *IDLE]
    words = [*shim.denying("open_tree", "mount_setattr"), *program]
    name = subprocess.run(
        words, env=box.environ, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()
    pid = host.supervisor(box.run_root)
    assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:fastbox ")
    held = os.open(f"/proc/{pid}/exe", os.O_PATH)
    assert box("exec", name, "echo", "works").stdout == "works\n"
    box("stop", "-t", "0", name)
    host.quiet(box.run_root)
    try:
        with pytest.raises(OSError, match=r"\[Errno 1\]"):  # EPERM: sealed
            os.write(os.open(f"/proc/self/fd/{held}", os.O_RDWR), b"x")
    finally:
        os.close(held)


# Full disks


@pytest.fixture
def small(box: Box) -> Iterator[Box]:
    """A store on a disk of 30 MiB."""
    top = tempfile.mkdtemp(prefix="fastbox-small-", dir="/var/tmp")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", top], check=True)
    try:
        yield Box(f"{top}/store", box.run_root)
    finally:
        host.quiet(box.run_root)
        subprocess.run(["umount", top], check=True)
        os.rmdir(top)


def full(box: Box) -> str:
    """Take what space is left, to the last page."""
    path = f"{box.root}/../filler"
    with open(path, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 65536):
            pass
    return path


def assert_no_space(message: str, box: Box) -> None:
    assert "no space left" in message.lower(), message
    assert box.root in message, message


def test_an_image_that_does_not_fit(small: Box) -> None:
    out = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=out, mode="a") as tar:
        add(tar, "big", os.urandom(20 << 20))
    assert_no_space(small.fails("import", "-", "big", stdin=out.getvalue()), small)
    assert small("images", "-q").stdout == ""
    small("import", "-", "busybox", stdin=busybox_tar())
    assert small("run", "--rm", "busybox", "echo", "fits").stdout == "fits\n"


def test_a_full_disk(small: Box) -> None:
    small("import", "-", "busybox", stdin=busybox_tar())
    small("tag", "busybox", "other")
    old = small("create", "busybox", "true").stdout.strip()
    running = small("run", "-d", "busybox", *IDLE).stdout.strip()
    filler = full(small)
    assert_no_space(small.fails("run", "--rm", "busybox", "true"), small)
    assert_no_space(small.fails("create", "busybox", "true"), small)
    assert_no_space(small.fails("import", "-", "more", stdin=busybox_tar()), small)
    assert len(small("ps", "-aq").stdout.split()) == 2
    assert small("exec", running, "echo", "here").stdout == "here\n"
    small("stop", running)
    small("rm", old, running)
    small("rmi", "other")
    os.unlink(filler)
    assert small("ps", "-aq").stdout == ""
    assert small("run", "--rm", "busybox", "echo", "again").stdout == "again\n"


def test_a_log_on_a_full_disk(small: Box) -> None:
    """The container goes on, and what its client reads is whole."""
    small("import", "-", "busybox", stdin=busybox_tar())
    script = "sleep 0.3; i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"
    client = small.start("run", "--name", "talker", "busybox", "sh", "-c", script, stdout=-1)
    end = time.monotonic() + 5
    while not small("ps", "-q").stdout and time.monotonic() < end:
        time.sleep(0.01)
    filler = full(small)
    out, _ = client.communicate(timeout=20)
    assert client.returncode == 0
    assert out.decode().splitlines() == [f"line {i}" for i in range(3000)]
    small("ps", "-a")
    os.unlink(filler)
    small("logs", "talker")
    small("rm", "talker")


# Output without end


# It ends by itself, and its log is bounded: the end of an ext4 overlay's mount waits until all that is dirty is on the disk.
FLOOD = [
    "--log-opt",
    "max-size=10m",
    "--log-opt",
    "max-file=3",
    "busybox",
    "timeout",
    "-s",
    "KILL",
    "6",
    "yes",
]


def resident(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", text)[0]) << 10


def test_a_flood_of_output_stays_small(box: Box) -> None:
    box("run", "-d", "--name", "flood", *FLOOD)
    pid = host.supervisor(box.run_root)
    most, end = 0, time.monotonic() + 1.5
    while time.monotonic() < end:
        most = max(most, resident(pid))
        time.sleep(0.05)
    begin = time.monotonic()
    box("stop", "-t", "1", "flood")
    assert time.monotonic() - begin < 1 + 4
    box("rm", "flood")
    assert most < 16 << 20


def test_a_client_that_does_not_read_bounds_the_output(box: Box) -> None:
    client = box.start("run", "--rm", "--name", "unread", *FLOOD, stdout=-1)
    assert client.stdout is not None
    client.stdout.read(1)
    client.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    pid = host.supervisor(box.run_root)
    log = next(Path(box.root).glob("containers/*/*-json.log"))
    first = log.stat().st_size
    time.sleep(0.5)
    assert log.stat().st_size == first  # the container waits for its reader
    assert resident(pid) < 16 << 20
    begin = time.monotonic()
    box("stop", "-t", "1", "unread")
    assert time.monotonic() - begin < 1 + 4
    client.kill()
    client.wait(5)
    client.stdout.close()


# Damaged records

DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "zeroes": lambda data: bytes(len(data)),
    "tail of zeroes": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "list": lambda data: b"[]",
    "number": lambda data: b"7",
    "deep": lambda data: b"[" * 100000,
    "not UTF-8": lambda data: data.replace(b'"', b'"\xff', 3),
    "null": lambda data: re.sub(rb'":\s*"[^"]*"', b'":null', data),
    "newer": lambda data: data.replace(b'"schema":1', b'"schema":99'),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_records_of_a_container(box: Box, how: str) -> None:
    """It is shown, it can be removed, and no other is touched by it."""
    for which in ("record.json", "config.json", "exit"):
        name = box("run", "-d", "busybox", "true").stdout.strip()
        box("wait", name)
        host.quiet(box.run_root)
        damage(f"{box.root}/containers/{name}/{which}", how)
        assert name in box("ps", "-aq", "--no-trunc").stdout, which
        for words in (["inspect", name], ["start", name], ["logs", name], ["exec", name, "true"]):
            done = box(*words, check=False)
            assert "Traceback" not in done.stderr, (which, words, done.stderr)
            assert len(done.stderr.strip().splitlines()) <= 2, (which, words, done.stderr)
        assert box("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
        box("rm", "-f", name)


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_live_state(box: Box, how: str) -> None:
    name = box("run", "-d", "busybox", *IDLE).stdout.strip()
    damage(f"{box.run_root}/containers/{name}", how)
    assert name in box("ps", "-aq", "--no-trunc").stdout
    assert box("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
    box("rm", "-f", name)
    host.quiet(box.run_root)
    assert box("ps", "-aq").stdout == ""


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_records_of_an_image(box: Box, how: str) -> None:
    out = io.BytesIO(busybox_tar())
    with tarfile.open(fileobj=out, mode="a") as tar:
        add(tar, "mark", how.encode())
    before = set(Path(box.root, "refs").iterdir()), set(Path(box.root, "layers").iterdir())
    box("import", "-", "spoilt:1", stdin=out.getvalue())
    (reference,) = set(Path(box.root, "refs").iterdir()) - before[0]
    (layer,) = set(Path(box.root, "layers").iterdir()) - before[1]
    # A layer that a newer version has written is refused, not replaced.
    for path in (layer / "record.json", reference) if how != "newer" else (reference,):
        damage(str(path), how)
        for words in (["images"], ["run", "--rm", "spoilt:1", "true"], ["inspect", "spoilt:1"]):
            done = box(*words, check=False)
            assert "Traceback" not in done.stderr, (path, words, done.stderr)
            assert len(done.stderr.strip().splitlines()) <= 2, (path, words, done.stderr)
        assert box("run", "--rm", "busybox", "echo", "others").stdout == "others\n"
    box("rmi", "-f", "spoilt:1")
    assert "spoilt" not in box("images").stdout
    box("import", "-", "spoilt:1", stdin=out.getvalue())
    assert box("run", "--rm", "spoilt:1", "cat", "/mark").stdout == how
    box("rmi", "spoilt:1")
    assert set(Path(box.root, "refs").iterdir()) == before[0]
    assert set(Path(box.root, "layers").iterdir()) == before[1]


def damage(path: str, how: str) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(DAMAGE[how](data))


def test_flipped_bits(box: Box) -> None:
    """Every eleventh bit of a record in turn: read, refused or seen as another's, never worse."""
    name = box("run", "-d", "busybox", "true").stdout.strip()
    box("wait", name)
    host.quiet(box.run_root)
    import fastbox

    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        for which in ("record.json", "exit"):
            path = Path(f"{box.root}/containers/{name}/{which}")
            whole = path.read_bytes()
            for bit in range(0, len(whole) * 8, 11):
                spoilt = bytearray(whole)
                spoilt[bit // 8] ^= 1 << bit % 8
                path.write_bytes(spoilt)
                assert len(engine.containers.list(all=True)) == 1
            path.write_bytes(whole)
    assert json.loads(box("inspect", name).stdout)[0]["State"]["ExitCode"] == 0
    box("rm", name)
