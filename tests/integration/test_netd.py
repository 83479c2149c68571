"""netd with real packets: names of leases, forwarding, hostile messages, relays, and the hand-over of sockets."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from .netd_place import NETD, Box, Place, until

pytestmark = pytest.mark.integration

SHORT = """import sys
from fastbox.netd import server
server.main.__globals__["Server"].__init__.__defaults__ = (1.0, 1.0)
server.main(sys.argv[1:])"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()
    assert made.complaints() == ""


@pytest.fixture
def box(place: Place) -> Box:
    """A container on `my-net`, with netd serving it."""
    network = place.network("my-net")
    place.lease(network, "10.1.0.2", "asker")
    made = place.box(networks=[network], servers=["127.0.0.1"])
    place.start_netd()
    made.hand_over()
    return made


def network_of(box: Box) -> dict[str, str]:
    return box.document["networks"][0]


def ask(box: Box, message: bytes, seconds: float = 9) -> bytes:
    """The answer to raw bytes, b"" when there is none."""
    sock = box.space.socket()
    sock.settimeout(seconds)
    sock.connect(("127.0.0.11", 53))
    sock.send(message)
    try:
        return sock.recv(65535)
    except TimeoutError:
        return b""
    finally:
        sock.close()


# Own names


def test_names_aliases_and_short_ids(place: Place, box: Box) -> None:
    place.lease(network_of(box), "10.1.0.3", "web", "www", container="ab12cd34ef56" + "0" * 52)
    for name in ("web", "WEB", "www", "ab12cd34ef56", "web.my-net", "Www.My-Net."):
        assert box.addresses(name) == ["10.1.0.3"], name
    assert box.addresses("asker") == ["10.1.0.2"]
    assert " 600 IN A 10.1.0.3" in " ".join(box.dig("web").split())


def test_names_come_and_go_and_are_renamed(place: Place, box: Box) -> None:
    box.space.run("true")
    for round in range(20):  # each look-up right after the change
        lease = place.lease(network_of(box), "10.1.0.3", f"web{round}")
        assert box.addresses(f"web{round}") == ["10.1.0.3"]
        place.lease(network_of(box), "10.1.0.3", f"renamed{round}")
        assert box.addresses(f"renamed{round}") == ["10.1.0.3"]
        assert box.status(f"web{round}") == "SERVFAIL"  # nobody's, and the server does not answer
        lease.unlink()
        assert box.status(f"renamed{round}") == "SERVFAIL"


def test_one_alias_of_several_is_all_of_them_in_turn(place: Place, box: Box) -> None:
    for last in range(3, 8):
        place.lease(network_of(box), f"10.1.0.{last}", f"web{last}", "web")
    first = {box.addresses("web")[0] for _ in range(5)}
    assert first == set(box.addresses("web")) == {f"10.1.0.{last}" for last in range(3, 8)}


def test_a_name_without_that_type_is_no_data(place: Place, box: Box) -> None:
    place.lease(network_of(box), "10.1.0.3", "four")
    place.lease(network_of(box), "10.1.0.4", "both")
    place.lease(network_of(box), "fd00::4", "both")
    place.lease(network_of(box), "fd00::5", "six")
    assert box.addresses("both", "AAAA") == ["fd00::4"]
    assert box.addresses("both") == ["10.1.0.4"]
    assert box.addresses("six") == []
    assert box.addresses("four", "AAAA") == []
    for name, kind in (("four", "AAAA"), ("six", "A"), ("four", "MX"), ("four", "TXT")):
        assert box.status(name, kind) == "NOERROR"


def test_reverse_names(place: Place, box: Box) -> None:
    place.lease(network_of(box), "10.1.0.3", "web", "www")
    place.lease(network_of(box), "fd00::5", "six")
    assert box.dig("+short", "-x", "10.1.0.3") == "web.my-net.\n"
    assert box.dig("+short", "-x", "fd00::5") == "six.my-net.\n"
    assert box.status("3.0.1.10.in-addr.arpa", "A") == "NOERROR"


