"""The kubelet's side of the Container Runtime Interface, in the few messages that the tests send.

A message is a table of field numbers; docs of the CRI name them in `api.proto` of version v1.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Message = dict[int, Any]


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def encode(message: Message) -> bytes:
    """Protocol buffers: numbers as varints, all else with its length before it."""
    out = b""
    for field, content in message.items():
        for value in content if isinstance(content, list) else [content]:
            if isinstance(value, int):
                out += _number(field << 3) + _number(value)
                continue
            data = encode(value) if isinstance(value, dict) else value.encode()
            out += _number(field << 3 | 2) + _number(len(data)) + data
    return out


def decode(data: bytes) -> dict[int, Any]:
    """The last value of each field; inner messages stay bytes, to be decoded in turn."""
    found: dict[int, Any] = {}
    rest = iter(data)
    for first in rest:
        key = _read(rest, first)
        value = _read(rest, next(rest))
        assert key & 7 in (0, 2), f"wire type {key & 7}"
        found[key >> 3] = bytes(next(rest) for _ in range(value)) if key & 7 == 2 else value
    return found


def _read(rest: Iterator[int], byte: int) -> int:
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        byte = next(rest)
        value |= (byte & 0x7F) << shift
        shift += 7
    return value


class Kubelet:
    """Calls of the RuntimeService at a socket."""

    def __init__(self, address: Path) -> None:
        grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
        self.channel = grpc.insecure_channel(
            f"unix://{address}", options=[("grpc.default_authority", "localhost")]
        )

    def __call__(self, name: str, message: Message, timeout: float = 60) -> dict[int, Any]:
        call = self.channel.unary_unary(
            f"/runtime.v1.RuntimeService/{name}",
            request_serializer=encode,
            response_deserializer=decode,
        )
        found = call(message, timeout=timeout)
        assert isinstance(found, dict)
        return found

    def close(self) -> None:
        self.channel.close()

    def exec(self, container: str, *command: str) -> tuple[int, str]:
        found = self("ExecSync", {1: container, 2: list(command), 3: 20})
        return found.get(3, 0), found.get(1, b"").decode()

    def status(self, container: str) -> tuple[int, int]:
        """State (1 runs, 2 has ended) and exit code."""
        found = decode(self("ContainerStatus", {1: container})[1])
        return found.get(3, 0), found.get(7, 0)
