"""`--filter key=value`, as docker reads it: which keys there are is the caller's matter, what
labels and times mean is the same everywhere.
"""

from __future__ import annotations

import time

from fastbox import units
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Filters:
    """Filters, read once.

    Raises:
        InvalidArgument: Not key=value, or a key that the command does not know.

    Example:
        >>> Filters(["label=a=1", "dangling=true"], ("label", "dangling")).values("label")
        ['a=1']
    """

    def __init__(self, texts: Sequence[str], known: Sequence[str]) -> None:
        self._found: dict[str, list[str]] = {}
        for text in texts:
            key, equals, value = text.partition("=")
            key = key.strip().lower()
            if not equals:
                raise InvalidArgument(f'invalid filter "{text}"', hint="write key=value")
            if key not in known:
                raise InvalidArgument(
                    f'invalid filter "{key}"', hint="known: " + ", ".join(sorted(known))
                )
            self._found.setdefault(key, []).append(value.strip())

    def values(self, key: str) -> list[str]:
        """Every value of a key."""
        return self._found.get(key, [])

    def truth(self, key: str) -> bool | None:
        """A key that is true or false; None without it.

        Raises:
            InvalidArgument: Neither, or both.
        """
        values = {value.lower() for value in self.values(key)}
        if not values:
            return None
        if values <= {"true", "1", "t"}:
            return True
        if values <= {"false", "0", "f"}:
            return False
        raise InvalidArgument(f'invalid filter "{key}={self.values(key)[0]}"', hint="true or false")

    def labels_fit(self, labels: Mapping[str, str]) -> bool:
        """Whether all of `label` and none of `label!` are there, each with its value if it has
        one.
        """
        return all(_has(labels, text) for text in self.values("label")) and not any(
            _has(labels, text) for text in self.values("label!")
        )

    def until(self) -> int | None:
        """The moment of `until`, in nanoseconds since 1970; None without it.

        Raises:
            InvalidArgument: Neither a time nor a duration, or several.
        """
        values = self.values("until")
        if not values:
            return None
        if len(values) > 1:
            raise InvalidArgument("more than one until filter")
        try:
            if values[0][-1:] in ("s", "m", "h"):
                return time.time_ns() - int(units.duration(values[0]) * 1e9)
            return units.instant(values[0])
        except ValueError as error:
            raise InvalidArgument(
                f'invalid filter "until={values[0]}": {error}',
                hint="write 24h or 2026-01-02T03:04:05Z",
            ) from None


def _has(labels: Mapping[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)
