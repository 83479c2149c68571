"""The kernel's own account of what exists, to prove that a test left nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CGROUPS = Path("/sys/fs/cgroup")
SLOW = float(os.environ.get("FASTBOX_TEST_SLOW", "1"))  # how much longer an emulated machine takes

# What a process without a filter of its own shows: these tests may run below one (tests/lanes).
UNFILTERED = next(
    line
    for line in Path("/proc/self/status").read_text().splitlines()
    if line.startswith("Seccomp:")
)


def mounts() -> list[str]:
    return sorted(
        line.split(" - ")[0].split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    )


def cgroups() -> list[str]:
    """Every group below a `fastbox` directory of any hierarchy."""
    found = []
    for top in [CGROUPS / "fastbox", *CGROUPS.glob("*/fastbox")]:
        # Not glob: groups vanish while one looks.
        found += [path for path, _, _ in os.walk(top) if path != str(top)]
    return sorted(found)


def supervisors(run: str) -> list[int]:
    """Pids of supervisors that serve `run`."""
    return sorted(
        int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline") if _serves(p, run)
    )


def _serves(cmdline: Path, run: str) -> bool:
    try:
        words = cmdline.read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"fastbox-supervisor") and os.fsencode(run) in words


def namespaces() -> int:
    """How many network, mount and pid namespaces have a living process in them; a zombie that init has yet to reap has but the last."""
    seen: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            seen.update([os.readlink(process / "ns" / kind) for kind in ("net", "mnt", "pid")])
    return len(seen)


def links() -> list[str]:
    """Network devices of ours: bridges, their shards, and the host's ends of containers' links."""
    return sorted(name for _, name in socket.if_nameindex() if name.startswith(("fb-", "fbv")))


def bridges_of(root: str) -> list[str]:
    """The bridges of a store's networks."""
    heads = [p.parent.name[:10] for p in Path(root).glob("networks/*/record.json")]
    return [name for name in links() if name[:3] == "fb-" and name[3:13] in heads]


def remove_bridges(names: list[str]) -> None:
    """A store's bridges stay when the store goes; the rules stay while there is a bridge."""
    from fastbox import _net

    for name in names:
        _net.link_delete(name)  # a shard's with the pair that joins it to its bridge
    if not links():
        for family in ("inet", "bridge"):
            words = ["nft", "delete", "table", family, "fastbox"]
            subprocess.run(words, check=False, capture_output=True)


def remove_other_bridges(known: list[str], root: str) -> None:
    """Those that came since, of stores that a test has made for itself."""
    mine = bridges_of(root)
    remove_bridges([n for n in links() if n[:3] == "fb-" and n not in known and n not in mine])


def snapshot(root: str, run: str) -> dict[str, object]:
    store = Path(root)
    return {
        "mounts": mounts(),
        "cgroups": cgroups(),
        "supervisors": supervisors(run),
        "namespaces": namespaces(),
        "containers": sorted(os.listdir(store / "containers")) if store.exists() else [],
        "names": sorted(os.listdir(store / "names")) if store.exists() else [],
        "tmp": sorted(os.listdir(store / "tmp")) if store.exists() else [],
        "volumes": sorted(p.name for p in (store / "volumes").glob("*")),
        # A shard stays with its network, as the bridge does.
        "links": [name for name in links() if not re.search(r"s\d+$", name)],
        "leases": sorted(p.name for p in store.glob("networks/*/leases/*")),
        "live": sorted(
            str(p.relative_to(run)) for p in Path(run).glob("*/*") if p.parent.name != "netd"
        ),
    }


def until(condition: Callable[[], T], seconds: float = 10.0) -> T:
    """Wait for what must come; what it was when it came."""
    end = time.monotonic() + seconds * SLOW
    while not (found := condition()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
    return found


def runs(*argv: str) -> bool:
    """Whether some process of this machine has exactly these arguments: what a test had a container begin."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in argv)
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes() == wanted:
                return True
    return False


def supervisor(run: str) -> int:
    """The pid of the only supervisor; a child of it that has yet to execute its program looks like a second."""
    found: list[int] = []

    def is_alone() -> bool:
        found[:] = supervisors(run)
        return len(found) == 1

    until(is_alone)
    return found[0]


def quiet(run: str, seconds: float = 10.0) -> None:
    """Wait for supervisors that still clean up after the answer they gave."""
    end = time.monotonic() + seconds * SLOW
    while len(supervisors(run)) > len(_busy(run)) and time.monotonic() < end:
        time.sleep(0.01)


def _busy(run: str) -> set[str]:
    """The supervisors whose containers have not ended: they go on."""
    found = set()
    for path in Path(run).glob("containers/*"):
        with contextlib.suppress(OSError, ValueError):
            live = json.loads(path.read_text())
            directory = Path(live["directory"])
            if directory.is_dir() and not (directory / "exit").exists():
                found.add(live["supervisor"])
    return found


def settle(
    before: dict[str, object], root: str, run: str, seconds: float = 10.0
) -> dict[str, object]:
    """What is there now and was not `before`, once it is nothing or the time is over."""
    end = time.monotonic() + seconds * SLOW
    while True:
        now = snapshot(root, run)
        more = {key: _more(before[key], now[key]) for key in before}
        more = {key: value for key, value in more.items() if value}
        if not more or time.monotonic() > end:
            return more
        time.sleep(0.02)


def _more(before: object, now: object) -> object:
    if isinstance(before, list) and isinstance(now, list):
        return [item for item in now if now.count(item) > before.count(item)]
    assert isinstance(before, int)
    assert isinstance(now, int)
    return max(now - before, 0)
