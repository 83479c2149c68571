"""Time limits end all that a command has started, and errors say what happened."""

from __future__ import annotations

import fastbox
from fastbox import errors


def main(image: str = "busybox") -> list[str]:
    """Meet the three errors that a judge of foreign programs meets every day."""
    met: list[str] = []
    with fastbox.Engine.open() as box, box.run(image, ["sleep", "60"], memory="64m") as c:
        try:
            c.exec(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.2)
        except errors.Timeout as error:
            met.append(type(error).__name__)
        try:
            c.exec(["sh", "-c", "echo wrong >&2; exit 3"]).check()
        except errors.ExecFailed as error:
            met.append(f"{type(error).__name__} {error.exit_status} {error.tail.strip()}")
        try:
            c.exec(["no-such-command"])
        except errors.CommandNotFound as error:
            met.append(type(error).__name__)
    return met


if __name__ == "__main__":
    print(*main(), sep="\n")
