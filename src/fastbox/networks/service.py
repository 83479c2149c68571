"""All that can be done with networks: what the command line, the Engine and containers call."""

from __future__ import annotations

from fastbox.networks.attach import Starts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastbox.types import EndpointOptions, NetworkInfo, Pruned


class Networks(Starts):
    """The networks of one store."""

    __slots__ = ()

    def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        subnets: Sequence[str] = (),
        gateways: Sequence[str] = (),
        ranges: Sequence[str] = (),
        reserved: Mapping[str, str] | None = None,
        ipv4: bool = True,
        ipv6: bool | None = None,
        internal: bool = False,
        attachable: bool = False,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        ipam_driver: str = "default",
        ipam_options: Mapping[str, str] | None = None,
        config_only: bool = False,
        config_from: str = "",
    ) -> str:
        """Make a network; its id.

        Args:
            name: Its name.
            driver: "bridge", "macvlan" or "ipvlan".
            subnets: Such as "10.10.0.0/24"; () for one of the pools.
            gateways: The host's addresses in them; the first ones without.
            ranges: The parts of them that containers get addresses from.
            reserved: Addresses that no container gets, by name.
            ipv4: Have IPv4 addresses.
            ipv6: Have IPv6 addresses; None: when a v6 subnet is given.
            internal: No way out.
            attachable: Of swarm's networks; kept.
            options: The driver's.
            labels: Its labels.
            ipam_driver: "default", or "null" for no addresses.
            ipam_options: Kept.
            config_only: It is a description for others only.
            config_from: The network whose description it takes.

        Raises:
            InvalidArgument: A name, address or option that can't be used.
            Conflict: The name is taken, or the subnet overlaps with another.
            ResourceExhausted: The pools have no free subnet.
        """
        from fastbox.networks.create import Request, create

        request = Request(
            name=name, driver=driver, subnets=tuple(subnets), gateways=tuple(gateways),
            ranges=tuple(ranges), reserved=dict(reserved or {}), ipv4=ipv4, ipv6=ipv6,
            internal=internal, attachable=attachable, options=dict(options or {}),
            labels=dict(labels or {}), ipam_driver=ipam_driver,
            ipam_options=dict(ipam_options or {}), config_only=config_only, config_from=config_from,
        )  # fmt: skip
        return create(self._root, request)

    def list(self, *, filters: Sequence[str] = ()) -> list[NetworkInfo]:
        """All networks by name.

        Args:
            filters: Docker's: dangling, driver, id, label, name, scope and type, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.networks.manage import listing

        return listing(self._root, filters)

    def inspect(self, reference: str) -> dict[str, object]:
        """One network as docker's inspect object.

        Raises:
            NetworkNotFound: There is none.
        """
        from fastbox.networks.manage import inspect

        return inspect(self._root, reference)

    def remove(self, reference: str, *, force: bool = False) -> None:
        """Take a network away.

        Args:
            reference: Its name, its id, or the beginning of that.
            force: One that does not exist is no error.

        Raises:
            NetworkNotFound: There is none.
            InUse: Containers run in it.
            Conflict: It is one of those that are always there.
        """
        from fastbox.networks.manage import remove

        remove(self._root, reference, force=force)

    def prune(self, *, filters: Sequence[str] = ()) -> Pruned:
        """Remove the networks that no container runs in.

        Args:
            filters: Docker's: label, label! and until, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.networks.manage import prune

        return prune(self._root, filters)

    def connect(self, container: str, network: str | EndpointOptions) -> None:
        """Put a container into one more network, at once if it runs, and for later starts.

        Args:
            container: An id, the unique beginning of one, or a name.
            network: Its name or id; or that, and how: aliases, addresses, MAC.

        Raises:
            NetworkNotFound, ContainerNotFound: There is none.
            Conflict: It is in it already, or the address is in use.
        """
        from fastbox.networks.connecting import connect
        from fastbox.types import EndpointOptions

        wish = EndpointOptions(network=network) if isinstance(network, str) else network
        connect(self._root, container, wish)

    def disconnect(self, container: str, network: str, *, force: bool = False) -> None:
        """Take a container out of a network.

        Raises:
            NetworkNotFound, ContainerNotFound: There is none.
            Conflict: It is not in it.
        """
        from fastbox.networks.connecting import disconnect

        disconnect(self._root, container, network, force=force)

    def reconcile(self) -> tuple[str, ...]:
        """Make what the kernel lacks (bridges after a boot, rules after a flush), and give back the
        addresses of containers that are gone; a line for each thing that was done.
        """
        from fastbox.networks.reconcile import everything

        return everything(self._root)

    def check(self) -> Iterator[tuple[str, str, str]]:
        """What is wrong, where, and what to do about it."""
        from fastbox.networks.reconcile import check

        return check(self._root)
