"""Where fastbox differs from docker's builders on purpose; docs/builds.md tells it to people."""

from __future__ import annotations

from fastbox.support.record import Record


class Difference(Record):
    """Lines of a comparison that may be there: `fastbox / other`."""

    cases: str  # a name, or a pattern of names
    parties: tuple[str, ...]
    what: str  # a regular expression for the beginning of such a line
    reason: str


CLASSIC, BUILDKIT, BOTH = ("classic",), ("buildkit",), ("buildkit", "classic")


def _of(cases: str, parties: tuple[str, ...], what: str, reason: str) -> Difference:
    return Difference(cases=cases, parties=parties, what=what, reason=reason)


DIFFERENCES: list[Difference] = []
