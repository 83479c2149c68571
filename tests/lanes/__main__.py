"""The start suite once for each refusal: `python -m tests.lanes [part of a lane's name]...`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import shim

TOP = Path(__file__).resolve().parents[2]
SUITE = [
    f"tests/integration/test_{name}.py"
    for name in ("run", "lifecycle", "limits", "security", "engine", "terminal")
]


def main(wanted: list[str]) -> int:
    """Run the lanes that are asked for, or all; 1 when one of them failed."""
    lanes = [lane for lane in shim.LANES if not lane.needs]
    if wanted:
        lanes = [lane for lane in lanes if any(word in lane.name for word in wanted)]
    failed = [lane.name for lane in lanes if not run(lane)]
    print(f"{len(lanes)} lanes, failed: {', '.join(failed) or 'none'}")
    return 1 if failed or not lanes else 0


def run(lane: shim.Lane) -> bool:
    begin = time.monotonic()
    log = shim.BUILD / f"{lane.name}.log"
    words = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    environ = dict(os.environ)
    if lane.command_only:
        environ["PATH"] = f"{wrapper(lane)}:{environ['PATH']}"
        # The tests compare with themselves, so they are below a filter as well.
        words = [*shim.denying("getpmsg"), *words, *(x for x in SUITE if "engine" not in x)]
    else:
        words = [*shim.denying(*lane.rules), *words, *SUITE]
    with log.open("wb") as out:
        code = subprocess.run(words, cwd=TOP, env=environ, stdout=out, stderr=out).returncode
    last = log.read_text().splitlines()[-1]
    print(f"{lane.name:28} {last.strip('= ')} ({time.monotonic() - begin:.0f} s)", flush=True)
    if code:
        print(f"  see {log}", flush=True)
    return code == 0


def wrapper(lane: shim.Lane) -> str:
    """A directory in which `fastbox` is the one of the PATH, below the filter."""
    directory = shim.BUILD / lane.name
    directory.mkdir(parents=True, exist_ok=True)
    script = directory / "fastbox"
    words = " ".join(f"'{word}'" for word in [*shim.denying(*lane.rules), shutil.which("fastbox")])
    # The tests' image is read by threads.
    plain = f'[ "$1" != import ] || exec \'{shutil.which("fastbox")}\' "$@"'
    script.write_text(f'#!/bin/sh\n{plain}\nexec {words} "$@"\n')
    script.chmod(0o755)
    return str(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
