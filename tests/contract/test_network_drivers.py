"""What every driver of networks does; `fastbox.networks.drivers` says it in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fastbox.errors import FastboxError, InvalidArgument, NotFound, Unsupported
from fastbox.networks import drivers
from fastbox.networks.drivers import parents
from fastbox.store.networks import NetworkRecord, Subnet

from ..unit.networks.conftest import kernel  # noqa: F401

if TYPE_CHECKING:
    from ..unit.networks.conftest import Kernel

MEMBERS = {"kind", "link", "mode", "mtu", "isolated", "napi", "guard"}
GOOD = {
    "bridge": [
        {},
        {"com.docker.network.bridge.name": "lan"},
        {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.driver.mtu": "9000"},
    ],
    "macvlan": [{"parent": "up0"}, {"parent": "up0", "macvlan_mode": "passthru"}, {}],
    "ipvlan": [{"parent": "up0"}, {"parent": "up0", "ipvlan_mode": "l3s"}],
}
BAD = {
    "bridge": [
        {"com.docker.network.bridge.name": "a/b"},
        {"com.docker.network.bridge.name": "sixteen-letters-"},
        {"com.docker.network.bridge.enable_icc": "perhaps"},
        {"com.docker.network.driver.mtu": "12"},
        {"com.docker.network.bridge.gateway_mode_ipv4": "routed"},
        {"com.docker.network.bridge.host_binding_ipv4": "here"},
    ],
    "macvlan": [
        {"parent": "lo"}, {"parent": "gone0"}, {"parent": "gone0.7"}, {"parent": "up0.5000"},
        {"parent": "up0", "macvlan_mode": "x"},
    ],
    "ipvlan": [
        {"parent": "gone0"}, {"parent": "up0", "ipvlan_mode": "l4"},
        {"parent": "up0", "ipvlan_flag": "vepa"},
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def host(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Kernel:  # noqa: F811
    """A host with the interface up0."""
    kernel.links.add("up0")
    monkeypatch.setattr(parents, "_is_there", lambda name: name in kernel.links)

    def make(name: str, base: str, vlan: int) -> None:
        assert not base or (base in kernel.links and vlan)
        kernel.links.add(name)

    monkeypatch.setattr(parents, "_make", make)
    monkeypatch.setattr(
        drivers.load("bridge"), "os", type("os", (), {"listdir": lambda _: sorted(kernel.links)})
    )
    return kernel


def record(driver: str, options: dict[str, str], **more: object) -> NetworkRecord:
    subnet = Subnet(subnet="10.5.0.0/16", gateway="10.5.0.1")
    return NetworkRecord(
        id="0123456789abcdef" * 4, name="n", driver=driver, created="", labels={},
        options=options, **({"subnets": (subnet,)} | more),
    )  # fmt: skip


def cases(table: dict[str, list[dict[str, str]]]) -> list[tuple[str, dict[str, str]]]:
    return [(name, options) for name, every in table.items() for options in every]


@pytest.mark.parametrize("name", sorted(drivers.DRIVERS))
def test_it_knows_its_name(name: str) -> None:
    driver = drivers.load(name)
    assert name == driver.NAME
    for member in ("validate", "setup", "teardown", "endpoint", "routed"):
        assert callable(getattr(driver, member))


@pytest.mark.parametrize(("name", "options"), cases(GOOD))
def test_it_comes_and_goes_any_number_of_times(
    name: str, options: dict[str, str], host: Kernel
) -> None:
    driver, mine = drivers.load(name), record(name, options)
    before = set(host.links)
    driver.validate(mine)
    assert host.links == before
    made = driver.setup(mine)
    kept = mine.replace(made=made)
    after = set(host.links)
    assert set(driver.setup(kept)) == set(made)
    assert host.links == after
    endpoint = driver.endpoint(kept, 2)
    assert endpoint["link"] in host.links
    for _ in range(2):
        driver.teardown(kept)
        assert host.links == before


@pytest.mark.parametrize(("name", "options"), cases(GOOD))
def test_an_endpoint(name: str, options: dict[str, str]) -> None:
    driver, mine = drivers.load(name), record(name, options)
    for number in (2, 127, 128, 65535):
        endpoint = driver.endpoint(mine, number)
        assert set(endpoint) == MEMBERS
        assert endpoint["kind"] in ("veth", "macvlan", "ipvlan")
        assert 0 < len(str(endpoint["link"])) <= 15
        assert all(isinstance(endpoint[key], bool) for key in ("isolated", "napi", "guard"))
        assert endpoint["mtu"] == 0 or 68 <= int(str(endpoint["mtu"])) <= 65535


@pytest.mark.parametrize(("name", "options"), cases(BAD))
def test_what_it_refuses(name: str, options: dict[str, str], host: Kernel) -> None:
    before = set(host.links)
    with pytest.raises((InvalidArgument, NotFound, Unsupported)) as raised:
        drivers.load(name).validate(record(name, options))
    assert str(raised.value)
    assert "\n" not in str(raised.value)
    assert host.links == before


@pytest.mark.parametrize("name", ["bridge", "macvlan", "ipvlan"])
def test_an_internal_network_routes_nowhere(name: str) -> None:
    driver = drivers.load(name)
    options = {} if name == "bridge" else {"parent": "up0"}
    assert driver.routed(record(name, options))
    assert not driver.routed(record(name, options, internal=True))


@pytest.mark.parametrize("name", ["host", "null"])
def test_there_is_one_of_it(name: str) -> None:
    driver, mine = drivers.load(name), record(name, {}, subnets=())
    with pytest.raises(FastboxError, match="only one instance"):
        driver.validate(mine)
    assert driver.setup(mine) == ()
    assert driver.endpoint(mine, 2) == {}
    assert not driver.routed(mine)
    driver.teardown(mine)


def test_a_parent_that_is_a_vlan(host: Kernel) -> None:
    driver, mine = drivers.load("macvlan"), record("macvlan", {"parent": "up0.10"})
    driver.validate(mine)
    assert driver.setup(mine) == ("up0.10",)
    assert "up0.10" in host.links
    host.links.discard("up0.10")  # a boot
    kept = mine.replace(made=("up0.10",))
    assert driver.setup(kept) == ("up0.10",)
    driver.teardown(kept)
    assert host.links == {"up0"}


def test_what_comes_later_has_its_place() -> None:
    with pytest.raises(Unsupported, match="overlay"):
        drivers.load("overlay")
    with pytest.raises(NotFound, match="could not find plugin"):
        drivers.load("os")
    assert os.path.dirname(drivers.__file__).endswith("networks/drivers")
