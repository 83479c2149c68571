"""Networks come, are found, and go; names and leases are exclusive; what was killed is put right."""

from __future__ import annotations

import os
import threading

import pytest

from fastbox.errors import (
    Conflict,
    FastboxError,
    InUse,
    InvalidArgument,
    NetworkNotFound,
    NotFound,
    PermissionDenied,
    Unsupported,
)
from fastbox.networks import records
from fastbox.store.containers import ContainerStore
from fastbox.store.networks import WINDOW, read_lease
from fastbox.support import json


def start(networks, network: str = "a", container: str = "1", **more: object) -> dict:
    options = {"network": network, "endpoints": [{"network": network, **more}]}
    return networks.attach(container * 64, f"name-{container}", "host", options)


def test_what_is_always_there(networks) -> None:
    found = {info.name: info.driver for info in networks.list()}
    assert found == {"bridge": "bridge", "host": "host", "none": "null"}
    before = networks.list()[0].id
    assert networks.inspect("bridge")["Id"] == before  # made when somebody looks
    assert networks.inspect(before[:12])["Name"] == "bridge"
    assert networks.inspect("none")["Driver"] == "null"
    for name in found:
        with pytest.raises(Conflict, match="pre-defined network and cannot be removed"):
            networks.remove(name)
        with pytest.raises(Conflict, match="not permitted on predefined"):
            networks.create(name)


def test_create_inspect_remove(networks, kernel, store) -> None:
    identity = networks.create(
        "a", labels={"x": "1"}, options={"com.docker.network.bridge.enable_icc": "false"}
    )
    found = networks.inspect("a")
    assert found == networks.inspect(identity) == networks.inspect(identity[:5])
    assert (found["Name"], found["Id"], found["Scope"]) == ("a", identity, "local")
    assert (found["Labels"], found["Containers"]) == ({"x": "1"}, {})
    device = f"fb-{identity[:12]}"
    assert ("bridge", device, ("10.128.0.1/24",), 1500, False, "") in kernel.calls
    assert ("network", device, True, False, False, True) in kernel.calls
    networks.remove("a")
    assert ("network", device, True, False, False, False) in kernel.calls
    assert ("delete", device) in kernel.calls
    with pytest.raises(NetworkNotFound, match="network a not found"):
        networks.inspect("a")
    networks.remove("a", force=True)
    assert sorted(os.listdir(store.path)) == ["away", "names", "subnets"]
    assert os.listdir(store.path + "/names") == os.listdir(store.path + "/away") == []
    assert [n for n in os.listdir(store.path + "/subnets") if n != "parts"] == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "ä", "a" * 256, "..", "a\n"])
def test_names_that_can_not_be(networks, name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid network name"):
        networks.create(name)


def test_a_name_is_exclusive(networks) -> None:
    networks.create("a")
    with pytest.raises(Conflict, match="network with name a already exists"):
        networks.create("a")
    made, failed = [], []

    def make() -> None:
        try:
            made.append(networks.create("b"))
        except Conflict as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(made), len(failed)) == (1, 7)


def test_nothing_is_left_of_one_that_can_not_be_made(networks, kernel, store) -> None:
    kernel.fail = "network"
    with pytest.raises(FastboxError, match="cannot make the network a: the kernel says no"):
        networks.create("a")
    assert kernel.links == set()
    kernel.fail = ""
    assert store.ids() == []
    networks.create("a")
    with pytest.raises(NotFound, match='could not find plugin "x"'):
        networks.create("b", driver="x")
    with pytest.raises(Unsupported, match="overlay"):
        networks.create("b", driver="overlay")
    with pytest.raises(PermissionDenied, match='only one instance of "host"'):
        networks.create("b", driver="host")
    assert len(store.ids()) == 1


def test_one_that_is_used_stays(networks, store) -> None:
    identity = networks.create("a")
    document = start(networks)
    with pytest.raises(InUse, match=r'network a has active endpoints .name:"name-1"'):
        networks.remove("a")
    assert networks.inspect("a")["Containers"]["1" * 64]["IPv4Address"] == "10.128.0.2/24"
    assert networks.prune().lines == ()
    networks.abandon("1" * 64, document)
    assert networks.prune().lines == ("a",)
    with pytest.raises(NetworkNotFound):
        start(networks)
    assert not store.ids(), identity