def test_only_its_own_networks(place: Place, box: Box) -> None:
    other = place.network("other")
    place.lease(other, "10.2.0.3", "hidden")
    assert box.status("hidden") == "SERVFAIL"
    assert box.status("hidden.other") == "SERVFAIL"
    box.send({"dns": {**box.document, "networks": [network_of(box), other]}})
    until(lambda: box.addresses("hidden") == ["10.2.0.3"])
    assert box.addresses("asker") == ["10.1.0.2"]
    box.send({"dns": {**box.document, "networks": [other]}})
    until(lambda: box.addresses("asker") == [])


def test_what_is_no_lease_is_ignored(place: Place, box: Box) -> None:
    leases = Path(network_of(box)["leases"])
    (leases / "10.1.0.9").write_text("{")
    (leases / "10.1.0.8").write_text('{"names":7,"name":["x"]}')
    (leases / "not-an-address").write_text('{"name":"x"}')
    (leases / "10.1.0.7").mkdir()
    os.mkfifo(leases / "10.1.0.6")
    place.lease(network_of(box), "10.1.0.5", "a" * 64, "..", "ok", "ü")
    assert box.addresses("ok") == ["10.1.0.5"]


def test_too_much_for_udp_is_cut_and_whole_by_tcp(place: Place, box: Box) -> None:
    for last in range(2, 102):
        place.lease(network_of(box), f"10.1.1.{last}", f"web{last}", "web")
    cut = box.dig("web", "+ignore", "+noedns")
    assert " tc " in cut
    assert 20 < cut.count("10.1.1.") < 40
    assert len(box.addresses("web")) == 100  # dig asks again by TCP
    assert len(box.addresses("web", "A", "+tcp")) == 100
    assert len(box.addresses("web", "A", "+ignore", "+bufsize=4096")) == 100


# Others' names


def test_forwarded_within_the_containers_namespace(place: Place, box: Box) -> None:
    place.upstream(box.space, "127.0.0.1", "--host-record=up.example,192.0.2.7",
                   "--local=/up.example/", "--txt-record=long.example," + ",".join(["x" * 200] * 20))  # fmt: skip
    assert box.addresses("up.example") == ["192.0.2.7"]
    assert box.addresses("up.example", "A", "+tcp") == ["192.0.2.7"]
    assert box.status("up.example", "AAAA") == "NOERROR"
    assert box.status("nowhere.example") == "REFUSED"  # dnsmasq's own word, passed on
    assert " tc " in box.dig("long.example", "TXT", "+ignore", "+noedns")
    assert box.dig("+short", "long.example", "TXT", "+bufsize=512").count("x") == 4000
    assert box.dig("+short", "long.example", "TXT", "+tcp").count("x") == 4000
    assert "EDNS: version: 0" in box.dig("up.example")
    # An own name is never asked of others.
    place.lease(network_of(box), "10.1.0.3", "up.example")
    assert box.addresses("up.example") == ["10.1.0.3"]


def test_nxdomain_is_passed_on(place: Place, box: Box) -> None:
    place.upstream(
        box.space, "127.0.0.1", "--local=/example/", "--host-record=up.example,192.0.2.7"
    )
    assert box.status("nowhere.example") == "NXDOMAIN"
    assert box.status("up.example", "AAAA") == "NOERROR"


def test_a_server_in_another_namespace_and_the_next_when_one_is_dead(place: Place) -> None:
    host, network = place.space(), place.network("my-net")
    box = place.box(networks=[network], servers=["10.9.0.99", "10.9.0.2", "10.9.0.1"])
    box.space.join(host, "10.9.0.7", "10.9.0.1")
    host.run("ip", "address", "add", "10.9.0.2/32", "dev", "lo")
    place.upstream(host, "10.9.0.1", "--address=/up.example/192.0.2.8")
    place.start_netd()
    box.hand_over()
    assert box.addresses("up.example") == ["192.0.2.8"]  # no neighbour, nobody there, the right one
    assert box.addresses("up.example", "A", "+tcp") == ["192.0.2.8"]


