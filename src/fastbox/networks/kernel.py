"""What drivers make in the kernel, with errors that say which network it was about; the rules are
there before a network's place in them is asked for.
"""

from __future__ import annotations

from fastbox.errors import FastboxError, PermissionDenied
from fastbox.networks import drivers
from fastbox.networks.drivers import bridge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord
    from fastbox.store.root import Root

_EPERM = 1


def setup(root: Root, record: NetworkRecord, place: int = 0) -> tuple[str, ...]:
    """Make what is missing of a network, for the address of that number; the interfaces that end
    with it.

    Raises:
        FastboxError: The kernel said no.
    """
    driver = drivers.load(record.driver)
    try:
        if record.driver == "bridge":
            rules(root)
        made = driver.setup(record)
        if record.driver == "bridge" and place >= bridge.SHARD:
            bridge.ensure_shard(record, place)
    except OSError as error:
        if isinstance(error, FastboxError):
            raise
        raise failed(error, "make", record) from error
    return made


def teardown(record: NetworkRecord) -> None:
    """Take it away; what is gone already is no error.

    Raises:
        FastboxError: The kernel said no.
    """
    try:
        drivers.load(record.driver).teardown(record)
    except OSError as error:
        if isinstance(error, FastboxError):
            raise
        raise failed(error, "remove", record) from error


def rules(root: Root) -> bool:
    """See that the rules are there; whether they were."""
    from fastbox import _nft

    if _nft.present():
        return True
    from fastbox.networks import reconcile

    reconcile.firewall(root)
    return False


def failed(error: OSError, doing: str, record: NetworkRecord) -> FastboxError:
    """What the kernel said, in one line."""
    why = str(getattr(error, "detail", "") or error.strerror or error).lower()
    call, path = getattr(error, "call", ""), getattr(error, "path", "")
    what = f"cannot {doing} the network {record.name}: "
    what += ": ".join(part for part in (call, path, why) if part)
    if error.errno == _EPERM:
        return PermissionDenied(what, hint="give fastbox CAP_NET_ADMIN")
    return FastboxError(what)
