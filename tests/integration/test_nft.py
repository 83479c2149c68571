"""The rules with real packets: a host with bridges and containers, and another host, all in namespaces of the test's own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastbox import _nft

from .netspaces import (
    ETH_P_ARP,
    ETH_P_IP,
    ETH_P_IPV6,
    Space,
    arp,
    frame,
    icmp6,
    ipv4,
    ipv6,
    link,
    sctp_init,
    udp_body,
    until,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

TCP, UDP, SCTP = socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_SCTP
ANY = ["0.0.0.0", "::"]
BROADCAST = b"\xff" * 6
# name: number in addresses, masquerade, internal, icc
NETWORKS = {
    "a": (1, True, False, True),
    "b": (2, False, False, True),
    "i": (3, True, True, True),
    "n": (4, True, False, False),
}


class World:
    """The host, its neighbour, and two containers (1 and 2) on each network."""

    def __init__(self, bridged: bool) -> None:
        self.spaces: list[Space] = []
        self.bridged = bridged
        self.host, self.other = self.space("host"), self.space("other")
        link(self.host, "up0", self.other, "eth0")
        self.host.ips(
            "addr add 192.0.2.1/24 dev up0",
            "addr add 2001:db8::1/64 dev up0 nodad",
            "addr add 192.0.2.9/24 dev up0",
        )
        self.other.ips("addr add 192.0.2.2/24 dev eth0", "addr add 2001:db8::2/64 dev eth0 nodad")
        self.other.ips(
            "route add 172.30.0.0/16 via 192.0.2.1", "route add fd00::/16 via 2001:db8::1"
        )
        self.host.sysctl(ipv4__ip_forward="1", ipv6__conf__all__forwarding="1")
        self.host.sysctl(
            **{
                f"bridge__bridge-nf-call-{name}": str(int(bridged))
                for name in ("iptables", "ip6tables")
            }
        )
        assert self.host.run(_nft.base)
        for name, (number, masquerade, internal, icc) in NETWORKS.items():
            self.bridge(f"fb-{name}", number)
            self.host.run(_nft.network, f"fb-{name}", masquerade, internal, icc, True)
            for last in (2, 3):
                setattr(self, f"{name}{last - 1}", self.container(name, number, last))
        self.other.tcp(80)
        self.other.udp(53)

    a1: Space
    a2: Space
    b1: Space
    b2: Space
    i1: Space
    i2: Space
    n1: Space
    n2: Space

    def space(self, name: str) -> Space:
        self.spaces.append(Space(name))
        return self.spaces[-1]

    def bridge(self, name: str, number: int) -> None:
        self.host.ips(
            f"link add {name} address 02:00:00:00:{number:02x}:01 type bridge",
            f"addr add 172.30.{number}.1/24 dev {name}",
            f"addr add fd00:{number}::1/64 dev {name} nodad",
            f"link set {name} up",
        )
        self.host.sysctl(**{f"ipv4__conf__{name}__route_localnet": "1"})

    def container(self, network: str, number: int, last: int) -> Space:
        made = self.space(f"{network}{last - 1}")
        link(self.host, f"v{network}{last}", made, "eth0")
        made.ips(
            f"link set eth0 address 02:42:ac:1e:{number:02x}:{last:02x}",
            f"addr add 172.30.{number}.{last}/24 dev eth0",
            f"addr add fd00:{number}::{last}/64 dev eth0 nodad",
            f"route add default via 172.30.{number}.1",
            f"route add default via fd00:{number}::1",
        )
        isolated = "on" if network == "n" else "off"
        port = f"link set v{network}{last}"
        self.host.ips(
            f"{port} master fb-{network}",
            f"{port} type bridge_slave hairpin on isolated {isolated}",
        )
        made.tcp(80)
        made.udp(53)
        return made

    def publish(
        self,
        port: int,
        to: Space,
        *,
        protocol: int = TCP,
        hosts: list[str] = ANY,
        inner: int = 80,
        v6: bool = True,
    ) -> None:
        network, last = to.name[0], int(to.name[1]) + 1
        number = NETWORKS[network][0]
        address6 = f"fd00:{number}::{last}" if v6 else ""
        self.host.run(
            _nft.endpoints,
            [],
            [(protocol, hosts, port, inner, f"172.30.{number}.{last}", address6)],
            True,
        )

    def close(self) -> None:
        for space in self.spaces:
            space.close()


@pytest.fixture(scope="module", params=[True, False], ids=["br_netfilter", "plain"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """With br_netfilter (which docker turns on) and without: then bridged packets don't come by the rules of IP."""
    bridged = request.param
    if bridged and not Path("/proc/sys/net/bridge").exists():
        pytest.skip("no br_netfilter here")
    made = World(bridged)
    yield made
    made.close()


