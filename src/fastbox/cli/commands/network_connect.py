"""Put a container into one more network."""

from __future__ import annotations

from fastbox.cli.parser import MANY, TEXT, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "connect"
USAGE = "[OPTIONS] NETWORK CONTAINER"
SUMMARY = "put a container into one more network"
OPERANDS = (2, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("alias", "", MANY, "one more name for it there"),
        Option("driver-opt", "", MANY, "an option of the driver (key=value)"),
        Option("gw-priority", "", TEXT, "the highest one's gateway is the default one", "int"),
        Option("ip", "", TEXT, "its IPv4 address", "ip"),
        Option("ip6", "", TEXT, "its IPv6 address", "ip"),
        Option("link", "", MANY, "a name for another container (name:alias)"),
        Option("link-local-ip", "", MANY, "a link-local address that it has besides", "ip"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:  # noqa: ARG001
    """Connect it; nothing is printed."""
    from fastbox.cli.endpointflags import endpoint

    network, container = args.operands
    engine.networks.connect(container, endpoint(args, network))
    return 0