def test_the_hosts_loopback_is_asked_from_the_host(place: Place) -> None:
    box = place.box(networks=[])
    place.resolv_conf.write_text("nameserver 127.0.0.53\n")
    place.upstream(None, "127.0.0.53", "--address=/up.example/192.0.2.9")
    place.start_netd()
    box.hand_over()
    assert box.addresses("up.example") == ["192.0.2.9"]
    # Read again when it changes.
    place.upstream(None, "127.0.0.54", "--address=/up.example/192.0.2.10")
    place.resolv_conf.write_text("# new\nnameserver 127.0.0.54\n")
    until(lambda: box.addresses("up.example") == ["192.0.2.10"])
    # Named by --dns it is the container's own loopback.
    place.upstream(box.space, "127.0.0.54", "--address=/up.example/192.0.2.11")
    box.send({"dns": {**box.document, "servers": ["127.0.0.54"]}})
    until(lambda: box.addresses("up.example") == ["192.0.2.11"])


def test_internal_asks_nobody(place: Place) -> None:
    network = place.network("inside")
    box = place.box(networks=[network], servers=["127.0.0.1"], internal=True)
    place.lease(network, "10.1.0.2", "asker")
    place.upstream(box.space, "127.0.0.1", "--address=/up.example/192.0.2.7")
    place.start_netd()
    box.hand_over()
    assert box.status("up.example") == "SERVFAIL"
    assert box.addresses("asker") == ["10.1.0.2"]


def test_one_label_is_not_asked_when_ndots_were(place: Place) -> None:
    box = place.box(networks=[], servers=["127.0.0.1"], options=["ndots:2"])
    place.upstream(box.space, "127.0.0.1", "--address=/up/192.0.2.7", "--txt-record=up,t")
    place.start_netd()
    box.hand_over()
    assert box.addresses("up") == []
    assert box.status("up") == "NOERROR"
    assert box.addresses("up.up") == ["192.0.2.7"]
    assert box.dig("+short", "up", "TXT") == '"t"\n'


def answer(query: bytes, address: str, **changes: int) -> bytes:
    """A forged or a right answer."""
    message = dns.message.make_response(dns.message.from_wire(query))
    message.answer = [
        dns.rrset.from_text(message.question[0].name, 60, "IN", "A", address)  # type: ignore[attr-defined]
    ]
    message.id = changes.get("id", message.id)
    if "name" in changes:
        message.question[0].name = dns.name.from_text("other.example")  # type: ignore[attr-defined]
    return message.to_wire()


def test_forged_answers_are_not_taken(place: Place, box: Box) -> None:
    server, stranger = box.space.socket(), box.space.socket()
    server.bind(("127.0.0.1", 53))
    stranger.bind(("127.0.0.2", 53))
    digging = threading.Thread(target=lambda: got.extend(box.addresses("a.example")))
    got: list[str] = []
    digging.start()
    query, asker = server.recvfrom(4096)
    number = struct.unpack("!H", query[:2])[0]
    stranger.sendto(answer(query, "192.0.2.66"), asker)  # the right answer from another source
    server.sendto(answer(query, "192.0.2.66", id=number ^ 1), asker)
    server.sendto(answer(query, "192.0.2.66", name=1), asker)
    server.sendto(query, asker)  # not even an answer
    server.sendto(b"x", asker)
    server.sendto(answer(query, "192.0.2.5"), asker)
    digging.join()
    assert got == ["192.0.2.5"]
    server.close()
    stranger.close()


def test_numbers_and_ports_of_questions_are_not_the_clients(box: Box) -> None:
    server, client = box.space.socket(), box.space.socket()
    server.bind(("127.0.0.1", 53))
    server.settimeout(9)
    client.connect(("127.0.0.11", 53))
    seen = set()
    for n in range(8):
        query = dns.message.make_query(f"n{n}.example", "A", id=7)
        client.send(query.to_wire())
        got, asker = server.recvfrom(4096)
        seen.add((got[:2], asker[1]))
        assert got[2:] == query.to_wire()[2:]
        server.sendto(answer(got, "192.0.2.5"), asker)
        assert client.recv(4096)[:2] == b"\0\7"
    assert len({number for number, _ in seen}) > 4
    assert len({port for _, port in seen}) > 4
    server.close()
    client.close()


