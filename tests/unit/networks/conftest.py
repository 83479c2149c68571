"""A store in a directory of the test's, and a kernel that only takes notes."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

import fastbox
from fastbox.networks import attach, reconcile, routes
from fastbox.networks.service import Networks
from fastbox.store.networks import NetworkStore
from fastbox.store.root import Root

if TYPE_CHECKING:
    from pathlib import Path


class Kernel:
    """What `_net` and `_nft` were asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.links: set[str] = set()
        self.routes: dict[str, str] = {}
        self.tables = True
        self.fail = ""

    def note(self, name: str, *args: object, **more: object) -> None:
        if name == self.fail and args[-1] is not False:
            raise OSError(22, "the kernel says no")
        self.calls.append((name, *args, *more.values()))

    def bridge_ensure(self, name, addresses, mtu, ipv6, main="", isolated=False) -> bool:
        self.note("bridge", name, tuple(addresses), mtu, ipv6, main, *["isolated"] * isolated)
        new = name not in self.links
        self.links.add(name)
        return new

    def link_delete(self, name: str) -> None:
        self.note("delete", name)
        self.links.discard(name)

    def route_clash(self, subnet: str) -> str:
        from ipaddress import ip_network

        mine = ip_network(subnet)
        found = (r for r in self.routes if ip_network(r).version == mine.version)
        return next((r for r in found if ip_network(r).overlaps(mine)), "")

    def base(self) -> None:
        self.note("base")
        self.tables = True

    def present(self) -> bool:
        return self.tables

    def coexist(self) -> None:
        self.note("coexist", True)

    def network(self, *args: object) -> None:
        self.note("network", *args)

    def shard(self, *args: object) -> None:
        self.note("shard", *args)

    def endpoints(self, *args: object) -> None:
        self.note("endpoints", *args)

    def named(self, name: str) -> list[tuple[object, ...]]:
        return [call for call in self.calls if call[0] == name]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    net = types.SimpleNamespace(
        bridge_ensure=made.bridge_ensure,
        link_delete=made.link_delete,
        route_clash=made.route_clash,
        release=lambda *args: made.note("release", *args),
    )
    nft = types.SimpleNamespace(
        base=made.base,
        present=made.present,
        coexist=made.coexist,
        network=made.network,
        shard=made.shard,
        endpoints=made.endpoints,
    )
    for name, module in (("_net", net), ("_nft", nft)):
        monkeypatch.setitem(sys.modules, f"fastbox.{name}", module)
        monkeypatch.setattr(fastbox, name, module, raising=False)
    real = attach.os.path.exists

    def exists(path: str) -> bool:
        name = str(path).removeprefix("/proc/sys/net/ipv4/conf/")
        return name in made.links if name != str(path) else real(path)

    for module in (attach, reconcile):
        monkeypatch.setattr(
            module, "os", types.SimpleNamespace(**vars(module.os) | {"path": _path(exists)})
        )
    monkeypatch.setattr(routes, "clash", made.route_clash)
    return made


def _path(exists):
    import os.path

    return types.SimpleNamespace(**vars(os.path) | {"exists": exists})


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root.open(str(tmp_path / "root"), str(tmp_path / "run"))


@pytest.fixture
def networks(root: Root, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Networks:
    monkeypatch.delenv("FASTBOX_ADDRESS_POOLS", raising=False)
    return Networks(root)


@pytest.fixture
def store(root: Root) -> NetworkStore:
    return NetworkStore(root)