# ---- published ports ----


def test_published_on_every_address(world: World) -> None:
    world.publish(8080, world.a1)
    host, other = world.host, world.other
    assert host.ask("192.0.2.1", 8080) == "a1 192.0.2.1"
    assert host.ask("192.0.2.9", 8080).startswith("a1 ")
    assert host.ask("172.30.1.1", 8080) == "a1 172.30.1.1"
    assert host.ask("172.30.2.1", 8080).startswith("a1 ")
    assert host.ask("127.0.0.1", 8080) == "a1 172.30.1.1"
    assert host.ask("127.1.2.3", 8080) == "a1 172.30.1.1"
    assert host.ask("2001:db8::1", 8080) == "a1 2001:db8::1"
    # from another host, which the container sees
    assert other.ask("192.0.2.1", 8080) == "a1 192.0.2.2"
    assert other.ask("2001:db8::1", 8080) == "a1 2001:db8::2"
    # from containers: itself, its neighbour, another network
    assert world.a1.ask("192.0.2.1", 8080) == "a1 172.30.1.1"
    assert world.a1.ask("2001:db8::1", 8080) == "a1 fd00:1::1"
    assert world.a2.ask("192.0.2.1", 8080) == (
        "a1 172.30.1.3" if world.bridged else "a1 172.30.1.1"
    )
    assert world.a2.ask("172.30.1.1", 8080) == (
        "a1 172.30.1.3" if world.bridged else "a1 172.30.1.1"
    )
    assert world.a2.ask("2001:db8::1", 8080) == (
        "a1 fd00:1::3" if world.bridged else "a1 fd00:1::1"
    )
    assert world.b1.ask("192.0.2.1", 8080) == "a1 172.30.2.2"
    assert world.b1.ask("2001:db8::1", 8080) == "a1 fd00:2::2"


def test_localhost_of_ipv6_is_left_to_the_socket(world: World) -> None:
    world.publish(8081, world.a1)
    world.host.tcp(8081, "::1")
    assert world.host.ask("::1", 8081) == "host ::1"
    assert world.host.ask("2001:db8::1", 8081) == "a1 2001:db8::1"


def test_without_an_address_of_ipv6_the_socket_answers(world: World) -> None:
    world.publish(8082, world.a1, v6=False)
    world.host.tcp(8082, "::")
    assert world.other.ask("2001:db8::1", 8082) == "host 2001:db8::2"
    assert world.other.ask("192.0.2.1", 8082) == "a1 192.0.2.2"


def test_udp(world: World) -> None:
    world.publish(5353, world.a1, protocol=UDP, inner=53)
    for space in (world.host, world.other, world.a2, world.b1):
        assert space.ask("192.0.2.1", 5353, "udp").startswith("a1 "), space.name
    assert world.host.ask("127.0.0.1", 5353, "udp") == "a1 172.30.1.1"
    assert world.other.ask("2001:db8::1", 5353, "udp") == "a1 2001:db8::2"
    assert world.other.ask("192.0.2.1", 5353) == "refused"  # tcp is another port


