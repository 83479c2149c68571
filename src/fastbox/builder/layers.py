"""Layers that steps have made: mountable at once, packed while the next step runs, published in
groups.

A step's tree lies in the build's work directory. A packer's thread writes its tar, packed, and so
learns its diff id; the publisher takes all that are ready, has one sync for them, and renames them
into the store. Whoever mounts trees does it within `still()`: no tree is renamed meanwhile. A build
that is killed loses what was not published, and nothing else.
"""

from __future__ import annotations

import os
import threading
from collections import deque

from fastbox import _bytes, _files
from fastbox.builder.made import Made, stack
from fastbox.errors import FastboxError, os_error
from fastbox.store.content import Content, staged_path
from fastbox.store.extract import NewLayers, describe
from fastbox.store.layers import Layer, Layers, chain_over
from fastbox.store.lease import Work
from fastbox.store.merge import take_attributes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from fastbox.store.root import Root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class LayerStore:
    """The layers of one build. Close it: what is on its way is published first.

    Attributes:
        epoch: SOURCE_DATE_EPOCH: no file in a layer is later; None: times stay.
        broken: Some could not be stored or remembered.
    """

    def __init__(self, root: Root, work: Work, epoch: int | None) -> None:
        self._root, self._work, self.epoch = root, work, epoch
        self._layers = Layers(root)
        self.broken = False
        self._changed = threading.Condition()
        self._starting = 0  # who mounts trees just now
        self._moving = False
        self._queue: deque[_Job] = deque()
        self._ready: list[_Job] = []
        self._packing = 0
        self._closed = False
        self._number = 0
        self._threads: list[threading.Thread] = []

    # Trees

    def new_home(self) -> str:
        """A directory for a layer, without its `tree` yet."""
        with self._changed:
            self._number += 1
            number = self._number
        return self._work.directory(f"step{number}")

    def still(self) -> _Guard:
        """A `with` block in which trees stay where they are."""
        return _Guard(self._enter, self._leave)

    def _enter(self) -> None:
        with self._changed:
            while self._moving:
                self._changed.wait()
            self._starting += 1

    def _leave(self) -> None:
        with self._changed:
            self._starting -= 1
            self._changed.notify_all()

    def _alone(self) -> _Guard:
        return _Guard(self._stop_all, self._let_all)

    def _stop_all(self) -> None:
        with self._changed:
            self._moving = True
            while self._starting:
                self._changed.wait()

    def _let_all(self) -> None:
        with self._changed:
            self._moving = False
            self._changed.notify_all()

    def trees(self, top: Made | None) -> list[str]:
        """Where a stack's files are, topmost first; within `still()`."""
        return [made.tree for made in stack(top) if not made.empty]

    # Packing and publishing

    def add(
        self,
        home: str,
        below: Made | None,
        then: Callable[[Made], None],
        finally_: Callable[[], None],
    ) -> Made:
        """Take a step's finished tree, `home`/tree; it can be mounted from now on.

        Args:
            home: Of `new_home`.
            below: What it was made over.
            then: Called when it is published, before anybody who waits for it goes on.
            finally_: Called after that, or when it can't be published.
        """
        job = _Job(Made(home + "/tree", below), then, finally_)
        try:
            job.size = self._settle(job.made)
        except BaseException as error:
            finally_()
            raise (_failure(error) if isinstance(error, OSError) else error) from error
        with self._changed:
            self._queue.append(job)
            self._packing += 1
            if not self._threads:
                self._start()
            self._changed.notify_all()
        return job.made

    def _settle(self, made: Made) -> int:
        """Make a tree what its archive will say, before anybody reads or mounts it: nothing of it
        changes afterwards. The bytes of its files.
        """
        tree = os.open(made.tree, _DIRECTORY)
        try:
            size = int(_files.settle_tree(tree, self.epoch))
        finally:
            os.close(tree)
        self._take_root(made)
        return size

    def _take_root(self, made: Made) -> None:
        """No archive says anything of the root itself: it is as below, as in a layer that was
        loaded.
        """
        with self.still():
            below = self.trees(made.below)
            if not below:
                return
            source = os.open(below[0], _DIRECTORY)
        try:
            target = os.open(made.tree, _DIRECTORY)
            try:
                take_attributes(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _start(self) -> None:
        for target in (self._pack_all, self._publish_all):
            thread = threading.Thread(target=target, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pack_all(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closed:
                        return
                    self._changed.wait()
                job = self._queue.popleft()
            error: BaseException | None = None
            try:
                self._pack(job.made, job.size)
            except OSError as failed:
                error = _failure(failed)
            except BaseException as failed:
                error = failed
            if error is not None:
                job.settle(error)
            with self._changed:
                if error is None:
                    self._ready.append(job)
                self._packing -= 1
                self._changed.notify_all()

    def _pack(self, made: Made, size: int) -> None:
        tree = os.open(made.tree, _DIRECTORY)
        try:
            fd = os.open(_packed(made), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                packed, diff, packed_size, _, entries = _bytes.write_changes(
                    tree, fd, max_mtime=self.epoch
                )
            finally:
                os.close(fd)
        finally:
            os.close(tree)
        made.layer = Layer(
            chain_id="", diff_id="sha256:" + diff, digest="sha256:" + packed,
            packed_size=packed_size, size=size, entries=entries,
        )  # fmt: skip

    def _publish_all(self) -> None:
        while True:
            with self._changed:
                while not self._ready:
                    if self._closed and not self._packing and not self._queue:
                        return
                    self._changed.wait()
                group, self._ready = self._ready, []
            self._publish(group)

    def _publish(self, group: list[_Job]) -> None:
        """One packer works in the order in which steps end, so what is below is packed before."""
        error: BaseException | None = None
        try:
            full = [job.made for job in group if self._chained(job.made)]
            if full:
                with Work(self._root) as work:
                    self._store(work, full)
            for job in group:
                job.then(job.made)
        except OSError as failed:
            error = _failure(failed)
        except BaseException as failed:
            error = failed
        self.broken = self.broken or error is not None
        for job in group:
            job.settle(error)

    def _chained(self, made: Made) -> bool:
        """Give it its chain id; False for one that changed nothing: it stands for what is below.

        Raises:
            FastboxError: What is below could not be published.
        """
        assert made.layer is not None
        if made.below is not None and made.below.settled:
            made.below.wait()
        below = made.below.chain if made.below else ""
        if made.empty:
            made.chain = below
            return False
        made.chain = chain_over(below, made.layer.diff_id)
        made.layer = made.layer.replace(chain_id=made.chain)
        return True

    def _store(self, work: Work, group: list[Made]) -> None:
        content, layers = Content(self._root), NewLayers(self._root, work)
        for made in group:
            assert made.layer is not None
            os.rename(_packed(made), staged_path(work, made.layer.digest))
            describe(os.path.dirname(made.tree), made.layer)
        _bytes.sync_file_system(work.fd)
        content.publish(work)
        with self._alone():
            for made in group:
                layers.place(os.path.dirname(made.tree), made.chain)
                made.tree = self._layers.tree(made.chain)

    def close(self) -> None:
        """Publish what is on its way, and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()


def _failure(error: OSError) -> FastboxError:
    return os_error(error, "cannot store the layer", getattr(error, "path", ""))


class _Guard:
    """A `with` block between two calls."""

    __slots__ = ("_begin", "_end")

    def __init__(self, begin: Callable[[], None], end: Callable[[], None]) -> None:
        self._begin, self._end = begin, end

    def __enter__(self) -> None:
        self._begin()

    def __exit__(self, *_: object) -> None:
        self._end()


class _Job:
    __slots__ = ("_finally", "made", "size", "then")

    def __init__(
        self, made: Made, then: Callable[[Made], None], finally_: Callable[[], None]
    ) -> None:
        self.made, self.then, self._finally = made, then, finally_
        self.size = 0

    def settle(self, error: BaseException | None) -> None:
        self._finally()
        self.made.settle(error)


def _packed(made: Made) -> str:
    return os.path.dirname(made.tree) + "/packed"
