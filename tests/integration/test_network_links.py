"""What a supervisor makes of network.json: links, addresses, routes; what connect and disconnect change, and what an end takes back.

The test plays the host in a network namespace of its own; who leases addresses is not asked here, so the documents are made by hand.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastbox import _native, _net
from fastbox.errors import FastboxError
from fastbox.runtime.supervisor import Conversation

from . import host
from .conftest import Box

pytestmark = pytest.mark.integration

CLONE_NEWNET = 0x40000000
BRIDGE = "fb-test"
NETWORK = "0123456789abcdef" * 4
libc = ctypes.CDLL(None, use_errno=True)


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def own_host() -> Iterator[None]:
    """A host of the module's own, with a bridge: supervisors and commands are its children."""
    back = os.open("/proc/self/ns/net", os.O_RDONLY)
    assert libc.unshare(CLONE_NEWNET) == 0
    try:
        run("ip", "link", "set", "lo", "up")
        assert _net.bridge_ensure(BRIDGE, ["172.30.0.1/24", "fd00:30::1/64"], 1500, True)
        yield
    finally:
        assert libc.setns(back, CLONE_NEWNET) == 0
        os.close(back)


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds * host.SLOW
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


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


def test_packets(nets: Nets) -> None:
    box = nets.box
    both: dict[str, Any] = {
        "addresses": ["172.30.0.2/24", "fd00:30::2/64"],
        "gateways": ["172.30.0.1", "fd00:30::1"],
    }
    nets.start("web", [nets.endpoint(2, **both)], SERVE, "--hostname", "web")
    nets.start("peer", [nets.endpoint(3)], SLEEP)
    assert get("172.30.0.2") == get("fd00:30::2") == "web"
    assert box("exec", "peer", "wget", "-qO-", "http://172.30.0.2").stdout == "web\n"
    assert "1 packets received" in box("exec", "peer", "ping", "-c1", "-w5", "172.30.0.1").stdout
    held = [
        os.readlink(path)
        for pid in host.supervisors(box.run_root)
        for path in Path(f"/proc/{pid}/fd").iterdir()
    ]
    assert not [link for link in held if link.startswith("net:")], "nobody keeps a namespace"
    routes = box("exec", "web", "ip", "route").stdout
    assert "default via 172.30.0.1 dev eth0" in routes
    assert "172.30.0.0/24 dev eth0" in routes


def test_interfaces(nets: Nets) -> None:
    box = nets.box
    nets.start("four", [nets.endpoint(4), nets.endpoint(5, "eth1.x", mtu=1280)], SLEEP)
    shown = box("exec", "four", "ip", "address").stdout
    assert "eth0" in shown
    assert "02:42:ac:1e:00:04" in shown
    assert "mtu 1280" in shown
    assert "inet 172.30.0.5/24 brd 172.30.0.255" in shown
    six = box("exec", "four", "ip", "-6", "address").stdout
    assert "::1/128" in six, "the loopback keeps its own"
    assert "fe80" not in six
    for name in ("eth0", "eth1.x"):
        setting = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        assert box("exec", "four", "cat", setting).stdout == "1\n"
    box("stop", "-t", "0", "four")
    nets.start("six", [nets.endpoint(6, addresses=["172.30.0.6/24", "fd00:30::6/64"])], SLEEP)
    setting = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"
    assert box("exec", "six", "cat", setting).stdout == "0\n"


def test_settings_that_were_asked_for_win(nets: Nets) -> None:
    flag = "net.ipv6.conf.eth0.disable_ipv6=0"
    nets.start("set", [nets.endpoint(7)], SLEEP, "--sysctl", flag)
    path = "/proc/sys/net/ipv6/conf/eth0/disable_ipv6"
    assert nets.box("exec", "set", "cat", path).stdout == "0\n"


def test_isolated(nets: Nets) -> None:
    box = nets.box
    nets.start("one", [nets.endpoint(8, isolated=True)], SERVE, "--hostname", "one")
    nets.start("two", [nets.endpoint(9, isolated=True)], SLEEP)
    nets.start("open", [nets.endpoint(10)], SLEEP)
    assert get("172.30.0.8") == "one"
    assert box("exec", "open", "wget", "-qO-", "http://172.30.0.8").stdout == "one\n"
    assert box("exec", "two", "ping", "-c1", "-w2", "172.30.0.8", check=False).returncode != 0
    assert box("exec", "two", "ping", "-c1", "-w5", "172.30.0.1").returncode == 0