def test_the_oldest_question_gives_way(box: Box) -> None:
    silent, client = box.space.socket(), box.space.socket()
    silent.bind(("127.0.0.1", 53))
    silent.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)
    client.connect(("127.0.0.11", 53))
    for n in range(1500):
        client.send(dns.message.make_query(f"n{n}.example", "A").to_wire())
        if n % 100 == 0:
            assert box.addresses("asker") == ["10.1.0.2"]
    silent.close()
    client.close()
    assert box.addresses("asker") == ["10.1.0.2"]


def test_who_asks_too_much_takes_nothing_from_others(place: Place) -> None:
    network = place.network("my-net")
    place.lease(network, "10.1.0.2", "asker")
    hog = place.box(networks=[network], servers=["127.0.0.1"])
    other = place.box(networks=[network], servers=["127.0.0.1"])
    place.upstream(other.space, "127.0.0.1", "--address=/up.example/192.0.2.7")
    place.start_netd(files=80)
    hog.hand_over()
    silent, client = hog.space.socket(), hog.space.socket()
    silent.bind(("127.0.0.1", 53))
    client.connect(("127.0.0.11", 53))
    for n in range(300):
        client.send(dns.message.make_query(f"n{n}.example", "A").to_wire())
    other.hand_over()  # there is room for what is handed over
    assert other.addresses("asker") == ["10.1.0.2"]
    assert other.status("up.example") in ("SERVFAIL", "NOERROR")
    assert hog.addresses("asker", "A") == ["10.1.0.2"]
    silent.close()
    client.close()
    until(lambda: other.addresses("up.example") == ["192.0.2.7"])


# Hostile messages


def test_hostile_queries_do_no_harm(box: Box) -> None:
    plain = dns.message.make_query("asker", "A").to_wire()
    several = plain[:4] + b"\0\2" + plain[6:] + plain[12:]
    loop = plain[:12] + b"\xc0\x0c\0\1\0\1"
    assert dns.message.from_wire(ask(box, several), question_only=True).rcode() == dns.rcode.FORMERR
    assert dns.message.from_wire(ask(box, loop)).rcode() == dns.rcode.FORMERR
    update = dns.message.from_wire(ask(box, plain[:2] + b"\x28\0" + plain[4:]), question_only=True)
    assert update.rcode() == dns.rcode.NOTIMP
    version = dns.message.make_query("asker", "A", use_edns=1).to_wire()
    assert dns.message.from_wire(ask(box, version)).rcode() == dns.rcode.BADVERS
    assert ask(box, plain[:2] + b"\x80\0" + plain[4:], 0.2) == b""  # an answer is no query
    sock = box.space.socket()
    sock.connect(("127.0.0.11", 53))
    for n in range(2000):
        size = n % 300
        sock.send(os.urandom(size) if n % 2 else plain[: 2 + n % 31] + os.urandom(size % 9))
    sock.close()
    assert box.addresses("asker") == ["10.1.0.2"]


def test_hostile_connections_do_no_harm(box: Box) -> None:
    plain = dns.message.make_query("asker", "A").to_wire()
    framed = len(plain).to_bytes(2, "big") + plain
    held = []
    for n in range(150):  # more than it keeps
        sock = box.space.socket(kind=socket.SOCK_STREAM)
        sock.connect(("127.0.0.11", 53))
        sock.send(os.urandom(n) if n % 2 else framed[: n % len(framed)])
        held.append(sock)
    assert box.addresses("asker", "A", "+tcp") == ["10.1.0.2"]
    for sock in held:
        sock.close()
    # Many at once, cut anywhere, and the end of sending before the answers.
    sock = box.space.socket(kind=socket.SOCK_STREAM)
    sock.settimeout(9)
    sock.connect(("127.0.0.11", 53))
    for part in (framed * 50)[:777], (framed * 50)[777:]:
        sock.sendall(part)
        time.sleep(0.01)
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while more := sock.recv(65536):
        got += more
    sock.close()
    assert got.count(b"\x0a\1\0\2") == 50


