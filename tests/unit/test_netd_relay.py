"""Relayed connections: they never rest while something is left that no event would tell of, and do while nothing is to be done."""

from __future__ import annotations

import socket

import pytest

from fastbox.netd.loop import Loop
from fastbox.netd.relay import Half, TcpRelay


class Source:
    """Gives so many pieces, then its end."""

    def __init__(self, pieces: int) -> None:
        self.left = pieces

    def recv_into(self, buffer: bytearray) -> int:
        self.left -= 1
        buffer[:1] = b"x"
        return int(self.left >= 0)


class Sink:
    """Takes every n-th piece at once, the others only when asked again."""

    def __init__(self, stubborn: int) -> None:
        self.got, self.asked, self.stubborn, self.ends = b"", 0, stubborn, 0

    def send(self, data: bytes) -> int:
        self.asked += 1
        if self.stubborn and self.asked % self.stubborn:
            raise BlockingIOError
        self.got += bytes(data)
        return len(data)

    def shutdown(self, _how: int) -> None:
        self.ends += 1


@pytest.mark.parametrize("stubborn", [0, 2, 3])
@pytest.mark.parametrize("pieces", range(30))
def test_all_pieces_and_the_end(pieces: int, stubborn: int) -> None:
    sink = Sink(stubborn)
    half = Half(Source(pieces), sink)  # type: ignore[arg-type]
    for _ in range(200):
        try:
            half.carry()
        except BlockingIOError:
            assert half.unsent  # it waits for the sink
        assert half.done or half.unsent or not half.ended
        if half.done:
            break
    assert sink.got == b"x" * pieces
    assert sink.ends == 1


class CountingLoop(Loop):
    calls = 0

    def _call(self, fd: int, handler: object, event: int) -> None:
        self.calls += 1
        super()._call(fd, handler, event)  # type: ignore[arg-type]

    def turn(self, seconds: float) -> int:
        """Run for a while: how many events there were."""
        before, self.running = self.calls, True
        self.after(seconds, self.stop)
        self.run()
        return self.calls - before

    def stop(self) -> None:
        self.running = False


def test_a_slow_reader_of_what_has_ended() -> None:
    """Both directions of the container's socket are closed, its last bytes are not yet read, and epoll would tell so for ever."""
    loop = CountingLoop()
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        socket.create_server(("127.0.0.1", 0)) as front,
    ):
        front.setblocking(False)
        relay = TcpRelay(loop, front.fileno(), target.getsockname())
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(front.getsockname())
        loop.turn(0.05)
        server, _ = target.accept()
        client.shutdown(socket.SHUT_WR)
        loop.turn(0.05)
        (connection,) = relay._connections
        sent = 0
        server.setblocking(False)
        client.setblocking(False)
        while not connection.back.unsent or loop.turn(0.1) or not connection.back.unsent:
            sent += server.send(bytes(65536))
            loop.turn(0.005)
        server.sendall(b"last")
        server.close()
        loop.turn(0.05)
        assert connection.forth.done
        assert connection.back.unsent
        assert loop.turn(0.3) < 5
        got = b""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        while len(got) < sent + 4:
            loop.turn(0.002)
            try:
                got += client.recv(1 << 20)
            except BlockingIOError:
                pass
        loop.turn(0.05)
        client.setblocking(True)
        assert got.endswith(b"\0last")
        assert client.recv(1) == b""
        assert not relay.busy
        client.close()
        relay._sock.detach()
