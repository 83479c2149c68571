"""Another host: a network namespace with an address of its own, joined to this one by a veth pair, and real servers in an image."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tarfile
import textwrap
import uuid
from pathlib import Path

from . import host

NGINX = """daemon off; user root; worker_processes 1; error_log stderr; pid /run/nginx.pid;
events {{}}
http {{ access_log off; server {{ {listen} location / {{ return 200 "{body} $remote_addr\\n"; }} }} }}
"""


class OtherHost:
    """A namespace reached over a veth pair: `here` is this host's address on it, `address` its own."""

    def __init__(self, number: int = 1) -> None:
        self.device = f"fbt{uuid.uuid4().hex[:8]}"
        self.here, self.address = f"198.18.{number}.1", f"198.18.{number}.2"
        self.here6, self.address6 = f"2001:db8:{number}::1", f"2001:db8:{number}::2"
        # Kept by a process, not by a name in /run/netns: that would be a mount.
        holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 1000000"], stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        holder.stdout.readline()
        self.processes: list[subprocess.Popen[bytes]] = [holder]
        self.inside = ["nsenter", f"--net=/proc/{holder.pid}/ns/net", "--"]
        try:
            peer = ("peer", "name", "eth0", "netns", str(holder.pid))
            ip("link", "add", self.device, "type", "veth", *peer)
            ip("addr", "add", f"{self.here}/24", "dev", self.device)
            ip("addr", "add", f"{self.here6}/64", "dev", self.device, "nodad")
            ip("link", "set", self.device, "up")
            for words in (
                ("link", "set", "lo", "up"),
                ("addr", "add", f"{self.address}/24", "dev", "eth0"),
                ("addr", "add", f"{self.address6}/64", "dev", "eth0", "nodad"),
                ("link", "set", "eth0", "up"),
            ):
                self.run("ip", *words)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OtherHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        subprocess.run(["ip", "link", "del", self.device], capture_output=True, check=False)

    def run(self, *words: str, check: bool = True, timeout: float = 20) -> str:
        done = subprocess.run(
            [*self.inside, *words],
            capture_output=True, text=True, timeout=timeout * host.SLOW, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        self.processes.append(subprocess.Popen([*self.inside, *words], stdout=-1, stderr=-2))
        return self.processes[-1]

    def python(self, text: str) -> subprocess.Popen[bytes]:
        """A Python program there; it has said "ready" when this returns."""
        process = self.start(sys.executable, "-c", textwrap.dedent(text))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == b"ready\n", line + process.stdout.read()
        return process

    def serve(self, port: int = 80) -> None:
        """A TCP server that tells each client its address."""
        self.python(
            f"""
            import socket
            s = socket.create_server(("", {port}), family=socket.AF_INET6, dualstack_ipv6=True)
            print("ready", flush=True)
            while True:
                c, a = s.accept()
                c.sendall(a[0].removeprefix("::ffff:").encode() + b"\\n")
                c.close()
            """
        )

    def fetch(self, url: str, seconds: int = 5) -> str:
        """What a server says to a client there; "" when it can't be reached."""
        words = ("curl", "-gsS", "--max-time", str(seconds), url)
        return self.run(*words, check=False, timeout=seconds + 20)


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def fetch(url: str, seconds: int = 5) -> str:
    """What a server says to a client on this host; "" when it can't be reached."""
    return subprocess.run(
        ["curl", "-gsS", "--max-time", str(seconds), url],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def image_of(*programs: str, files: dict[str, str] | None = None) -> bytes:
    """A tar of programs of this host with the libraries that they load, over busybox."""
    from .conftest import busybox_tar

    out = io.BytesIO(busybox_tar())
    out.seek(0)
    needed: dict[str, Path] = {}
    for program in programs:
        found = subprocess.run(["which", program], capture_output=True, text=True, check=True)
        path = Path(found.stdout.strip())
        needed[f"usr/bin/{program}"] = path
        loaded = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
        for library in re.findall(r"(/[^ ]+) \(0x", loaded.stdout):
            needed[library.removeprefix("/")] = Path(library)
    with tarfile.open(fileobj=out, mode="a") as tar:
        for name, path in needed.items():
            entry = tar.gettarinfo(str(path.resolve()), name)
            with path.open("rb") as data:
                tar.addfile(entry, data)
        for name in ("run", "var/log/nginx", "var/lib/nginx", "data"):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(directory)
        for name, text in (files or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return out.getvalue()
