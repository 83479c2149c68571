"""`network ...`, and the flags of `run` about networks and ports."""

from __future__ import annotations

import json

import pytest

from fastbox.cli import runflags
from fastbox.cli.commands import run
from fastbox.cli.parser import UsageError, parse
from fastbox.errors import FastboxError, InvalidArgument
from fastbox.types import EndpointOptions, NetworkInfo, Pruned, RunOptions


def build(*words: str) -> RunOptions:
    return runflags.build(parse(run.options(), [*words, "i"], command="run", stop_at_operand=True))


def wish(network: str, **more: object) -> tuple[EndpointOptions, ...]:
    return (EndpointOptions(network=network, **more),)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ([], {"network": "bridge"}),
        (["--network", "default"], {"network": "bridge"}),
        (["--network", "none"], {"network": "none"}),
        (["--net", "my-net"], {"network": "my-net"}),
        (["--network=my-net", "--ip", "10.1.0.9"],
         {"network": "my-net", "endpoints": wish("my-net", ip="10.1.0.9")}),
        (["--network", "n", "--ip6", "FD00::0:9", "--mac-address", "92-d0-C6-0a-29-33"],
         {"network": "n", "endpoints": wish("n", ip6="fd00::9", mac="92:d0:c6:0a:29:33")}),
        (["--network", "n", "--network-alias", "a", "--net-alias", "b"],
         {"network": "n", "endpoints": wish("n", aliases=("a", "b"))}),
        (["--mac-address", "92:d0:c6:0a:29:33"],
         {"endpoints": wish("bridge", mac="92:d0:c6:0a:29:33")}),
        (["--link-local-ip", "169.254.3.4", "--network", "n"],
         {"network": "n", "endpoints": wish("n", link_local=("169.254.3.4",))}),
        (["--network", "a", "--network", "b"],
         {"network": "a", "endpoints": wish("a") + wish("b")}),
        (["--network",
          "name=a,alias=x,alias=y,ip=10.1.0.9,ip6=fd00::9,mac-address=92:d0:c6:0a:29:33,"
          "link-local-ip=169.254.1.2,driver-opt=K=v,gw-priority=-5"],
         {"network": "a", "endpoints": wish(
             "a", aliases=("x", "y"), ip="10.1.0.9", ip6="fd00::9", mac="92:d0:c6:0a:29:33",
             link_local=("169.254.1.2",), options={"k": "v"}, priority=-5)}),
        (["-p", "8080:80", "--publish", "53/udp", "-P"],
         {"publish": ("8080:80", "53/udp"), "publish_all": True}),
        (["--link", "db", "--link", "web:www"], {"link": ("db", "web:www")}),
        (["--network", "container:x"], {"network": "container:x"}),
    ],
)  # fmt: skip
def test_flags(words: list[str], changes: dict[str, object]) -> None:
    assert build(*words) == RunOptions(image="i", **changes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "container:x", "-p", "80"],
         "conflicting options: port publishing and the container type network mode"),
        (["--network", "container:x", "-P"],
         "conflicting options: port publishing and the container type network mode"),
        (["--network", "container:x", "--expose", "80"],
         "conflicting options: port exposing and the container type network mode"),
        (["--network", "container:x", "--add-host", "a:10.0.0.1"],
         "conflicting options: custom host-to-IP mapping and the network mode"),
        (["--network", "container:x", "--dns", "10.0.0.1"],
         "conflicting options: dns and the network mode"),
        (["--network", "container:x", "--mac-address", "92:d0:c6:0a:29:33"],
         "conflicting options: mac-address and the network mode"),
        (["--network", "container:x", "--link", "a"], "container type network can't be used with"),
        (["--network", "host", "--link", "a"], "host type networking can't be used with links"),
        (["--ip", "10.0.0.9"],
         "user specified IP address is supported on user defined networks only"),
        (["--network", "host", "--ip", "10.0.0.9"],
         "user specified IP address is supported on user defined networks only"),
        (["--network-alias", "x"],
         "network-scoped aliases are only supported for user-defined networks"),
        (["--network", "bridge", "--network", "x"],
         "cannot attach both user-defined and non-user-defined network-modes"),
        (["--network", "x", "--network", "x"], 'network "x" is specified multiple times'),
        (["--network", "name=x,ip=10.0.0.9", "--ip", "10.0.0.8"],
         "cannot specify both --ip and per-network IPv4 address"),
        (["--network", "name=x,alias=a", "--network-alias", "b"],
         "cannot specify both --network-alias and per-network alias"),
        (["--network", "alias=x"], "network name/id is not specified"),
        (["--network", "name=x,nope=1"], "invalid field key nope"),
        (["--network", "name=x,alias"], "invalid field alias"),
        (["--network", "name=x,gw-priority=y"], "invalid gw-priority (y)"),
        (["--network", "name=x,driver-opt=y"], "invalid key/value pair format in driver options"),
        (["--network", "x", "--ip", "y"], 'invalid value "y" for --ip: not an IP address'),
        (["--mac-address", "y"], "y is not a valid mac address"),
        (["--link", "a:b:c"], "bad format for links: a:b:c"),
    ],
)  # fmt: skip
def test_contradictions(words: list[str], message: str) -> None:
    with pytest.raises((InvalidArgument, UsageError)) as raised:
        build(*words)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_create(shell) -> None:
    shell.networks.answers["create"] = "f" * 64
    words = (
        "-d", "macvlan", "--subnet", "10.1.0.0/24,fd00::/64", "--gateway", "10.1.0.1",
        "--ip-range", "10.1.0.128/25", "--aux-address", "a=10.1.0.5", "--ipv6", "--internal",
        "--attachable", "-o", "parent=eth0", "--label", "x=1", "--label", "y",
        "--ipam-opt", "a=b", "n",
    )  # fmt: skip
    assert shell("network", "create", *words) == 0
    assert shell.out == "f" * 64 + "\n"
    ((_, args, given),) = shell.networks.calls
    assert args == ("n",)
    assert given == {
        "driver": "macvlan", "subnets": ["10.1.0.0/24", "fd00::/64"], "gateways": ["10.1.0.1"],
        "ranges": ["10.1.0.128/25"], "reserved": {"a": "10.1.0.5"}, "ipv4": True, "ipv6": True,
        "internal": True, "attachable": True, "options": {"parent": "eth0"},
        "labels": {"x": "1", "y": ""}, "ipam_driver": "default", "ipam_options": {"a": "b"},
        "config_only": False, "config_from": "",
    }  # fmt: skip
    assert shell("network", "create", "--ingress", "n") == 125
    assert "swarm" in shell.err
    assert shell("network", "create", "--config-only", "-d", "bridge", "n") == 125
    assert "config-only networks cannot be created with a driver" in shell.err


