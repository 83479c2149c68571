"""The known word that is a typing mistake away from one that nobody knows."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 100  # letters: the comparison takes the product of both lengths


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that is a typing mistake away, or ""."""
    if len(word) > _LONGEST:
        return ""
    limit = 1 if len(word) < 5 else 2
    best = min(((distance(word, other), other) for other in known), default=(limit + 1, ""))
    return best[1] if best[0] <= limit else ""


def distance(a: str, b: str) -> int:
    """How many letters to insert, delete, replace or swap with their neighbour make one of the
    other.
    """
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, left in enumerate(a, 1):
        last, row, older = row, [i], before
        for j, right in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == b[j - 2] and a[i - 2] == right:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]
