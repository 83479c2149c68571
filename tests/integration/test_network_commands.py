"""`network create connect disconnect inspect ls rm prune reconcile`, `port`, and what inspect and ps say of networks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator

import pytest

import fastbox

from . import host
from .conftest import Box

pytestmark = pytest.mark.integration
SLEEP = ("sleep", "300")
PARENT = "fbcmdparent"


@pytest.fixture(scope="module", autouse=True)
def _default(box: Box) -> None:
    """The default network's bridge stays once it was used: made before anything is looked at."""
    box("network", "inspect", "bridge")


@pytest.fixture
def network(box: Box) -> Iterator[Callable[..., str]]:
    """Makes networks that are removed after the test; its id."""
    made = []

    def create(name: str, *words: str) -> str:
        made.append(name)
        return box("network", "create", *words, name).stdout.strip()

    yield create
    for each in made:
        box("network", "rm", "-f", each)


@pytest.fixture
def start(box: Box) -> Iterator[Callable[..., str]]:
    """Starts containers that are removed after the test; its id."""
    made = []

    def run(*words: str, argv: tuple[str, ...] = SLEEP) -> str:
        made.append(box("run", "-d", *words, "busybox", *argv).stdout.strip())
        return made[-1]

    yield run
    for each in reversed(made):
        box("rm", "-f", each, check=False)


def show(box: Box, kind: str, name: str) -> dict:
    (found,) = json.loads(box(kind, "inspect", name).stdout)
    return found


def endpoint(box: Box, container: str, name: str) -> dict:
    return show(box, "container", container)["NetworkSettings"]["Networks"][name]


def inside(box: Box, container: str, *argv: str) -> str:
    return box("exec", container, *argv).stdout


def reaches(box: Box, container: str, name: str) -> bool:
    return box("exec", container, "ping", "-c1", "-W1", name, check=False).returncode == 0