def test_who_goes_on_sending_reaches_the_next_container(world: World) -> None:
    """Datagrams of one client port: before the port is published, to a container, and to the one that follows it."""

    def call(client: socket.socket, port: int) -> str:
        client.connect(("192.0.2.1", port))
        for _ in range(2):  # an error of an earlier packet may come first
            try:
                client.send(b"?")
                return client.recv(100).decode()
            except ConnectionRefusedError:
                pass
            except TimeoutError:
                return "silence"
        return "refused"

    def binding(to: str) -> list[tuple[int, list[str], int, int, str, str]]:
        return [(UDP, ["0.0.0.0"], 5354, 53, to, "")]

    client = world.other.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with client:
        client.settimeout(2)
        assert call(client, 5354) == "refused"
        world.host.run(_nft.endpoints, [], binding("172.30.1.2"), True)
        assert call(client, 5354) == "a1 192.0.2.2"
        world.host.run(_nft.endpoints, [], binding("172.30.1.2"), False)
        while call(client, 5354).startswith("a1 "):
            pass
        world.host.run(_nft.endpoints, [], binding("172.30.2.2"), True)
        assert call(client, 5354) == "b1 192.0.2.2"
        # the first one was killed, so that nobody took its back
        world.host.run(_nft.endpoints, [], binding("172.30.1.2"), True)
        assert call(client, 5354) == "a1 192.0.2.2"


def test_sctp(world: World) -> None:
    world.publish(9000, world.a1, protocol=SCTP, inner=9)
    with world.a1.sniff("eth0") as raw:
        packet = ipv4("192.0.2.2", "192.0.2.1", SCTP, sctp_init(1234, 9000))
        world.other.send(
            "eth0", frame(world.host.mac("up0"), world.other.mac("eth0"), ETH_P_IP, packet)
        )
        while (seen := raw.recv(2048))[23] != SCTP:
            pass
    assert seen[26:34] == socket.inet_aton("192.0.2.2") + socket.inet_aton("172.30.1.2")
    assert seen[36:38] == (9).to_bytes(2, "big")


def test_published_on_one_address(world: World) -> None:
    world.publish(8083, world.a1, hosts=["192.0.2.9", "2001:db8::1"])
    assert world.other.ask("192.0.2.9", 8083) == "a1 192.0.2.2"
    assert world.other.ask("2001:db8::1", 8083) == "a1 2001:db8::2"
    assert world.other.ask("192.0.2.1", 8083) == "refused"
    assert world.host.ask("127.0.0.1", 8083) == "refused"
    # an exact address goes before any
    world.publish(8084, world.a1)
    world.publish(8084, world.b1, hosts=["192.0.2.9"])
    assert world.other.ask("192.0.2.9", 8084).startswith("b1 ")
    assert world.other.ask("192.0.2.1", 8084).startswith("a1 ")


def test_localhost_means_this_host(world: World) -> None:
    world.publish(8085, world.a1, hosts=["127.0.0.1"])
    world.publish(8085, world.a1, hosts=["127.0.0.1"], protocol=UDP, inner=53)
    assert world.host.ask("127.0.0.1", 8085) == "a1 172.30.1.1"
    assert world.host.ask("127.0.0.1", 8085, "udp") == "a1 172.30.1.1"
    for space in (world.other, world.a1, world.a2, world.b1):
        assert space.ask("192.0.2.1", 8085) == "refused", space.name
    assert world.b1.ask("172.30.1.1", 8085) == "refused"  # another network's gateway


