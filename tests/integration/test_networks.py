"""Networks with real packets: each row of the promises N1 to N6, with nginx, redis and a resolver of Debian's, and with another host."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import host
from .conftest import Box, busybox_tar
from .host import until
from .other_host import NGINX, OtherHost, fetch, image_of, ip
from .test_lifecycle import IDLE

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def servers(box: Box) -> Iterator[str]:
    """An image with real servers: nginx tells its name and the client's address."""
    conf = NGINX.format(listen="listen 80; listen [::]:80;", body="nginx")
    local = NGINX.format(listen="listen 127.0.0.1:80;", body="inside")
    files = {"nginx.conf": conf, "local.conf": local}
    tar = image_of("nginx", "redis-server", "redis-cli", "iperf3", "dnsmasq", files=files)
    subprocess.run(
        [box.program, "import", "-", "servers"], input=tar, env=box.environ, check=True, capture_output=True
    )  # fmt: skip
    yield "servers"
    box("rmi", "servers")


@pytest.fixture
def other(box: Box) -> Iterator[OtherHost]:
    with OtherHost() as other:
        yield other


Web = Callable[..., str]


@pytest.fixture
def web(box: Box, servers: str) -> Iterator[Web]:
    """Starts nginx in a container that is removed after the test; waits until it listens."""
    made = []

    def start(*words: str, conf: str = "/nginx.conf") -> str:
        made.append(box("run", "-d", *words, servers, "nginx", "-c", conf).stdout.strip())
        listening(box, made[-1], 80)
        return made[-1]

    yield start
    for each in made:
        box("rm", "-f", each, check=False)


@pytest.fixture
def network(box: Box) -> Iterator[Callable[..., str]]:
    """Makes networks that are removed after the test."""
    made = []

    def create(name: str, *words: str) -> str:
        assert len(box("network", "create", *words, name).stdout.strip()) == 64
        made.append(name)
        return name

    yield create
    for each in made:
        if left := box("ps", "-aq", "--filter", f"network={each}").stdout.split():
            box("rm", "-f", *left)
        box("network", "rm", "-f", each)


def listening(box: Box, name: str, port: int) -> None:
    pid = pid_of(box, name)
    text = f":{port:04X} "

    def found() -> bool:
        for table in ("tcp", "tcp6"):
            with open(f"/proc/{pid}/net/{table}") as file:
                if any(text in line[:30] and " 0A " in line for line in file):
                    return True
        return False

    until(found)


def pid_of(box: Box, name: str) -> int:
    return int(box("inspect", "-f", "{{.State.Pid}}", name).stdout)


def address(box: Box, name: str, network: str = "bridge", field: str = "IPAddress") -> str:
    words = ("-f", f'{{{{(index .NetworkSettings.Networks "{network}").{field}}}}}')
    return box("inspect", *words, name).stdout.strip()


def get(url: str) -> tuple[str, ...]:
    """A client that gives up; it is not the first process, which no signal of its own would end."""
    return ("sh", "-c", f"timeout 5 wget -qO- '{url}'; exit $?")


def run(box: Box, *words: str, check: bool = True) -> str:
    return box("run", "--rm", *words, check=check).stdout


# N1: on by default


def test_out_to_another_host_with_the_hosts_address(box: Box, other: OtherHost) -> None:
    other.serve(80)
    assert run(box, "busybox", "nc", other.address, "80").strip() == other.here


def test_what_a_container_sees(box: Box) -> None:
    script = "ip -4 -o addr show eth0; ip route; cat /etc/resolv.conf; hostname; cat /etc/hosts; ls /sys/class/net"
    found = run(box, "busybox", "sh", "-c", script)
    own = re.search(r"inet (\S+)/\d+ ", found)
    assert own
    gateway = re.search(r"default via (\S+) dev eth0", found)
    assert gateway
    assert gateway[1].rsplit(".", 1)[0] in own[1]
    name = re.search(r"^([0-9a-f]{12})$", found, re.MULTILINE)
    assert name
    assert f"{own[1]}\t{name[1]}\n" in found
    assert found.endswith("eth0\nlo\n")
    assert run(box, "--network", "none", "busybox", "ls", "/sys/class/net") == "lo\n"


