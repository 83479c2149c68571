"""Driver `ipvlan`: interfaces that share their parent's MAC. In mode l2 they are hosts of the
parent's network; in l3 and l3s the parent routes, and no broadcast passes.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument, Unsupported
from fastbox.networks.drivers import parents
from fastbox.networks.drivers.bridge import mtu_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

NAME = "ipvlan"
MODES = ("l2", "l3", "l3s")
MODE, FLAG = "ipvlan_mode", "ipvlan_flag"


def validate(record: NetworkRecord) -> None:
    """Refuse modes that there are not, and a parent that can't be one."""
    mode_of(record)
    mtu_of(record)
    if record.options.get(FLAG, "bridge") != "bridge":
        raise Unsupported(f'{FLAG}: "{record.options[FLAG]}" is not supported', hint="bridge is")
    parents.validate(record)


def mode_of(record: NetworkRecord) -> str:
    """At which layer the parent passes packets on."""
    mode = record.options.get(MODE) or "l2"
    if mode not in MODES:
        raise InvalidArgument(
            f"requested ipvlan mode '{mode}' is not valid, 'l2' mode is the ipvlan driver default",
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
    """An interface on the parent, with its MAC."""
    return parents.endpoint(record, NAME, mode_of(record))


def routed(record: NetworkRecord) -> bool:
    """In l2 through the parent's network; in l3 and l3s a route needs no gateway."""
    return not record.internal
