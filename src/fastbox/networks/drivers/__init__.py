"""The drivers of networks: what a network of each kind is to the host, and what a container's
endpoint in it is. One module each, imported when a network of its kind is used.

A driver is a module with these members:

`NAME`
    What --driver says.
`validate(record)`
    Refuse a network that the driver can't make: InvalidArgument or Unsupported. Changes nothing.
`setup(record)`
    Make what the host needs for it. It may be called again at any time, and makes only what is
    missing. Returns the interfaces that are to end with the network.
`teardown(record)`
    Take that away; what is gone already is no error.
`endpoint(record, number)`
    Of an endpoint whose address is number n in its subnet: `kind`, `link`, `mode`, `mtu`,
    `isolated`, `napi` and `guard` of network.json.
`routed(record)`
    Whether a container may have its default route there.

tests/contract/test_network_drivers.py is what all of them pass. `overlay` has its place in the
table below.
"""

from __future__ import annotations

from fastbox.errors import NotFound, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from fastbox.store.networks import NetworkRecord

    class Driver(Protocol):
        """What a driver's module has."""

        NAME: str

        def validate(self, record: NetworkRecord) -> None:
            """Refuse what it can't make."""

        def setup(self, record: NetworkRecord) -> tuple[str, ...]:
            """Make what the host needs."""

        def teardown(self, record: NetworkRecord) -> None:
            """Take it away."""

        def endpoint(self, record: NetworkRecord, number: int) -> dict[str, object]:
            """An endpoint's part of network.json."""

        def routed(self, record: NetworkRecord) -> bool:
            """Whether its gateway may be a container's default one."""


# The name of a driver and the module that is it.
DRIVERS = {"bridge": "bridge", "host": "host", "ipvlan": "ipvlan", "macvlan": "macvlan",
           "null": "none"}  # fmt: skip
_LATER = {"overlay": "it comes with networks of several hosts"}


def load(name: str) -> Driver:
    """Import a driver.

    Raises:
        Unsupported: It comes later.
        NotFound: There is none of that name.
    """
    if name in _LATER:
        raise Unsupported(f'the driver "{name}" is not supported yet', hint=_LATER[name])
    if name not in DRIVERS:
        known = ", ".join(sorted(DRIVERS))
        raise NotFound(f'could not find plugin "{name}"', hint=f"the drivers are {known}")
    import sys

    module = f"{__name__}.{DRIVERS[name]}"
    __import__(module)
    driver: Driver = sys.modules[module]
    return driver