def test_user_namespace(nets: Nets) -> None:
    """The namespace is the clone's, so that root in there may change what is its own."""
    nets.start(
        "mapped", [nets.endpoint(11)], SERVE, "--userns", "100000:65536", "--hostname", "mapped"
    )
    assert get("172.30.0.11") == "mapped"
    shown = nets.box("exec", "mapped", "ip", "-6", "address").stdout
    assert "::1/128" in shown
    assert "fe80" not in shown
    owned = nets.box("exec", "mapped", "cat", "/proc/1/uid_map").stdout.split()
    assert owned[1] == "100000"


def test_end_gives_back_before_it_is_told(nets: Nets) -> None:
    for number in range(3):
        endpoint = nets.endpoint(12)
        directory = nets.create("short", [endpoint], ["sh", "-c", "ip address show eth0"])
        done = nets.box("start", "-a", "short")
        assert "172.30.0.12/24" in done.stdout, number
        assert not os.path.exists(endpoint["leases"][0]), "another may take the address at once"
        nets.box("rm", "short")
        assert not directory.exists()


def test_leases_of_others_stay(nets: Nets) -> None:
    endpoint = nets.endpoint(13)
    nets.create("mine", [endpoint], ["true"])
    lease = Path(endpoint["leases"][0])
    lease.write_text(json.dumps({"schema": 1, "container": "another"}))
    nets.box("start", "-a", "mine")
    assert lease.exists()
    lease.unlink()


def test_failed_starts(nets: Nets) -> None:
    endpoint = nets.endpoint(14)
    nets.create("missing", [endpoint], ["/no/such/command"])
    assert nets.box("start", "missing", check=False).returncode != 0
    assert not os.path.exists(endpoint["leases"][0])
    endpoint = nets.endpoint(14, link="fb-absent")
    nets.create("bridgeless", [endpoint], SLEEP)
    done = nets.box("start", "bridgeless", check=False)
    assert done.returncode != 0
    assert "the network's bridge is missing" in done.stderr
    assert "fb-absent" in done.stderr
    assert not os.path.exists(endpoint["leases"][0])
    endpoint = nets.endpoint(14)
    directory = nets.create("unknown", [endpoint], SLEEP, more=1)
    done = nets.box("start", "unknown", check=False)
    assert ".more" in done.stderr
    os.unlink(endpoint["leases"][0])  # of what nobody can read nobody knows the leases
    assert not (Path(nets.box.run_root) / "containers" / directory.name).exists()


def test_two_of_one_name(nets: Nets) -> None:
    """What was made of the first goes when the second can't be."""
    one, two = nets.endpoint(15), nets.endpoint(16)
    nets.create("twice", [one, two], SLEEP)
    assert nets.box("start", "twice", check=False).returncode != 0
    until(lambda: one["host"] not in run("ip", "link"))
    assert not os.path.exists(one["leases"][0])


def test_host_network_is_refused(nets: Nets) -> None:
    endpoint = nets.endpoint(17)
    directory = nets.create("hostly", [endpoint], SLEEP)
    bundle = json.loads((directory / "config.json").read_text())
    kinds = [kind for kind in bundle["linux"]["namespaces"] if kind["type"] != "network"]
    bundle["linux"]["namespaces"] = kinds
    (directory / "config.json").write_text(json.dumps(bundle))
    done = nets.box("start", "hostly", check=False)
    assert done.returncode != 0
    assert "network namespace" in done.stderr
    assert not os.path.exists(endpoint["leases"][0])


def pid_of(nets: Nets, directory: Path) -> int:
    try:
        return int(nets.live(directory)["pid"])
    except FileNotFoundError:
        return 0


def test_policy_keeps_addresses(nets: Nets) -> None:
    endpoint = nets.endpoint(18)
    directory = nets.start("again", [endpoint], SERVE, "--restart", "always", "--hostname", "again")
    for _ in range(3):
        assert get("172.30.0.18") == "again"
        before = pid_of(nets, directory)
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: pid_of(nets, directory) not in (0, before))  # type: ignore[misc]
        assert os.path.exists(endpoint["leases"][0])
    assert get("172.30.0.18") == "again"
    nets.box("stop", "-t", "0", "again")
    assert not os.path.exists(endpoint["leases"][0])