@pytest.mark.parametrize("place", ["other", "b1", "a2"])
def test_packets_from_outside_to_127_0_0_1_are_dropped(world: World, place: str) -> None:
    """The sender makes them by hand; the kernel, with route_localnet, would take them."""
    world.publish(8086, world.a1, hosts=["127.0.0.1", "192.0.2.1"], protocol=UDP, inner=53)
    world.host.sysctl(ipv4__conf__up0__route_localnet="1")
    space: Space = getattr(world, place)
    ours, theirs = (
        ("up0", "192.0.2.2")
        if place == "other"
        else (f"fb-{place[0]}", f"172.30.{NETWORKS[place[0]][0]}.{int(place[1]) + 1}")
    )

    def packet(source: str, target: str, data: bytes) -> bytes:
        inner = ipv4(source, target, UDP, udp_body(4000, 8086, data))
        return frame(world.host.mac(ours), space.mac("eth0"), ETH_P_IP, inner)

    def send(word: bytes) -> list[bytes]:
        with world.a1.sniff("eth0") as raw:
            space.send(
                "eth0",
                packet(theirs, "127.0.0.1", b"to-" + word),
                packet("127.0.0.1", "192.0.2.1", b"from-" + word),
            )
            space.send("eth0", packet(theirs, "192.0.2.1", b"end-" + word))
            return until(raw, b"end-" + word)

    assert not any(b"to-1" in seen or b"from-1" in seen for seen in send(b"1"))
    world.host.sh("nft", "flush", "chain", "inet", "fastbox", "raw")
    try:
        assert any(b"to-2" in seen for seen in send(b"2"))  # or this would test nothing
    finally:
        world.host.sh("nft", "delete", "table", "inet", "fastbox")
        assert world.host.run(_nft.base)
        for name, (_, masquerade, internal, icc) in NETWORKS.items():
            world.host.run(_nft.network, f"fb-{name}", masquerade, internal, icc, True)


def test_withdrawn(world: World) -> None:
    world.publish(8087, world.a1)
    assert world.other.ask("192.0.2.1", 8087).startswith("a1 ")
    world.host.run(_nft.endpoints, [], [(TCP, ANY, 8087, 80, "172.30.1.2", "fd00:1::2")], False)
    for address in ("192.0.2.1", "2001:db8::1"):
        while world.other.ask(address, 8087).startswith("a1 "):  # it ends within a millisecond
            pass
        assert world.other.ask(address, 8087) == "refused"


# ---- what is forwarded ----


def test_only_what_is_published_is_open(world: World) -> None:
    assert (
        world.host.ask("172.30.1.2", 80) == "a1 172.30.1.1"
    )  # the host itself reaches its containers
    for address in ("172.30.1.2", "fd00:1::2"):
        assert world.other.ask(address, 80, wait=0.4) == "silence"
        assert world.other.ask(address, 53, "udp", wait=0.4) == "silence"
        assert world.a2.ask(address, 80).startswith("a1 ")


def test_networks_do_not_reach_each_other(world: World) -> None:
    for one, address in (
        (world.a1, "172.30.2.2"),
        (world.b1, "172.30.1.2"),
        (world.a1, "fd00:2::2"),
        (world.n1, "172.30.1.2"),
    ):
        assert one.ask(address, 80, wait=0.4) == "silence"
        assert one.ask(address, 53, "udp", wait=0.4) == "silence"


def test_the_way_out(world: World) -> None:
    assert world.a1.ask("192.0.2.2", 80) == "other 192.0.2.1"
    assert world.a1.ask("2001:db8::2", 80) == "other 2001:db8::1"
    assert world.a1.ask("192.0.2.2", 53, "udp") == "other 192.0.2.1"
    # without masquerading the other host sees the container
    assert world.b1.ask("192.0.2.2", 80) == "other 172.30.2.2"
    assert world.b1.ask("2001:db8::2", 80) == "other fd00:2::2"