def test_create_inspect_ls_rm(box: Box, network) -> None:
    identity = network(
        "mine", "-d", "bridge", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.9",
        "--ip-range", "10.77.0.128/25", "--aux-address", "printer=10.77.0.200",
        "--label", "team=web", "-o", "com.docker.network.driver.mtu=1400",
    )  # fmt: skip
    assert re.fullmatch("[0-9a-f]{64}", identity)
    found = show(box, "network", "mine")
    assert found == show(box, "network", identity[:8])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", found.pop("Created"))
    assert found == {
        "Name": "mine", "Id": identity, "Scope": "local", "Driver": "bridge",
        "EnableIPv4": True, "EnableIPv6": False,
        "IPAM": {
            "Driver": "default", "Options": {},
            "Config": [{
                "Subnet": "10.77.0.0/24", "IPRange": "10.77.0.128/25", "Gateway": "10.77.0.9",
                "AuxiliaryAddresses": {"printer": "10.77.0.200"},
            }],
        },
        "Internal": False, "Attachable": False, "Ingress": False, "ConfigFrom": {"Network": ""},
        "ConfigOnly": False, "Containers": {},
        "Options": {"com.docker.network.driver.mtu": "1400"}, "Labels": {"team": "web"},
    }  # fmt: skip
    shown = subprocess.run(
        ["ip", "-j", "addr", "show", "dev", f"fb-{identity[:12]}"], capture_output=True, check=True
    )
    (link,) = json.loads(shown.stdout)
    assert link["mtu"] == 1400
    assert [a["local"] for a in link["addr_info"] if a["family"] == "inet"] == ["10.77.0.9"]
    rows = box("network", "ls", "--filter", "type=custom").stdout.splitlines()
    assert rows[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert rows[1].split() == [identity[:12], "mine", "bridge", "local"]
    assert box("network", "ls", "-q", "--no-trunc", "-f", "label=team").stdout == identity + "\n"
    names = box("network", "ls", "--format", "{{.Name}}").stdout.split()
    assert {"bridge", "host", "none", "mine"} <= set(names)
    assert names == sorted(names)
    assert box("network", "rm", "mine").stdout == "mine\n"
    assert box("network", "rm", "mine", check=False).returncode == 1
    assert box("network", "rm", "-f", "mine").returncode == 0
    assert f"fb-{identity[:12]}" not in host.links()


def test_inspect_by_its_kind(box: Box, network) -> None:
    identity = network("mine")
    assert json.loads(box("inspect", "mine").stdout)[0]["Id"] == identity
    assert box("inspect", "--type", "network", "-f", "{{.Driver}}", "mine").stdout == "bridge\n"
    assert "not found" in box("network", "inspect", "nope", check=False).stderr


def test_connect_and_disconnect(box: Box, network, start) -> None:
    network("front")
    network("back", "--subnet", "10.78.0.0/24")
    start("--name", "web", "--network", "front")
    start("--name", "client", "--network", "back")
    assert not reaches(box, "client", "web")
    words = ("--alias", "api", "--ip", "10.78.0.77")
    assert box("network", "connect", *words, "back", "web").stdout == ""
    found = endpoint(box, "web", "back")
    assert (found["IPAddress"], found["Aliases"]) == ("10.78.0.77", ["api"])
    assert found["MacAddress"] == "02:42:0a:4e:00:4d"
    assert "10.78.0.77" in inside(box, "web", "cat", "/etc/hosts")
    assert "eth1" in inside(box, "web", "ip", "link")
    for name in ("web", "api", "10.78.0.77"):
        assert reaches(box, "client", name)
    assert "already exists in network back" in box.fails("network", "connect", "back", "web")
    members = show(box, "network", "back")["Containers"]
    assert {each["Name"] for each in members.values()} == {"web", "client"}
    assert "has active endpoints" in box("network", "rm", "back", check=False).stderr
    box("network", "disconnect", "front", "web")  # its default route goes on through the other
    assert "default via 10.78.0.1 dev eth1" in inside(box, "web", "ip", "route")
    assert "eth0" not in inside(box, "web", "ip", "link")
    assert list(show(box, "container", "web")["NetworkSettings"]["Networks"]) == ["back"]
    assert "is not connected to network" in box.fails("network", "disconnect", "front", "web")
    box("restart", "-t", "0", "web")  # a later start is in the same networks
    assert list(show(box, "container", "web")["NetworkSettings"]["Networks"]) == ["back"]
    assert endpoint(box, "web", "back")["IPAddress"] == "10.78.0.77"
    box("network", "disconnect", "back", "web")
    assert show(box, "container", "web")["NetworkSettings"]["Networks"] == {}
    assert not reaches(box, "client", "web")


def test_the_priority_moves_the_default_route(box: Box, network, start) -> None:
    network("one", "--subnet", "10.78.1.0/24")
    network("two", "--subnet", "10.78.2.0/24")
    start("--name", "web", "--network", "one")
    box("network", "connect", "--gw-priority", "5", "two", "web")
    assert "default via 10.78.2.1 dev eth1" in inside(box, "web", "ip", "route")
    assert inside(box, "web", "ip", "route").count("default") == 1
    box("network", "disconnect", "two", "web")
    assert "default via 10.78.1.1 dev eth0" in inside(box, "web", "ip", "route")


def test_connect_one_that_does_not_run(box: Box, network) -> None:
    network("front")
    network("back")
    box("create", "--name", "later", "--network", "front", "busybox", *SLEEP)
    try:
        box("network", "connect", "--alias", "x", "back", "later")
        assert show(box, "network", "back")["Containers"] == {}
        networks = show(box, "container", "later")["NetworkSettings"]["Networks"]
        assert list(networks) == ["front", "back"]
        assert networks["back"]["Aliases"] == ["x"]
        box("start", "later")
        assert endpoint(box, "later", "back")["IPAddress"]
        assert box("ps", "-f", "network=back", "--format", "{{.Networks}}").stdout == "front,back\n"
    finally:
        box("rm", "-f", "later")


@pytest.mark.parametrize("mode", ["host", "none", "container:web"])
def test_modes_without_networks(box: Box, network, start, mode: str) -> None:
    network("front")
    start("--name", "web")
    start("--name", "other", "--network", mode)
    error = box.fails("network", "connect", "front", "other")
    assert "connected to" in error
    assert show(box, "network", "front")["Containers"] == {}


def test_a_rename_is_known_at_once(box: Box, network, start) -> None:
    network("front")
    start("--name", "before", "--network", "front")
    start("--name", "client", "--network", "front")
    box("rename", "before", "after")
    assert reaches(box, "client", "after")
    assert not reaches(box, "client", "before")
    members = show(box, "network", "front")["Containers"]
    assert {each["Name"] for each in members.values()} == {"after", "client"}
    # An address may rest a moment, but the lease that a rename rewrote goes with its container.
    box("rm", "-f", "after")
    assert len(show(box, "network", "front")["Containers"]) == 1


def test_ports_are_shown(box: Box, start) -> None:
    identity = start(
        "--name", "web", "-p", "127.0.0.1:0:80", "-p", "127.0.0.1:0:53/udp", "--expose", "7"
    )
    lines = box("port", "web").stdout.splitlines()
    udp, tcp = (line.rpartition(":")[2] for line in lines)
    assert lines == [f"53/udp -> 127.0.0.1:{udp}", f"80/tcp -> 127.0.0.1:{tcp}"]
    assert box("port", "web", "80").stdout == f"127.0.0.1:{tcp}\n"
    assert "no public port '81'" in box("port", "web", "81", check=False).stderr
    found = show(box, "container", "web")
    assert found["NetworkSettings"]["Ports"] == {
        "7/tcp": None,
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": udp}],
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": tcp}],
    }
    assert set(found["HostConfig"]["PortBindings"]) == {"80/tcp", "53/udp"}
    shown = box("ps", "--format", "{{.Ports}}", "-f", f"publish={tcp}").stdout
    assert shown == f"7/tcp, 127.0.0.1:{udp}->53/udp, 127.0.0.1:{tcp}->80/tcp\n"
    assert box("ps", "-q", "-f", f"publish={tcp}/udp").stdout == ""
    assert box("ps", "-q", "-f", "expose=7").stdout == identity[:12] + "\n"
    box("stop", "-t", "0", "web")
    assert box("port", "web").stdout == ""
    assert box("ps", "-a", "--format", "{{.Ports}}", "-f", "name=web").stdout == "\n"


def test_inspect_as_docker(box: Box, start) -> None:
    start("--name", "web")
    found = show(box, "container", "web")["NetworkSettings"]
    bridge = show(box, "network", "bridge")
    (config,) = bridge["IPAM"]["Config"]
    assert found["Gateway"] == config["Gateway"]
    assert found["IPAddress"] == found["Networks"]["bridge"]["IPAddress"]
    assert found["Networks"]["bridge"]["NetworkID"] == bridge["Id"]
    (member,) = bridge["Containers"].values()
    assert member["EndpointID"] == found["EndpointID"]
    assert member["IPv4Address"] == f"{found['IPAddress']}/{found['IPPrefixLen']}"
    assert found["SandboxKey"].startswith("/proc/")
    box("stop", "-t", "0", "web")
    found = show(box, "container", "web")["NetworkSettings"]
    assert (found["IPAddress"], found["SandboxKey"], found["Ports"]) == ("", "", {})
    assert list(found["Networks"]) == ["bridge"]


def test_prune(box: Box, network, start) -> None:
    network("used")
    network("unused")
    network("kept", "--label", "keep")
    start("--network", "used")
    done = box("network", "prune", "-f", "--filter", "label!=keep")
    assert done.stdout == "Deleted Networks:\nunused\n\n"
    assert box("network", "prune", "--filter", "label=keep", stdin=b"n\n").stdout.endswith("[y/N] ")
    assert show(box, "network", "kept")["Name"] == "kept"
    done = box("system", "prune", "-f")
    assert "Deleted Networks:\nkept\n" in done.stdout
    assert show(box, "network", "used")["Name"] == "used"


def test_a_flushed_firewall_is_put_back(box: Box, network, start) -> None:
    network("front")
    start("--name", "web", "--network", "front", "-p", "127.0.0.1:0:80")
    rules = ("nft", "-j", "list", "table", "inet", "fastbox")
    before = subprocess.run(rules, capture_output=True, check=True).stdout
    for family in ("inet", "bridge"):
        subprocess.run(["nft", "delete", "table", family, "fastbox"], check=True)
    assert "has not fastbox's rules" in box("system", "check", check=False).stdout
    assert box("network", "reconcile").stdout == "firewall: the rules were missing\n"
    assert _elements(subprocess.run(rules, capture_output=True, check=True).stdout) == _elements(
        before
    )
    assert box("network", "reconcile").stdout == ""
    assert box("system", "check").returncode == 0


def _elements(text: bytes) -> dict[str, list[str]]:
    """The elements of each set; a bridge that another test's store took with it counts no more."""
    there = set(host.links())
    return {
        entry[kind]["name"]: sorted(
            text
            for text in map(json.dumps, entry[kind].get("elem", ()))
            if set(re.findall(r"fb-[0-9a-f]{10,12}", text)) <= there
        )
        for entry in json.loads(text)["nftables"]
        for kind in ("set", "map")
        if kind in entry
    }


def test_a_missing_bridge_is_put_back(box: Box, network) -> None:
    identity = network("front", "--subnet", "10.77.3.0/24")
    device = f"fb-{identity[:12]}"
    subprocess.run(["ip", "link", "del", device], check=True)
    assert f"network front: {device} was missing" in box("network", "reconcile").stdout
    subprocess.run(["ip", "link", "del", device], check=True)
    shown = box("run", "--rm", "--network", "front", "busybox", "ping", "-c1", "10.77.3.1").stdout
    assert "1 packets received" in shown


def test_leases_of_nobody_are_given_back(box: Box, network) -> None:
    identity = network("front")
    lease = f"{box.root}/networks/{identity}/leases/10.200.0.5"
    with open(lease, "w") as file:
        json.dump({"schema": 1, "container": "0" * 64, "name": "gone", "names": ["gone"],
                   "mac": "", "endpoint": "", "primary": True}, file)  # fmt: skip
    assert lease in box("system", "check", check=False).stdout
    assert lease in box("network", "reconcile").stdout
    assert not os.path.exists(lease)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--subnet", "10.77.0.0/33", "n"], "invalid subnet 10.77.0.0/33"),
        (["--gateway", "10.77.0.1", "n"], "must have a corresponding subnet"),
        (["--subnet", "10.77.0.0/24", "--gateway", "10.78.0.1", "n"], "no matching subnet"),
        (["a/b"], "invalid network name"),
        (["bridge"], "not permitted on predefined"),
        (["-d", "nope", "n"], 'could not find plugin "nope"'),
        (["-d", "overlay", "n"], "not supported yet"),
        (["-d", "macvlan", "-o", "parent=gone0", "n"], "parent interface gone0 was not found"),
        (["-d", "macvlan", "-o", "macvlan_mode=x", "n"], "requested macvlan mode 'x' is not valid"),
        (["-d", "ipvlan", "-o", "ipvlan_mode=x", "n"], "requested ipvlan mode 'x' is not valid"),
        (["--ipv4=false", "n"], "IPv4 or IPv6 must be enabled"),
        (["--ingress", "n"], "swarm"),
    ],
)  # fmt: skip
def test_what_can_not_be_made(box: Box, words: list[str], message: str) -> None:
    before = host.links()
    assert message in box.fails("network", "create", *words)
    assert host.links() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "nope"], "network nope not found"),
        (["--network", "mine", "--ip", "10.79.1.1"], "no configured subnet contains it"),
        (["--network", "mine", "--ip", "10.79.0.1"], "Address already in use"),
        (["--network", "mine", "--mac-address", "03:00:00:00:00:01"], "invalid MAC address"),
        (["-p", "x"], "invalid containerPort"),
        (["--network", "container:web", "-p", "80:80"], "conflicting options"),
    ],
)  # fmt: skip
def test_what_can_not_run(box: Box, network, words: list[str], message: str) -> None:
    network("mine", "--subnet", "10.79.0.0/24")
    assert message in box.fails("run", "--rm", *words, "busybox", "true")


