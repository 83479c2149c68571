"""Times as docker's --since and --until take them, as nanoseconds since 1970."""

from __future__ import annotations

import time

from fastbox import units

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

EARLIEST = -(1 << 63)
LATEST = (1 << 63) - 1


def nanoseconds(moment: datetime | float | str) -> int:
    """What a caller means: a datetime (a naive one is local), seconds since 1970, or a text.

    Raises:
        ValueError: A text that is none of docker's forms.
    """
    if isinstance(moment, str):
        return parse(moment)
    if isinstance(moment, (int, float)):
        return _bounded(round(moment * 1_000_000) * 1000)
    return round(moment.timestamp() * 1_000_000) * 1000


def parse(text: str) -> int:
    """A duration back from now ("10m", "1h30m", "-5s" is ahead), RFC 3339 in any length (without a
    zone it is local time, as docker's client has it), or seconds since 1970 with a fraction.

    Raises:
        ValueError: It is none of them.
    """
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest[:1].isdigit() and rest[-1:].isalpha() and not rest[-1:].isupper():
        try:
            back = units.duration(rest)
        except ValueError:
            if "-" not in rest:
                raise
        else:
            return _bounded(time.time_ns() - sign * round(back * 1_000_000_000))
    found = units.instant(text)
    if "-" not in text or _has_zone(text):
        return _bounded(found)
    return _bounded(found - _local_offset(found))


def _has_zone(text: str) -> bool:
    return text[-1:] in "zZ" or "+" in text or text.count("-") == 3


def _local_offset(nanoseconds: int) -> int:
    """How far the local clock is ahead when it shows this time, in nanoseconds."""
    seconds = nanoseconds // 1_000_000_000
    shown = time.gmtime(seconds)
    return (seconds - round(time.mktime((*shown[:8], -1)))) * 1_000_000_000


def _bounded(value: int) -> int:
    return max(EARLIEST, min(value, LATEST))