def test_the_host_is_reached_at_the_gateway(box: Box) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        script = f"nc $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p') {port} </dev/null"
        with box.start("run", "--rm", "busybox", "sh", "-c", script, stdout=-1) as client:
            server.settimeout(20)
            connection, peer = server.accept()
            connection.sendall(b"from the host")
            connection.close()
            assert client.communicate()[0] == b"from the host"
        assert peer[0].startswith("172.") or peer[0].startswith("192.168.") or peer[0][:3] == "10."


# N2: user-defined networks


def test_the_seeds_words(box: Box, network: Callable[..., str]) -> None:
    box("import", "-c", 'CMD ["sh"]', "-", "busybox:seed", stdin=busybox_tar())
    network("my-net", "-d", "bridge")
    box("run", "--network=my-net", "-itd", "--name=container3", "busybox:seed")
    try:
        assert "1 packets received" in run(
            box, "--network=my-net", "busybox", "ping", "-c1", "-W5", "container3"
        )
        assert "container3" in box("network", "inspect", "my-net").stdout
    finally:
        box("rm", "-f", "container3")
        box("rmi", "busybox:seed")


def test_names_aliases_short_ids_and_other_networks(
    box: Box, web: Web, network: Callable[..., str]
) -> None:
    network("one")
    network("two")
    shop = web("--name", "shop", "--network", "one", "--network-alias", "www")
    for name in ("shop", "www", shop[:12], "shop.one", "SHOP"):
        assert run(
            box, "--network", "one", "busybox", "wget", "-qO-", f"http://{name}/"
        ).startswith("nginx "), name
    assert "bad address" in box(
        "run", "--rm", "--network", "two", "busybox", "wget", "-qO-", "http://shop/", check=False
    ).stderr  # fmt: skip
    there = address(box, "shop", "one")
    refused = box(
        "run",
        "--rm",
        "--network",
        "two",
        "busybox",
        *get(f"http://{there}/"),
        check=False,
    )
    assert refused.returncode != 0
    # Not resolved on the default bridge, and not reached from there.
    assert box("run", "--rm", "busybox", *get(f"http://{there}/"), check=False).returncode
    box("rm", "-f", "shop")


def test_connect_and_disconnect_a_running_one(
    box: Box, web: Web, network: Callable[..., str]
) -> None:
    network("front")
    network("back")
    web("--name", "app", "--network", "front")
    client = ("busybox", *get("http://app/"))
    assert box("run", "--rm", "--network", "back", *client, check=False).returncode != 0
    box("network", "connect", "--alias", "api", "back", "app")
    assert run(box, "--network", "back", *client).startswith("nginx ")
    assert run(box, "--network", "back", "busybox", "wget", "-qO-", "http://api/").startswith(
        "nginx "
    )
    assert set(box("exec", "app", "ls", "/sys/class/net").stdout.split()) == {"lo", "eth0", "eth1"}
    assert "active endpoints" in box.fails("network", "rm", "back", code=1)
    box("network", "disconnect", "back", "app")
    assert box("run", "--rm", "--network", "back", *client, check=False).returncode != 0
    assert set(box("exec", "app", "ls", "/sys/class/net").stdout.split()) == {"lo", "eth0"}
    box("network", "connect", "back", "app")
    box("restart", "-t", "0", "app")
    listening(box, "app", 80)
    assert run(box, "--network", "back", *client).startswith("nginx ")
    box("rm", "-f", "app")


def test_rename_changes_the_name(box: Box, web: Web, network: Callable[..., str]) -> None:
    network("named")
    web("--name", "before", "--network", "named")
    box("rename", "before", "after")
    assert run(box, "--network", "named", "busybox", "wget", "-qO-", "http://after/").startswith(
        "nginx"
    )
    assert box(
        "run", "--rm", "--network", "named", "busybox", "nslookup", "before.", check=False
    ).returncode
    box("rm", "-f", "after")


