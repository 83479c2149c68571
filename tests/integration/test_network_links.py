"""What a supervisor makes of network.json: links, addresses, routes; what connect and disconnect change.

The test plays the host in a network namespace of its own; who leases addresses is not asked here, so the documents are made by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastbox import _native, _net
from fastbox.errors import FastboxError

from . import host
from .netlinks import BRIDGE, SERVE, SLEEP, Nets, get, run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("network_host")]


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
    own = os.readlink("/proc/self/ns/net")
    others = [link for link in held if link.startswith("net:") and link != own]
    assert not others, "nobody keeps a container's namespace"
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
