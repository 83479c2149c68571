"""The Engine: the one assembler. It opens the roots and hands out images, containers and `run`."""

from __future__ import annotations

from fastbox.store.root import Root

PIPE, DEVNULL = -1, -3  # as in `containers.process`, which a start has no use for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self, Unpack

    from fastbox.builder.keywords import BuildKeywords
    from fastbox.builder.service import Builds
    from fastbox.builder.solver import Stop
    from fastbox.builds import Built, Event
    from fastbox.containers.container import Container
    from fastbox.containers.options import RunKeywords
    from fastbox.containers.readiness import Condition
    from fastbox.containers.service import Containers
    from fastbox.containers.tied import Tie
    from fastbox.images.built import BuiltImages
    from fastbox.images.service import Images
    from fastbox.networks.attach import Starts
    from fastbox.networks.service import Networks
    from fastbox.system.service import System
    from fastbox.volumes.service import Volumes


class Engine:
    """A store and its containers. A context manager: `close` ends the containers that `run`
    started.

    Example:
        ```python
        with fastbox.Engine.open() as box, box.run("alpine", ["sleep", "60"]) as c:
            print(c.exec(["id"]).check().stdout)
        ```
    """

    __slots__ = ("_containers", "_images", "_tie", "root")

    def __init__(self, root: Root) -> None:
        self.root = root
        self._images: Images | None = None
        self._containers: Containers | None = None
        self._tie: Tie | None = None

    @classmethod
    def open(cls, *, root: str | None = None, run: str | None = None) -> Engine:
        """An engine on a store, which is made when missing.

        Args:
            root: The store; None: $FASTBOX_ROOT or /var/lib/fastbox.
            run: The live state; None: $FASTBOX_RUN or /run/fastbox.

        Raises:
            PermissionDenied: Not root.
            Unsupported: A newer fastbox wrote the store.
        """
        return cls(Root.open(root, run))

    @property
    def images(self) -> Images:
        """The images of the store."""
        if self._images is None:
            from fastbox.images.service import Images

            self._images = Images(self.root)
        return self._images

    @property
    def containers(self) -> Containers:
        """The containers of the store, also those of other engines and of the command line."""
        if self._containers is None:
            from fastbox.containers.service import Containers

            self._containers = Containers(
                self.root, lambda: self.images, lambda: self.volumes, self._starts
            )
        return self._containers

    @property
    def builds(self) -> Builds:
        """The builds of the store."""
        from fastbox.builder.service import Builds

        return Builds(self.root, self._built_images, lambda: self._tied().steps())

    def _built_images(self) -> BuiltImages:
        from fastbox.images.built import BuiltImages

        return BuiltImages(self.root, self.images)

    def build(
        self,
        context: str = ".",
        *,
        watch: Callable[[Event], None] | None = None,
        **options: Unpack[BuildKeywords],
    ) -> Built:
        """Build an image of a Dockerfile.

        Args:
            context: A directory, or a git URL.
            watch: Gets what happens, from any thread, one event at a time.
            **options: `BuildOptions`' fields in friendly types: `tag` as a text or a list, secrets
                as a mapping of ids to files.

        Raises:
            DockerfileError: The Dockerfile is not one.
            BuildFailed: A step ended with a code other than 0.
            ImageNotFound: A stage begins with an image that isn't there.
        """
        return self._build(context, watch, options)

    def _build(
        self,
        context: str,
        watch: Callable[[Event], None] | None,
        options: BuildKeywords,
        stop: Stop | None = None,
    ) -> Built:
        from fastbox.builder.keywords import from_keywords

        return self.builds.build(from_keywords(context, options), watch, stop)

    @property
    def volumes(self) -> Volumes:
        """The volumes of the store."""
        from fastbox.volumes.service import Volumes

        return Volumes(self.root)

    def _starts(self) -> Starts:
        from fastbox.networks.attach import Starts

        return Starts(self.root)

    @property
    def networks(self) -> Networks:
        """The networks of the store."""
        from fastbox.networks.service import Networks

        return Networks(self.root)

    @property
    def system(self) -> System:
        """The store as a whole: how much disk it takes, and whether it is sound."""
        from fastbox.system.service import System

        return System(self.root, self.images, self.containers, self.volumes, self.networks)

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
    ) -> Container:
        """Start a container tied to this engine: it ends with its `with`, with the engine, or with
        this process.

        Any number of threads may start containers at once.

        Args:
            image: A reference; "" with `rootfs`.
            argv: The command; () for the image's.
            stdin: PIPE: `Container.attach` gives its streams, from the first byte on.
            detach: It is not tied: it outlives its `with`, the engine and this process.
            wait: Return when it is ready: one of `fastbox.wait`.
            timeout: Seconds, for `wait`.
            **options: `RunOptions`' fields in friendly types: env and ulimits as mappings, sizes as
                "256m".

        Raises:
            ImageNotFound: No such image.
            InvalidArgument: A value that can't be used; TypeError for an unknown keyword.
            LaunchError: It could not be started.
            NotReady: It ended before it was ready, or was not in time; it is removed.
        """
        container = self._start(image, argv, stdin, detach, options)
        if wait is not None:
            try:
                container.wait_for(wait, timeout)
            except BaseException:
                container.close()
                raise
        return container

    def _start(
        self,
        image: str,
        argv: Sequence[str],
        stdin: int | None,
        detach: bool,
        options: RunKeywords,
    ) -> Container:
        from fastbox.containers.container import Container
        from fastbox.containers.options import from_keywords

        wanted = from_keywords(image, argv, options)
        piped = stdin is not None and _is_pipe(stdin, detach)
        # What is given to the first client ends with it; what a later one may attach to does not.
        wanted = wanted.replace(detach=not piped, interactive=wanted.interactive or piped)
        if detach:
            from fastbox.containers.watch import record

            identity = self.containers.start_detached(wanted)
            return Container(self.containers, record(self.containers, identity))
        tie = self._tied()
        made, watch, streams = tie.run(wanted.replace(volatile=True), piped)
        return Container(self.containers, made, watch, tie=tie, streams=streams)

    def create(
        self,
        image: str = "",
        argv: Sequence[str] = (),
        *,
        detach: bool = False,
        **options: Unpack[RunKeywords],
    ) -> Container:
        """Make a container, to be started by its `start`.

        Args:
            image: A reference; "" with `rootfs`.
            argv: The command; () for the image's.
            detach: It is not tied: it outlives its `with`, the engine and this process.
            **options: As for `run`.

        Raises:
            ImageNotFound: No such image.
            InvalidArgument: A value that can't be used; TypeError for an unknown keyword.
        """
        from fastbox.containers.container import Container
        from fastbox.containers.options import from_keywords

        wanted = from_keywords(image, argv, options).replace(detach=True)
        if detach:
            from fastbox.containers.watch import record

            identity = self.containers.create(wanted)
            return Container(self.containers, record(self.containers, identity))
        tie = self._tied()
        return Container(self.containers, tie.create(wanted.replace(volatile=True)), tie=tie)

    def container(self, reference: str) -> Container:
        """A container that is there, also another engine's or the command line's.

        Args:
            reference: Its name, its id, or the unique beginning of that.

        Raises:
            ContainerNotFound: There is none.
        """
        from fastbox.containers.container import Container
        from fastbox.containers.watch import record

        return Container(self.containers, record(self.containers, reference))

    def _tied(self) -> Tie:
        if self._tie is None:
            from fastbox.containers.tied import Tie
            from fastbox.runtime import session

            with session.making():
                if self._tie is None:
                    self._tie = Tie(self.containers, session.Session(self.root.run))
        return self._tie

    def close(self) -> None:
        """End the session: the containers that are tied to it are killed and removed, and a later
        `run` is refused. In a forked child it is the child's own session that ends.
        """
        self._tied().close()
        if self._containers is not None:
            self._containers.sweep_sealed()  # supervisors remove containers, not what they shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_pipe(stdin: int, detach: bool) -> bool:
    if stdin == DEVNULL:
        return False
    if stdin != PIPE or detach:
        from fastbox.errors import InvalidArgument

        raise InvalidArgument("stdin is PIPE or None, and not with detach")
    return True