def test_internal_has_no_way_out(
    box: Box, web: Web, network: Callable[..., str], other: OtherHost
) -> None:
    other.serve(80)
    network("shut", "--internal")
    web("--name", "inner", "--network", "shut")
    assert run(box, "--network", "shut", "busybox", "wget", "-qO-", "http://inner/").startswith(
        "nginx"
    )
    assert "default" not in run(box, "--network", "shut", "busybox", "ip", "route")
    script = f"ip route add default via $(ip -4 -o addr show eth0 | sed 's/.*inet \\([0-9.]*\\)\\..*/\\1/').1; nc -w 2 {other.address} 80"
    done = box(
        "run",
        "--rm",
        "--cap-add",
        "NET_ADMIN",
        "--network",
        "shut",
        "busybox",
        "sh",
        "-c",
        script,
        check=False,
    )
    assert other.here not in done.stdout
    box("rm", "-f", "inner")


def test_inter_container_communication_off(
    box: Box, web: Web, network: Callable[..., str], other: OtherHost
) -> None:
    other.serve(80)
    network("quiet", "-o", "com.docker.network.bridge.enable_icc=false")
    web("--name", "closed", "--network", "quiet")
    client = ("busybox", *get("http://closed/"))
    assert box("run", "--rm", "--network", "quiet", *client, check=False).returncode != 0
    assert (
        run(box, "--network", "quiet", "busybox", "nc", other.address, "80").strip() == other.here
    )
    box("rm", "-f", "closed")


# N3: drivers


def test_host_and_container_modes(box: Box, servers: str) -> None:
    assert run(box, "--network", "host", "busybox", "readlink", "/proc/self/ns/net") == (
        subprocess.run(
            ["readlink", "/proc/self/ns/net"], capture_output=True, text=True, check=True
        ).stdout
    )
    words = ("redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", "/data")
    box("run", "-d", "--name", "redis", servers, *words)
    listening(box, "redis", 6379)
    joined = ("--network", "container:redis")
    assert run(box, *joined, servers, "redis-cli", "-h", "127.0.0.1", "ping") == "PONG\n"
    assert run(box, *joined, "busybox", "hostname") == box("exec", "redis", "hostname").stdout
    box("rm", "-f", "redis")


@pytest.mark.parametrize("mode", ["bridge", "private", "vepa", "passthru"])
def test_macvlan(box: Box, web: Web, network: Callable[..., str], mode: str) -> None:
    with OtherHost(7) as other:
        ip("addr", "flush", "dev", other.device)
        words = ("-o", f"parent={other.device}", "-o", f"macvlan_mode={mode}")
        network(
            "lan", "-d", "macvlan", "--subnet", "198.18.7.0/24", "--gateway", "198.18.7.254", *words
        )
        mac = () if mode == "passthru" else ("--mac-address", "02:42:ac:11:65:43")
        web("--name", "onlan", "--network", "lan", "--ip", "198.18.7.9", *mac)
        assert other.fetch("http://198.18.7.9/") == "nginx 198.18.7.2\n"
        if mac:
            assert (
                "02:42:ac:11:65:43"
                in box("exec", "onlan", "cat", "/sys/class/net/eth0/address").stdout
            )
        if mode in ("bridge", "private"):
            done = box(
                "run",
                "--rm",
                "--network",
                "lan",
                "busybox",
                *get("http://198.18.7.9/"),
                check=False,
            )
            assert (done.returncode == 0) == (mode == "bridge"), done.stderr
        box("rm", "-f", "onlan")


def test_a_missing_parent_is_told(box: Box) -> None:
    words = ("-d", "macvlan", "--subnet", "198.18.8.0/24", "-o", "parent=nosuch0")
    assert "nosuch0" in box.fails("network", "create", *words, "lan")
    assert "lan" not in box("network", "ls", "--format", "{{.Name}}").stdout.split()


# N4: published ports


def port() -> int:
    with socket.socket() as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])


