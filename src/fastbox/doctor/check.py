"""One line of the doctor's."""

from __future__ import annotations

from fastbox.support.record import Record

OK, FALLBACK, MISSING = "ok", "fallback", "missing"


class Check(Record):
    """What was looked at, and how it is.

    Attributes:
        group: The heading it stands under.
        name: What was looked at.
        state: "ok", "fallback" (fastbox does it in another way) or "missing".
        detail: What was found; for a fallback what it is and costs, else what is lost.
        mend: The command or the setting that mends it; "" when it is ok.
        required: Whether no container runs without it.
    """

    group: str
    name: str
    state: str
    detail: str = ""
    mend: str = ""
    required: bool = False


def read(path: str, limit: int = 1 << 16) -> str:
    """The text of one of the kernel's files without its last newline; "" when it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limit).decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""
