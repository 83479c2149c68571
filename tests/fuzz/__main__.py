"""Seeds for fuzz_spec: `python -m tests.fuzz DIRECTORY`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..conformance import document

CONFIG = b"\0"  # what fuzz_spec.c takes a first byte of 0 for


def main(directory: Path) -> None:
    """One seed for the whole configuration, and one for each of its parts by itself."""
    directory.mkdir(parents=True, exist_ok=True)
    full = document.full()
    least = {key: full[key] for key in ("ociVersion", "root", "process")}
    for part in full:
        text = json.dumps(least | {part: full[part]}).encode()
        (directory / part).write_bytes(CONFIG + text)
    (directory / "full").write_bytes(CONFIG + json.dumps(full).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