def test_published_everywhere(
    box: Box, web: Web, network: Callable[..., str], other: OtherHost
) -> None:
    number = port()
    name = web("-p", f"{number}:80")
    assert box("port", name).stdout.splitlines()[0] == f"80/tcp -> 0.0.0.0:{number}"
    assert fetch(f"http://127.0.0.1:{number}/").startswith("nginx ")
    assert fetch(f"http://localhost:{number}/").startswith("nginx ")
    assert fetch(f"http://[::1]:{number}/").startswith("nginx ")
    assert fetch(f"http://{other.here}:{number}/").startswith("nginx ")
    # From another host, whose address the server sees.
    assert other.fetch(f"http://{other.here}:{number}/") == f"nginx {other.address}\n"
    assert other.fetch(f"http://[{other.here6}]:{number}/").startswith("nginx ")
    # From a container of the same network through the host's address, and from one of another network.
    client = ("busybox", *get(f"http://{other.here}:{number}/"))
    assert run(box, *client).startswith("nginx ")
    network("away")
    assert run(box, "--network", "away", *client).startswith("nginx ")
    # The container itself.
    assert box("exec", name, *get(f"http://{other.here}:{number}/")).stdout.startswith("nginx ")
    assert f"0.0.0.0:{number}->80/tcp" in box("ps").stdout
    box("rm", "-f", name)
    assert fetch(f"http://127.0.0.1:{number}/", 2) == ""
    assert other.fetch(f"http://{other.here}:{number}/", 2) == ""


def test_published_on_one_address(box: Box, web: Web, other: OtherHost) -> None:
    number = port()
    web("-p", f"{other.here}:{number}:80")
    assert other.fetch(f"http://{other.here}:{number}/").startswith("nginx ")
    assert fetch(f"http://127.0.0.1:{number}/", 2) == ""


def test_published_on_localhost_means_this_host_only(
    box: Box, web: Web, network: Callable[..., str], other: OtherHost
) -> None:
    number = port()
    web("-p", f"127.0.0.1:{number}:80", "-p", f"[::1]:{number}:80", "--name", "local")
    assert fetch(f"http://127.0.0.1:{number}/").startswith("nginx ")
    assert fetch(f"http://[::1]:{number}/").startswith("nginx ")
    assert fetch(f"http://{other.here}:{number}/", 2) == ""
    assert other.fetch(f"http://{other.here}:{number}/", 2) == ""
    # A packet from outside that says 127.0.0.1 is dropped.
    other.run(
        "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1", "net.ipv4.conf.eth0.route_localnet=1"
    )
    other.run("ip", "route", "del", "local", "127.0.0.0/8", "table", "local", check=False)
    other.run("ip", "route", "del", "local", "127.0.0.1", "table", "local", check=False)
    other.run("ip", "route", "add", "127.0.0.1/32", "via", other.here, "src", other.address)
    assert other.fetch(f"http://127.0.0.1:{number}/", 2) == ""
    # Nor does another network reach it at its gateway.
    network("aside")
    gateway = box(
        "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "aside"
    ).stdout.strip()
    done = box(
        "run",
        "--rm",
        "--network",
        "aside",
        "busybox",
        *get(f"http://{gateway}:{number}/"),
        check=False,
    )
    assert done.returncode != 0
    box("rm", "-f", "local")


def test_udp_beside_tcp(box: Box, other: OtherHost, servers: str) -> None:
    number = port()
    dns = "dnsmasq -u root --pid-file= -h -R --address=/udp.example/192.0.2.4"
    words = ("-p", f"{number}:80/tcp", "-p", f"{number}:53/udp", "--name", "both")
    box("run", "-d", *words, servers, "sh", "-c", f"{dns}; nginx -c /nginx.conf")
    ask = ("dig", "+short", "+tries=1", "+time=3", "-p", str(number), "udp.example")
    try:
        listening(box, "both", 80)
        assert fetch(f"http://127.0.0.1:{number}/").startswith("nginx ")
        found = subprocess.run([*ask, "@127.0.0.1"], capture_output=True, text=True, check=True)
        assert found.stdout == "192.0.2.4\n"
        box("restart", "-t", "0", "both")
        listening(box, "both", 80)
        assert other.run(*ask, f"@{other.here}") == "192.0.2.4\n"
    finally:
        box("rm", "-f", "both")