def test_a_removal_that_was_killed(networks, store) -> None:
    identity = networks.create("a", subnets=["10.5.0.0/24"])
    os.makedirs(store.path + "/away", exist_ok=True)
    os.rename(store.directory(identity), f"{store.path}/away/{identity}")
    networks.create("b")  # the next who changes something puts it back
    assert networks.inspect("a")["Id"] == identity
    with pytest.raises(Conflict, match="Pool overlaps"):
        networks.create("c", subnets=["10.5.0.0/24"])


def test_a_lease(networks, store) -> None:
    identity = networks.create("a")
    document = start(networks, aliases=["web", "web", "db"])
    (path,) = document["endpoints"][0]["leases"]
    assert path == f"{store.directory(identity)}/leases/10.128.0.2"
    with open(path, "rb") as file:
        found = json.loads_object(file.read())
    assert len(found.pop("endpoint")) == 64
    assert found == {
        "schema": 1, "container": "1" * 64, "name": "name-1",
        "names": ["name-1", "web", "db", "1" * 12, "host"], "mac": "02:42:0a:80:00:02",
        "primary": True,
    }  # fmt: skip
    assert os.listdir(store.leases(identity)) == ["10.128.0.2"]
    assert not [n for n in os.listdir(store.directory(identity)) if n.startswith(".")]
    assert not store.take(identity, "10.128.0.2", b"{}")


def test_a_new_name_is_in_the_leases(networks) -> None:
    networks.create("a", ipv6=True)
    document = start(networks, aliases=["web"])
    networks.renamed(document, "name-1", "other")
    for path in document["endpoints"][0]["leases"]:
        lease = read_lease(path)
        assert (lease["name"], lease["names"][:2]) == ("other", ["other", "web"])
    networks.renamed(document, "name-1", "third")  # of another one: it is not that any more
    assert read_lease(path)["name"] == "other"


def test_leases_of_another_are_not_given_back(networks, store) -> None:
    identity = networks.create("a")
    document = start(networks)
    networks.abandon("2" * 64, document)
    assert store.taken(identity) == ["10.128.0.2"]


