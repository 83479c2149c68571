"""The Engine for asyncio: the names and arguments of `fastbox.Engine`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastbox import engine as blocking
from fastbox.aio.container import Container
from fastbox.aio.loop import Opening, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self, Unpack

    from fastbox.builder.keywords import BuildKeywords
    from fastbox.builder.service import Builds
    from fastbox.builds import Built, Event
    from fastbox.containers.container import Container as BlockingContainer
    from fastbox.containers.options import RunKeywords
    from fastbox.containers.readiness import Condition
    from fastbox.containers.service import Containers
    from fastbox.images.service import Images
    from fastbox.networks.service import Networks
    from fastbox.store.root import Root
    from fastbox.system.service import System
    from fastbox.volumes.service import Volumes


class Engine:
    """A store and its containers, for asyncio. An asynchronous context manager: `close` ends the
    containers that `run` started. Everything that is cancelled ends what it has started first.

    Example:
        ```python
        async with aio.Engine.open() as box, box.run("alpine", ["sleep", "60"]) as c:
            print((await c.exec(["id"])).check().stdout)
        ```
    """

    def __init__(self, root: Root) -> None:
        self._engine, self._pool = blocking.Engine(root), Pool()

    @classmethod
    def open(cls, *, root: str | None = None, run: str | None = None) -> Opening[Engine]:
        """An engine on a store, which is made when missing.

        Args:
            root: The store; None: $FASTBOX_ROOT or /var/lib/fastbox.
            run: The live state; None: $FASTBOX_RUN or /run/fastbox.

        Raises:
            PermissionDenied: Not root.
            Unsupported: A newer fastbox wrote the store.
        """

        async def make() -> Engine:
            from fastbox.store.root import Root

            return cls(Root.open(root, run))

        return Opening(make)

    @property
    def root(self) -> Root:
        """Where its store and its live state are."""
        return self._engine.root

    @property
    def images(self) -> Images:
        """The images of the store; its calls block: `asyncio.to_thread(box.images.load, f)`."""
        return self._engine.images

    @property
    def containers(self) -> Containers:
        """The containers of the store, also those of others; its calls block, as `images`' do."""
        return self._engine.containers

    @property
    def builds(self) -> Builds:
        """The builds of the store; its calls block, as `images`' do."""
        return self._engine.builds

    async def build(
        self,
        context: str = ".",
        *,
        watch: Callable[[Event], None] | None = None,
        **options: Unpack[BuildKeywords],
    ) -> Built:
        """Build an image of a Dockerfile: `fastbox.Engine.build`. Cancelled, the build is ended
        first, and gives no name.

        Args:
            context: A directory, or a git URL.
            watch: Gets what happens, from any thread, one event at a time.
            **options: `BuildOptions`' fields in friendly types.

        Raises:
            DockerfileError: The Dockerfile is not one.
            BuildFailed: A step ended with a code other than 0.
            ImageNotFound: A stage begins with an image that isn't there.
        """
        from fastbox.builder.solver import Stop

        stop = Stop()
        work = asyncio.ensure_future(
            self._pool.call(self._engine._build, context, watch, options, stop)
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(work, return_exceptions=True)
            raise
        finally:
            stop.close()

    @property
    def volumes(self) -> Volumes:
        """The volumes of the store; its calls block, as `images`' do."""
        return self._engine.volumes

    @property
    def networks(self) -> Networks:
        """The networks of the store; its calls block, as `images`' do."""
        return self._engine.networks

    @property
    def system(self) -> System:
        """The store as a whole; its calls block, as `images`' do."""
        return self._engine.system

    def run(
        self,
        image: str = "",
        argv: Sequence[str] = (),
        *,
        stdin: int | None = None,
        detach: bool = False,
        wait: Condition | None = None,
        timeout: float = 60.0,
        **options: Unpack[RunKeywords],
    ) -> Opening[Container]:
        """Start a container tied to this engine: `fastbox.Engine.run`. Cancelled, it leaves none.

        Args:
            image: A reference; "" with `rootfs`.
            argv: The command; () for the image's.
            stdin: PIPE: `Container.attach` gives its streams, from the first byte on.
            detach: It is not tied: it outlives its `async with`, the engine and this process.
            wait: Return when it is ready: one of `fastbox.wait`.
            timeout: Seconds, for `wait`.
            **options: `RunOptions`' fields in friendly types.

        Raises:
            ImageNotFound: No such image.
            InvalidArgument: A value that can't be used; TypeError for an unknown keyword.
            LaunchError: It could not be started.
            NotReady: It ended before it was ready, or was not in time; it is removed.
        """

        async def make() -> Container:
            made = await self._pool.make(
                lambda: self._engine._start(image, argv, stdin, detach, options), _undo
            )
            container = Container(made, self._pool)
            if wait is not None:
                try:
                    await container.wait_for(wait, timeout)
                except BaseException:
                    container._let_go()
                    await self._pool.finish(lambda: _undo(made))
                    raise
            return container

        return Opening(make)

    def create(
        self,
        image: str = "",
        argv: Sequence[str] = (),
        *,
        detach: bool = False,
        **options: Unpack[RunKeywords],
    ) -> Opening[Container]:
        """Make a container, to be started by its `start`: `fastbox.Engine.create`.

        Args:
            image: A reference; "" with `rootfs`.
            argv: The command; () for the image's.
            detach: It is not tied.
            **options: As for `run`.
        """

        async def make() -> Container:
            made = await self._pool.make(
                lambda: self._engine.create(image, argv, detach=detach, **options), _undo
            )
            return Container(made, self._pool)

        return Opening(make)

    def container(self, reference: str) -> Opening[Container]:
        """A container that is there, also another engine's or the command line's.

        Args:
            reference: Its name, its id, or the unique beginning of that.

        Raises:
            ContainerNotFound: There is none.
        """

        async def make() -> Container:
            return Container(await self._pool.call(self._engine.container, reference), self._pool)

        return Opening(make)

    async def close(self) -> None:
        """End the session: the containers that are tied to it are killed and removed, and a later
        `run` is refused.
        """
        try:
            await self._pool.finish(self._engine.close)
        finally:
            self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _undo(container: BlockingContainer) -> None:
    """The start was cancelled: nobody will ever hear of it."""
    with container:
        container.remove(force=True)
