"""Driver `host`: the host's own network, without anything between."""

from __future__ import annotations

from fastbox.errors import PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

NAME = "host"


def validate(record: NetworkRecord) -> None:  # noqa: ARG001
    """There is one, and it is always there."""
    raise PermissionDenied('only one instance of "host" network is allowed')


def setup(record: NetworkRecord) -> tuple[str, ...]:  # noqa: ARG001
    """Nothing."""
    return ()


def teardown(record: NetworkRecord) -> None:
    """Nothing."""


def endpoint(record: NetworkRecord, number: int) -> dict[str, object]:  # noqa: ARG001
    """None: the host's interfaces are the container's."""
    return {}


def routed(record: NetworkRecord) -> bool:  # noqa: ARG001
    """The host's routes are the container's."""
    return False