def test_an_internal_network_has_no_way_out(world: World) -> None:
    for address in ("192.0.2.2", "2001:db8::2", "172.30.1.2"):
        assert world.i1.ask(address, 80, wait=0.4) == "silence"
    assert world.i1.ask("172.30.3.3", 80).startswith("i2 ")
    # nor by what others publish, nor in by what it publishes
    world.publish(8088, world.a1)
    world.publish(8089, world.i1)
    assert world.i1.ask("192.0.2.1", 8088, wait=0.4) == "silence"
    assert world.other.ask("192.0.2.1", 8089, wait=0.4) == "silence"
    assert world.i1.ask("172.30.3.1", 8089) == "i1 172.30.3.1"


def test_icc_off(world: World) -> None:
    """Neighbours that ask the host to forward; that they don't reach each other directly is the bridge's."""
    world.publish(8090, world.n2)
    for one, number, other in ((world.n1, 4, "n2"), (world.a1, 1, "a2")):
        one.ips(f"route add 172.30.{number}.3/32 via 172.30.{number}.1")
        one.sysctl(ipv4__conf__all__accept_redirects="0", ipv4__conf__eth0__accept_redirects="0")
        answer = one.ask(f"172.30.{number}.3", 80, wait=0.4)
        assert answer == ("silence" if other == "n2" else "a2 172.30.1.2")
        one.ips(f"route del 172.30.{number}.3/32 via 172.30.{number}.1")
    # What a neighbour publishes is open to all, but br_netfilter sends it on as bridged, and the ports are isolated.
    answer = world.n1.ask("192.0.2.1", 8090, wait=0.4 if world.bridged else 3)
    assert answer == ("silence" if world.bridged else "n2 172.30.4.1")
    assert world.other.ask("192.0.2.1", 8090) == "n2 192.0.2.2"


def test_dockers_own_bridge_is_not_opened(world: World) -> None:
    world.bridge("docker0", 9)
    container = world.space("d1")
    link(world.host, "vd", container, "eth0")
    container.ips("addr add 172.30.9.2/24 dev eth0", "route add default via 172.30.9.1")
    container.tcp(80)
    world.host.ips("link set vd master docker0")
    assert world.host.ask("172.30.9.2", 80).startswith("d1 ")
    assert world.a1.ask("172.30.9.2", 80, wait=0.4) == "silence"
    assert world.other.ask("172.30.9.2", 80).startswith("d1 ")  # what is not ours is not touched


def test_a_shard_of_a_bridge(world: World) -> None:
    """Another bridge, without addresses and without ARP, linked to the first."""
    world.host.ips(
        "link add fb-as1 type bridge",
        "link set fb-as1 arp off addrgenmode none up",
        "link add fb-al type veth peer name fb-ar",
        "link set fb-al master fb-a up",
        "link set fb-ar master fb-as1 up",
    )
    world.host.sysctl(
        **{"ipv4__conf__fb-as1__route_localnet": "1", "ipv4__conf__fb-as1__rp_filter": "0"}
    )
    world.host.run(_nft.shard, "fb-as1", False, True)
    far = world.container("a", 1, 4)
    world.host.ips("link set va4 master fb-as1", "link set va4 type bridge_slave hairpin on")
    world.publish(8091, world.a1)
    world.host.run(_nft.endpoints, [], [(TCP, ANY, 8092, 80, "172.30.1.4", "fd00:1::4")], True)
    assert far.ask("172.30.1.2", 80) == "a1 172.30.1.4"
    assert world.a1.ask("fd00:1::4", 80) == "a3 fd00:1::2"
    assert far.ask("192.0.2.2", 80) == "other 192.0.2.1"
    assert far.ask("2001:db8::2", 80) == "other 2001:db8::1"
    assert world.other.ask("192.0.2.1", 8092) == "a3 192.0.2.2"
    assert world.host.ask("127.0.0.1", 8092) == "a3 172.30.1.1"
    for address in ("192.0.2.1", "2001:db8::1"):
        assert far.ask(address, 8091).startswith("a1 ")
        assert world.a1.ask(address, 8092).startswith("a3 ")
        assert far.ask(address, 8092).startswith("a3 ")
        assert world.b1.ask(address, 8092).startswith("a3 ")
    assert far.ask("172.30.2.2", 80, wait=0.4) == "silence"
    assert world.b1.ask("172.30.1.4", 80, wait=0.4) == "silence"
    # what is sent to the shard's own MAC address goes nowhere: no way around the bridge
    shard = ":".join(f"{byte:02x}" for byte in world.host.mac("fb-as1"))
    far.ips(f"neigh replace 172.30.1.1 lladdr {shard} dev eth0 nud permanent")
    assert far.ask("192.0.2.2", 80, wait=0.4) == "silence"


