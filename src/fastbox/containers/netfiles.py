"""hosts and resolv.conf with what --add-host and --dns put into them; only imported when one of
these is given.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import RunOptions


def hosts(base: bytes, options: RunOptions) -> bytes:
    """The file with a line for each extra host, in docker's form."""
    found = base if base[-1:] in (b"", b"\n") else base + b"\n"
    for entry in options.extra_hosts:
        name, _, address = entry.partition(":")
        found += f"{address}\t{name}\n".encode("utf-8", "surrogateescape")
    return found


def resolv_conf(base: bytes, options: RunOptions) -> bytes:
    """The file with the given servers, domains and options in place of the base's; a domain "."
    stands for none.
    """
    servers = list(options.dns) or _values(base, b"nameserver")
    search = [word for word in options.dns_search if word != "."]
    if not options.dns_search:
        search = (_values(base, b"search") or [""])[-1].split()
    settings = list(options.dns_options) or " ".join(_values(base, b"options")).split()
    lines = ["search " + " ".join(search)] if search else []
    lines += ["nameserver " + server for server in servers]
    lines += ["options " + " ".join(settings)] if settings else []
    return "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape")


def _values(base: bytes, word: bytes) -> list[str]:
    """What stands behind a word, a text for each of its lines."""
    found = []
    for line in base.split(b"\n"):
        first, _, rest = line.strip().partition(b" ")
        if first == word:
            found.append(rest.strip().decode("utf-8", "surrogateescape"))
    return found
