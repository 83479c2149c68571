"""Flags of `run` and `create` about names, name servers, ports and the streams to attach; only
imported when one is given.
"""

from __future__ import annotations

from fastbox import units
from fastbox.cli.parser import UsageError
from fastbox.cli.values import bad_value, convert

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_STREAMS = ("stdin", "stdout", "stderr")


def build(args: Arguments) -> dict[str, object]:
    """The options that they set.

    Raises:
        UsageError: A value that can't be read, or --attach with --detach.
    """
    return {
        "attach": _attach(args),
        "extra_hosts": tuple(_host(args, text) for text in args.texts("add-host")),
        "dns": tuple(convert(args, "dns", t, _address, "192.0.2.1") for t in args.texts("dns")),
        "dns_options": tuple(_plain(args, "dns-option", "ndots:2")),
        "dns_search": tuple(_plain(args, "dns-search", "example.com")),
        "expose": tuple(
            port
            for text in args.texts("expose")
            for port in convert(args, "expose", text, ports, "80/tcp")
        ),
    }


def _attach(args: Arguments) -> tuple[str, ...]:
    wanted = [text.lower() for text in args.texts("attach")]
    for text, name in zip(args.texts("attach"), wanted, strict=True):
        if name not in _STREAMS:
            why = "valid streams are STDIN, STDOUT and STDERR"
            raise bad_value(args, "attach", text, why, "stdout")
    if wanted and args.switch("detach"):
        raise UsageError(
            args.command, "conflicting options: cannot specify both --attach and --detach"
        )
    return tuple(name for name in _STREAMS if name in wanted)


def _host(args: Arguments, text: str) -> str:
    """`name:address`, from `name:address` or `name=address`."""
    name, sign, address = text.partition("=" if "=" in text else ":")
    if not name or not sign or name.split() != [name]:
        raise bad_value(args, "add-host", text, "not name:address", "db:192.0.2.1")
    if address == "host-gateway":  # the default network's gateway, known when it starts
        return f"{name}:{address}"
    if address[:1] == "[" and address[-1:] == "]":
        address = address[1:-1]
    return f"{name}:{convert(args, 'add-host', address, _address, 'db:192.0.2.1')}"


def _address(text: str) -> str:
    """An address of IPv4 or IPv6, in its usual form."""
    from ipaddress import ip_address

    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("not an IP address") from None


def _plain(args: Arguments, flag: str, example: str) -> list[str]:
    """Words for a line of resolv.conf."""
    for text in args.texts(flag):
        if text.split() != [text]:
            raise bad_value(args, flag, text, "empty, or blanks in it", example)
    return args.texts(flag)


def ports(text: str) -> list[str]:
    """`80`, `80/udp` or `8000-8010/tcp` as one text for each port.

    Raises:
        ValueError: It is none of these.
    """
    numbers, slash, kind = text.partition("/")
    first, dash, last = numbers.partition("-")
    low = units.integer(first, 1, 65535)
    high = units.integer(last, low, 65535) if dash else low
    kind = kind.lower() if slash else "tcp"
    if kind not in ("tcp", "udp", "sctp"):
        raise ValueError("the protocol is not tcp, udp or sctp")
    return [f"{port}/{kind}" for port in range(low, high + 1)]
