"""Containers with a network.json made by hand, in a network namespace that plays the host."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastbox import _native, _net
from fastbox.runtime.supervisor import Conversation

from . import host

if TYPE_CHECKING:
    from .conftest import Box

until = partial(host.until, seconds=20.0)

CLONE_NEWNET = 0x40000000
BRIDGE = "fb-test"
NETWORK = "0123456789abcdef" * 4
NFT = importlib.import_module("fastbox._nft") if importlib.util.find_spec("fastbox._nft") else None
libc = ctypes.CDLL(None, use_errno=True)


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def elements() -> list[str]:
    """What of a test's containers is in nftables, once what was taken away has ended."""
    until(lambda: "expires" not in run("nft", "list", "ruleset"))
    lines = run("nft", "list", "ruleset").splitlines()
    return [line.strip() for line in lines if "172.30." in line or "fbv" in line]


@pytest.fixture(scope="module")
def network_host() -> Iterator[None]:
    """A host of the module's own, with a bridge: supervisors and commands are its children."""
    back = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert libc.unshare(CLONE_NEWNET) == 0
    try:
        run("ip", "link", "set", "lo", "up")
        if NFT is not None:
            NFT.base()
            NFT.network(BRIDGE, True, False, True, True)
        assert _net.bridge_ensure(BRIDGE, ["172.30.0.1/24", "fd00:30::1/64"], 1500, True)
        yield
    finally:
        assert libc.setns(back, CLONE_NEWNET) == 0
        os.close(back)


class Nets:
    """Containers with a network.json."""

    def __init__(self, box: Box, leases: Path) -> None:
        self.box, self.leases, self.count = box, leases, 0
        self.names: list[str] = []

    def endpoint(self, number: int, name: str = "eth0", **more: object) -> dict[str, Any]:
        self.count += 1
        lease = self.leases / f"172.30.0.{number}"
        lease.write_text("{}")
        return {
            "network": NETWORK,
            "kind": "veth",
            "link": BRIDGE,
            "name": name,
            "host": f"fbv{os.getpid() % 10**6:06d}{self.count:04d}",
            "mac": f"02:42:ac:1e:00:{number:02x}",
            "mtu": 1500,
            "addresses": [f"172.30.0.{number}/24"],
            "gateways": ["172.30.0.1"] if name == "eth0" else [],
            "guard": True,
            "leases": [str(lease)],
            **more,
        }

    def create(
        self, name: str, endpoints: list[dict[str, Any]], words: list[str], *flags: str, **more: Any
    ) -> Path:
        self.names.append(name)
        made = self.box("create", "--network", "none", "--name", name, *flags, "busybox", *words)
        directory = Path(self.box.root) / "containers" / made.stdout.strip()
        for endpoint in endpoints:
            for lease in endpoint["leases"]:
                Path(lease).write_text(json.dumps({"schema": 1, "container": directory.name}))
        document = {
            "schema": 1,
            "endpoints": endpoints,
            "ports": [],
            "dns": None,
            "netd": [],
            **more,
        }
        (directory / "network.json").write_text(json.dumps(document))
        bundle = json.loads((directory / "config.json").read_text())
        bundle["fastbox"]["network"] = str(directory / "network.json")
        (directory / "config.json").write_text(json.dumps(bundle))
        return directory

    def start(
        self, name: str, endpoints: list[dict[str, Any]], words: list[str], *flags: str, **more: Any
    ) -> Path:
        directory = self.create(name, endpoints, words, *flags, **more)
        self.box("start", name)
        return directory

    def live(self, directory: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (Path(self.box.run_root) / "containers" / directory.name).read_text()
        )
        return found

    def ask(self, directory: Path, **message: object) -> dict[str, Any]:
        with Conversation(self.box.run_root, self.live(directory)["supervisor"]) as conversation:
            return conversation.ask({"id": directory.name, **message})

    def kill_supervisor(self, directory: Path) -> tuple[bytes, bytes]:
        """Its documents of before, and the next command has healed what it heals."""
        name = self.live(directory)["supervisor"]
        (pid,) = [
            pid
            for pid in host.supervisors(self.box.run_root)
            if name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        document = (directory / "network.json").read_bytes()
        live = (Path(self.box.run_root) / "containers" / directory.name).read_bytes()
        os.kill(pid, signal.SIGKILL)
        until(lambda: not _native.alive(self.box.run_root, name))
        self.box("ps", "-a")
        return document, live


@pytest.fixture
def nets(box: Box, tmp_path: Path) -> Iterator[Nets]:
    (tmp_path / "leases").mkdir()
    nets = Nets(box, tmp_path / "leases")
    yield nets
    for name in nets.names:
        box("rm", "-f", name, check=False)
    until(lambda: "fbv" not in run("ip", "link"))
    assert sorted(os.listdir(nets.leases)) == []


SERVE = ["sh", "-c", "mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w"]
SLEEP = ["sleep", "100000"]


def get(address: str, port: int = 80) -> str:
    """A page, once the server listens."""
    end = time.monotonic() + 20 * host.SLOW
    while True:
        try:
            with socket.create_connection((address, port), timeout=2) as server:
                server.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
                text = b"".join(iter(lambda: server.recv(4096), b""))
                return text.split(b"\r\n\r\n")[1].decode().strip()
        except (ConnectionRefusedError, TimeoutError, OSError):
            assert time.monotonic() < end, f"{address} does not answer"
            time.sleep(0.02)


def pid_of(nets: Nets, directory: Path) -> int:
    try:
        return int(nets.live(directory)["pid"])
    except FileNotFoundError:
        return 0