# ---- guards ----


@pytest.fixture
def guarded(world: World) -> Iterator[World]:
    guard = [("va2", "02:42:ac:1e:01:02", ["172.30.1.2", "fd00:1::2"])]
    world.host.run(_nft.endpoints, guard, [], True)
    yield world
    world.host.run(_nft.endpoints, guard, [], False)


def crossing(world: World, frames: dict[str, bytes]) -> set[str]:
    """Which of these frames of a1's arrive at a2."""
    with world.a2.sniff("eth0") as raw:
        end = ipv4("172.30.1.2", "172.30.1.3", UDP, udp_body(1, 2, b"the-end"))
        world.a1.send(
            "eth0", *frames.values(), frame(BROADCAST, world.a1.mac("eth0"), ETH_P_IP, end)
        )
        seen = until(raw, b"the-end")
    return {name for name, data in frames.items() if any(got[: len(data)] == data for got in seen)}


def spoofs(world: World) -> dict[str, bytes]:
    own, other = world.a1.mac("eth0"), bytes.fromhex("024200000009")
    to = world.a2.mac("eth0")
    data = udp_body(4, 5, b"data")
    na = b"\x20\0\0\0" + socket.inet_pton(socket.AF_INET6, "fd00:1::3") + b"\x02\x01" + own
    return {
        "address": frame(to, own, ETH_P_IP, ipv4("172.30.1.3", "172.30.1.3", UDP, data)),
        "mac": frame(to, other, ETH_P_IP, ipv4("172.30.1.2", "172.30.1.3", UDP, data)),
        "mac and zero": frame(to, other, ETH_P_IPV6, ipv6("::", "ff02::1", UDP, data)),
        "arp answer": frame(to, own, ETH_P_ARP, arp(2, own, "172.30.1.1", "172.30.1.3")),
        "arp of another mac": frame(to, own, ETH_P_ARP, arp(2, other, "172.30.1.2", "172.30.1.3")),
        "arp from another mac": frame(
            to, other, ETH_P_ARP, arp(2, own, "172.30.1.2", "172.30.1.3")
        ),
        "arp probe of another": frame(to, own, ETH_P_ARP, arp(1, other, "0.0.0.0", "172.30.1.3")),
        "address6": frame(to, own, ETH_P_IPV6, ipv6("fd00:1::3", "fd00:1::3", UDP, data)),
        "link-local, other mac": frame(
            to, other, ETH_P_IPV6, ipv6("fe80::1", "fd00:1::3", UDP, data)
        ),
        "advertisement": frame(to, own, ETH_P_IPV6, icmp6("fd00:1::2", "ff02::1", 136, na)),
        "advertisement, local": frame(to, own, ETH_P_IPV6, icmp6("fe80::2", "ff02::1", 136, na)),
        "router": frame(to, own, ETH_P_IPV6, icmp6("fe80::2", "ff02::1", 134, bytes(12))),
        "redirect": frame(to, own, ETH_P_IPV6, icmp6("fe80::2", "ff02::1", 137, bytes(36))),
        "another protocol": frame(to, own, 0x88CC, b"lldp" + bytes(60)),
        "tagged": frame(
            to, own, 0x8100, b"\0\1\x08\0" + ipv4("172.30.1.3", "172.30.1.3", UDP, data)
        ),
    }


