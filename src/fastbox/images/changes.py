"""`--change`: Dockerfile instructions that alter an image's configuration, as `import` and `commit`
take them.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

INSTRUCTIONS = (
    "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER",
    "VOLUME", "WORKDIR",
)  # fmt: skip


def apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A configuration with instructions applied in order; variables in them are the image's.

    Raises:
        InvalidArgument: An unknown instruction, or one that is malformed.

    Example:
        >>> apply_changes({}, ["CMD echo hi"])["Cmd"]
        ['/bin/sh', '-c', 'echo hi']
    """
    found = dict(config)
    for change in changes:
        try:
            _apply(found, change)
        except InvalidArgument as error:
            line = f"--change {change!r}: {error.what}"
            raise InvalidArgument(line, hint=error.hint) from None
    return found


def _apply(config: dict[str, Any], change: str) -> None:
    # Only who gives changes needs the language of Dockerfiles.
    from fastbox.dockerfile.config import apply
    from fastbox.dockerfile.expand import expanded
    from fastbox.dockerfile.parse import parse_line

    words = change.split(None, 1)
    if words and words[0].upper() not in INSTRUCTIONS:
        raise InvalidArgument("unknown instruction", hint="known: " + ", ".join(INSTRUCTIONS))
    env = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    apply(config, expanded(parse_line(change), env))
