"""Which subnets networks get, and which addresses containers get of them."""

from __future__ import annotations

import time
from ipaddress import ip_network

import pytest

from fastbox.errors import Conflict, FastboxError, InvalidArgument, ResourceExhausted
from fastbox.networks import attach, ipam
from fastbox.networks.records import HostLock, SubnetIndex
from fastbox.store.networks import WINDOW, Pool, Subnet, address, bounds, number


def subnet_of(networks, name: str) -> str:
    return networks.inspect(name)["IPAM"]["Config"][0]["Subnet"]


def start(networks, container: str, network: str, **wish: object) -> dict:
    options = {"network": network, "endpoints": [{"network": network, **wish}]}
    return networks.attach(container * 64, f"name-{container}", "host", options)["endpoints"][0]


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "10.1.2.3", "255.255.255.255", "::", "fd00::1", "2001:db8:0:1::ff"]
)
def test_addresses_are_numbers(text: str) -> None:
    assert address(number(text), 6 if ":" in text else 4) == text


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.256", "1.2.3.-4", "1.2.3.٤", "0001.2.3.4", "g::", "1.2.3.4/8"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="not an IP address"):
        number(text)


@pytest.mark.parametrize("text", ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "fd00::/129", "x/8"])
def test_what_is_no_subnet(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        bounds(text)


def test_networks_take_the_next_of_the_pool(networks) -> None:
    for name in "abc":
        networks.create(name)
    assert [subnet_of(networks, n) for n in "abc"] == [f"10.128.{i}.0/24" for i in range(3)]
    networks.remove("b")
    networks.create("d")  # not at once the one that has become free
    assert subnet_of(networks, "d") == "10.128.3.0/24"


def test_the_default_network_avoids_routes(networks, kernel) -> None:
    kernel.routes = {"172.16.0.0/14": "", "172.20.5.0/24": ""}
    assert subnet_of(networks, "bridge") == "172.21.0.0/16"
    assert networks.inspect("bridge")["IPAM"]["Config"][0]["Gateway"] == "172.21.0.1"


def test_a_route_over_a_whole_pool_is_jumped_over(networks, kernel) -> None:
    asked = []
    kernel.routes = {"10.0.0.0/8": ""}
    real = kernel.route_clash
    from fastbox.networks import routes

    routes.clash = lambda subnet: asked.append(subnet) or real(subnet)  # restored by the fixture
    networks.create("a")
    assert subnet_of(networks, "a") == "172.16.0.0/24"
    assert len(asked) == 2


def test_no_pool_is_left(networks, kernel, monkeypatch) -> None:
    monkeypatch.setenv("FASTBOX_ADDRESS_POOLS", "base=10.9.0.0/23,size=24")
    networks.create("a")
    networks.create("b")
    with pytest.raises(ResourceExhausted, match=r"10\.9\.0\.0/23 in /24s") as raised:
        networks.create("c")
    assert "FASTBOX_ADDRESS_POOLS" in raised.value.hint
    assert [info.name for info in networks.list()] == ["a", "b", "bridge", "host", "none"]


@pytest.mark.parametrize(
    "text", ["base=10.0.0.0/8", "size=24", "base=x,size=24", "base=10.0.0.0/24,size=16", "10/8"]
)
def test_pools_that_can_not_be_read(text: str) -> None:
    with pytest.raises(InvalidArgument, match="is no pool"):
        ipam.pools(text)


def test_choosing_costs_the_same_with_many_networks(root, networks, store) -> None:
    """Looks at single names only: with thousands of networks their number is what it was."""
    networks.create("first")
    with HostLock(store):
        index = SubnetIndex(store)
        for i in range(1, 1000):
            (root_path := store.path)  # an entry needs a network that is there
            index.add(
                f"10.128.{i >> 8}.{0}/24" if False else f"10.{128 + (i >> 8)}.{i & 255}.0/24",
                "0" * 64,
            )
        import os

        os.makedirs(f"{root_path}/{'0' * 64}")
        listed = []
        real = os.listdir
        os.listdir = lambda *a: listed.append(a) or real(*a)
        try:
            begin = time.monotonic()
            found = ipam.choose("x", 4, index, lambda _: "")
        finally:
            os.listdir = real
    assert found.subnet == "10.131.232.0/24"
    assert len(listed) < 1100, time.monotonic() - begin


@pytest.mark.parametrize(
    ("mine", "other", "overlaps"),
    [
        ("10.1.0.0/16", "10.1.2.0/24", True),
        ("10.1.2.0/24", "10.1.0.0/16", True),
        ("10.1.2.0/24", "10.1.2.128/25", True),
        ("10.1.2.0/25", "10.1.2.128/25", False),
        ("10.1.2.64/28", "10.1.2.64/26", True),
        ("10.1.2.0/24", "10.1.3.0/24", False),
        ("10.0.0.0/8", "10.200.3.16/28", True),
        ("fd00::/64", "fd00::/48", True),
        ("fd00::/48", "fd00:0:0:5::/64", True),
        ("fd00::/64", "fd00::100/120", True),
        ("fd00::/64", "fd00:0:0:1::/64", False),
        ("0.0.0.0/1", "::/1", False),
    ],
)
def test_overlaps(networks, store, mine: str, other: str, overlaps: bool) -> None:
    with HostLock(store):
        index = SubnetIndex(store)
        import os

        os.makedirs(f"{store.path}/{'1' * 64}")
        index.add(mine, "1" * 64)
        assert bool(index.overlap(other)) is overlaps
        index.remove(mine, "2" * 64)  # another network's: stays
        assert bool(index.overlap(other)) is overlaps
        index.remove(mine, "1" * 64)
        assert index.overlap(other) == ""


def test_what_a_killed_maker_left_is_no_overlap(networks, store) -> None:
    with HostLock(store):
        SubnetIndex(store).add("10.5.0.0/24", "3" * 64)  # its network never appeared
    networks.create("a", subnets=["10.5.0.0/24"])
    assert subnet_of(networks, "a") == "10.5.0.0/24"


def test_refused_subnets(networks, kernel) -> None:
    networks.create("a", subnets=["10.5.0.0/16"])
    with pytest.raises(Conflict, match="Pool overlaps with other one on this address space") as e:
        networks.create("b", subnets=["10.5.7.0/24"])
    assert "10.5.0.0/16" in str(e.value)
    kernel.routes = {"192.0.2.0/25": "", "10.0.0.0/8": ""}
    with pytest.raises(Conflict, match=r"the host has a route to 192\.0\.2\.0/25"):
        networks.create("b", subnets=["192.0.2.0/24"])
    networks.create("c", subnets=["10.6.0.0/24"])  # a part of a wider route is what was asked for
    assert {info.name for info in networks.list()} >= {"a", "c"}
    assert "b" not in {info.name for info in networks.list()}


def parsed(*subnets: str, gateways=(), ranges=(), reserved=None) -> tuple[Subnet, ...]:
    return ipam.parse(subnets, gateways, ranges, reserved or {})


def test_what_is_asked_for() -> None:
    found = parsed(
        "10.5.0.0/16", "fd00:5::/64",
        gateways=["fd00:5::9", "10.5.5.254"], ranges=["10.5.5.0/24"], reserved={"r": "10.5.5.1"},
    )  # fmt: skip
    assert found[0].as_dict() == {
        "subnet": "10.5.0.0/16", "gateway": "10.5.5.254", "range": "10.5.5.0/24",
        "reserved": {"r": "10.5.5.1"},
    }  # fmt: skip
    assert (found[1].subnet, found[1].gateway) == ("fd00:5::/64", "fd00:5::9")
    assert parsed("10.5.0.0/16", ranges=["10.5.5.0/24"])[0].gateway == "10.5.5.0"
    assert parsed("10.5.5.0/30", reserved={"a": "10.5.5.1"})[0].gateway == "10.5.5.2"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateways": ["10.0.0.1"]}, "every ip-range or gateway must have a corresponding subnet"),
        ({"subnets": ["10.5.0.0"]}, "invalid subnet 10.5.0.0"),
        ({"subnets": ["10.5.0.1/24"]}, "it should be 10.5.0.0/24"),
        ({"subnets": ["10.5.0.0/32"]}, "no containers fit in it"),
        ({"subnets": ["10.5.0.0/16", "10.5.1.0/24"]}, "multiple overlapping subnet configuration"),
        ({"subnets": ["10.5.0.0/16"], "ranges": ["10.6.0.0/24"]}, "no matching subnet for range"),
        ({"subnets": ["10.5.0.0/16"], "ranges": ["10.0.0.0/8"]}, "no matching subnet for range"),
        ({"subnets": ["10.5.0.0/16"], "gateways": ["10.6.0.1"]}, "no matching subnet for gateway"),
        ({"subnets": ["10.5.0.0/16"], "gateways": ["x"]}, "invalid gateway x"),
        ({"subnets": ["10.5.0.0/16"], "gateways": ["10.5.0.0"]}, "invalid gateway 10.5.0.0"),
        (
            {"subnets": ["10.5.0.0/16"], "reserved": {"a": "10.6.0.1"}},
            "no matching subnet for aux-address",
        ),
        (
            {"subnets": ["10.5.0.0/16"], "gateways": ["10.5.0.9"], "reserved": {"a": "10.5.0.9"}},
            "Address already in use",
        ),
        (
            {"subnets": ["10.5.0.0/16", "10.6.0.0/16"], "gateways": ["10.5.0.1", "10.5.0.2"]},
            "cannot configure multiple gateways",
        ),
        (
            {"subnets": ["10.5.0.0/16", "10.6.0.0/16"], "ranges": ["10.5.1.0/24", "10.5.2.0/24"]},
            "cannot configure multiple ranges",
        ),
    ],
)
def test_what_can_not_be(values: dict, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as raised:
        parsed(*values.pop("subnets", ()), **values)
    assert "\n" not in str(raised.value)


# Addresses


def test_addresses_in_order_and_none_twice_at_once(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/24"])
    first = start(networks, "1", "a")
    assert first["addresses"] == ["10.5.0.2/24"]
    assert first["mac"] == "02:42:0a:05:00:02"
    assert first["gateways"] == ["10.5.0.1"]
    networks.abandon("1" * 64, {"endpoints": [first]})
    assert start(networks, "2", "a")["addresses"] == ["10.5.0.3/24"]


def test_reserved_addresses(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/29"], reserved={"x": "10.5.0.3"})
    found = [start(networks, c, "a")["addresses"][0] for c in "1234"]
    assert found == [f"10.5.0.{i}/29" for i in (2, 4, 5, 6)]


def test_a_range(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/16"], ranges=["10.5.5.0/30"])
    found = [start(networks, c, "a")["addresses"][0] for c in "123"]
    assert found == [f"10.5.5.{i}/16" for i in (1, 2, 3)]
    with pytest.raises(ResourceExhausted, match=r"pool 10\.5\.5\.0/30: 4 of 4 addresses used"):
        start(networks, "4", "a")
    assert start(networks, "4", "a", ip="10.5.9.9")["addresses"] == ["10.5.9.9/16"]


def test_the_pool_is_used_up(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/28"])
    made = [start(networks, f"{i:x}", "a") for i in range(13)]
    with pytest.raises(ResourceExhausted, match=r"pool 10\.5\.0\.0/28: 14 of 14 addresses used"):
        start(networks, "f", "a")
    networks.abandon("4" * 64, {"endpoints": [made[4]]})
    assert start(networks, "f", "a")["addresses"] == made[4]["addresses"]


def test_a_static_address(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/24"])
    found = start(networks, "1", "a", ip="10.5.0.77")
    assert (found["addresses"], found["mac"]) == (["10.5.0.77/24"], "02:42:0a:05:00:4d")
    with pytest.raises(Conflict, match=r"Address already in use: container name-1 has it"):
        start(networks, "2", "a", ip="10.5.0.77")
    with pytest.raises(Conflict, match=r"Address already in use: it is the gateway's"):
        start(networks, "2", "a", ip="10.5.0.1")
    with pytest.raises(
        InvalidArgument, match=r"invalid address: 10\.6\.0\.1: no configured subnet"
    ):
        start(networks, "2", "a", ip="10.6.0.1")
    with pytest.raises(InvalidArgument, match="no configured subnet"):
        start(networks, "2", "a", ip6="fd00::1")


def test_dual_stack(networks) -> None:
    networks.create("a", subnets=["10.5.0.0/24"], ipv6=True)
    v6 = networks.inspect("a")["IPAM"]["Config"][1]["Subnet"]
    assert ip_network(v6).subnet_of(ip_network("fd00::/8"))
    assert v6.endswith("/64")
    found = start(networks, "1", "a")
    low, _, _ = bounds(v6)
    assert found["addresses"] == ["10.5.0.2/24", address(low + 2, 6) + "/64"]
    assert found["gateways"] == ["10.5.0.1", address(low + 1, 6)]
    networks.create("b", ipv6=True)
    assert networks.inspect("b")["IPAM"]["Config"][1]["Subnet"] != v6


def test_v6_alone(networks) -> None:
    networks.create("a", subnets=["fd00:5::/64"], ipv4=False)
    found = start(networks, "1", "a")
    assert (found["addresses"], found["mac"]) == (["fd00:5::1/64"], "02:42:00:00:00:01") or found[
        "addresses"
    ] == ["fd00:5::2/64"]
    with pytest.raises(InvalidArgument, match="IPv4 or IPv6 must be enabled"):
        networks.create("b", ipv4=False)


def test_one_window_after_the_other() -> None:
    pool = Pool(Subnet(subnet="10.5.0.0/16", gateway="10.5.0.1"))
    cursor = WINDOW + 100
    order = list(pool.order(cursor))
    assert sorted(order) == list(range(65536))
    rest = 2 * WINDOW - cursor - 1
    assert order[:rest] == list(range(cursor + 1, 2 * WINDOW))  # to the end of its window
    assert order[rest] == 0  # before a third shard is needed
    assert order[-1] == 65535


def test_shards(networks, kernel) -> None:
    identity = networks.create("a", subnets=["10.5.0.0/16"])
    base = number("10.5.0.0")
    first = start(networks, "1", "a", ip=address(base + WINDOW - 1, 4))
    second = start(networks, "2", "a", ip=address(base + WINDOW, 4))
    assert (first["link"], first["napi"]) == (f"fb-{identity[:12]}", False)
    assert (second["link"], second["napi"]) == (f"fb-{identity[:10]}s1", True)
    far = start(networks, "3", "a", ip="10.5.255.1")
    assert far["link"] == f"fb-{identity[:8]}s{65281 // WINDOW}"
    assert all(len(each["link"]) <= 15 for each in (first, second, far))
    assert ("bridge", second["link"], (), 1500, False, first["link"]) in kernel.calls
    networks_before = len(kernel.named("network"))
    start(networks, "4", "a", ip=address(base + WINDOW + 1, 4))  # it is there: nothing is made
    assert len(kernel.named("network")) == networks_before
    assert len(kernel.named("bridge")) == len({call[1] for call in kernel.named("bridge")}) + 2


def test_a_failure_gives_the_address_back(networks, kernel, store) -> None:
    identity = networks.create("a", subnets=["10.5.0.0/24"])
    networks.create("b", subnets=["10.6.0.0/24"])
    options = {"network": "a", "endpoints": [{"network": "a"}, {"network": "b", "ip": "10.9.0.1"}]}
    with pytest.raises(FastboxError):
        networks.attach("1" * 64, "x", "x", options)
    assert store.taken(identity) == []
    kernel.links.clear()
    kernel.fail = "bridge"
    with pytest.raises(FastboxError, match="the kernel says no"):
        start(networks, "1", "a")
    assert store.taken(identity) == []


def test_a_start_costs_little(networks, root) -> None:
    networks.create("a", subnets=["10.5.0.0/16"])
    start(networks, "1", "a")
    options = {"network": "a"}
    count = 200
    begin = time.perf_counter()
    for i in range(count):
        attach.attach(root, f"{i:064x}", "n", "h", options)
    took = (time.perf_counter() - begin) / count
    print(f"attach: {took * 1e6:.0f} us")


def test_rules_of_others_that_can_t_be_asked_are_told(networks, kernel, store) -> None:
    identity = networks.create("a")
    kernel.fail = "coexist"
    with pytest.raises(FastboxError, match="cannot make way for the network a: "):
        start(networks, "1", "a")
    assert store.taken(identity) == []