def test_two_starts_never_share_an_address(box: Box, network) -> None:
    network("small", "--subnet", "10.77.4.0/28")
    shown, threads = [], []
    for _ in range(8):
        argv = ("run", "--rm", "--network", "small", "busybox", "sh", "-c", "ip addr; sleep 1")
        threads.append(threading.Thread(target=lambda a=argv: shown.append(box(*a).stdout)))
        threads[-1].start()
    for each in threads:
        each.join()
    found = [re.search(r"10\.77\.4\.\d+", text)[0] for text in shown]
    assert len(set(found)) == len(found) == 8


def test_the_python_interface(box: Box) -> None:
    with fastbox.Engine.open(root=box.root, run=box.run_root) as engine:
        identity = engine.networks.create("api", labels={"a": "1"})
        try:
            with engine.run("busybox", SLEEP, network="api") as container:
                (info,) = engine.networks.list(filters=["name=api"])
                assert (info.id, info.containers) == (identity, (container.id,))
        finally:
            engine.networks.remove("api")


@pytest.fixture
def parent() -> Iterator[str]:
    subprocess.run(["ip", "link", "add", PARENT, "type", "veth", "peer", "fbcmdpeer"], check=True)
    try:
        for name in (PARENT, "fbcmdpeer"):
            subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield PARENT
    finally:
        subprocess.run(["ip", "link", "del", PARENT], check=True)


def test_parents(box: Box, network, start, parent: str) -> None:
    words = ("-d", "macvlan", "-o", f"parent={parent}", "--subnet", "10.77.5.0/24")
    network("lan", *words)
    assert "already using parent interface" in box.fails("network", "create", *words, "lan2")
    start("--name", "a1", "--network", "lan")
    start("--name", "b2", "--network", "lan")
    assert reaches(box, "a1", "b2")
    assert "10.77.5.1" in inside(box, "a1", "ip", "route")
    done = box(
        "network", "create", "-d", "macvlan", "-o", f"parent={parent}.7", "vlan", check=False
    )
    if done.returncode:  # a kernel without 8021q says so
        assert "8021q" in done.stderr
        assert not os.path.exists(f"/proc/sys/net/ipv4/conf/{parent}.7")
    else:
        box("network", "rm", "vlan")
        assert not os.path.exists(f"/proc/sys/net/ipv4/conf/{parent}.7")
