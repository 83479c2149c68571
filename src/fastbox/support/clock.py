"""Times as documents carry them."""

from __future__ import annotations

import time


def now() -> str:
    """The wall clock now: RFC 3339, UTC, nanoseconds."""
    return rfc3339(time.time_ns())


def rfc3339(nanoseconds: int) -> str:
    """A count of nanoseconds since 1970 as RFC 3339 in UTC."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"
