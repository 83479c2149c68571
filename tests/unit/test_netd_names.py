"""netd's table of names, and its bytes against dnspython's."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rdatatype
import dns.tsigkeyring
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbox.netd import messages, wire
from fastbox.netd.forward import HostServers
from fastbox.netd.loop import Loop
from fastbox.netd.names import Names, Network
from fastbox.netd.nameserver import NameServer

# The table


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    os.close(made.fd)


def lease(directory: Path, address: str, *words: str, container: str = "c" * 64) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    new = directory.parent / "new"
    text = {"schema": 1, "container": container, "name": words[0], "names": list(words[1:]), "mac": "", "endpoint": "", "primary": True}  # fmt: skip
    new.write_text(json.dumps(text))
    os.link(new, directory / address)
    new.unlink()
    return directory / address


def found(network: Network, name: str, qtype: int = wire.A) -> list[bytes] | None:
    entry = network.find(wire.name(name))
    return None if entry is None else sorted(entry.values(qtype))


def test_links_renames_and_removals(tmp_path: Path, names: Names) -> None:
    leases = tmp_path / "leases"
    first = lease(leases, "10.0.0.2", "web", "www")
    network = names.use(str(leases), "net")
    assert found(network, "web") == found(network, "WWW.net") == [b"\x0a\0\0\2"]
    lease(leases, "10.0.0.3", "other", "www")
    lease(leases, "fd00::3", "other")
    names.refresh()
    assert found(network, "www") == [b"\x0a\0\0\2", b"\x0a\0\0\3"]
    assert len(found(network, "other", wire.AAAA) or []) == 1
    new = tmp_path / "replacement"
    new.write_text(json.dumps({"name": "renamed", "names": ["www"]}))
    new.rename(first)
    names.refresh()
    assert found(network, "web") is None
    assert found(network, "renamed") == [b"\x0a\0\0\2"]
    first.rename(tmp_path / "away")
    (leases / "10.0.0.3").unlink()
    names.refresh()
    assert found(network, "www") is None
    assert found(network, "renamed") is None
    assert found(network, "other") == []  # its other address is there


def test_a_change_counts_from_the_next_query_on(tmp_path: Path, names: Names) -> None:
    """Whatever is still to be read elsewhere: who has seen a container start may ask for it."""
    loop, answers = Loop(), list[bytes]()
    kinds = (socket.SOCK_DGRAM, socket.SOCK_STREAM)
    fds = [
        os.open("/proc/self/ns/net", os.O_RDONLY),
        *(socket.socket(type=k).detach() for k in kinds),
    ]
    server = NameServer(loop, names, HostServers(), fds)
    (tmp_path / "leases").mkdir()
    server.describe({"networks": [{"leases": str(tmp_path / "leases")}], "internal": True})
    query = query_of("web", wire.A, None).to_wire()
    for address in ("10.0.0.2", "10.0.0.3"):
        server.handle(query, False, answers.append)
        path = lease(tmp_path / "leases", address, "web")
        server.handle(query, False, answers.append)
        path.unlink()
    server.handle(query, False, answers.append)
    server.close()
    assert [a[-4:] if a[7] else a[3] & 15 for a in answers] == [
        2,
        b"\x0a\0\0\2",
        2,
        b"\x0a\0\0\3",
        2,
    ]


def test_turns(tmp_path: Path, names: Names) -> None:
    for n in range(3):
        lease(tmp_path / "leases", f"10.0.0.{n + 2}", f"web{n}", "web")
    entry = names.use(str(tmp_path / "leases")).find(wire.name("web"))
    assert entry
    assert len({entry.values(wire.A)[0] for _ in range(3)}) == 3


def test_a_directory_that_comes_late_and_goes(tmp_path: Path, names: Names) -> None:
    leases = tmp_path / "leases"
    network = names.use(str(leases), "net")
    assert found(network, "web") is None
    path = lease(leases, "10.0.0.2", "web")
    names.missing()
    assert found(network, "web")
    path.unlink()
    leases.rmdir()
    names.refresh()
    assert found(network, "web") is None
    lease(leases, "10.0.0.2", "again")
    names.missing()
    assert found(network, "again")


def test_used_by_several(tmp_path: Path, names: Names) -> None:
    lease(tmp_path / "leases", "10.0.0.2", "web")
    first, second = (names.use(str(tmp_path / "leases")) for _ in range(2))
    assert first is second
    names.leave(first)
    lease(tmp_path / "leases", "10.0.0.3", "two")
    names.refresh()
    assert found(second, "two")
    names.leave(second)
    lease(tmp_path / "leases", "10.0.0.4", "three")
    names.refresh()
    assert found(second, "three") is None
    assert names.use(str(tmp_path / "leases")) is not second


def test_more_changes_than_the_kernel_remembers(tmp_path: Path, names: Names) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    leases = tmp_path / "leases"
    path = lease(leases, "10.0.0.2", "web")
    network = names.use(str(leases))
    for _ in range(most // 2 + 10):
        os.rename(path, leases / "10.0.0.3")
        os.rename(leases / "10.0.0.3", path)
    path.unlink()
    lease(leases, "10.0.0.4", "last")
    names.refresh()
    assert found(network, "web") is None
    assert found(network, "last") == [b"\x0a\0\0\4"]


def test_the_networks_name_is_in_its_record(tmp_path: Path, names: Names) -> None:
    lease(tmp_path / "leases", "10.0.0.2", "web")
    (tmp_path / "record.json").write_text('{"schema":1,"name":"My-Net"}')
    network = names.use(str(tmp_path / "leases"))
    assert found(network, "web.my-net")
    assert network.find_address(wire.name("2.0.0.10.in-addr.arpa")) == [wire.name("web.my-net")]


def test_the_hosts_servers(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver fe80::1%lo\nnameserver x\n"
    )
    assert HostServers(str(path)).now() == [
        ("127.0.0.53", True),
        ("192.0.2.1", False),
        ("fe80::1%lo", True),
    ]
    path.write_text("")
    assert HostServers(str(path)).now() == [("8.8.8.8", False), ("8.8.4.4", False)]


# Bytes

LABEL = st.text("abcXYZ09-_", min_size=1, max_size=63)
NAME = st.lists(LABEL, min_size=1, max_size=4).map(".".join).filter(lambda n: len(n) < 250)
EDNS = st.one_of(st.none(), st.integers(0, 65535))


def query_of(
    name: str, qtype: int, size: int | None, *, flags: int = 0, dnssec: bool = False
) -> dns.message.Message:
    made = dns.message.make_query(name, dns.rdatatype.RdataType(qtype), id=77)
    made.flags |= flags
    if size is not None:
        made.use_edns(0, dns.flags.DO if dnssec else 0, size)
    return made


@given(NAME, st.sampled_from([1, 28, 12, 15, 16, 255, 65]), EDNS, st.booleans())
def test_queries_are_read_as_dnspython_reads_them(
    name: str, qtype: int, size: int | None, dnssec: bool
) -> None:
    message = query_of(name, qtype, size, flags=dns.flags.CD, dnssec=dnssec)
    query = wire.parse(message.to_wire())
    assert query
    assert (query.id, query.qtype) == (77, qtype)
    assert query.name == message.question[0].name.canonicalize().to_wire() == wire.name(name)
    assert query.edns == (size is not None)
    assert query.size == (512 if size is None else min(max(size, 512), 4096))


@given(
    NAME,
    st.booleans(),
    st.lists(st.binary(min_size=4, max_size=4), max_size=80),
    EDNS,
    st.booleans(),
)
def test_answers_are_dnspythons(
    name: str, tcp: bool, values: list[bytes], size: int | None, dnssec: bool
) -> None:
    message = query_of(name, wire.A, size, dnssec=dnssec)
    query = wire.parse(message.to_wire())
    assert query
    limit = wire.MAX_TCP if tcp else query.size
    data = query.answer(values, limit)
    assert len(data) <= limit
    got = dns.message.from_wire(data, raise_on_truncation=False)
    assert message.is_response(got)
    assert (
        got.flags & (dns.flags.QR | dns.flags.RA | dns.flags.RD)
        == dns.flags.QR | dns.flags.RA | dns.flags.RD
    )
    assert got.rcode() == 0
    assert got.edns == (-1 if size is None else 0)
    assert bool(got.ednsflags & dns.flags.DO) == (dnssec and size is not None)
    addresses = [r.to_text() for rrset in got.answer for r in rrset]
    wanted = [".".join(map(str, value)) for value in dict.fromkeys(values)]
    if got.flags & dns.flags.TC:
        assert addresses == wanted[: len(addresses)]
        assert len(data) > limit - 16
    else:
        assert sorted(addresses) == sorted(wanted)
    assert all(rrset.ttl == 600 and rrset.name == message.question[0].name for rrset in got.answer)


@given(st.binary(max_size=80), st.integers(0, 40))
@settings(max_examples=2000)
def test_any_bytes_are_read_without_harm(noise: bytes, keep: int) -> None:
    data = query_of("some.name.example", 1, 1232).to_wire()[:keep] + noise
    query = wire.parse(data)
    if query is not None:
        message = dns.message.from_wire(data)  # what is plain to us is a query to dnspython
        assert len(message.question) == 1
        assert message.question[0].name.canonicalize().to_wire() == query.name
        return
    answer, forward = messages.consider(data)
    assert not (answer and forward)
    if answer:
        assert answer[:2] == data[:2]
        assert answer[2] & 0x80


@given(NAME, st.integers(0, 65535), st.data())
def test_only_the_answer_to_our_question_is_taken(
    name: str, number: int, data: st.DataObject
) -> None:
    query = query_of(name, 1, 1232)
    asked = number.to_bytes(2, "big") + query.to_wire()[2:]
    answer = dns.message.make_response(dns.message.from_wire(asked)).to_wire()
    assert wire.is_answer_to(answer, query.to_wire(), number)
    upper = answer[:12] + answer[12 : 12 + len(name)].upper() + answer[12 + len(name) :]
    assert wire.is_answer_to(upper, query.to_wire(), number)
    at = data.draw(st.integers(0, wire.question_end(answer) - 1))
    if at in (2, 3) or 6 <= at < 12:  # flags that may differ, and counts
        return
    changed = answer[:at] + bytes([answer[at] ^ data.draw(st.integers(1, 255))]) + answer[at + 1 :]
    if changed.lower() != answer.lower():
        assert not wire.is_answer_to(changed, query.to_wire(), number)
    assert not wire.is_answer_to(asked, query.to_wire(), number)


def test_rare_kinds_are_passed_on() -> None:
    cookie = query_of("example.com", 1, None)
    cookie.use_edns(0, options=[dns.edns.GenericOption(10, b"12345678")])
    assert wire.parse(cookie.to_wire())
    query = query_of("example.com", 1, None)
    query.use_tsig(dns.tsigkeyring.from_text({"key.": "c2VjcmV0"}), "key.")
    assert messages.consider(query.to_wire()) == (None, True)
    chaos = dns.message.make_query("version.bind", "TXT", "CH").to_wire()
    assert messages.consider(chaos) == (None, True)
