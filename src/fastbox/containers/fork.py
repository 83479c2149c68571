"""`fork`: copies of a container over its sealed file system, any number at once."""

from __future__ import annotations

from fastbox.containers import create
from fastbox.containers.inspect import options_of
from fastbox.containers.seal import Source
from fastbox.errors import ContainerNotFound, InvalidArgument, StateConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypedDict, TypeVar

    from fastbox.containers.needs import ImageService
    from fastbox.containers.starting import Starter
    from fastbox.runtime.session import Session
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord, ContainerStore
    from fastbox.store.root import Root
    from fastbox.types import ImageConfig, RunOptions

    T = TypeVar("T")

    class ForkKeywords(TypedDict, total=False):
        """How copies may differ from their source."""

        name: str  # of the only copy, or how the names of several begin: name-1, name-2
        argv: Sequence[str]  # another command
        remove: bool  # gone when it ends; as the source's by default
        live: bool  # of one that runs: copy what it has written while it stands still


MAX_COPIES = 10_000


class Forker:
    """Makes copies of one store's containers."""

    __slots__ = ("_images", "_root", "_starter", "_store")

    def __init__(
        self,
        root: Root,
        store: ContainerStore,
        images: Callable[[], ImageService],
        starter: Starter,
    ) -> None:
        self._root, self._store, self._images, self._starter = root, store, images, starter

    def created(self, reference: str, count: int, wishes: ForkKeywords) -> list[str]:
        """Copies that are not started; their ids."""

        def make(options: RunOptions, origin: tuple[ImageConfig, str]) -> str:
            held, record = self._starter.make(options, start=False, origin=origin)
            held.close()
            return record.id

        return self._each(reference, count, wishes, make, str)

    def detached(self, reference: str, count: int, wishes: ForkKeywords) -> list[str]:
        """Copies that run, and outlive this process; their ids."""

        def start(options: RunOptions, origin: tuple[ImageConfig, str]) -> str:
            held, record = self._starter.make(
                options.replace(detach=True), start=True, origin=origin
            )
            try:
                return self._starter.detach(held, record)
            except BaseException:
                self._undo(record.id)
                raise

        return self._each(reference, count, wishes, start, str)

    def tied(
        self, reference: str, count: int, wishes: ForkKeywords, session: Session
    ) -> list[tuple[ContainerRecord, Conversation]]:
        """Copies that run, and end with the session."""

        def start(
            options: RunOptions, origin: tuple[ImageConfig, str]
        ) -> tuple[ContainerRecord, Conversation]:
            tied = options.replace(volatile=True, remove=False)
            return self._starter.tied(tied, session, origin)

        return self._each(reference, count, wishes, start, lambda made: made[0].id, lasts=False)

    def _each(
        self,
        reference: str,
        count: int,
        wishes: ForkKeywords,
        make: Callable[[RunOptions, tuple[ImageConfig, str]], T],
        id_of: Callable[[T], str],
        *,
        lasts: bool = True,
    ) -> list[T]:
        """Make `count` copies, or none."""
        if not 1 <= count <= MAX_COPIES:
            raise InvalidArgument(f"{count} copies: from 1 to {MAX_COPIES} can be made")
        made: list[T] = []
        with Source(self._root, self._store, reference, live=wishes.get("live", False)) as source:
            options = _options(source.record, wishes)
            origin = self._origin(source, options, lasts)
            try:
                for number in range(1, count + 1):
                    name = f"{options.name}-{number}" if options.name and count > 1 else ""
                    made.append(make(options.replace(name=name or options.name), origin))
            except BaseException:
                for copy in made:
                    self._undo(id_of(copy))
                raise
        return made

    def _origin(self, source: Source, options: RunOptions, lasts: bool) -> tuple[ImageConfig, str]:
        if source.record.image_id:
            image = self._images().pinned(source.record.image_id)
        else:
            image = create.rootfs_image(options)
        sealed = source.seal()
        if lasts and not options.remove:
            source.make_durable(sealed)
        trees = [source.sealed.tree(each) for each in source.sealed.chain(sealed)]
        return image.replace(layers=(*trees, *image.layers)), sealed

    def _undo(self, container: str) -> None:
        from fastbox.containers import ending

        try:
            ending.remove(self._store, self._root.run, container, container, force=True)
        except ContainerNotFound:
            pass  # --rm was faster


def _options(record: ContainerRecord, wishes: ForkKeywords) -> RunOptions:
    """What the source was made with, but for its name."""
    try:
        options = options_of(record)
    except ValueError as error:
        raise StateConflict(f"container {record.id[:12]} is damaged: {error}") from None
    changes: dict[str, object] = {"name": wishes.get("name", ""), "volatile": False}
    if wishes.get("argv"):
        changes["argv"] = tuple(wishes["argv"])
    if "remove" in wishes:
        changes["remove"] = wishes["remove"]
    return options.replace(**changes)
