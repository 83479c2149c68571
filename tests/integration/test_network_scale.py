"""Many containers, ports and networks: the same as a few, and the kernel's counts are where they were."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

from . import host
from .conftest import Box
from .host import until
from .other_host import fetch

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SERVER = ["httpd", "-f", "-p", "80", "-h", "/etc"]


SHARD = re.compile(r"fb-[0-9a-f]+s\d+|fbs[0-9a-f]+")


def counts(box: Box) -> dict[str, int]:
    """What networks hold of the kernel and of the disk; shards stay with their network."""
    rules = subprocess.run(
        ["nft", "-j", "list", "ruleset"], capture_output=True, text=True, check=True
    )
    found = 0
    for item in json.loads(rules.stdout)["nftables"]:
        for each in (item.get("set"), item.get("map")):
            elements = map(json.dumps, (each or {}).get("elem", ()))
            found += sum(not SHARD.search(text) for text in elements)
    netd = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"netd" in _read(p)]
    return {
        "links": sum(not SHARD.match(name) for name in os.listdir("/sys/class/net")),
        "elements": found,
        "leases": len(list(Path(box.root).glob("networks/*/leases/*"))),
        "descriptors": sum(len(os.listdir(p.parent / "fd")) for p in netd),
        "namespaces": host.namespaces(),
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def settled(box: Box, before: dict[str, int], seconds: float = 120) -> dict[str, tuple[int, int]]:
    """What is more than before, once it is nothing or the time is over: the kernel takes namespaces down behind our back."""
    end = time.monotonic() + seconds * host.SLOW
    while True:
        now = counts(box)
        more = {key: (before[key], now[key]) for key in before if now[key] > before[key]}
        if not more or time.monotonic() > end:
            return more
        time.sleep(0.5)


@pytest.mark.timeout(1800)
def test_twelve_hundred_on_one_network_reach_one_server(box: Box) -> None:
    from fastbox import Engine

    box("network", "create", "--subnet", "10.208.0.0/19", "crowd")
    try:
        with Engine.open() as engine, ThreadPoolExecutor(4) as pool:
            server = engine.run("busybox", SERVER, name="server", network="crowd")
            crowd = list(
                pool.map(
                    lambda _: engine.run("busybox", ["sleep", "1000000"], network="crowd"),
                    range(1200),
                )
            )
            words = ["wget", "-qO-", "http://server/group"]
            first = list(pool.map(lambda c: c.exec(words).exit_code, crowd))
            assert first == [0] * 1200
            # And the server, which was first, reaches the last ones.
            for each in (crowd[0], crowd[600], crowd[-1]):
                name = each.exec(["hostname"]).stdout.decode().strip()
                assert server.exec(["ping", "-c", "1", "-W", "5", name]).exit_code == 0
    finally:
        box("network", "rm", "-f", "crowd")


@pytest.mark.timeout(1800)
def test_the_thousandth_published_port_costs_what_the_tenth_did(box: Box) -> None:
    from fastbox import Engine

    before = counts(box)
    taken: list[float] = []
    with Engine.open() as engine:
        held = []
        for number in range(1000):
            begin = time.perf_counter()
            held.append(
                engine.run("busybox", ["sleep", "1000000"], publish=(f"{20000 + number}:80",))
            )
            taken.append(time.perf_counter() - begin)
        print(
            "ms per start with one published port:",
            {n: round(1000 * median(taken[n - 10 : n]), 2) for n in (20, 100, 300, 600, 1000)},
        )
        extra = engine.run("busybox", SERVER, publish=("29999:80",))
        until(lambda: "root" in fetch("http://127.0.0.1:29999/passwd"))
        extra.remove(force=True)
        del held
    assert not settled(box, before)


@pytest.mark.timeout(3000)
def test_four_thousand_networks(box: Box) -> None:
    from fastbox import Engine

    before = counts(box)
    taken: list[float] = []
    gone: list[float] = []
    with Engine.open() as engine:
        subnets = set()
        for number in range(4000):
            begin = time.perf_counter()
            made = engine.networks.create(f"net{number}")
            taken.append(time.perf_counter() - begin)
            subnets.add(json.dumps(engine.networks.inspect(made)["IPAM"], sort_keys=True))
        assert len(subnets) == 4000
        with engine.run("busybox", SERVER, name="last", network="net3999"):
            found = box(
                "run",
                "--rm",
                "--network",
                "net3999",
                "busybox",
                "wget",
                "-qO-",
                "http://last/group",
            )
            assert "root" in found.stdout
        for number in range(4000):
            begin = time.perf_counter()
            engine.networks.remove(f"net{number}")
            gone.append(time.perf_counter() - begin)
    print(
        "ms per network:",
        {
            n: (round(1000 * median(taken[n - 20 : n]), 2), round(1000 * median(gone[-n:][:20]), 2))
            for n in (40, 400, 4000)
        },
    )
    assert not settled(box, before)


@pytest.mark.timeout(1800)
def test_two_thousand_starts_with_names(box: Box) -> None:
    from fastbox import Engine

    box("network", "create", "soak")
    try:
        with (
            Engine.open() as engine,
            ThreadPoolExecutor(4) as pool,
            engine.run("busybox", SERVER, name="soaked", network="soak"),
        ):

            def one(number: int) -> int:
                words = ["wget", "-qO-", "http://soaked/group"]
                with engine.run("busybox", words, network="soak") as container:
                    return container.wait(timeout=60)

            assert list(pool.map(one, range(50))) == [0] * 50
            before = counts(box)
            assert list(pool.map(one, range(2000))) == [0] * 2000
            assert not settled(box, before)
    finally:
        box("network", "rm", "-f", "soak")
