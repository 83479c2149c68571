"""Ages, sizes and command lines in docker's words."""

from __future__ import annotations

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_midnights: dict[str, int] = {}  # a listing has few days and many times
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def age(seconds: float) -> str:
    """How long something took or has been: "5 minutes", "About an hour"."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 2:
        return "1 second"
    if seconds < _MINUTE:
        return f"{int(seconds)} seconds"
    if seconds < 2 * _MINUTE:
        return "About a minute"
    if seconds < _HOUR:
        return f"{int(seconds / _MINUTE)} minutes"
    hours = int(seconds / _HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for limit, days, word in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < 24 * limit:
            return f"{hours // 24 // days} {word}"
    return f"{int(seconds / _DAY) // 365} years"


def since(moment: str, now: float) -> str:
    """How long ago an RFC 3339 time was, without "ago"; "" for no time."""
    if not moment:
        return ""
    day, clock = moment[:11], moment[11:]
    if clock[-1:] != "Z":
        from fastbox.units import instant

        return age(now - instant(moment) / 1e9)
    midnight = _midnights.get(day)
    if midnight is None:
        from fastbox.units import instant

        midnight = _midnights[day] = instant(day + "00:00:00Z") // 10**9
    return age(now - midnight - int(clock[:2]) * 3600 - int(clock[3:5]) * 60 - float(clock[6:-1]))


def size(count: int) -> str:
    """A number of bytes with three digits and a unit, powers of 1000."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g}{_SIZES[unit]}"


def moment(text: str) -> str:
    """An RFC 3339 time in UTC as docker's listings have it: "2026-01-02 03:04:05 +0000 UTC"."""
    import time

    from fastbox.units import instant

    if not text:
        return "N/A"
    return time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(instant(text) // 10**9))


def iso(text: str) -> str:
    """A time to the second, in UTC, as RFC 3339 has it; "" for none, or what can't be read."""
    import time

    from fastbox.units import instant

    try:
        seconds = instant(text) // 10**9 if text else 0
    except ValueError:
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds)) if text else ""


def one_line(text: str) -> str:
    """An author's text on one line, with everything escaped that isn't printable."""
    from fastbox.errors import printable

    return printable(text.replace("\t", " ").replace("\n", " "))


def quoted(text: str) -> str:
    """Text in double quotes, with everything escaped that isn't printable."""
    from fastbox.errors import printable

    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def cut(text: str, width: int) -> str:
    """At most so many characters, the last one an ellipsis when some are missing."""
    return text if len(text) <= width else text[: width - 1] + "…"
