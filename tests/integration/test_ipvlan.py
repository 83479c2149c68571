"""ipvlan, with real packets, where the kernel has it: the virtual machine's has (make test-vm)."""

from __future__ import annotations

import subprocess

import pytest

from .conftest import Box
from .other_host import OtherHost, ip
from .test_lifecycle import IDLE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    """Skip where an interface of this kind can't be made."""
    script = "ip link add p0 type veth peer name p1 && ip link add link p0 name v0 type ipvlan"
    done = subprocess.run(["unshare", "-n", "sh", "-c", script], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this kernel has no ipvlan: make test-vm has one")


@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_packets_pass(box: Box, mode: str) -> None:
    with OtherHost(9) as other:
        ip("addr", "flush", "dev", other.device)
        parent = ("-o", f"parent={other.device}", "-o", f"ipvlan_mode={mode}")
        subnets = ("--subnet", "198.18.9.0/24", "--gateway", "198.18.9.254")
        box("network", "create", "-d", "ipvlan", *subnets, *parent, "vlan")
        try:
            there = ("--network", "vlan", "--ip")
            box("run", "-d", "--name", "one", *there, "198.18.9.10", "busybox", *IDLE)
            ping = ("ping", "-c", "1", "-W", "5")
            assert "1 packets received" in box(
                "run", "--rm", *there, "198.18.9.11", "busybox", *ping, "198.18.9.10"
            ).stdout  # fmt: skip
            if mode == "l2":  # in layer 3 another host needs a route, and nobody answers for it
                assert " 0% packet loss" in other.run(*ping, "198.18.9.10")
            route = box("exec", "one", "ip", "route").stdout
            assert ("default via 198.18.9.254" in route) == (mode == "l2"), route
            assert "default" in route
        finally:
            box("rm", "-f", "one")
            box("network", "rm", "vlan")


def test_both_families(box: Box) -> None:
    with OtherHost(9) as other:
        ip("addr", "flush", "dev", other.device)
        subnets = ("--subnet", "198.18.9.0/24", "--ipv6", "--subnet", "2001:db8:9::/64")
        box("network", "create", "-d", "ipvlan", *subnets, "-o", f"parent={other.device}", "vlan")
        try:
            words = ("--network", "vlan", "--ip6", "2001:db8:9::10")
            box("run", "-d", "--name", "one", *words, "busybox", *IDLE)
            assert " 0% packet loss" in other.run("ping", "-c", "1", "-W", "5", "2001:db8:9::10")
        finally:
            box("rm", "-f", "one")
            box("network", "rm", "vlan")
