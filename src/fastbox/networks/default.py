"""The default network: its record is made when a container first needs it, or somebody looks."""

from __future__ import annotations

from fastbox.errors import Conflict, FastboxError
from fastbox.networks import ipam, kernel, routes
from fastbox.networks.drivers import bridge
from fastbox.networks.records import HostLock, SubnetIndex, publish
from fastbox.store.networks import DEFAULT, NetworkRecord, NetworkStore, driver_of
from fastbox.support.clock import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.root import Root

_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    bridge.ICC: "true",
    bridge.MASQUERADE: "true",
    bridge.HOST_BINDING: "0.0.0.0",
    bridge.MTU_OPTION: str(bridge.MTU),
}


def make(root: Root) -> NetworkRecord:
    """The default network's record, made if it is not there."""
    store = NetworkStore(root)
    with HostLock(store):
        if not store.named(DEFAULT):
            record = predefined(root, DEFAULT)
            subnet = ipam.choose(DEFAULT, 4, SubnetIndex(store), routes.clash)
            publish(root, store, record.replace(created=now(), subnets=(subnet,)))
            try:
                # The bridge's route is what keeps other stores from the same subnet.
                kernel.setup(root, store.known(DEFAULT))
            except FastboxError:
                pass  # whoever needs it makes it, and is told why that fails
    return store.known(DEFAULT)


def predefined(root: Root, name: str) -> NetworkRecord:
    """A network that is always there; its id is the same at every look."""
    import hashlib

    options = dict(_OPTIONS) if name == DEFAULT else {}
    if name == DEFAULT:
        device = bridge.default_device(root.store)
        if device:
            options[bridge.BRIDGE_NAME] = device
    return NetworkRecord(
        id=hashlib.sha256(f"{root.store}\n{name}".encode("utf-8", "surrogateescape")).hexdigest(),
        name=name,
        driver=driver_of(name),
        created="",
        labels={},
        options=options,
    )


def refuse_predefined(name: str) -> None:
    """Nobody makes or removes them.

    Raises:
        Conflict: It is one.
    """
    if name in ("bridge", "host", "none", "default"):
        raise Conflict(
            f"operation is not permitted on predefined {name} network",
            hint="choose another name",
        )
