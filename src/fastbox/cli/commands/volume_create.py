"""Make a volume."""

from __future__ import annotations

from fastbox.cli.parser import MANY, TEXT, Option
from fastbox.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments

NAME = "create"
USAGE = "[OPTIONS] [VOLUME]"
SUMMARY = "make a volume"
OPERANDS = (0, 1)
# Of volumes that a cluster shares.
_CLUSTER = (
    "availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing",
    "topology-preferred", "topology-required", "type",
)  # fmt: skip


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return (
        *(Option(name, "", TEXT, "") for name in _CLUSTER),
        Option("driver", "d", TEXT, "the volume's driver: local"),
        Option("label", "", MANY, "set a label"),
        Option("opt", "o", MANY, "an option of the driver: type=, device=, o=", "map"),
    )


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Make it and print its name; one that is there stays as it is."""
    for name in filter(args.given, _CLUSTER):
        raise Unsupported(f"--{name} is for the volumes of a cluster, which there are not here")
    driver_options: dict[str, str] = {}
    for text in args.texts("opt"):
        key, _, value = text.partition("=")
        if key in driver_options:
            raise InvalidArgument(f'the option "{key}" is given twice')
        driver_options[key] = value
    volume = engine.volumes.create(
        args.operands[0] if args.operands else "",
        driver=args.text("driver"),
        options=driver_options,
        labels=dict(text.partition("=")[::2] for text in args.texts("label")),
    )
    out.line(volume.name)
    return 0
