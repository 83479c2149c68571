"""The words of EXPOSE: `80`, `53/udp`, `8000-8010/tcp`."""

from __future__ import annotations

from fastbox.support.record import Record

PROTOCOLS = ("tcp", "udp", "sctp")
_WIDE = 1000
_NAMES: dict[str, list[str]] = {}


class Exposed(Record):
    """One word. Its ports are `first` up to `last`; `mapped` if it names an address or a port of
    the host, which docker ignores with a warning.
    """

    first: int
    last: int
    protocol: str  # as written, or "tcp"
    mapped: bool = False

    def names(self) -> list[str]:
        """The ports as an image's configuration has them: "80/tcp"."""
        protocol = self.protocol.lower()
        if self.last - self.first < _WIDE:
            return [f"{port}/{protocol}" for port in range(self.first, self.last + 1)]
        # Wide ranges may come by the thousand: their names are made once.
        every = _NAMES.get(protocol)
        if every is None:
            every = _NAMES[protocol] = [f"{port}/{protocol}" for port in range(65536)]
        return every[self.first : self.last + 1]


def exposed(word: str) -> Exposed:
    """What a word says.

    Raises:
        ValueError: Not a port or a range of them, or an unknown protocol.
    """
    before, colon, last = word.rpartition(":")
    numbers, _, protocol = last.partition("/")
    if (protocol or "tcp").lower() not in PROTOCOLS:
        raise ValueError(f'"{word}": the protocol is tcp, udp or sctp')
    first, end = _range(numbers, word)
    if before:
        _check_mapping(before, end - first, word)
    return Exposed(first=first, last=end, protocol=protocol or "tcp", mapped=bool(colon))


def _range(text: str, word: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    begin = _port(first, word)
    end = _port(last, word) if dash else begin
    if end < begin:
        raise ValueError(f'"{word}": the range ends before it begins')
    return begin, end


def _port(text: str, word: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f'"{word}" is not a port (1 to 65535)')
    return int(text)


def _check_mapping(before: str, span: int, word: str) -> None:
    """`[address:]port` in front: as docker, it has to be right though nothing comes of it."""
    address, _, host = before.rpartition(":")
    if address:
        import socket

        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            socket.inet_pton(family, address.removeprefix("[").removesuffix("]"))
        except (OSError, ValueError):
            raise ValueError(f'"{word}": "{address}" is not an address') from None
    if host:
        begin, end = _range(host, word)
        if span and end - begin != span:
            raise ValueError(f'"{word}": the ranges differ in length')
