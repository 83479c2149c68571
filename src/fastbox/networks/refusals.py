"""Why an address can't be had: docker's words, where, and what next."""

from __future__ import annotations

from fastbox.errors import Conflict, InvalidArgument, ResourceExhausted
from fastbox.store.networks import number, read_lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.store.networks import NetworkRecord, NetworkStore, Pool


def exhausted(
    store: NetworkStore, record: NetworkRecord, pools: Sequence[Pool]
) -> ResourceExhausted:
    """All addresses are taken: how many of how many."""
    texts = []
    leases = [number(each) for each in store.taken(record.id)]
    for pool in pools:
        size = pool.high - pool.low + 1
        ends = {0, pool.last} if pool.version == 4 and pool.last > 1 else set()
        size -= sum(pool.low <= end <= pool.high for end in ends)
        used = sum(pool.low <= each - pool.base <= pool.high for each in leases)
        used += sum(pool.low <= each <= pool.high for each in pool.kept - ends)
        name = pool.subnet.range or pool.subnet.subnet
        texts.append(f"pool {name}: {used} of {size} addresses used")
    return ResourceExhausted(
        ", ".join(texts),
        where=f"network {record.name}",
        hint="remove containers, or make a network with a larger --subnet",
    )


def in_use(store: NetworkStore, record: NetworkRecord, pool: Pool, value: int) -> Conflict:
    """Somebody has the address, or nobody gets it."""
    text = pool.text(value)
    if value in pool.kept:
        why = "it is the gateway's, or reserved"
    else:
        lease = read_lease(f"{store.leases(record.id)}/{text}")
        why = f"container {lease['name']} has it" if lease else "another container has it"
    return Conflict(
        f"Address already in use: {why}",
        where=f"{text} in network {record.name}",
        hint="choose another --ip, or leave it out",
    )


def outside(wanted: str, record: NetworkRecord) -> InvalidArgument:
    """No subnet of the network has the address."""
    subnets = ", ".join(each.subnet for each in record.subnets) or "none"
    return InvalidArgument(
        f"invalid address: {wanted}: no configured subnet contains it",
        where=f"network {record.name}",
        hint=f"its subnets: {subnets}",
    )
