"""Numbers as people write them: sizes, durations, instants, CPUs, ulimits, modes. Strict,
with explicit ranges.

Everything raises ValueError with a fragment that says why; the caller knows which flag it was.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.types import Device, Ulimit

MAX_SIZE = 1 << 62
_SIZE_SHIFTS = {"": 0, "b": 0} | {
    letter + ending: 10 * power
    for power, letter in enumerate("kmgtp", 1)
    for ending in ("", "b", "ib")
}
_SECOND = 1_000_000_000
_DURATIONS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": _SECOND, "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}  # fmt: skip
ULIMITS = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip


def integer(text: str, low: int = 0, high: int = MAX_SIZE) -> int:
    """A decimal number: digits, and a minus where the range has room for it."""
    digits = text[1:] if text[:1] == "-" and low < 0 else text
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        raise ValueError("not a whole number")
    value = int(text)
    if not low <= value <= high:
        raise ValueError(f"not between {low} and {high}")
    return value


def _decimal(text: str) -> tuple[int, int]:
    """A number without sign or exponent as (digits, how many of them are after the point)."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 24 or text[-1:] == ".":
        raise ValueError("not a number")
    return int(digits), len(fraction)


def size(text: str) -> int:
    """Bytes: "64m", "1.5g", "64 MiB", "1024"; powers of 1024, as docker reads them."""
    body = text.lower()
    number = body.rstrip("kmgtpib")
    shift = _SIZE_SHIFTS.get(body[len(number) :])
    if shift is None:
        raise ValueError("not a size in bytes, k, m, g, t or p")
    digits, places = _decimal(number.removesuffix(" "))
    value: int = (digits << shift) // 10**places
    if value > MAX_SIZE:
        raise ValueError("larger than 4 EiB")
    return value


def duration(text: str) -> float:
    """Seconds: "90s", "1h30m", "250ms"."""
    total, rest = 0, text
    if not rest:
        raise ValueError("not a duration")
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        rest = rest[len(unit) :]
        if unit not in _DURATIONS:
            raise ValueError("not a duration in h, m, s, ms, us or ns")
        digits, places = _decimal(number)
        total += digits * _DURATIONS[unit] // 10**places
    if total > MAX_SIZE:
        raise ValueError("longer than 146 years")
    return total / 1e9


def cpus(text: str) -> float:
    """A number of CPUs: "0.5", "2"; 0 means no limit; down to a thousandth."""
    digits, places = _decimal(text)
    value: float = digits / 10**places
    if value and not 0.001 <= value <= 8192:
        raise ValueError("not between 0.001 and 8192")
    return value


def ulimit(text: str) -> Ulimit:
    """A resource limit: "nofile=1024:2048", "core=0", "memlock=-1"."""
    name, equals, values = text.partition("=")
    if not equals or name not in ULIMITS:
        raise ValueError("not name=soft[:hard] with a name among " + ", ".join(ULIMITS))
    soft, colon, hard = values.partition(":")
    low = integer(soft, -1)
    high = integer(hard, -1) if colon else low
    if high != -1 and (low == -1 or low > high):
        raise ValueError("the soft limit is above the hard one")
    from fastbox.types import Ulimit

    return Ulimit(name=name, soft=low, hard=high)


def restart_policy(text: str) -> tuple[str, int]:
    """A restart policy's name and how many starts it allows (0: any number): "no", "always",
    "unless-stopped", "on-failure", "on-failure:3"; "" is "no". The reasons are docker's.
    """
    name, colon, most = text.partition(":")
    if name not in ("", "no", "on-failure", "always", "unless-stopped"):
        raise ValueError(f"invalid restart policy '{name}'")
    if not colon:
        return name or "no", 0
    if most[:1] == "-" and most[1:].isdigit():
        raise ValueError("maximum retry count cannot be negative")
    if not (most.isascii() and most.isdigit()) or len(most) > 9:
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    if name != "on-failure":
        raise ValueError(f"maximum retry count cannot be used with restart policy '{name}'")
    return name, int(most)


def device(text: str) -> Device:
    """A device: "/dev/host[:/dev/inside][:rwm]", or "vendor/class=name" of CDI."""
    from fastbox.types import Device

    if text[:1] != "/" and "=" in text:
        return Device(source=text)
    parts = text.split(":")
    access = parts.pop() if len(parts) > 1 and _is_access(parts[-1]) else "rwm"
    if text[:1] != "/" or len(parts) > 2:
        raise ValueError("not /dev/host[:/dev/inside][:rwm], nor vendor/class=name")
    target = parts[1] if len(parts) == 2 else ""
    if len(parts) == 2 and target[:1] != "/":
        raise ValueError(f'"{target}" is neither an absolute path nor made of r, w and m')
    return Device(source=parts[0], target=target, access=access)


def _is_access(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def octal_mode(text: str) -> int:
    """A file mode: "1777", "0755"."""
    if not text or len(text) > 6 or text.strip("01234567"):
        raise ValueError("not an octal mode")
    value = int(text, 8)
    if value > 0o7777:
        raise ValueError("above 7777")
    return value


def instant(text: str) -> int:
    """Nanoseconds since 1970: RFC 3339 (no zone means UTC; the time or its seconds may be missing)
    or a number of seconds, as `date +%s.%N` prints.
    """
    if text.replace(".", "", 1).isdigit():
        digits, places = _decimal(text)
        nanoseconds: int = digits * 10**9 // 10**places
        return nanoseconds
    day, _, clock = text.replace("t", "T").replace(" ", "T").partition("T")
    clock, offset = _zone(clock)
    whole, _, fraction = clock.partition(".")
    year, month, date = _numbers(day, "-", 3)
    parts = _numbers(whole, ":", 0)
    hour, minute, second = (*parts, 0, 0, 0)[:3]
    if not (1 <= month <= 12 and 1 <= date <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise ValueError("not a time as in 2026-01-02T03:04:05Z")
    seconds = _days(year, month, date) * 86400 + hour * 3600 + minute * 60 + second - offset
    return seconds * 10**9 + integer((fraction[:9] or "0").ljust(9, "0"))


def _zone(clock: str) -> tuple[str, int]:
    """A time of day without its zone, and the zone's offset in seconds."""
    if clock[-1:] in ("Z", "z"):
        return clock[:-1], 0
    at = max(clock.find("+"), clock.find("-"))
    if at < 0:
        return clock, 0
    hours, minutes = _numbers(clock[at + 1 :], ":", 2)
    return clock[:at], (hours * 3600 + minutes * 60) * (-1 if clock[at] == "-" else 1)


def _numbers(text: str, separator: str, count: int) -> list[int]:
    parts = text.split(separator) if text else []
    if (count and len(parts) != count) or len(parts) > 3:
        raise ValueError("not a time as in 2026-01-02T03:04:05Z")
    return [integer(part, 0, 9999) for part in parts]


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the Gregorian calendar; years begin in March, so that the leap day comes
    last.
    """
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468
