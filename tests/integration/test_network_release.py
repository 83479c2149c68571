"""What an end takes back of a container's network, and what the next start finds.

The documents are made by hand, as in test_network_links.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fastbox import _net

from . import netlinks
from .netlinks import SERVE, SLEEP, Nets, elements, get, pid_of, run, until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("network_host")]
published = pytest.mark.skipif(netlinks.NFT is None, reason="nothing is published here")


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
    document, live = nets.kill_supervisor(directory)
    until(lambda: endpoint["host"] not in run("ip", "link"))
    _net.release(document, True, "another", live)
    _net.release(document, False, directory.name, live)
    assert os.path.exists(endpoint["leases"][0])
    _net.release(document, True, directory.name, live)
    assert not os.path.exists(endpoint["leases"][0])
    _net.release(document, True, directory.name, live)


def port(number: int, first: int) -> dict[str, Any]:
    return {"protocol": "tcp", "hosts": ["0.0.0.0"], "first": first, "last": first, "port": 80,
            "address": f"172.30.0.{number}", "address6": ""}  # fmt: skip


@published
def test_ports_come_and_go(nets: Nets) -> None:
    ports = [port(31, 18080)]
    assert elements() == []
    directory = nets.start(
        "pub", [nets.endpoint(31)], SERVE, "--hostname", "pub", "--restart", "always", ports=ports
    )
    assert get("127.0.0.1", 18080) == get("172.30.0.1", 18080) == "pub"
    nets.create("second", [nets.endpoint(32)], SLEEP, ports=ports)
    assert "already allocated" in nets.box("start", "second", check=False).stderr
    assert get("127.0.0.1", 18080) == "pub"
    for _ in range(3):
        before = pid_of(nets, directory)
        nets.ask(directory, op="restart", signal=9, timeout=0)
        until(lambda before=before: pid_of(nets, directory) not in (0, before))  # type: ignore[misc]
        assert get("127.0.0.1", 18080) == "pub"
    nets.box("stop", "-t", "0", "pub")
    assert elements() == []


@published
def test_ports_are_free_when_the_end_is_told(nets: Nets) -> None:
    for number in range(3):
        nets.create(f"short{number}", [nets.endpoint(33)], ["true"], ports=[port(33, 18081)])
        nets.box("start", "-a", f"short{number}")
        assert elements() == []


@published
def test_guards_go_by_endpoint(nets: Nets) -> None:
    directory = nets.start("guarded", [nets.endpoint(34)], SLEEP)
    one = elements()
    assert one
    more = nets.endpoint(35, "eth1")
    nets.ask(directory, op="connect", endpoint=more)
    assert elements() != one
    nets.ask(directory, op="disconnect", name="eth1")
    assert elements() == one
    spoof = "ip address add 172.30.0.77/24 dev eth0; ping -c1 -w2 -I 172.30.0.77 172.30.0.1"
    done = nets.box("exec", "--privileged", "guarded", "sh", "-c", spoof, check=False)
    assert " 0 packets received" in done.stdout
    os.unlink(more["leases"][0])


@published
def test_killed_supervisor_with_ports(nets: Nets) -> None:
    directory = nets.start("lost", [nets.endpoint(36)], SLEEP, ports=[port(36, 0)])
    document, live = nets.kill_supervisor(directory)
    assert elements()
    _net.release(document, True, directory.name, live)
    assert elements() == []