def test_restart_at_once(nets: Nets) -> None:
    """The last life's link is still there when the next one is made; it must be in nobody's way."""
    directory = nets.start("now", [nets.endpoint(19)], SERVE, "--hostname", "now")
    for _ in range(5):
        before = pid_of(nets, directory)
        nets.ask(directory, op="restart", signal=9, timeout=0)
        until(lambda before=before: pid_of(nets, directory) not in (0, before))  # type: ignore[misc]
        assert get("172.30.0.19") == "now"
    until(lambda: "fbx" not in run("ip", "link"))


def test_connect_and_disconnect(nets: Nets) -> None:
    box = nets.box
    assert _net.bridge_ensure("fb-second", ["172.31.0.1/24"], 1500, False)
    try:
        directory = nets.start("live", [nets.endpoint(20)], SERVE, "--hostname", "live")
        more = nets.endpoint(
            21, "eth1", link="fb-second", addresses=["172.31.0.2/24"], mac="02:42:ac:1f:00:02"
        )
        assert nets.ask(directory, op="connect", endpoint=more) == {"ok": True}
        assert get("172.31.0.2") == get("172.30.0.20") == "live"
        six = box("exec", "live", "cat", "/proc/sys/net/ipv6/conf/eth1/disable_ipv6").stdout
        assert six == "1\n"
        with pytest.raises(FastboxError, match="an interface of this name"):
            nets.ask(directory, op="connect", endpoint=more)
        assert nets.ask(directory, op="dns", dns={"id": "x"}) == {"ok": True}
        assert nets.ask(directory, op="disconnect", name="eth1", dns=None) == {"ok": True}
        assert "eth1" not in box("exec", "live", "ip", "link").stdout
        assert more["host"] not in run("ip", "link")
        assert get("172.30.0.20") == "live"
        assert os.path.exists(more["leases"][0]), "whose request it is gives the address back"
        with pytest.raises(FastboxError, match="no such interface"):
            nets.ask(directory, op="disconnect", name="eth1")
        # And the first one, and again, and what was connected goes with the container's end.
        assert nets.ask(directory, op="disconnect", name="eth0") == {"ok": True}
        assert nets.ask(directory, op="connect", endpoint=more) == {"ok": True}
        assert get("172.31.0.2") == "live"
        box("stop", "-t", "0", "live")
        assert not os.path.exists(more["leases"][0])
        os.unlink(nets.leases / "172.30.0.20")
    finally:
        _net.link_delete("fb-second")


def test_connect_leaves_nothing_half_made(nets: Nets) -> None:
    directory = nets.start("half", [nets.endpoint(22)], SERVE, "--hostname", "half")
    twice = ["172.30.0.23/24", "172.30.0.23/24"]
    wrong = nets.endpoint(23, "eth1", addresses=twice)
    with pytest.raises(FastboxError, match="already assigned"):
        nets.ask(directory, op="connect", endpoint=wrong)
    assert wrong["host"] not in run("ip", "link")
    assert "eth1" not in nets.box("exec", "half", "ip", "link").stdout
    with pytest.raises(FastboxError, match="out of range"):
        nets.ask(directory, op="connect", endpoint={**wrong, "mtu": -1})
    with pytest.raises(FastboxError, match="not an object"):
        nets.ask(directory, op="connect", endpoint="eth1")
    assert get("172.30.0.22") == "half"
    os.unlink(wrong["leases"][0])
    nets.names.append("plain")
    nets.box("run", "-d", "--name", "plain", "--network", "none", "busybox", *SLEEP)
    plain = Path(nets.box("inspect", "-f", "{{.Id}}", "plain").stdout.strip())
    with pytest.raises(FastboxError, match="without a network of its own"):
        nets.ask(plain, op="connect", endpoint=wrong)


@pytest.fixture
def parent() -> Iterator[str]:
    """An interface whose other end is somebody else on the same wire."""
    run("ip", "link", "add", "par", "type", "veth", "peer", "name", "far")
    for name in ("par", "far"):
        run("ip", "link", "set", name, "up")
    run("ip", "address", "add", "172.29.0.1/24", "dev", "far")
    yield "par"
    run("ip", "link", "delete", "far")


