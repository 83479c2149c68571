"""Driver `macvlan`: interfaces of their own MAC on a parent, so that containers are hosts of the
parent's network; its gateway is somebody else's.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument
from fastbox.networks.drivers import parents
from fastbox.networks.drivers.bridge import mtu_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

NAME = "macvlan"
MODES = ("bridge", "private", "vepa", "passthru")
MODE = "macvlan_mode"


def validate(record: NetworkRecord) -> None:
    """Refuse modes that there are not, and a parent that can't be one."""
    mode_of(record)
    mtu_of(record)
    parents.validate(record)


def mode_of(record: NetworkRecord) -> str:
    """How endpoints of one parent see each other."""
    mode = record.options.get(MODE) or "bridge"
    if mode not in MODES:
        raise InvalidArgument(
            f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver "
            "default",
            hint="the modes are " + ", ".join(MODES),
        )
    return mode


def setup(record: NetworkRecord) -> tuple[str, ...]:
    """The parent, where it is a VLAN that is missing, or none was given."""
    return parents.setup(record)


def teardown(record: NetworkRecord) -> None:
    """The parent, if the network has made it."""
    parents.teardown(record)


def endpoint(record: NetworkRecord, number: int) -> dict[str, object]:  # noqa: ARG001
    """An interface on the parent, made where the container is."""
    return parents.endpoint(record, NAME, mode_of(record))


def routed(record: NetworkRecord) -> bool:
    """Through the parent's network, unless the network is internal."""
    return not record.internal
