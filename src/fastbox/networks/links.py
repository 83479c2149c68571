"""--link, as docker had it before networks had names: lines of /etc/hosts."""

from __future__ import annotations

from fastbox.errors import InvalidArgument, StateConflict
from fastbox.store.containers import ContainerStore
from fastbox.store.networks import NetworkStore, read_lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastbox.store.root import Root


def split(text: str) -> tuple[str, str]:
    """The container and its alias: "db:database", "db".

    Raises:
        InvalidArgument: It is neither.
    """
    name, colon, alias = text.partition(":")
    if not name or (colon and not alias) or ":" in alias:
        raise InvalidArgument(f"bad format for links: {text}", hint="write name:alias")
    return name, alias or name.removeprefix("/").rpartition("/")[2]


def hosts(root: Root, texts: Iterable[str]) -> list[str]:
    """See `Networks.links`."""
    found, store = [], ContainerStore(root)
    for text in texts:
        reference, alias = split(text)
        container = store.find(reference)
        lease, address = next(_leases(root, container), ({}, ""))
        if not address:
            raise StateConflict(
                f"cannot link to a non running container: /{reference.removeprefix('/')} "
                f"AS /{alias}",
                hint="start it first",
            )
        names = (alias, container[:12], str(lease["name"]))
        found.append(f"{address}\t{' '.join(dict.fromkeys(names))}")
    return found


def _leases(root: Root, container: str) -> Iterator[tuple[dict[str, object], str]]:
    """Its addresses, those of the default network first."""
    store = NetworkStore(root)
    default = store.named("bridge")
    for network in sorted(store.ids(), key=lambda each: each != default):
        for address in store.taken(network):
            lease = read_lease(f"{store.leases(network)}/{address}")
            if lease is not None and lease["container"] == container and ":" not in address:
                yield lease, address
