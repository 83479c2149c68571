"""Looking at containers and at their files, by reference."""

from __future__ import annotations

from fastbox.store.containers import ContainerStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, Unpack

    from fastbox.containers.commit import CommitKeywords
    from fastbox.containers.copy import CopyKeywords
    from fastbox.containers.heal import View
    from fastbox.containers.logs import LogKeywords, LogReader
    from fastbox.containers.needs import ImageService, NetworkService
    from fastbox.store.containers import Held
    from fastbox.store.root import Root
    from fastbox.types import Change, ContainerInfo, LogLine, Stats, Top


class Looking:
    """What the containers of one store are, say and hold."""

    __slots__ = ("_images", "_networks", "_root", "_run", "_store")

    def __init__(
        self,
        root: Root,
        images: Callable[[], ImageService],
        networks: Callable[[], NetworkService],
    ) -> None:
        self._root, self._run, self._networks = root, root.run, networks
        self._images = images  # called when needed: a start from a directory imports none of it
        self._store = ContainerStore(root)

    def list(
        self,
        *,
        all: bool = False,
        filters: Sequence[str] = (),
        last: int = -1,
        size: bool = False,
    ) -> list[ContainerInfo]:
        """The running ones, or all, newest first.

        Args:
            all: Those that don't run, too.
            filters: Docker's, as key=value: ancestor, before, exited, expose, health, id, is-task,
                label, name, network, publish, since, status, volume.
            last: Only so many, in any state; below 0: no limit.
            size: Find out how much of the disk each takes.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.containers import listing

        return listing.find(
            self._store, self._run, self._images, all=all, filters=filters, last=last, size=size
        )

    def get(self, reference: str) -> ContainerInfo:
        """One container by id, unique beginning of an id, or name."""
        from fastbox.containers import heal

        return heal.info(self._view(self._store.find(reference)))

    def inspect(self, reference: str, *, size: bool = False) -> dict[str, object]:
        """One container as docker's inspect object; `size`: with how much of the disk it takes."""
        from fastbox.containers import inspect

        container = self._store.find(reference)
        return inspect.inspect(self._store, self._run, self._images, container, size=size)

    def logs(self, reference: str, **wishes: Unpack[LogKeywords]) -> Iterator[LogLine]:
        """What it wrote, line by line; what may be wished is in `logs.LogKeywords`."""
        return iter(self.open_log(reference, **wishes))

    def open_log(self, reference: str, **wishes: Unpack[LogKeywords]) -> LogReader:
        """Its log as a `logs.LogReader`, which any loop can wait on; Unsupported: none is kept."""
        from fastbox.containers import logs

        return logs.open_log(self._store, self._run, self._store.find(reference), wishes)

    def diff(self, reference: str) -> tuple[Change, ...]:
        """What it changed of its image's files, as `docker diff` lists it."""
        from fastbox.containers import filesystem

        return filesystem.diff(self._store, self._run, reference)

    def export(self, reference: str, output: str | int | BinaryIO) -> None:
        """Write all its files as a tar to a path, a descriptor or a stream."""
        from fastbox.containers import filesystem

        filesystem.export(self._root, self._store, reference, output)

    def copy_out(
        self, reference: str, source: str, target: str, **wishes: Unpack[CopyKeywords]
    ) -> int:
        """Copy from a container to the host, as `docker cp` does; the size of a tar of it.

        Raises:
            NotFound: No such file, or the target's directory does not exist.
            StateConflict: A directory where a file must be, or the other way round.
        """
        from fastbox.containers import copy

        return copy.copy_out(self._store, self._run, reference, source, target, wishes)

    def copy_in(
        self, reference: str, source: str, target: str, **wishes: Unpack[CopyKeywords]
    ) -> int:
        """Copy a file or directory of the host into a container; see `copy_out`.

        Raises:
            PermissionDenied: The container's root, or what is mounted there, is read-only.
        """
        from fastbox.containers import copy

        return copy.copy_in(self._store, self._run, reference, source, target, wishes)

    def copy_from(
        self, reference: str, source: str, output: int | BinaryIO, *, follow: bool = False
    ) -> None:
        """Write a file or directory of a container as a tar, to a descriptor or a stream."""
        from fastbox.containers import copy

        copy.copy_from(self._store, self._run, reference, source, output, follow)

    def copy_to(self, reference: str, target: str, archive: int | BinaryIO) -> None:
        """Extract a tar (plain, gzip or zstd) in a directory of a container."""
        from fastbox.containers import copy

        copy.copy_to(self._store, self._run, reference, target, archive)

    def commit(self, reference: str, name: str = "", **wishes: Unpack[CommitKeywords]) -> str:
        """Make an image of it, and give it a name unless that is ""; the image's id."""
        from fastbox.containers.commit import commit

        return commit(self._store, self._run, reference, self._images(), name, wishes)

    def stats(
        self, references: Sequence[str] = (), *, all: bool = False, interval: float = 1.0
    ) -> tuple[Stats, ...]:
        """What containers use now: those named, else the running ones, or all.

        Args:
            references: The containers.
            all: Without references: those too that don't run.
            interval: Seconds between the two readings that CPU percentages need; 0: one reading,
                and percentages of 0.
        """
        from fastbox.containers import stats

        return stats.once(self._store, self._run, references, all, interval)

    def stats_stream(
        self, references: Sequence[str] = (), *, all: bool = False, interval: float = 1.0
    ) -> Iterator[tuple[Stats, ...]]:
        """As `stats`, again and again; it ends when none of the containers named runs any more."""
        from fastbox.containers import stats

        return stats.stream(self._store, self._run, references, all, interval)

    def top(self, reference: str, ps_args: Sequence[str] = ()) -> Top:
        """The processes of a running container, as `ps` of the host tells them.

        Args:
            reference: The container.
            ps_args: Options of `ps`; () is -ef.

        Raises:
            StateConflict: It does not run.
            InvalidArgument: `ps` does not take the options, or prints no PID with them.
        """
        from fastbox.containers import top

        return top.top(self._store, self._run, reference, ps_args)

    def directory(self, container: str) -> str:
        """Where a container's files are."""
        return self._store.directory(container)

    def heal(self, container: str) -> None:
        """Repair what a killed supervisor left of a container."""
        from fastbox.containers import heal

        heal.heal(self._store, self._run, container)

    def _look(self, container: str, held: Held | None = None) -> View | None:
        from fastbox.containers import heal

        return heal.look(self._store, self._run, container, held)

    def _view(self, container: str, held: Held | None = None) -> View:
        from fastbox.containers import heal

        return heal.view(self._store, self._run, container, held)
