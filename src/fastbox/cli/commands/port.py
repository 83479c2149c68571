"""Show which ports of the host lead to a container."""

from __future__ import annotations

from fastbox.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option

NAME = "port"
USAGE = "CONTAINER [PRIVATE_PORT[/PROTO]]"
SUMMARY = "show which ports of the host lead to a container"
OPERANDS = (1, 2)


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    return ()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Print a line for each published port; 1 when the one asked for is not."""
    from fastbox.cli.render.published import joined, listed

    info = engine.containers.get(args.operands[0])
    ports = listed(info)
    if len(args.operands) == 1:
        for port, address, host_port, kind in ports:
            out.line(f"{port}/{kind} -> {joined(address, host_port)}")
        return 0
    wanted = _wanted(args)
    found = [joined(a, host) for port, a, host, kind in ports if f"{port}/{kind}" == wanted]
    if not found:
        raise NotFound(f"no public port '{args.operands[1]}' published for {info.name}")
    for text in found:
        out.line(text)
    return 0


def _wanted(args: Arguments) -> str:
    from fastbox.cli.netflags import ports
    from fastbox.cli.parser import UsageError

    text = args.operands[1]
    try:
        return ports(text)[0]
    except ValueError as error:
        raise UsageError(args.command, f'invalid port "{text}": {error}') from None
