"""Names and numbers of signals, without `signal`, which builds enums (5 ms)."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]

from fastbox.errors import InvalidArgument


def number(signal: int | str) -> int:
    """The number of 9, "9", "KILL", "sigkill" or "RTMIN+3".

    Raises:
        InvalidArgument: No such signal.
    """
    text = str(signal).upper().removeprefix("SIG")
    if text.isascii() and text.isdigit():
        value = int(text)
    else:
        base, sign, offset = text.partition("+" if "+" in text else "-")
        found = getattr(_signal, "SIG" + base, None) if base.isalnum() else None
        plain = found if isinstance(found, int) else 0
        steps = (
            int(offset)
            if offset.isascii() and offset.isdigit() and base in ("RTMIN", "RTMAX")
            else 0
        )
        value = (
            plain + (steps if sign == "+" else -steps) if plain and bool(sign) == bool(steps) else 0
        )
    if not 1 <= value <= 64:
        raise InvalidArgument(f'unknown signal "{signal}"')
    return value
