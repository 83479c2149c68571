"""What containers use: readings of their control groups, and docker's arithmetic over two of them.

A container is looked at once for its name and its groups; a reading after that is one call of
native code, and one look whether the live state is still there.
"""

from __future__ import annotations

import os
import time

from fastbox import _native
from fastbox.runtime import state
from fastbox.support.record import Record
from fastbox.types import Stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastbox.store.containers import ContainerRecord, ContainerStore

_NANOSECONDS = 1_000_000_000
_NONE = (1 << 63) - (1 << 16)  # v1 says "no limit" by the largest number of pages, v2 by "max"


class Watched(Record):
    """A container that runs: where its readings are."""

    id: str
    name: str
    groups: tuple[str, ...]
    pid: int  # whose network is the container's; 0: the host's
    stamp: tuple[int, int]  # of the live state: another one is another run


class Reading(Record):
    """One moment of the whole host."""

    time: float
    system: int  # nanoseconds of CPU time of the host
    samples: Mapping[str, tuple[int, ...]]


class Watch:
    """The containers asked for, and their last reading."""

    def __init__(
        self, store: ContainerStore, run: str, references: Sequence[str], all: bool
    ) -> None:
        self._store, self._run, self._all = store, run, all
        self._ids = [store.find(reference) for reference in dict.fromkeys(references)]
        self._watched: dict[str, Watched] = {}
        self._idle: dict[str, str] = {}  # the names of those that don't run
        self._last: Reading | None = None
        self._v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        self._memory = _host_memory()
        self._cpus = os.cpu_count() or 1

    def read(self) -> tuple[Stats, ...]:
        """A reading, compared with the one before; in the order asked for, else newest first."""
        self._look()
        samples = {
            each.id: _native.sample(each.groups, self._v2, each.pid)
            for each in self._watched.values()
        }
        now = Reading(time=time.time(), system=_system_cpu(), samples=samples)
        before, self._last = self._last, now
        found = [self._stats(each, now, before) for each in self._watched.values()]
        if self._all or self._ids:
            found += [Stats(id=each, name=name) for each, name in self._idle.items()]
        if self._ids:
            place = {each: index for index, each in enumerate(self._ids)}
            found.sort(key=lambda stats: place[stats.id])
        return tuple(found)

    @property
    def running(self) -> bool:
        """Whether any of them ran at the last reading."""
        return bool(self._watched)

    def _look(self) -> None:
        """Who runs: only a live state that is new, or that has changed, is read."""
        ids = self._ids or (self._store.ids() if self._all else self._live_ids())
        self._idle.clear()
        watched = {}
        for container in ids:
            known = self._watched.get(container)
            stamp = _stamp(f"{self._run}/containers/{container}")
            if stamp is None:
                self._note_idle(container)
            elif known is not None and known.stamp == stamp:
                watched[container] = known
            else:
                found = self._watch(container, stamp)
                if found is not None:
                    watched[container] = found
                else:
                    self._note_idle(container)
        self._watched = watched

    def _live_ids(self) -> list[str]:
        return [name for name in os.listdir(self._run + "/containers") if len(name) == 64]

    def _note_idle(self, container: str) -> None:
        record = self._record(container)
        if record is not None:
            self._idle[container] = record.name

    def _record(self, container: str) -> ContainerRecord | None:
        try:
            return self._store.read(container)
        except ValueError:
            return None

    def _watch(self, container: str, stamp: tuple[int, int]) -> Watched | None:
        record = self._record(container)
        try:
            live = state.read_live(self._run, container)
        except ValueError:
            live = None
        if record is None or live is None or not state.supervisor_alive(self._run, live.supervisor):
            return None
        return Watched(
            id=container,
            name=record.name,
            groups=live.cgroups,
            pid=0 if record.options.get("network") == "host" else live.pid,
            stamp=stamp,
        )

    def _stats(self, each: Watched, now: Reading, before: Reading | None) -> Stats:
        cpu, memory, inactive, limit, read, written, received, sent, pids = now.samples[each.id]
        total = self._memory if limit >= _NONE else min(limit, self._memory)
        used = memory - inactive if inactive < memory else memory
        earlier = before.samples.get(each.id) if before else None
        percent = 0.0
        if before and earlier and now.system > before.system and cpu > earlier[0]:
            percent = (cpu - earlier[0]) / (now.system - before.system) * self._cpus * 100.0
        return Stats(
            id=each.id, name=each.name, running=True, read=now.time, cpu=cpu, cpu_percent=percent,
            memory=used, memory_limit=total, memory_percent=used / total * 100.0 if total else 0.0,
            net_received=received, net_sent=sent, block_read=read, block_written=written, pids=pids,
        )  # fmt: skip


def once(
    store: ContainerStore, run: str, references: Sequence[str], all: bool, interval: float
) -> tuple[Stats, ...]:
    """One list, from two readings, or from one when `interval` is 0."""
    watch = Watch(store, run, references, all)
    found = watch.read()
    if interval > 0 and watch.running:
        time.sleep(interval)
        found = watch.read()
    return found


def stream(
    store: ContainerStore, run: str, references: Sequence[str], all: bool, interval: float
) -> Iterator[tuple[Stats, ...]]:
    """A list every `interval` seconds."""
    watch = Watch(store, run, references, all)
    watch.read()
    due = time.monotonic()
    while watch.running or not references or all:
        due = max(due + interval, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0))
        yield watch.read()


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _system_cpu() -> int:
    """Of all CPUs together, in every mode but those of guests, which are part of others."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()[1:8]
    return sum(map(int, fields)) * (_NANOSECONDS // os.sysconf("SC_CLK_TCK"))


def _host_memory() -> int:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return pages * size
