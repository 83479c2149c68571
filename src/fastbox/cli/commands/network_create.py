"""Make a network."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Option
from fastbox.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "create"
USAGE = "[OPTIONS] NETWORK"
SUMMARY = "make a network"
OPERANDS = (1, 1)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        Option("attachable", "", SWITCH, "any container may be in it, which is so anyway"),
        Option("aux-address", "", MANY, "an address that no container gets (router=10.1.0.9)"),
        Option("config-from", "", TEXT, "take what a network of --config-only says"),
        Option("config-only", "", SWITCH, "only a description for other networks"),
        Option("driver", "d", TEXT, "bridge (default), macvlan or ipvlan"),
        Option("gateway", "", MANY, "the gateway of a subnet; its first address without", "ip"),
        Option("ingress", "", SWITCH, ""),
        Option("internal", "", SWITCH, "no way out of it"),
        Option("ip-range", "", MANY, "the part of a subnet that containers get addresses from"),
        Option("ipam-driver", "", TEXT, "default, or null for no addresses"),
        Option("ipam-opt", "", MANY, "an option of that", "map"),
        Option("ipv4", "", SWITCH, "have IPv4 addresses (default true)"),
        Option("ipv6", "", SWITCH, "have IPv6 addresses"),
        Option("label", "", MANY, "set a label"),
        Option("opt", "o", MANY, "an option of the driver (parent=eth0)", "map"),
        Option("scope", "", TEXT, ""),
        Option("subnet", "", MANY, "a subnet such as 10.10.0.0/24; a free one without"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Make it and print its id."""
    if args.switch("ingress") or args.text("scope", "local") not in ("local", ""):
        raise Unsupported("networks of a swarm are not supported: there is none here")
    if args.switch("config-only") and args.given("driver"):
        raise InvalidArgument("config-only networks cannot be created with a driver")
    identity = engine.networks.create(
        args.operands[0],
        driver=args.text("driver") or "bridge",
        subnets=_split(args, "subnet"),
        gateways=_split(args, "gateway"),
        ranges=_split(args, "ip-range"),
        reserved=_pairs(args, "aux-address"),
        ipv4=args.switch("ipv4", True),
        ipv6=args.switch("ipv6") if args.given("ipv6") else None,
        internal=args.switch("internal"),
        attachable=args.switch("attachable"),
        options=_pairs(args, "opt"),
        labels=_pairs(args, "label"),
        ipam_driver=args.text("ipam-driver", "default"),
        ipam_options=_pairs(args, "ipam-opt"),
        config_only=args.switch("config-only"),
        config_from=args.text("config-from"),
    )
    out.line(identity)
    return 0


def _split(args: Arguments, flag: str) -> list[str]:
    """Docker takes several with commas, too."""
    return [part.strip() for text in args.texts(flag) for part in text.split(",") if part.strip()]


def _pairs(args: Arguments, flag: str) -> dict[str, str]:
    return dict(text.partition("=")[::2] for text in args.texts(flag))
