"""The flags of `run` and `create` that say how a container starts again and how its health is
asked for. Imported when one of them is given.
"""

from __future__ import annotations

from fastbox.cli.parser import Arguments, UsageError
from fastbox.cli.values import read, whole
from fastbox.types import HealthCheck

_MOST = (1 << 31) - 1


HEALTH = (
    "health-cmd", "health-interval", "health-retries", "health-start-interval",
    "health-start-period", "health-timeout",
)  # fmt: skip


def values(args: Arguments) -> dict[str, object]:
    """Their fields of RunOptions.

    Raises:
        InvalidArgument: A value that can't be, or flags that contradict each other.
    """
    from fastbox import units

    text = args.text("restart")
    try:
        name, _ = units.restart_policy(text)
    except ValueError as error:
        raise UsageError(args.command, str(error)) from None
    if name != "no" and args.switch("rm"):
        raise UsageError(
            args.command, "conflicting options: cannot specify both --restart and --rm"
        )
    found: dict[str, object] = {"restart": "" if name == "no" else text}
    check = _health(args)
    return found | ({"health": check} if check else {})


def _health(args: Arguments) -> HealthCheck | None:
    if not any(map(args.given, HEALTH)):
        return HealthCheck(test=("NONE",)) if args.switch("no-healthcheck") else None
    if args.switch("no-healthcheck"):
        raise UsageError(args.command, "--no-healthcheck conflicts with --health-* options")
    line = args.text("health-cmd")
    return HealthCheck(
        test=("CMD-SHELL", line) if line else (),
        interval=_seconds(args, "health-interval"),
        timeout=_seconds(args, "health-timeout"),
        start_period=_seconds(args, "health-start-period"),
        start_interval=_seconds(args, "health-start-interval"),
        retries=whole(args, "health-retries", 0, _MOST, "3") or 0,
    )


def _seconds(args: Arguments, flag: str) -> float:
    from fastbox import units

    return read(args, flag, units.duration, "30s") or 0.0
