"""`history`: how an image came to be, newest first, with what each step added."""

from __future__ import annotations

from fastbox.types import HistoryEntry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastbox.images.documents import Config

MISSING = "<missing>"


def history(image: str, config: Config, sizes: Sequence[int]) -> list[HistoryEntry]:
    """The steps of an image.

    Args:
        image: Its id, which the newest step bears.
        config: Its configuration.
        sizes: Bytes that each of its layers adds, bottom first.
    """
    waiting = list(reversed(sizes))  # the next layer last
    steps = [_step(entry, waiting) for entry in _steps(config)]
    while waiting:  # layers that the configuration tells no story of
        steps.append(HistoryEntry(id=MISSING, size=waiting.pop()))
    steps.reverse()
    return [steps[0].replace(id=image), *steps[1:]] if steps else []


def _steps(config: Config) -> list[dict[str, Any]]:
    """An author's text: what is not as the specification has it says nothing."""
    found = config.document.get("history")
    entries = found if isinstance(found, list) else []
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _step(entry: dict[str, Any], waiting: list[int]) -> HistoryEntry:
    empty = entry.get("empty_layer") is True or not waiting
    return HistoryEntry(
        id=MISSING,
        created=_text(entry, "created"),
        created_by=_text(entry, "created_by"),
        comment=_text(entry, "comment"),
        size=0 if empty else waiting.pop(),
    )


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""