def test_ranges_random_and_all(box: Box, web: Web, other: OtherHost) -> None:
    first = port()
    name = web(
        "-p", f"{first}-{first + 2}:80-82", "-P", "--expose", "8081/udp", "-p", "127.0.0.1::80"
    )
    lines = box("port", name).stdout.splitlines()
    assert f"80/tcp -> 0.0.0.0:{first}" in lines
    assert f"82/tcp -> 0.0.0.0:{first + 2}" in lines
    assert any(line.startswith("8081/udp -> 0.0.0.0:") for line in lines)
    random = next(line for line in lines if line.startswith("80/tcp -> 127.0.0.1:"))
    assert fetch(f"http://{random.split(' -> ')[1]}/").startswith("nginx ")
    assert other.fetch(f"http://{other.here}:{first}/").startswith("nginx ")


def test_a_port_in_use_is_told_before_anything_starts(box: Box) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        number = taken.getsockname()[1]
        error = box.fails("run", "--rm", "-p", f"{number}:80", "busybox", "echo", "started")
        assert f"Bind for 0.0.0.0:{number} failed: port is already allocated" in error


def test_random_ports_never_collide(box: Box) -> None:
    waiting = [
        box.start("run", "-d", "-p", "80", "busybox", *IDLE, stdout=-1, stderr=-1)
        for _ in range(16)
    ]
    names = []
    for each in waiting:
        out, err = each.communicate()
        assert each.returncode == 0, err
        names.append(out.decode().strip())
    try:
        ports = [box("port", name, "80").stdout.splitlines()[0] for name in names]
        assert len(set(ports)) == 16, ports
    finally:
        box("rm", "-f", *names)


def test_unpublished_ports_are_closed(box: Box, web: Web, other: OtherHost) -> None:
    name = web("--expose", "80")
    inside = address(box, name)
    other.run("ip", "route", "add", f"{inside}/32", "via", other.here)
    assert other.fetch(f"http://{inside}/", 2) == ""
    assert fetch(f"http://{inside}/").startswith("nginx ")  # the host itself may


# N5: addresses


def test_chosen_addresses(box: Box, network: Callable[..., str]) -> None:
    network(
        "chosen",
        "--subnet",
        "10.222.3.0/24",
        "--ip-range",
        "10.222.3.128/25",
        "--gateway",
        "10.222.3.7",
        "--aux-address",
        "printer=10.222.3.128",
    )
    found = run(
        box,
        "--network",
        "chosen",
        "--ip",
        "10.222.3.77",
        "busybox",
        "ip",
        "-4",
        "-o",
        "addr",
        "show",
        "eth0",
    )
    assert "inet 10.222.3.77/24" in found
    found = run(
        box, "--network", "chosen", "busybox", "sh", "-c", "ip -4 -o addr show eth0; ip route"
    )
    assert "inet 10.222.3.129/24" in found
    assert "default via 10.222.3.7" in found
    for word, why in (("10.222.4.1", "10.222.4.1"), ("10.222.3.7", "in use")):
        assert why in box.fails(
            "run", "--rm", "--network", "chosen", "--ip", word, "busybox", "true"
        )


def test_a_subnet_that_is_used_up(box: Box, network: Callable[..., str]) -> None:
    network("tiny", "--subnet", "10.222.9.0/29")
    names = [
        box("run", "-d", "--network", "tiny", "busybox", *IDLE).stdout.strip() for _ in range(5)
    ]
    try:
        assert "10.222.9.0/29" in box.fails("run", "--rm", "--network", "tiny", "busybox", "true")
        box("rm", "-f", names.pop())
        run(box, "--network", "tiny", "busybox", "true")
        run(box, "--network", "tiny", "busybox", "true")
    finally:
        box("rm", "-f", *names)


