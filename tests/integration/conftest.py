"""Real containers in a store of the session's own; after each test the kernel is asked whether anything is left."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import host
from .netlinks import nets, network_host

__all__ = ["nets", "network_host"]  # fixtures

CACHE = Path(__file__).resolve().parents[2] / "build" / "test-cache"


PROGRESS = re.compile(r"(layer|[0-9a-f]{12}): (complete|exists), ")


_started: list[subprocess.Popen[bytes]] = []  # by this test, and by fixtures that last longer


class Box:
    """The fastbox command on a store of its own."""

    def __init__(self, root: str, run: str) -> None:
        self.root, self.run_root = root, run
        self.environ = {**os.environ, "FASTBOX_ROOT": root, "FASTBOX_RUN": run}
        program = shutil.which("fastbox")
        assert program, "fastbox is not on the PATH: run the tests with `make test`"
        self.program = program

    def __call__(
        self,
        *words: str,
        check: bool = True,
        stdin: bytes | None = None,
        timeout: float = 60,
        **environ: str,
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.program, *words],
            input=stdin.decode("latin-1") if stdin is not None else None,
            encoding="latin-1" if stdin is not None else "utf-8",
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env={**self.environ, **environ},
            timeout=timeout * host.SLOW,
        )
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *words: str, **options: object) -> subprocess.Popen[bytes]:
        """Begin a command; the test waits for it, or it ends with the test."""
        process = subprocess.Popen([self.program, *words], env=self.environ, **options)  # type: ignore[call-overload]
        _started.append(process)
        return process  # type: ignore[no-any-return]

    def fails(self, *words: str, code: int = 125, stdin: bytes | None = None) -> str:
        """Run what must fail: one line and perhaps a hint, no traceback, nothing changed on disk."""
        before = host.snapshot(self.root, self.run_root)
        done = self(*words, check=False, stdin=stdin)
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        lines = [line for line in done.stderr.strip().splitlines() if not PROGRESS.match(line)]
        assert lines, f"{words}: no error line"
        assert lines[0].startswith("fastbox"), done.stderr
        assert all(line.startswith("hint: ") for line in lines[1:]), done.stderr
        assert len(lines) <= 2, done.stderr
        assert not host.settle(before, self.root, self.run_root)
        return done.stderr


@pytest.fixture(scope="session")
def box() -> Iterator[Box]:
    base = tempfile.mkdtemp(prefix="fastbox-test-", dir="/var/tmp")
    run = tempfile.mkdtemp(prefix="fastbox-test-", dir="/run")
    os.environ["FASTBOX_ROOT"], os.environ["FASTBOX_RUN"] = f"{base}/store", run
    box = Box(f"{base}/store", run)
    box("import", "-", "busybox", stdin=busybox_tar())
    box("run", "--rm", "busybox", "true")  # the default network's bridge, which stays
    yield box
    for name in box("ps", "-aq").stdout.split():
        box("rm", "-f", name)
    host.remove_bridges(host.bridges_of(box.root))
    shutil.rmtree(base)
    shutil.rmtree(run)


@pytest.fixture(autouse=True)
def no_other_bridges() -> Iterator[None]:
    """A store's bridges stay: those of a test's own store go with the test."""
    before = host.links()
    yield
    host.remove_other_bridges(before, os.environ.get("FASTBOX_ROOT", ""))


@pytest.fixture(autouse=True)
def started_end() -> Iterator[None]:
    """What a test that failed had begun fails none of the next."""
    before = len(_started)
    yield
    for process in _started[before:]:
        if process.returncode is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
    del _started[before:]


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test the host is as it was before: mounts, cgroups, namespaces, supervisors, directories."""
    if "box" not in request.fixturenames:
        yield
        return
    box = request.getfixturevalue("box")
    if not isinstance(box, Box):  # a module with a store of its own, and its own check
        yield
        return
    for name in request.fixturenames:
        if name in ("debian", "docker", "docker_busybox"):
            request.getfixturevalue(name)
    host.quiet(box.run_root)
    before, links = host.snapshot(box.root, box.run_root), host.links()
    yield
    host.remove_other_bridges(links, box.root)
    left = host.settle(before, box.root, box.run_root)
    for container in left.get("containers", ()):  # type: ignore[attr-defined]
        box("rm", "-fv", container, check=False)  # the next test's list is not this one's
    assert not left, f"left behind: {left}"


