"""hosts and resolv.conf in every mode, and their change in place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fastbox.containers import files
from fastbox.errors import InvalidArgument
from fastbox.support import netfiles, resolvconf
from fastbox.types import RunOptions

HOST = b"""# the host's
search example.com sub.example.com
nameserver 127.0.0.53
nameserver\t192.0.2.1
nameserver fd00::1
nameserver ::1
nameserver nonsense
options edns0 trust-ad
"""


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "host.conf"
    path.write_bytes(HOST)
    read = resolvconf.read
    known = {resolvconf.PATH: str(path), resolvconf.SYSTEMD: str(tmp_path / "systemd.conf")}
    monkeypatch.setattr(resolvconf, "read", lambda p=resolvconf.PATH: read(known.get(p, p)))
    return path


def options(**given: object) -> RunOptions:
    return RunOptions(image="x", **given)  # type: ignore[arg-type]


def conf(addresses: tuple[str, ...] = (), *, served: bool = False, **given: object) -> list[str]:
    return netfiles.resolv_conf(options(**given), addresses, served=served).decode().splitlines()


REST = ["search example.com sub.example.com", "options edns0 trust-ad"]


def test_default_network_has_the_hosts_servers_that_it_reaches() -> None:
    assert conf(network="bridge") == ["nameserver 192.0.2.1", *REST]
    assert conf(("172.17.0.2",), network="default") == ["nameserver 192.0.2.1", *REST]
    found = conf(("172.17.0.2", "fd00::2"), network="bridge")
    assert found == ["nameserver 192.0.2.1", "nameserver fd00::1", *REST]


def test_without_any_dockers_fallback(host: Path) -> None:
    host.write_text("nameserver 127.0.0.1\n")
    four = ["nameserver 8.8.8.8", "nameserver 8.8.4.4"]
    assert conf(network="bridge") == four
    six = ["nameserver 2001:4860:4860::8888", "nameserver 2001:4860:4860::8844"]
    assert conf(("fd00::2",), network="bridge") == four + six
    host.unlink()
    assert conf(network="bridge") == four


def test_behind_systemds_server(host: Path, tmp_path: Path) -> None:
    host.write_text("nameserver 127.0.0.53\nsearch stub\n")
    (tmp_path / "systemd.conf").write_text("nameserver 192.0.2.9\nsearch real\n")
    assert conf(network="bridge") == ["nameserver 192.0.2.9", "search real"]


def test_a_users_network_has_the_embedded_server() -> None:
    found = conf(network="my-net", served=True)
    assert found == ["nameserver 127.0.0.11", REST[0], "options edns0 trust-ad ndots:0"]
    found = conf(
        network="my-net", served=True, dns=("192.0.2.7",), dns_search=(".",), dns_options=("ndots:2", "rotate")
    )  # fmt: skip
    assert found == ["nameserver 127.0.0.11", "options ndots:2 rotate"]


def test_what_was_asked_for_wins() -> None:
    given = {"dns": ("127.0.0.1", "2001:db8::1"), "dns_search": ("a", "b"), "dns_options": ("x",)}
    for network in ("bridge", "none", "host"):
        assert conf(network=network, **given) == [
            "nameserver 127.0.0.1", "nameserver 2001:db8::1", "search a b", "options x",
        ]  # fmt: skip


def test_the_hosts_own_and_none() -> None:
    assert conf(network="host") == [
        "nameserver 127.0.0.53", "nameserver 192.0.2.1", "nameserver fd00::1", "nameserver ::1", *REST,
    ]  # fmt: skip
    assert conf(network="none") == []


@pytest.mark.parametrize(
    ("network", "served"),
    [("none", False), ("host", False), ("bridge", False), ("default", False), ("", False),
     ("container:x", False), ("my-net", True)],
)  # fmt: skip
def test_who_has_the_embedded_server(network: str, served: bool) -> None:
    assert netfiles.is_served(network) is served


def test_hosts_has_dockers_lines() -> None:
    text = netfiles.hosts(
        options(network="bridge", extra_hosts=("db:192.0.2.7", "six:2001:db8::1", "up:host-gateway")),
        "abc", ["172.17.0.2/16", "fd00::2"], gateways=["172.17.0.1", "fd00::1"], links=["172.17.0.3\tdb alias"],
    ).decode()  # fmt: skip
    assert text.startswith("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    assert text.endswith(
        "ip6-allrouters\n192.0.2.7\tdb\n2001:db8::1\tsix\n172.17.0.1\tup\nfd00::1\tup\n"
        "172.17.0.3\tdb alias\n172.17.0.2\tabc\nfd00::2\tabc\n"
    )


def test_names_of_a_container() -> None:
    assert netfiles.names(options(), "web") == "web"
    assert netfiles.names(options(domainname="example.com"), "web") == "web.example.com web"
    assert netfiles.names(options(), "web.example.com") == "web.example.com web"


def test_no_gateway_is_an_error() -> None:
    with pytest.raises(InvalidArgument, match="host-gateway"):
        netfiles.hosts(options(extra_hosts=("up:host-gateway",)), "abc")


def test_hosts_of_the_host() -> None:
    text = netfiles.hosts(options(network="host", extra_hosts=("db:192.0.2.7",)), "abc").decode()
    assert text == Path("/etc/hosts").read_text().rstrip("\n") + "\n192.0.2.7\tdb\n"


def test_files_stay_the_same_files(tmp_path: Path) -> None:
    directory = str(tmp_path)
    endpoint = {"network": "x", "addresses": ["10.1.0.2/24"]}
    files.write_network_files(directory, options(network="my-net"), "abc", [endpoint])
    kept = {name: os.stat(tmp_path / name).st_ino for name in ("hosts", "hostname", "resolv.conf")}
    assert (tmp_path / "hostname").read_text() == "abc\n"
    assert (tmp_path / "resolv.conf").read_text().startswith("nameserver 127.0.0.11\n")
    with open(tmp_path / "hosts", "a") as file:
        file.write("192.0.2.1\tmine\n10.1.0.2\tmine-too\n")
    netfiles.change_hosts(directory, "abc", gone=["10.1.0.2"], come=["10.2.0.3"])
    text = (tmp_path / "hosts").read_text()
    assert text.endswith("192.0.2.1\tmine\n10.1.0.2\tmine-too\n10.2.0.3\tabc\n")
    assert "10.1.0.2\tabc" not in text
    files.write_network_files(directory, options(network="none"), "a")
    assert (tmp_path / "resolv.conf").read_text() == ""
    assert "10.2" not in (tmp_path / "hosts").read_text()
    assert kept == {name: os.stat(tmp_path / name).st_ino for name in kept}
    assert all(os.stat(tmp_path / name).st_mode & 0o777 == 0o644 for name in kept)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db", ("db", "db")),
        ("/db", ("/db", "db")),
        ("db:x", ("db", "x")),
        ("db:/other/x", ("db", "x")),
    ],
)
def test_links(text: str, found: tuple[str, str]) -> None:
    assert netfiles.link(text) == found


@pytest.mark.parametrize("text", ["", ":", "db:", ":x", "a:b:c", "db:x y", "db:x\n127.0.0.1\ty"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(InvalidArgument, match="bad format for links"):
        netfiles.link(text)


def test_lines_give_way_by_name_and_family(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(
        "127.0.0.1\tlocalhost\n10.0.0.2\twww web\nfd00::2\twww web\n10.0.0.3\twwwx\n"
    )
    netfiles.replace_hosts(str(tmp_path), ["10.0.0.9\twww other"])
    assert (tmp_path / "hosts").read_text() == (
        "127.0.0.1\tlocalhost\n10.0.0.9\twww other\nfd00::2\twww web\n10.0.0.3\twwwx\n"
    )
