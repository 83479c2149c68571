"""`system check` of the build cache: its records, and that what they tell of is there."""

from __future__ import annotations

import fcntl
import os
import time

from fastbox.store.buildcache import BuildCache
from fastbox.store.buildusage import is_usable
from fastbox.store.content import is_hex64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fastbox.store.buildcache import Step
    from fastbox.store.root import Root

_PRUNE = "`fastbox builder prune` removes it, and the next build makes the step again"
_TO_LOCK = 0.2  # seconds from making a directory to its lock or its record


def check_builds(root: Root) -> Iterator[tuple[str, str, str]]:
    """(what is wrong, where, what to do about it) of each finding. Who takes part in builds keeps
    the sweeper away, so layers don't vanish meanwhile.
    """
    cache = BuildCache(root)
    keys = cache.keys()
    doubtful = [key for key in keys if _wrong(root, cache, key)]
    if doubtful:
        time.sleep(_TO_LOCK)
    for key in sorted(doubtful):
        directory = root.path("build", "steps", key)
        what = _wrong(root, cache, key)
        if what and _is_free(directory):
            yield what, directory, _PRUNE
    for kind in ("steps", "mounts"):
        yield from _strangers(root.path("build", kind))


def _wrong(root: Root, cache: BuildCache, key: str) -> str:
    directory = root.path("build", "steps", key)
    step = cache.get(key)
    if step is None:
        if os.path.lexists(directory + "/record.json"):
            return "the record of a step is damaged"
        return "a step that was never finished" if _has_something(directory) else ""
    return "" if is_usable(root, step) else "the layer of a step is missing"


def _has_something(directory: str) -> bool:
    """An empty one is a lock that nobody has: of a build that was killed."""
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False


def _strangers(directory: str) -> Iterator[tuple[str, str, str]]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in sorted(names):
        if not is_hex64(name):
            yield "not a name of the build cache", f"{directory}/{name}", "remove it"


def _is_free(directory: str) -> bool:
    """Whether it is there and nobody is making the step."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return os.path.lexists(directory)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return os.path.lexists(directory)


def below(chain: str, parents: Mapping[str, str]) -> tuple[str, ...] | None:
    """The chain ids below a layer, topmost first; None when one of them is of nobody."""
    found: list[str] = []
    while chain:
        parent = parents.get(chain)
        if parent is None or parent in found:
            return None
        if parent:
            found.append(parent)
        chain = parent
    return tuple(found)


def steps_with_layers(root: Root) -> list[Step]:
    """The steps that made layers, as far as they can be read."""
    return [step for _, step in BuildCache(root).steps() if step.chain and is_usable(root, step)]