def info(name: str, **more: object) -> NetworkInfo:
    values = {"id": name * 64, "name": name, "driver": "bridge", "labels": {"b": "2", "a": ""}}
    return NetworkInfo(**(values | more))


def test_ls(shell) -> None:
    shell.networks.answers["list"] = [
        info("a"),
        info("b", ipv6=True, created="2026-01-02T03:04:05Z"),
    ]
    assert shell("network", "ls", "-f", "driver=bridge") == 0
    assert shell.networks.calls[-1] == ("list", (), {"filters": ["driver=bridge"]})
    assert shell.out == (
        "NETWORK ID     NAME      DRIVER    SCOPE\n"
        "aaaaaaaaaaaa   a         bridge    local\n"
        "bbbbbbbbbbbb   b         bridge    local\n"
    )
    assert shell("network", "ls", "-q", "--no-trunc") == 0
    assert shell.out == "a" * 64 + "\n" + "b" * 64 + "\n"
    form = '{{.ID}} {{.IPv6}} {{.Internal}} {{.Labels}} {{.Label "b"}}'
    assert shell("network", "list", "--format", form) == 0
    assert shell.out.splitlines()[1] == "bbbbbbbbbbbb true false a=,b=2 2"
    assert shell("network", "ls", "--format", "json") == 0
    assert json.loads(shell.out.splitlines()[0])["Name"] == "a"


def test_the_others(shell) -> None:
    assert shell("network", "rm", "a", "missing", "b") == 1
    assert shell.out == "a\nb\n"
    assert shell("network", "remove", "-f", "a") == 0
    assert shell.networks.calls[-1] == ("remove", ("a",), {"force": True})
    shell.networks.answers |= {"prune": Pruned(lines=("a", "b")), "reconcile": ("x", "y")}
    assert shell("network", "prune", "-f", "--filter", "until=1h") == 0
    assert shell.out == "Deleted Networks:\na\nb\n\n"
    assert shell("network", "reconcile") == 0
    assert shell.out == "x\ny\n"
    shell.networks.answers["inspect"] = {"Name": "a"}
    assert shell("network", "inspect", "-f", "{{.Name}}", "a") == 0
    assert shell.out == "a\n"
    assert shell("network", "inspect", "missing") == 1


def test_connect(shell) -> None:
    words = ("--alias", "x", "--ip", "10.0.0.9", "--driver-opt", "a=b", "--gw-priority", "3")
    assert shell("network", "connect", *words, "n", "c") == 0
    wanted = EndpointOptions(
        network="n", aliases=("x",), ip="10.0.0.9", options={"a": "b"}, priority=3
    )
    assert shell.networks.calls == [("connect", ("c", wanted), {})]
    assert shell.out == ""
    assert shell("network", "disconnect", "-f", "n", "c") == 0
    assert shell.networks.calls[-1] == ("disconnect", ("c", "n"), {"force": True})
    assert shell("network", "connect", "n") == 125


PORTS = (
    {"protocol": "tcp", "host": "0.0.0.0", "host_port": 8080, "port": 80},
    {"protocol": "tcp", "host": "::", "host_port": 8080, "port": 80},
    {"protocol": "udp", "host": "127.0.0.1", "host_port": 53, "port": 53},
    {"protocol": "udp", "host": "127.0.0.1", "host_port": 54, "port": 54},
)


def test_ports(shell, container) -> None:
    running = container(state="running", ports=PORTS, exposed=("80/tcp", "443"), network="a,b")
    shell.containers.answers |= {"get": running, "list": [running]}
    assert shell("port", "web") == 0
    assert shell.out == (
        "53/udp -> 127.0.0.1:53\n54/udp -> 127.0.0.1:54\n"
        "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    )
    assert shell("port", "web", "80") == 0
    assert shell.out == "0.0.0.0:8080\n[::]:8080\n"
    assert shell("port", "web", "81/udp") == 125
    assert "no public port '81/udp' published for" in shell.err
    assert shell("ps", "--format", "{{.Ports}}|{{.Networks}}") == 0
    assert shell.out == (
        "127.0.0.1:53-54->53-54/udp, 443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp|a,b\n"
    )
    shell.containers.answers["list"] = [container(state="exited", ports=(), exposed=("80/tcp",))]
    assert shell("ps", "-a", "--format", "{{.Ports}}") == 0
    assert shell.out == "\n"


@pytest.mark.parametrize("text", ["name=a,ip=1", "name=a,ip6=\n", "a=\n"])
def test_every_error_is_one_line(text: str) -> None:
    with pytest.raises(FastboxError) as raised:
        build("--network", text)
    assert "\n" not in str(raised.value)
