"""resolv.conf, as far as others have to know it: what stands behind its words, and where the host's
is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PATH = "/etc/resolv.conf"
SYSTEMD = "/run/systemd/resolve/resolv.conf"  # the servers behind systemd's own at 127.0.0.53
MAX_BYTES = 1 << 20
# Where a container without any other server is sent to, as docker has it.
FALLBACK = ("8.8.8.8", "8.8.4.4")
FALLBACK_6 = ("2001:4860:4860::8888", "2001:4860:4860::8844")


def read(path: str = PATH) -> bytes:
    """The file's bytes; none when it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_BYTES)
    except OSError:
        return b""


def values(text: bytes, word: bytes) -> list[str]:
    """What stands behind a word, a text for each of its lines."""
    found = []
    for line in text.split(b"\n"):
        parts = line.split(None, 1)
        if len(parts) == 2 and parts[0] == word:
            found.append(parts[1].strip().decode("utf-8", "surrogateescape"))
    return found


def servers(text: bytes) -> list[str]:
    """The addresses of its name servers; words that are none are left out."""
    found = [value.split()[0] for value in values(text, b"nameserver")]
    return [address for address in found if is_address(address)]


def is_address(text: str) -> bool:
    """Whether it is an address of IPv4 or IPv6, perhaps with the interface that it is behind."""
    from _socket import AF_INET, AF_INET6, inet_pton

    address = text.partition("%")[0]
    try:
        inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether it means the host that asks."""
    return address.startswith("127.") or address == "::1"


def is_behind_systemd(addresses: Sequence[str]) -> bool:
    """Whether all that is asked is systemd's own server, so that its file names the real ones."""
    return list(addresses) == ["127.0.0.53"]