def test_ipv6(box: Box, web: Web, network: Callable[..., str], other: OtherHost) -> None:
    other.serve(80)
    network("six", "--ipv6", "--subnet", "fd77:1::/64", "--subnet", "10.222.6.0/24")
    web("--name", "v6", "--network", "six", "--ip6", "fd77:1::99", "-p", "8086:80")
    assert address(box, "v6", "six", "GlobalIPv6Address") == "fd77:1::99"
    assert run(
        box, "--network", "six", "busybox", "wget", "-qO-", "http://[fd77:1::99]/"
    ).startswith("nginx fd77:1:")
    assert other.fetch(f"http://[{other.here6}]:8086/") == f"nginx {other.address6}\n"
    assert fetch("http://[::1]:8086/").startswith("nginx ")
    assert (
        run(box, "--network", "six", "busybox", "nc", other.address6, "80").strip() == other.here6
    )
    box("rm", "-f", "v6")


def test_several_networks(box: Box, web: Web, network: Callable[..., str]) -> None:
    network("left")
    network("right")
    web("--name", "mid", "--network", "left", "--network", "right")
    assert set(box("exec", "mid", "ls", "/sys/class/net").stdout.split()) == {"lo", "eth0", "eth1"}
    for each in ("left", "right"):
        assert run(box, "--network", each, "busybox", "wget", "-qO-", "http://mid/").startswith(
            "nginx "
        )
    box("rm", "-f", "mid")


def test_nobody_takes_anothers_address(box: Box, web: Web, network: Callable[..., str]) -> None:
    network("guarded", "--subnet", "10.222.12.0/24")
    web("--name", "victim", "--network", "guarded")
    box(
        "run",
        "-d",
        "--name",
        "thief",
        "--cap-add",
        "NET_ADMIN",
        "--network",
        "guarded",
        "busybox",
        *IDLE,
    )
    there = address(box, "victim", "guarded")
    client = ("busybox", *get(f"http://{there}/"))
    box("exec", "thief", "ip", "addr", "add", f"{there}/24", "dev", "eth0")
    box("exec", "thief", "arping", "-U", "-c", "3", "-I", "eth0", there, check=False)
    for _ in range(3):
        assert run(box, "--network", "guarded", *client).startswith("nginx ")
    box("rm", "-f", "victim", "thief")


# N6: names


def test_resolvers_of_the_container_itself_and_of_another_host(
    box: Box, network: Callable[..., str], servers: str, other: OtherHost
) -> None:
    network("dns")
    dnsmasq = (
        "dnsmasq -k -u root --pid-file= -h -R -p {} --address=/{}/192.0.2.{} --listen-address={}"
    )
    other.start(*dnsmasq.format(53, "far.example", 1, other.address).split())
    until(lambda: b":0035 " in other.run("cat", "/proc/net/udp").encode())
    words = (
        "--network",
        "dns",
        "--dns",
        other.address,
        "busybox",
        "nslookup",
        "-type=a",
        "far.example",
    )
    assert "192.0.2.1" in run(box, *words)
    # --dns 127.0.0.1 is the container's own loopback.
    script = (
        dnsmasq.format(53, "near.example", 2, "127.0.0.1")
        + " & sleep 0.5; nslookup -type=a near.example"
    )
    assert "192.0.2.2" in run(
        box, "--network", "dns", "--dns", "127.0.0.1", servers, "sh", "-c", script
    )
    assert "nameserver 127.0.0.11" in run(
        box, "--network", "dns", "busybox", "cat", "/etc/resolv.conf"
    )


def test_a_container_may_have_port_53(box: Box, network: Callable[..., str], servers: str) -> None:
    network("fifty3")
    words = (
        "dnsmasq",
        "--pid-file=",
        "-k",
        "-u",
        "root",
        "-h",
        "-R",
        "--address=/own.example/192.0.2.3",
        "--bind-interfaces",
    )
    box("run", "-d", "--name", "resolver", "--network", "fifty3", servers, *words)
    try:
        until(lambda: ":0035 " in box("exec", "resolver", "cat", "/proc/net/udp").stdout)
        there = address(box, "resolver", "fifty3")
        assert "192.0.2.3" in run(
            box, "--network", "fifty3", "busybox", "nslookup", "-type=a", "own.example", there
        )
    finally:
        box("rm", "-f", "resolver")


