"""Driver `null`, of the network `none`: nothing but the container's own loopback."""

from __future__ import annotations

from fastbox.errors import PermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.networks import NetworkRecord

NAME = "null"


def validate(record: NetworkRecord) -> None:
    """There is one, and it is always there; a configuration for others may say it, too."""
    if not record.config_only:
        raise PermissionDenied('only one instance of "null" network is allowed')


def setup(record: NetworkRecord) -> tuple[str, ...]:  # noqa: ARG001
    """Nothing."""
    return ()


def teardown(record: NetworkRecord) -> None:
    """Nothing."""


def endpoint(record: NetworkRecord, number: int) -> dict[str, object]:  # noqa: ARG001
    """None: a container without a network has no endpoint."""
    return {}


def routed(record: NetworkRecord) -> bool:  # noqa: ARG001
    """There is no gateway."""
    return False