# The hand-over


def test_only_one_lives(place: Place) -> None:
    first = place.start_netd()
    place.connect().close()
    assert place.start_netd().wait(20) == 0
    assert first.poll() is None


def test_started_with_its_lock_and_its_listener(place: Place) -> None:
    """As a supervisor starts it, which may connect and send before netd runs."""
    directory = place.base / "run" / "netd"
    directory.mkdir(mode=0o700)
    lock = os.open(directory, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(directory / "sock"))
    listener.listen()
    network = place.network("my-net")
    place.lease(network, "10.1.0.2", "asker")
    box = place.box(networks=[network])
    box.hand_over()
    words = [*NETD, place.run, str(lock), str(listener.fileno())]
    place.processes.append(subprocess.Popen(words, pass_fds=(lock, listener.fileno())))
    os.close(lock)
    listener.close()
    assert box.addresses("asker") == ["10.1.0.2"]
    assert place.start_netd().wait(20) == 0  # the lock went over to the first


def test_killed_it_is_started_again(place: Place, box: Box) -> None:
    assert box.addresses("asker") == ["10.1.0.2"]
    killed = place.processes[-1]
    killed.send_signal(signal.SIGKILL)
    assert box.conversation
    assert box.conversation.recv(1) == b""  # the supervisor sees it
    killed.wait()
    late: list[str] = []
    asking = threading.Thread(target=lambda: late.extend(box.addresses("asker")))
    asking.start()
    assert select.select([box.udp], [], [], 20)[0]  # watched again, and something is there
    place.start_netd()
    box.conversation.close()
    box.hand_over()
    asking.join()
    assert late == ["10.1.0.2"]


def test_the_quiet_are_given_back_and_nothing_is_lost(place: Place) -> None:
    network = place.network("my-net")
    place.lease(network, "10.1.0.2", "asker")
    box = place.box(networks=[network])
    netd = place.start_netd(SHORT)
    box.hand_over()
    assert box.addresses("asker") == ["10.1.0.2"]
    assert box.conversation
    assert box.conversation.recv(1) == b""
    assert netd.wait(20) == 0
    assert not os.path.exists(place.run + "/netd/sock")
    # Asked again and again while it comes and goes: each query gets its answer.
    stop, lost = threading.Event(), []

    def supervise() -> None:
        while not stop.is_set():
            if select.select([box.udp], [], [], 0.1)[0]:
                if place.processes[-1].poll() is not None:
                    place.start_netd(SHORT)
                box.conversation.close()  # type: ignore[union-attr]
                box.hand_over()
                box.conversation.recv(1)  # type: ignore[union-attr]

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    for wait in (0.0, 0.9, 1.0, 1.05, 1.1, 1.2, 1.3, 2.2, 2.4, 1.0, 1.1):
        time.sleep(wait)
        if box.addresses("asker") != ["10.1.0.2"]:
            lost.append(wait)
    stop.set()
    supervisor.join()
    assert not lost


FLOOD = """
import socket, sys, time, select
from struct import pack
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
sock.connect(("127.0.0.11", 53)); sock.setblocking(False)
rate, seconds = 2000, 5
total, sent, got, begun = rate * seconds, 0, set(), time.monotonic()
while (now := time.monotonic() - begun) < seconds + 3 and len(got) < total:
    while sent < total and sent <= now * rate:
        names = (b"\\3web", b"\\5asker")
        sock.send(pack("!6H", sent % 65536, 256, 1, 0, 0, 0) + names[sent % 2] + pack("!BHH", 0, 1, 1)); sent += 1
    select.select([sock], [], [], 0.0005)
    try:
        while True:
            answer = sock.recv(512)
            got.add(int.from_bytes(answer[:2], "big")) if answer[7] == 1 else None
    except BlockingIOError:
        pass
print(sent, len(got))
"""


