"""The layers of one image on their way in, several at a time.

Each is read, checked and extracted by itself, bottom first. What an upper one needs of those below
(the owner of a directory that it does not list, the target of a hard link) makes it wait at a gate,
which opens when all below are complete; since they were begun earlier, none waits for ever.
"""

from __future__ import annotations

import os
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from fastbox import _bytes
from fastbox.images.documents import packing_of
from fastbox.images.watched import LOOK
from fastbox.support.ids import short
from fastbox.support.record import Record
from fastbox.types import Progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox.images.archive import Archive
    from fastbox.store.content import Descriptor
    from fastbox.store.extract import NewLayer, NewLayers
    from fastbox.store.layers import Layer

_THREADS = 4  # each holds some 10 MiB
_MANY = 256  # layers, from which on each extraction may need too many descriptors for two at a time


class Source(Record):
    """One layer of a plan: its member, and what the manifest says of it (if there is one)."""

    member: str
    packed: Descriptor | None


class _Task:
    """A layer with all it needs. Its thread fills it; the thread of the caller looks."""

    __slots__ = ("gate", "new", "path", "size", "source", "watch")

    def __init__(self, new: NewLayer, source: Source, path: str) -> None:
        self.new, self.source, self.path = new, source, path
        self.size = os.stat(path).st_size
        self.gate = os.eventfd(0, os.EFD_CLOEXEC)
        self.watch = _bytes.Watch()

    def run(self, lower: Sequence[int]) -> tuple[Layer, str]:
        """(The layer, how it is packed)."""
        with open(self.path, "rb", buffering=0) as file:
            start = file.read(4)
            file.seek(0)
            layer = self.new.fill(
                file.fileno(), self.source.packed, lower=lower, gate=self.gate, watch=self.watch
            )
        return layer, packing_of(start)

    def open_gate(self) -> None:
        os.eventfd_write(self.gate, 1)

    def close(self) -> None:
        self.new.close()
        os.close(self.gate)


class Staging:
    """Brings the layers of images into a work directory."""

    __slots__ = ("_archive", "_layers", "_progress")

    def __init__(
        self, layers: NewLayers, archive: Archive, progress: Callable[[Progress], None] | None
    ) -> None:
        self._layers, self._archive, self._progress = layers, archive, progress

    def run(
        self, sources: Sequence[Source], chains: Sequence[str], diff_ids: Sequence[str]
    ) -> list[tuple[Layer, str, str]]:
        """All layers of one image, bottom first: (layer, packing, path of its packed bytes).

        Raises:
            IntegrityError: One is not what was promised, or not safe to extract.
            DiskFull: No space.
        """
        tasks: list[_Task] = []
        try:
            for source, chain, diff_id in zip(sources, chains, diff_ids, strict=True):
                new = self._layers.begin(chain, diff_id)
                tasks.append(_Task(new, source, self._archive.stage(source.member)))
            found = _run_all(tasks, self._progress)
        finally:
            for task in tasks:
                task.close()
        return [(*pair, task.path) for pair, task in zip(found, tasks, strict=True)]


def _run_all(
    tasks: Sequence[_Task], progress: Callable[[Progress], None] | None
) -> list[tuple[Layer, str]]:
    trees = [task.new.tree for task in tasks]
    # One more than processors: a layer that is done may still wait for those below it.
    threads = min(len(tasks), len(os.sched_getaffinity(0)) + 1, _THREADS)
    if len(tasks) > _MANY:
        threads = 1
    with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="layer") as pool:
        futures = [pool.submit(task.run, trees[:at][::-1]) for at, task in enumerate(tasks)]
        try:
            _watch(tasks, futures, progress)
        except BaseException:  # an interrupt, too: nobody wants the rest
            for future in futures:
                future.cancel()
            for task in tasks:
                task.watch.stop()
                task.open_gate()
            raise
    return [future.result() for future in futures]


def _watch(
    tasks: Sequence[_Task],
    futures: Sequence[Future[tuple[Layer, str]]],
    progress: Callable[[Progress], None] | None,
) -> None:
    """Open gates and tell how far all is, until the end or the first failure."""
    pending = set(futures)
    complete = 0  # layers from the bottom that are
    for task in tasks[:1]:
        task.open_gate()
    while pending:
        ended, pending = wait(pending, LOOK if progress else None, FIRST_COMPLETED)
        for future in ended:
            future.result()
        while complete < len(tasks) and futures[complete].done():
            complete += 1
            if complete < len(tasks):
                tasks[complete].open_gate()
        if progress:
            for task, future in zip(tasks, futures, strict=True):
                _tell(task, future, progress, just_ended=future in ended)


def _tell(
    task: _Task,
    future: Future[tuple[Layer, str]],
    progress: Callable[[Progress], None],
    *,
    just_ended: bool,
) -> None:
    if future.done() and not just_ended:
        return
    status = "extracting" if future.running() else "waiting"
    current = task.watch.packed
    if just_ended:
        status, current = "exists" if task.new.known else "complete", task.size
    progress(Progress(id=short(task.new.diff_id), status=status, current=current, total=task.size))