def test_the_document(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/24"])
    networks.create("b", subnets=["10.6.0.0/24"], internal=True)
    networks.create("c", subnets=["10.7.0.0/24"])
    endpoints = [
        {"network": "b"},
        {"network": "c", "mac": "92:d0:c6:0a:29:33", "link_local": ["169.254.3.4"]},
        {"network": "a"},
    ]
    options = {"network": "b", "endpoints": endpoints, "dns": ["192.0.2.1"]}
    found = networks.attach("1" * 64, "web", "h", options)
    b, c, a = found["endpoints"]
    assert [each["name"] for each in (b, c, a)] == ["eth0", "eth1", "eth2"]
    assert [each["gateways"] for each in (b, c, a)] == [[], [], ["10.5.0.1"]]  # docker: by name
    assert (c["mac"], c["addresses"]) == ("92:d0:c6:0a:29:33", ["10.7.0.2/24", "169.254.3.4/16"])
    assert all(each["kind"] == "veth" and each["guard"] for each in (a, b, c))
    assert len({each["host"] for each in (a, b, c)}) == 3
    assert all(each["host"].startswith("fbv") and len(each["host"]) <= 15 for each in (a, b, c))
    dns = found["dns"]
    assert (dns["id"], dns["name"], dns["internal"]) == ("1" * 64, "web", False)
    assert [each["id"] for each in dns["networks"]] == [each["network"] for each in (b, c, a)]
    assert dns["servers"] == ["192.0.2.1"]
    assert found["netd"][0].startswith("/")
    assert set(found) == {"schema", "endpoints", "ports", "dns", "netd"}


def test_who_gives_the_default_route(networks) -> None:
    networks.create("a")
    networks.create("b")
    options = {"network": "a", "endpoints": [{"network": "a"}, {"network": "b", "priority": 1}]}
    a, b = networks.attach("1" * 64, "x", "h", options)["endpoints"]
    assert (a["gateways"], b["gateways"]) == ([], ["10.128.1.1"])


def test_the_default_network_has_no_names(networks) -> None:
    found = networks.attach("1" * 64, "x", "h", {"network": "bridge"})
    assert (found["dns"], found["endpoints"][0]["addresses"]) == (None, ["172.17.0.2/16"])
    for mode in ("none", "host", "container:abc"):
        assert networks.attach("1" * 64, "x", "h", {"network": mode}) is None
    left = {"network": "a", "endpoints": [{"network": "none"}]}  # it has left all its networks
    assert networks.attach("1" * 64, "x", "h", left)["endpoints"] == []


def test_names_of_interfaces(networks) -> None:
    networks.create("a", options={"com.docker.network.container_iface_prefix": "lan"})
    networks.create("b")
    wishes = [
        {"network": "a"},
        {"network": "b", "options": {"com.docker.network.endpoint.ifname": "x1"}},
    ]
    found = networks.attach("1" * 64, "x", "h", {"network": "a", "endpoints": wishes})
    assert [each["name"] for each in found["endpoints"]] == ["lan0", "x1"]


def test_verify(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/24"])
    networks.verify({"network": "a"})
    for options, message in (
        ({"network": "nope"}, "network nope not found"),
        ({"endpoints": [{"network": "a", "ip": "10.6.0.1"}]}, "no configured subnet contains it"),
        ({"endpoints": [{"network": "a", "ip": "fd00::1"}]}, "invalid IPv4 address"),
        ({"endpoints": [{"network": "a", "mac": "01:00:00:00:00:00"}]}, "invalid MAC address"),
        ({"endpoints": [{"network": "a", "mac": "x"}]}, "invalid MAC address"),
        ({"endpoints": [{"network": "a"}, {"network": "a"}]}, "specified multiple times"),
        (
            {"endpoints": [{"network": "bridge", "ip": "172.17.0.9"}]},
            "user specified IP address is supported on user defined networks only",
        ),
        ({"endpoints": [{"network": "bridge", "aliases": ["x"]}]}, "network-scoped aliases"),
    ):
        with pytest.raises(FastboxError, match=message):
            networks.verify({"network": "a"} | options)


def test_filters(networks) -> None:
    networks.create("net2", labels={"a": "1"})
    networks.create("net10", driver="bridge", labels={"a": "2"})
    start(networks, "net2")

    def names(*filters: str) -> list[str]:
        return [info.name for info in networks.list(filters=filters)]

    assert names() == ["bridge", "host", "net2", "net10", "none"]
    assert names("driver=bridge") == ["bridge", "net2", "net10"]
    assert names("name=net1") == ["net10"]
    assert names("label=a") == ["net2", "net10"]
    assert names("label=a=2") == ["net10"]
    assert names("dangling=true") == ["net10"]
    assert names("dangling=false") == ["bridge", "host", "net2", "none"]
    assert names("type=builtin") == ["bridge", "host", "none"]
    assert names("type=custom", "scope=local") == ["net2", "net10"]
    assert names("scope=swarm") == []
    assert names("id=" + networks.inspect("net2")["Id"][:6]) == ["net2"]
    for bad in ("nope=1", "type=x", "dangling=maybe"):
        with pytest.raises(InvalidArgument, match="invalid filter"):
            names(bad)
    assert networks.prune(filters=["until=1h"]).lines == ()
    assert networks.prune(filters=["label!=a"]).lines == ()
    assert networks.prune().lines == ("net10",)


def test_configuration_networks(networks, store) -> None:
    networks.create("config", config_only=True, subnets=["10.5.0.0/24"], labels={"a": "1"})
    networks.create("a", config_from="config")
    found = networks.inspect("a")
    assert found["ConfigFrom"] == {"Network": "config"}
    assert found["IPAM"]["Config"][0]["Subnet"] == "10.5.0.0/24"
    with pytest.raises(InvalidArgument, match="cannot use config-only network"):
        networks.verify({"network": "config"})
    with pytest.raises(NetworkNotFound, match="configuration network nope not found"):
        networks.create("b", config_from="nope")
    with pytest.raises(InvalidArgument, match="user specified configurations"):
        networks.create("b", config_from="config", subnets=["10.6.0.0/24"])


# Putting right


def test_a_flushed_firewall_is_healed_by_the_next_start(networks, kernel) -> None:
    identity = networks.create("a")
    kernel.tables, kernel.calls = False, []
    start(networks)
    assert kernel.calls[0] == ("base",)
    networks.create("b")
    kernel.tables, kernel.calls = False, []
    networks.create("c")
    assert kernel.calls[0] == ("base",)
    assert ("network", f"fb-{identity[:12]}", True, False, True, True) in kernel.calls


def test_a_missing_bridge_is_made_by_the_next_start(networks, kernel) -> None:
    identity = networks.create("a")
    kernel.links, kernel.calls = set(), []
    start(networks)
    assert kernel.named("bridge") == [
        ("bridge", f"fb-{identity[:12]}", ("10.128.0.1/24",), 1500, False, "")
    ]


def test_reconcile(networks, kernel, root, store) -> None:
    identity = networks.create("a", subnets=["10.5.0.0/16"])
    document = start(networks, ip="10.5.2.9")
    containers = ContainerStore(root)
    held, _ = containers.make("1" * 64, "web")  # it is being started
    kernel.links, kernel.tables, kernel.calls = set(), False, []
    done = networks.reconcile()
    device = f"fb-{identity[:12]}"
    assert kernel.links == {device, f"fb-{identity[:10]}s{521 // WINDOW}"}
    assert ("network", device, True, False, True, True) in kernel.calls
    assert done == ("firewall: the rules were missing", f"network a: {device} was missing")
    assert store.taken(identity) == ["10.5.2.9"]
    live = root.live("containers", "1" * 64)
    with open(live, "wb") as file:
        port = {"protocol": "tcp", "host_port": 8080, "port": 80}
        ports = [port | {"host": "0.0.0.0"}, port | {"host": "::"}]
        file.write(json.dumps_bytes({"ports": ports}))
    document["ports"] = [{"protocol": "tcp", "port": 80, "address": "10.5.2.9", "address6": ""}]
    with open(held.directory + "/network.json", "wb") as file:
        file.write(json.dumps_bytes(document))
    held.close()
    networks.reconcile()  # it runs
    (endpoint,) = document["endpoints"]
    guards = [(endpoint["host"], "02:42:0a:05:02:09", ["10.5.2.9"])]
    published = [(6, ["0.0.0.0", "::"], 8080, 80, "10.5.2.9", "")]
    assert kernel.named("endpoints") == [("endpoints", guards, published, True)]
    assert store.taken(identity) == ["10.5.2.9"]
    os.unlink(live)
    assert [what for what, _, _ in networks.check()] == [
        "an address is held for a container that does not run"
    ]
    assert len(networks.reconcile()) == 1
    assert store.taken(identity) == []
    assert list(networks.check()) == []


def test_reconcile_goes_on_without_a_parent(networks, kernel, monkeypatch) -> None:
    from fastbox.networks.drivers import parents

    monkeypatch.setattr(parents, "_is_there", lambda name: name in kernel.links)
    kernel.links.add("up0")
    networks.create("a", driver="macvlan", options={"parent": "up0"}, subnets=["10.5.0.0/24"])
    identity = networks.create("b")
    kernel.links.clear()
    done = networks.reconcile()
    assert set(done) == {
        "network a: the parent interface up0 was not found on the host",
        f"network b: fb-{identity[:12]} was missing",
    }
    with pytest.raises(FastboxError, match="parent interface up0 was not found"):
        start(networks)


def test_damaged_records(networks, store) -> None:
    identity = networks.create("a")
    networks.create("b")
    with open(store.directory(identity) + "/record.json", "wb") as file:
        file.write(b"{")
    with pytest.raises(FastboxError, match="record is damaged"):
        networks.inspect("a")
    assert "a" not in {info.name for info in networks.list()}
    assert any("damaged" in what for what, _, _ in networks.check())
    networks.remove(identity)
    assert store.ids()
    assert identity not in store.ids()


def test_the_lock_is_one_for_all_stores(networks, store) -> None:
    order = []
    with records.HostLock(store):
        thread = threading.Thread(target=lambda: order.append(networks.create("a")))
        thread.start()
        thread.join(0.1)
        assert order == []
    thread.join()
    assert len(order) == 1