def busybox_tar() -> bytes:
    """A root of Debian's static busybox with its applets, and the users that tests ask for."""
    applets = subprocess.run(
        ["/bin/busybox", "--list"], capture_output=True, check=True, text=True
    ).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in (
            "bin",
            "etc",
            "tmp",
            "root",
            "home",
            "home/app",
            "var",
            "usr",
            "usr/bin",
            "sbin",
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            if name == "home/app":
                entry.uid = entry.gid = 1000
            tar.addfile(entry)
        binary = Path("/bin/busybox").read_bytes()
        entry = tarfile.TarInfo("bin/busybox")
        entry.mode, entry.size = 0o755, len(binary)
        tar.addfile(entry, io.BytesIO(binary))
        for applet in applets:
            if applet != "busybox":
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(entry)
        texts = {
            "etc/passwd": "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
            "etc/group": "root:x:0:\napp:x:1000:\nwheel:x:10:root,app\naudio:x:29:app\n",
        }
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o644, len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture(scope="session")
def debian(box: Box) -> str:
    """Debian's minbase as debootstrap makes it, kept between runs since it takes half a minute."""
    tar = CACHE / "debian-minbase.tar"
    if not tar.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir="/var/tmp") as work:
            subprocess.run(
                ["debootstrap", "--variant=minbase", "bookworm", f"{work}/root"],
                check=True,
                capture_output=True,
                timeout=900,
            )
            subprocess.run(["tar", "-C", f"{work}/root", "-cf", f"{tar}.part", "."], check=True)
        os.rename(f"{tar}.part", tar)
    with tar.open("rb") as archive:
        subprocess.run(
            [box.program, "import", "-", "debian:bookworm"],
            env=box.environ,
            stdin=archive,
            check=True,
            capture_output=True,
        )
    return "debian:bookworm"


_OWN_HOST = 'ip link set lo up; exec "$0" "$@"'


class Docker:
    """A private dockerd, without a network of its own; or with one, on a host of its own."""

    def __init__(self, base: Path, *, networks: bool = False) -> None:
        self.base = base
        self.environ = {**os.environ, "DOCKER_HOST": f"unix://{base}/docker.sock"}
        self.log = (base / "log").open("wb")
        self.daemon = subprocess.Popen(
            [
                *(("unshare", "-n", "sh", "-c", _OWN_HOST) if networks else ()),
                "dockerd",
                "--data-root",
                f"{base}/data",
                "--exec-root",
                f"{base}/exec",
                "-H",
                f"unix://{base}/docker.sock",
                "-p",
                f"{base}/pid",
                "--iptables=false",
                *(() if networks else ("--bridge=none",)),
            ],
            stdout=self.log,
            stderr=self.log,
        )

    def __call__(
        self, *words: str, check: bool = True, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            ["docker", *words],
            env=self.environ,
            input=stdin,
            capture_output=True,
            timeout=120 * host.SLOW,
        )
        if check:
            assert done.returncode == 0, (words, done.stderr)
        return done

    def wait_ready(self) -> None:
        import time

        for _ in range(int(300 * host.SLOW)):
            if self.daemon.poll() is not None:
                break
            if self("version", check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError((self.base / "log").read_text()[-2000:])

    def close(self) -> None:
        self.daemon.terminate()
        self.daemon.wait(30 * host.SLOW)
        self.log.close()


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with private_docker() as docker:
        yield docker


@contextlib.contextmanager
def private_docker(*, networks: bool = False) -> Iterator[Docker]:
    """A dockerd with busybox, for as long as the block lasts."""
    if "FASTBOX_TEST_VM" in os.environ:
        pytest.skip("dockerd gives its containerd 15 s, an emulated machine may take longer")
    with tempfile.TemporaryDirectory(prefix="fastbox-docker-", dir="/var/tmp") as base:
        docker = Docker(Path(base), networks=networks)
        try:
            docker.wait_ready()
            docker("import", "-", "busybox:latest", stdin=busybox_tar())
            yield docker
        finally:
            docker.close()
            subprocess.run(
                [
                    "sh",
                    "-c",
                    f"grep -o '{base}[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l",
                ],
                check=False,
            )
