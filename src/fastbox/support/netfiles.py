"""hosts and resolv.conf of a container, as docker writes them; and their change while it runs.

They are bind-mounted by their inodes, so they are rewritten in place, never replaced.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, os_error
from fastbox.support import resolvconf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.types import RunOptions

NAME_SERVER = "127.0.0.11"
_DEFAULT = ("bridge", "default", "")
_BASE = (
    b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    b"ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def is_served(network: str) -> bool:
    """Whether containers on a network, as an option names it, have the embedded name server."""
    return network not in ("none", "host", *_DEFAULT) and network[:10] != "container:"


def hosts(
    options: RunOptions,
    hostname: str,
    addresses: Sequence[str] = (),
    *,
    gateways: Sequence[str] = (),
    links: Sequence[str] = (),
) -> bytes:
    """The hosts file: docker's lines or the host's own, those that were asked for, and the
    container's addresses.

    Args:
        options: Of the container.
        hostname: The container's host name.
        addresses: Its own, without prefixes.
        gateways: What `host-gateway` means.
        links: More lines.

    Raises:
        InvalidArgument: `host-gateway`, and nobody knows what it is.
    """
    found = _BASE
    if options.network == "host":
        found = resolvconf.read("/etc/hosts")
        found += b"" if found[-1:] in (b"", b"\n") else b"\n"
    lines = _extra(options, gateways)
    lines += links
    lines += _own(addresses, names(options, hostname))
    return found + _bytes(lines)


def names(options: RunOptions, hostname: str) -> str:
    """What stands behind a container's own addresses: its full name, and the first word of it."""
    full = f"{hostname}.{options.domainname}" if options.domainname else hostname
    short = full.partition(".")[0]
    return full if short == full else f"{full} {short}"


def _own(addresses: Sequence[str], name: str) -> list[str]:
    return [f"{address.partition('/')[0]}\t{name}" for address in addresses]


def _extra(options: RunOptions, gateways: Sequence[str]) -> list[str]:
    lines = []
    for entry in options.extra_hosts:
        name, _, address = entry.partition(":")
        if address == "host-gateway" and not gateways:
            raise InvalidArgument(
                f"--add-host {name}:host-gateway: the default network has no gateway",
                hint="write the address",
            )
        found = gateways if address == "host-gateway" else (address,)
        lines += [f"{one}\t{name}" for one in found]
    return lines


def resolv_conf(options: RunOptions, addresses: Sequence[str] = (), *, served: bool) -> bytes:
    """The resolv.conf: of the host, without servers that only the host reaches; or with the
    embedded server in their place.

    Args:
        options: Of the container.
        addresses: Its own: who has none of IPv6 is told of no server of IPv6.
        served: It has the embedded server.
    """
    text = b""
    if options.network == "host":
        text = resolvconf.read()
    elif served or options.network in _DEFAULT:
        text = host_file()
    servers = list(options.dns) or resolvconf.servers(text)
    if served:
        servers = [NAME_SERVER]
    elif options.network in _DEFAULT and not options.dns:
        servers = _reachable(servers, any(":" in address for address in addresses))
    return _lines(servers, _search(options, text), _settings(options, text, served=served))


def host_file() -> bytes:
    """The host's resolv.conf; where all it names is systemd's own server, the one behind that."""
    text = resolvconf.read()
    if resolvconf.is_behind_systemd(resolvconf.servers(text)):
        return resolvconf.read(resolvconf.SYSTEMD) or text
    return text


def _reachable(servers: Sequence[str], six: bool) -> list[str]:
    found = [one for one in servers if not resolvconf.is_loopback(one) and (six or ":" not in one)]
    return found or [*resolvconf.FALLBACK, *(resolvconf.FALLBACK_6 if six else ())]


def _search(options: RunOptions, text: bytes) -> list[str]:
    """A domain "." stands for none."""
    if options.dns_search:
        return [word for word in options.dns_search if word != "."]
    return (resolvconf.values(text, b"search") or [""])[-1].split()


def _settings(options: RunOptions, text: bytes, *, served: bool) -> list[str]:
    found = list(options.dns_options) or " ".join(resolvconf.values(text, b"options")).split()
    # A name without a dot may be a container: it is asked as it stands before any domain is tried.
    if served and not any(word.startswith("ndots:") for word in found):
        found.append("ndots:0")
    return found


def _lines(servers: Sequence[str], search: Sequence[str], settings: Sequence[str]) -> bytes:
    lines = ["nameserver " + server for server in servers]
    lines += ["search " + " ".join(search)] if search else []
    lines += ["options " + " ".join(settings)] if settings else []
    return _bytes(lines)


def _bytes(lines: Sequence[str]) -> bytes:
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def addresses_of(endpoints: Sequence[Mapping[str, object]]) -> list[str]:
    """The addresses of all endpoints, in their order, without prefixes."""
    found = []
    for endpoint in endpoints:
        values = endpoint.get("addresses")
        found += [str(one).partition("/")[0] for one in values] if isinstance(values, list) else []
    return found


def rewrite(path: str, data: bytes) -> None:
    """Let a file have this content, the same file, whatever it had.

    Raises:
        FastboxError: It can't be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o644)
        try:
            # Who reads meanwhile sees old and new lines, never an empty file.
            if os.write(fd, data) != len(data):
                raise OSError(28, os.strerror(28), path)
            os.ftruncate(fd, len(data))
            os.fchmod(fd, 0o644)
        finally:
            os.close(fd)
    except OSError as error:
        raise os_error(error, "cannot write", path) from error


def link(text: str) -> tuple[str, str]:
    """What a --link names, and its alias: "db:database", "db", docker's old "db:/other/database".

    Raises:
        InvalidArgument: It is neither.
    """
    name, colon, alias = text.partition(":")
    alias = alias.rpartition("/")[2] if alias[:1] == "/" else alias
    if not name.strip("/") or (colon and not alias) or not {":", " ", "\t", "\n"}.isdisjoint(alias):
        raise InvalidArgument(f"bad format for links: {text}", hint="write name:alias")
    return name, alias or name.removeprefix("/")


def replace_hosts(directory: str, lines: Sequence[str]) -> None:
    """Lines of a container's hosts file give way to those that have the same first name and an
    address of the same family.

    Args:
        directory: The container's.
        lines: The new ones.
    """
    path = directory + "/hosts"
    new = {_key(line): line for line in lines}
    old = resolvconf.read(path).decode("utf-8", "surrogateescape").splitlines()
    rewrite(path, _bytes([new.get(_key(line), line) for line in old]))


def _key(line: str) -> tuple[str, bool]:
    address, _, names = line.partition("\t")
    return names.partition(" ")[0], ":" in address


def change_hosts(
    directory: str, name: str, *, gone: Sequence[str] = (), come: Sequence[str] = ()
) -> None:
    """A running container has lost or got addresses: its own lines go and come, all others stay.

    Args:
        directory: The container's.
        name: What stands behind its addresses (`names`).
        gone: Addresses, without prefixes.
        come: The same.
    """
    path = directory + "/hosts"
    mine = {line.encode("utf-8", "surrogateescape") for line in _own(gone, name)}
    kept = [line for line in resolvconf.read(path).split(b"\n") if line and line not in mine]
    rewrite(path, b"".join(line + b"\n" for line in kept) + _bytes(_own(come, name)))