def test_two_thousand_queries_a_second_none_lost(place: Place, box: Box) -> None:
    place.lease(network_of(box), "10.1.0.3", "web")
    assert box.space.run(sys.executable, "-c", FLOOD).split() == ["10000", "10000"]


# Relays


def listener(kind: int = socket.SOCK_STREAM) -> socket.socket:
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(("::1", 0))
    made.setblocking(False)
    if kind == socket.SOCK_STREAM:
        made.listen(64)
    return made


@pytest.fixture
def target(place: Place) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def relayed(
    place: Place, target: socket.socket, kind: int = socket.SOCK_STREAM
) -> tuple[Box, socket.socket]:
    box, front = place.box(networks=[]), listener(kind)
    place.start_netd()
    box.hand_over([(front, *target.getsockname())])
    return box, front


def test_relay_of_a_large_transfer_with_half_close(place: Place, target: socket.socket) -> None:
    _, front = relayed(place, target)
    data = os.urandom(1 << 20) * 64

    def serve() -> None:
        sock, _ = target.accept()
        with sock:
            got = bytearray()
            while more := sock.recv(1 << 20):
                got += more
            sock.sendall(got[::-1])  # only after the other has ended, and it still listens

    server = threading.Thread(target=serve)
    server.start()
    with socket.create_connection(front.getsockname()[:2]) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        back = bytearray()
        while more := client.recv(1 << 20):
            back += more
    server.join()
    front.close()
    assert back == data[::-1]


def test_relay_of_many_and_a_slow_reader(place: Place, target: socket.socket) -> None:
    _, front = relayed(place, target)
    slow = socket.create_connection(front.getsockname()[:2])
    slow_server, _ = target.accept()
    slow_server.settimeout(0.5)
    with pytest.raises(TimeoutError):
        slow_server.sendall(bytes(1 << 26))  # it is not read: neither memory nor others pay for it
    for n in range(100):
        with socket.create_connection(front.getsockname()[:2]) as client:
            server, _ = target.accept()
            client.sendall(b"%d" % n)
            assert server.recv(10) == b"%d" % n
            server.sendall(b"ok")
            assert client.recv(10) == b"ok"
            server.close()
            assert client.recv(1) == b""
    for sock in (slow, slow_server, front):
        sock.close()


def test_relay_to_nobody_is_a_reset(place: Place, target: socket.socket) -> None:
    _, front = relayed(place, target)
    target.close()
    with (
        socket.create_connection(front.getsockname()[:2]) as client,
        pytest.raises(ConnectionError),
    ):
        assert client.recv(1) != b""
    front.close()


def test_relay_of_datagrams(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target:
        target.bind(("127.0.0.1", 0))
        target.settimeout(9)
        _, front = relayed(place, target, socket.SOCK_DGRAM)
        clients = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(8)]
        for n, client in enumerate(clients):
            client.settimeout(9)
            client.connect(front.getsockname())
            client.send(b"%d" % n)
        for _ in clients:
            data, address = target.recvfrom(100)
            target.sendto(data * 1000, address)
        assert [client.recv(9000) for client in clients] == [b"%d" % n * 1000 for n in range(8)]
        for sock in (*clients, front):
            sock.close()


def test_the_end_of_the_container_ends_its_relays(place: Place, target: socket.socket) -> None:
    box, front = relayed(place, target)
    client = socket.create_connection(front.getsockname()[:2])
    server, _ = target.accept()
    assert box.conversation
    box.conversation.close()
    client.settimeout(9)
    assert client.recv(1) == b""
    assert server.recv(1) == b""
    port = front.getsockname()[1]
    front.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("::1", port))
    client.close()
    server.close()


def test_start_imports_only_what_it_needs(place: Place) -> None:
    code = "import sys, fastbox.netd.server; print(*sorted(m for m in sys.modules if m.split('.')[0] in ('dns', 'asyncio', 'json', 're', 'dataclasses', 'typing')))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == ""