@pytest.mark.parametrize(
    ("kind", "mode"), [("macvlan", "bridge"), ("macvlan", "passthru"), ("ipvlan", "l2")]
)
def test_on_a_parent(nets: Nets, parent: str, kind: str, mode: str) -> None:
    made = subprocess.run(
        ["ip", "link", "add", "probe", "link", parent, "type", kind], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip(f"this kernel has no {kind}")
    run("ip", "link", "delete", "probe")
    endpoint = nets.endpoint(
        24, kind=kind, link=parent, mode=mode, host="", addresses=["172.29.0.2/24"],
        gateways=["172.29.0.1"], mac="" if kind == "ipvlan" else "02:42:ac:1d:00:02",
    )  # fmt: skip
    nets.start("child", [endpoint], SERVE, "--hostname", "child")
    assert get("172.29.0.2") == "child"
    assert nets.box("exec", "child", "ping", "-c1", "-w5", "172.29.0.1").returncode == 0
    nets.box("stop", "-t", "0", "child")


def test_ports_are_in_the_live_state(nets: Nets) -> None:
    ports = [
        {"protocol": "tcp", "hosts": ["127.0.0.1", "::1"], "first": 18080, "last": 18080, "port": 80,
         "address": "172.30.0.25", "address6": ""}
    ]  # fmt: skip
    endpoint = nets.endpoint(25)
    directory = nets.start("ports", [endpoint], SLEEP, ports=ports)
    assert nets.live(directory)["ports"] == [
        {"protocol": "tcp", "host": "127.0.0.1", "host_port": 18080, "port": 80},
        {"protocol": "tcp", "host": "::1", "host_port": 18080, "port": 80},
    ]
    without = nets.start("none", [nets.endpoint(26)], SLEEP)
    assert "ports" not in nets.live(without)


def test_killed_supervisor(nets: Nets) -> None:
    """What it leaves is named by the document: whoever heals gives it back."""
    endpoint = nets.endpoint(27)
    directory = nets.start("orphan", [endpoint], SLEEP)
    (name,) = [nets.live(directory)["supervisor"]]
    (pid,) = [
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if name.encode() in entry.read_bytes().split(b"\0")
    ]
    document = (directory / "network.json").read_bytes()
    live = (Path(nets.box.run_root) / "containers" / directory.name).read_bytes()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _native.alive(nets.box.run_root, name))
    nets.box("ps", "-a")
    until(lambda: endpoint["host"] not in run("ip", "link"))
    _net.release(document, True, "another", live)
    _net.release(document, False, directory.name, live)
    assert os.path.exists(endpoint["leases"][0])
    _net.release(document, True, directory.name, live)
    assert not os.path.exists(endpoint["leases"][0])
    _net.release(document, True, directory.name, live)


def test_the_timeline_has_it(nets: Nets, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    nets.create("timed", [nets.endpoint(28)], ["true"])
    nets.box("start", "-a", "timed", FASTBOX_TRACE=str(trace))
    names = [event["name"] for event in json.loads(trace.read_text().rstrip().rstrip(",") + "]")]
    assert "network" in names


def test_clashing_routes() -> None:
    assert _net.route_clash("172.30.0.128/25") == "172.30.0.0/24 dev fb-test"
    assert _net.route_clash("10.0.0.0/8") == ""
    with pytest.raises(ValueError, match="no address"):
        _net.route_clash("10.0.0.0/33")
    with pytest.raises(_native.NativeError, match="no bridge"):
        _net.bridge_ensure("lo", [], 1500, False)


def test_shards_are_one_network(nets: Nets) -> None:
    assert _net.bridge_ensure("fb-test.1", [], 1500, True, main=BRIDGE)
    assert not _net.bridge_ensure("fb-test.1", [], 1500, True, main=BRIDGE)
    try:
        shard = nets.endpoint(29, link="fb-test.1", napi=True)
        nets.start("far", [shard], SERVE, "--hostname", "far")
        nets.start("near", [nets.endpoint(30)], SLEEP)
        assert get("172.30.0.29") == "far"
        assert nets.box("exec", "near", "wget", "-qO-", "http://172.30.0.29").stdout == "far\n"
        nets.box("stop", "-t", "0", "far")
    finally:
        _net.link_delete("fb-test.1")
    assert "fbs" not in run("ip", "link")
