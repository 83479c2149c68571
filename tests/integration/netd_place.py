"""What tests of netd need around it: network namespaces, leases, upstream servers, and somebody who plays the supervisor."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import fastbox

from . import host

until = partial(host.until, seconds=20.0)

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
NETD = [sys.executable, "-I", "-S", str(Path(fastbox.__path__[0]) / "netd" / "__main__.py")]


def command(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
    return done.stdout


class Space:
    """A network namespace, held by a descriptor and a process that sleeps in it."""

    def __init__(self) -> None:
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        own = os.stat("/proc/self/ns/net").st_ino
        path = f"/proc/{self.holder.pid}/ns/net"
        until(lambda: os.path.exists(path) and os.stat(path).st_ino != own)
        self.fd = os.open(path, os.O_RDONLY)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self.holder.pid

    def run(self, *words: str, stdin: str = "") -> str:
        return command("nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *words, stdin=stdin)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--", *words], **options
        )

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM) -> socket.socket:
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            assert _libc.setns(self.fd, CLONE_NEWNET) == 0
            try:
                return socket.socket(family, kind)
            finally:
                assert _libc.setns(back, CLONE_NEWNET) == 0
        finally:
            os.close(back)

    def join(self, other: Space, own: str, theirs: str, prefix: int = 24) -> None:
        """A wire between two namespaces."""
        name = f"v{self.pid % 100000}x{other.pid % 100000}"[:14]
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", name + "p")
        self.run("ip", "link", "set", name + "p", "netns", str(other.pid))
        for space, address, link in ((self, own, name), (other, theirs, name + "p")):
            space.run("ip", "address", "add", f"{address}/{prefix}", "dev", link)
            space.run("ip", "link", "set", link, "up")

    def close(self) -> None:
        os.close(self.fd)
        self.holder.kill()
        self.holder.wait()


class Box:
    """A container, as its supervisor and netd see it."""

    def __init__(self, place: Place, space: Space, **document: Any) -> None:
        self.place, self.space = place, space
        self.conversation: socket.socket | None = None
        self.udp, self.tcp = space.socket(), space.socket(kind=socket.SOCK_STREAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        for sock in (self.udp, self.tcp):
            sock.setblocking(False)
            sock.bind(("127.0.0.11", 0))
        self.tcp.listen(128)
        ports = [sock.getsockname()[1] for sock in (self.udp, self.tcp)]
        space.run("nft", "-f", "-", stdin=f"""table ip fastbox {{
            chain output {{ type nat hook output priority -100
            ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:{ports[0]}
            ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:{ports[1]}
            }}
            }}""")  # fmt: skip
        self.document = {"id": "c" * 64, "name": "asker", "networks": [], **document}

    def hand_over(self, relays: Sequence[tuple[socket.socket, str, int]] = ()) -> None:
        self.conversation = self.place.connect()
        told = [
            {"protocol": "udp" if s.type == socket.SOCK_DGRAM else "tcp", "address": a, "port": p}
            for s, a, p in relays
        ]
        fds = [
            self.space.fd,
            self.udp.fileno(),
            self.tcp.fileno(),
            *(r[0].fileno() for r in relays),
        ]
        self.send({"dns": self.document, "relays": told}, fds)

    def send(self, told: object, fds: Sequence[int] = ()) -> None:
        assert self.conversation
        socket.send_fds(self.conversation, [json.dumps(told).encode()], fds)

    def dig(self, *words: str, tries: int = 1) -> str:
        """What dig prints, asked within the container."""
        return self.space.run("dig", "@127.0.0.11", f"+tries={tries}", "+time=9", *words)

    def addresses(self, name: str, kind: str = "A", *words: str) -> list[str]:
        return self.dig("+short", name, kind, *words).split()

    def status(self, name: str, kind: str = "A", *words: str) -> str:
        found = self.dig(name, kind, *words)
        return found.partition("status: ")[2].partition(",")[0]

    def close(self) -> None:
        for sock in (self.udp, self.tcp, self.conversation):
            if sock:
                sock.close()


class Place:
    """A run directory, networks with leases, namespaces, servers; all gone at the end."""

    def __init__(self, base: Path) -> None:
        self.base, self.run = base, str(base / "run")
        self.spaces: list[Space] = []
        self.boxes: list[Box] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.resolv_conf = base / "resolv.conf"
        self.resolv_conf.write_text("")
        self.starts = 0
        (base / "run").mkdir(mode=0o700)

    def space(self) -> Space:
        self.spaces.append(Space())
        return self.spaces[-1]

    def box(self, space: Space | None = None, **document: Any) -> Box:
        self.boxes.append(Box(self, space or self.space(), **document))
        return self.boxes[-1]

    def network(self, name: str) -> dict[str, str]:
        directory = self.base / "networks" / name
        (directory / "leases").mkdir(parents=True)
        (directory / "record.json").write_text(json.dumps({"schema": 1, "name": name}))
        return {"id": name, "leases": str(directory / "leases")}

    def lease(
        self, network: dict[str, str], address: str, name: str, *names: str, container: str = ""
    ) -> Path:
        """As networks make one: whole, then under its name."""
        path = Path(network["leases"]) / address
        new = self.base / "new-lease"
        container = container or f"{abs(hash(address)):x}".ljust(64, "0")[:64]
        text = {"schema": 1, "container": container, "name": name,
                "names": [name, *names, container[:12]], "mac": "", "endpoint": "", "primary": True}  # fmt: skip
        new.write_text(json.dumps(text))
        new.rename(path)
        return path

    def start_netd(self, code: str = "", files: int = 4096) -> subprocess.Popen[bytes]:
        """netd, with a resolv.conf of the test's as the host's."""
        words = [sys.executable, "-c", code, self.run] if code else [*NETD, self.run]
        script = f'mount --bind "$0" /etc/resolv.conf; ulimit -n {files}; exec "$@"'
        self.starts += 1
        with open(self.base / f"netd.{self.starts}", "wb") as log:
            made = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", script, str(self.resolv_conf), *words], stderr=log
            )
        self.processes.append(made)
        return made

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)

        def done() -> bool:
            try:
                sock.connect(self.run + "/netd/sock")
            except OSError:
                return False
            return True

        until(done)
        return sock

    def upstream(self, space: Space | None, address: str, *options: str) -> subprocess.Popen[bytes]:
        """dnsmasq that knows what the options say, in a namespace or, without one, here."""
        words = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null",
                 "--bind-interfaces", f"--listen-address={address}", "--no-daemon", "--pid-file=", *options]  # fmt: skip
        options_: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        made = space.start(*words, **options_) if space else subprocess.Popen(words, **options_)
        self.processes.append(made)
        probe = ["dig", f"@{address}", "+tries=1", "+time=1", "version.bind", "CH", "TXT"]

        def answers() -> bool:
            prefix = ["nsenter", f"--net=/proc/{space.pid}/ns/net", "--"] if space else []
            return subprocess.run([*prefix, *probe], capture_output=True).returncode == 0

        until(answers)
        return made

    def complaints(self) -> str:
        """What netd wrote to stderr: nothing, if all is well."""
        return "".join(path.read_text() for path in sorted(self.base.glob("netd.*")))

    def close(self) -> None:
        for box in self.boxes:
            box.close()
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
        for space in self.spaces:
            space.close()