def test_what_others_have_does_not_leave_a_guarded_port(guarded: World) -> None:
    assert crossing(guarded, spoofs(guarded)) == set()


def test_all_of_it_leaves_one_without_a_guard(world: World) -> None:
    frames = spoofs(world)
    frames.pop("tagged")  # the receiver's kernel takes the tag off
    assert crossing(world, frames) == set(frames)


def test_what_is_its_own_leaves_a_guarded_port(guarded: World) -> None:
    own, to, data = guarded.a1.mac("eth0"), guarded.a2.mac("eth0"), udp_body(4, 5, b"data")

    def advertised(target: str) -> bytes:
        return b"\x20\0\0\0" + socket.inet_pton(socket.AF_INET6, target) + b"\x02\x01" + own

    frames = {
        "address": frame(to, own, ETH_P_IP, ipv4("172.30.1.2", "172.30.1.3", UDP, data)),
        "broadcast": frame(
            BROADCAST, own, ETH_P_IP, ipv4("172.30.1.2", "255.255.255.255", UDP, data)
        ),
        "arp": frame(BROADCAST, own, ETH_P_ARP, arp(1, own, "172.30.1.2", "172.30.1.3")),
        "arp probe": frame(BROADCAST, own, ETH_P_ARP, arp(1, own, "0.0.0.0", "172.30.1.2")),
        "address6": frame(to, own, ETH_P_IPV6, ipv6("fd00:1::2", "fd00:1::3", UDP, data)),
        "link-local": frame(to, own, ETH_P_IPV6, ipv6("fe80::2", "fd00:1::3", UDP, data)),
        "is it free": frame(
            to,
            own,
            ETH_P_IPV6,
            icmp6("::", "ff02::1", 135, bytes(4) + socket.inet_pton(socket.AF_INET6, "fd00:1::2")),
        ),
        "advertisement": frame(
            to, own, ETH_P_IPV6, icmp6("fd00:1::2", "ff02::1", 136, advertised("fd00:1::2"))
        ),
        "advertisement, local": frame(
            to, own, ETH_P_IPV6, icmp6("fe80::2", "ff02::1", 136, advertised("fe80::2"))
        ),
    }
    assert crossing(guarded, frames) == set(frames)


def test_a_guarded_container_works(guarded: World) -> None:
    for space in (guarded.a1, guarded.a2, guarded.host):
        space.ips("neigh flush all")
    assert guarded.a1.ask("172.30.1.3", 80) == "a2 172.30.1.2"
    assert guarded.a1.ask("fd00:1::3", 80) == "a2 fd00:1::2"
    assert guarded.a2.ask("fd00:1::2", 80) == "a1 fd00:1::3"
    assert guarded.a1.ask("192.0.2.2", 80) == "other 192.0.2.1"
    assert guarded.a1.ask("2001:db8::2", 80) == "other 2001:db8::1"


# ---- the name server's redirect ----


def test_redirect(world: World) -> None:
    space = world.space("container")
    with space.run(lambda: socket.create_server(("127.0.0.11", 0))) as probe:
        port = probe.getsockname()[1]
    space.udp(port, "127.0.0.11")
    space.tcp(port, "127.0.0.11")
    for _ in range(2):
        space.run(_nft.redirect, port, port)
    assert space.ask("127.0.0.11", 53, "udp").startswith("container ")
    assert space.ask("127.0.0.11", 53).startswith("container ")
    assert space.ask("127.0.0.1", 53) == "refused"
    assert space.ask("127.0.0.11", 54) == "refused"
    own = Space("own")
    try:  # the container's own server on 0.0.0.0:53 answers for all other addresses
        own.name = "server"
        space.name = "its own"
        space.udp(53, "0.0.0.0")
        space.tcp(53, "0.0.0.0")
        assert space.ask("127.0.0.1", 53, "udp").startswith("its own ")
        assert space.ask("127.0.0.1", 53).startswith("its own ")
    finally:
        own.close()
