"""Network namespaces that live as long as this process: a "host", "other hosts" and "containers" of a test, with servers and clients
as threads in them. Nothing is named or mounted, so nothing can be left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

CLONE_NEWNET = 0x40000000
ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6 = 3, 0x0800, 0x0806, 0x86DD
_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")


def _checked(done: int, what: str) -> None:
    if done < 0:
        raise OSError(ctypes.get_errno(), what)


class Space:
    """A network namespace."""

    def __init__(self, name: str) -> None:
        self.name, self._closed = name, threading.Event()
        self.received: list[bytes] = []  # by the UDP server
        self._threads: list[threading.Thread] = []
        self.fd = self._thread(self._made)
        self.run(self.ip, "link", "set", "lo", "up")

    def _made(self) -> int:
        _checked(_libc.unshare(CLONE_NEWNET), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    @property
    def path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def _thread(self, call: Callable[[], _T]) -> _T:
        """The result of a call in a thread of its own, since that has a namespace of its own."""
        answer: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

        def body() -> None:
            try:
                answer.put((call(), None))
            except BaseException as error:
                answer.put((None, error))

        thread = threading.Thread(target=body, name=self.name)
        thread.start()
        result, error = answer.get()
        thread.join()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def enter(self) -> None:
        """Put the calling thread into this namespace, for good."""
        _checked(_libc.setns(self.fd, CLONE_NEWNET), "setns")

    def run(self, call: Callable[..., _T], *args: object) -> _T:
        def inside() -> _T:
            self.enter()
            return call(*args)

        return self._thread(inside)

    def sh(self, *words: str) -> str:
        """A program's output; programs start in the namespace of their thread."""

        def call() -> str:
            done = subprocess.run(words, capture_output=True, text=True)
            assert done.returncode == 0, (words, done.stderr)
            return done.stdout

        return self.run(call)

    @staticmethod
    def ip(*words: str) -> None:
        done = subprocess.run(["ip", *words], capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)

    def ips(self, *lines: str) -> None:
        def call() -> None:
            for line in lines:
                self.ip(*line.split())

        self.run(call)

    def sysctl(self, **values: str) -> None:
        """`net.ipv4.ip_forward` as `ipv4__ip_forward`; a dot of an interface's name is not possible."""

        def call() -> None:
            for name, value in values.items():
                with open("/proc/sys/net/" + name.replace("__", "/"), "w") as file:
                    file.write(value)

        self.run(call)

    def mac(self, interface: str) -> bytes:
        return self.run(lambda: bytes.fromhex(self._address(interface).replace(":", "")))

    @staticmethod
    def _address(interface: str) -> str:
        text = subprocess.run(
            ["ip", "-o", "link", "show", interface], capture_output=True, text=True
        ).stdout
        return text.split("link/ether ")[1].split()[0]

    # servers: each answers with its name and who asked

    def tcp(self, port: int, host: str = "::") -> None:
        def listen() -> socket.socket:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")

        def serve(server: socket.socket) -> None:
            peer, address = server.accept()
            with peer:
                peer.settimeout(5)
                peer.sendall(f"{self.name} {_plain(address[0])}".encode())

        self._serve(listen, serve)

    def udp(self, port: int, host: str = "::") -> None:
        def listen() -> socket.socket:
            made = socket.socket(
                socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
            )
            made.bind((host, port))
            return made

        def serve(server: socket.socket) -> None:
            data, address = server.recvfrom(65536)
            self.received.append(data)
            server.sendto(f"{self.name} {_plain(address[0])}".encode(), address)

        self._serve(listen, serve)

    def _serve(
        self, listen: Callable[[], socket.socket], serve: Callable[[socket.socket], None]
    ) -> None:
        server = self.run(listen)

        def body() -> None:
            with server:
                while not self._closed.is_set():
                    if select.select([server], [], [], 0.1)[0]:
                        with contextlib.suppress(OSError):
                            serve(server)

        thread = threading.Thread(target=body, name=self.name)
        thread.start()
        self._threads.append(thread)

    # clients

    def ask(self, host: str, port: int, kind: str = "tcp", *, wait: float = 3.0) -> str:
        """What a server answers; "refused", or "silence" when nothing comes."""

        def call() -> str:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            type_ = socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
            with socket.socket(family, type_) as client:
                client.settimeout(wait)
                try:
                    client.connect((host, port))
                    if kind == "udp":
                        client.send(b"?")
                    return client.recv(200).decode()
                except ConnectionRefusedError:
                    return "refused"
                except (TimeoutError, OSError):
                    return "silence"

        return self.run(call)

    def send(self, interface: str, *frames: bytes) -> None:
        def call() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind((interface, 0))
                for frame in frames:
                    raw.send(frame)

        self.run(call)

    def sniff(self, interface: str) -> socket.socket:
        def call() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            raw.bind((interface, ETH_P_ALL))
            raw.settimeout(5)
            return raw

        return self.run(call)

    def close(self) -> None:
        self._closed.set()
        for thread in self._threads:
            thread.join()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def link(one: Space, name: str, other: Space, peer: str) -> None:
    """A pair of interfaces between two namespaces, both up."""
    one.ips(f"link add {name} type veth peer name {peer} netns {other.path}", f"link set {name} up")
    other.ips(f"link set {peer} up")


def until(raw: socket.socket, marker: bytes) -> list[bytes]:
    """The frames that come before the one with this marker."""
    frames = []
    while marker not in (frame := raw.recv(65536)):
        frames.append(frame)
    return frames


def checksum(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, target: str, protocol: int, body: bytes) -> bytes:
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        0,
        20 + len(body),
        1,
        0,
        64,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(target),
    )
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body


def ipv6(source: str, target: str, header: int, body: bytes) -> bytes:
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return struct.pack("!IHBB", 6 << 28, len(body), header, 255) + ends + body


def udp_body(source: int, target: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", source, target, 8 + len(data), 0) + data


def frame(target: bytes, source: bytes, kind: int, body: bytes) -> bytes:
    return target + source + struct.pack("!H", kind) + body


def arp(operation: int, mac: bytes, address: str, target: str) -> bytes:
    return struct.pack(
        "!HHBBH6s4s6s4s",
        1,
        ETH_P_IP,
        6,
        4,
        operation,
        mac,
        socket.inet_aton(address),
        bytes(6),
        socket.inet_aton(target),
    )


def icmp6(source: str, target: str, kind: int, body: bytes) -> bytes:
    message = struct.pack("!BBH", kind, 0, 0) + body
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    right = checksum(ends + struct.pack("!II", len(message), 58) + message)
    return ipv6(source, target, 58, message[:2] + struct.pack("!H", right) + message[4:])


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_init(source: int, target: int) -> bytes:
    """The first packet of an association."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 7, 65536, 1, 1, 1)
    head = struct.pack("!HHI", source, target, 0)
    return head + struct.pack("<I", crc32c(head + bytes(4) + chunk)) + chunk


Spaces = Sequence[Space]