def test_add_host_and_the_hosts_gateway(box: Box) -> None:
    script = "grep -w me /etc/hosts; ip route"
    found = run(box, "--add-host", "me:host-gateway", "busybox", "sh", "-c", script)
    gateway = re.search(r"default via (\S+)", found)
    assert gateway
    assert f"{gateway[1]}\tme" in found


def test_service_names_over_several_addresses(box: Box, network: Callable[..., str]) -> None:
    network("many")
    names = [
        box(
            "run", "-d", "--network", "many", "--network-alias", "svc", "busybox", *IDLE
        ).stdout.strip()
        for _ in range(3)
    ]
    try:
        found = run(box, "--network", "many", "busybox", "nslookup", "-type=a", "svc")
        assert {address(box, name, "many") for name in names} <= set(
            re.findall(r"Address: (\S+)", found)
        )
    finally:
        box("rm", "-f", *names)


# What is killed, and what is flushed


def _words(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_a_killed_supervisor_leaves_nothing(box: Box, network: Callable[..., str]) -> None:
    network("doomed", "--subnet", "10.222.20.0/29")
    number = port()
    for _ in range(6):  # more than there are addresses
        name = box(
            "run", "-d", "--network", "doomed", "-p", f"{number}:80", "busybox", *IDLE
        ).stdout.strip()
        text = (Path(box.run_root) / "containers" / name).read_text()
        place = Path(box.run_root) / "supervisors" / json.loads(text)["supervisor"]
        killed = [p for p in host.supervisors(box.run_root) if place.name in _words(p)]
        os.kill(killed[0], signal.SIGKILL)
        until(lambda pid=killed[0]: pid not in host.supervisors(box.run_root))
        assert "Exited (137)" in box("ps", "-a").stdout
        box("rm", name)
    assert json.loads(box("network", "inspect", "doomed").stdout)[0]["Containers"] == {}


def test_a_flushed_firewall_is_healed(box: Box, web: Web, other: OtherHost) -> None:
    number = port()
    web("-p", f"{number}:80", "--name", "survivor")
    assert other.fetch(f"http://{other.here}:{number}/").startswith("nginx ")
    for family in ("inet", "bridge"):
        subprocess.run(["nft", "delete", "table", family, "fastbox"], check=True)
    assert other.fetch(f"http://{other.here}:{number}/", 2) == ""
    box("network", "reconcile")
    assert other.fetch(f"http://{other.here}:{number}/") == f"nginx {other.address}\n"
    box("rm", "-f", "survivor")


# Errors


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create", "--subnet", "10.222.30.0/33", "bad"), "10.222.30.0/33"),
        (("create", "--subnet", "10.222.30.1/24", "bad"), "10.222.30.1/24"),
        (("create", "--subnet", "10.222.30.0/24", "--gateway", "10.9.9.9", "bad"), "10.9.9.9"),
        (
            ("create", "--subnet", "10.222.30.0/24", "--ip-range", "10.9.0.0/16", "bad"),
            "10.9.0.0/16",
        ),
        (("create", "-d", "nosuch", "bad"), "nosuch"),
        (("create", "a/b"), "a/b"),
        (("create", "bridge"), "bridge"),
        (("rm", "bridge"), "bridge"),
        (("rm", "nosuch"), "nosuch"),
        (("connect", "nosuch", "nobody"), "no"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(
    box: Box, words: tuple[str, ...], why: str
) -> None:
    before = box("network", "ls", "-q").stdout
    assert why in box.fails("network", *words, code=1 if words[0] == "rm" else 125)
    assert box("network", "ls", "-q").stdout == before


def test_overlapping_and_used_networks(box: Box, network: Callable[..., str]) -> None:
    network("first", "--subnet", "10.222.40.0/24")
    for subnet in ("10.222.40.0/24", "10.222.40.128/25", "10.222.0.0/16"):
        assert "overlap" in box.fails("network", "create", "--subnet", subnet, "second").lower()
    box("run", "-d", "--name", "user", "--network", "first", "busybox", *IDLE)
    assert "active endpoints" in box.fails("network", "rm", "first", code=1)
    box("rm", "-f", "user")
