"""The Engine: the one assembler. It opens the roots and hands out images, containers and `run`."""

from __future__ import annotations

import _thread

from fastbox.store.root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self, Unpack

    from fastbox.containers.container import Container
    from fastbox.containers.options import RunKeywords
    from fastbox.containers.service import Containers
    from fastbox.images.service import Images
    from fastbox.runtime.session import Session
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

    __slots__ = ("_containers", "_images", "_lock", "_session", "root")

    def __init__(self, root: Root) -> None:
        self.root = root
        self._lock = _thread.allocate_lock()
        self._images: Images | None = None
        self._containers: Containers | None = None
        self._session: Session | None = None

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

            self._containers = Containers(self.root, lambda: self.images, lambda: self.volumes)
        return self._containers

    @property
    def volumes(self) -> Volumes:
        """The volumes of the store."""
        from fastbox.volumes.service import Volumes

        return Volumes(self.root)

    @property
    def system(self) -> System:
        """The store as a whole: how much disk it takes, and whether it is sound."""
        from fastbox.system.service import System

        return System(self.root, self.images, self.containers, self.volumes)

    def run(
        self, image: str = "", argv: Sequence[str] = (), **options: Unpack[RunKeywords]
    ) -> Container:
        """Start a container tied to this engine: it ends with its `with`, with the engine, or with
        this process.

        Any number of threads may start containers at once.

        Args:
            image: A reference; "" with `rootfs`.
            argv: The command; () for the image's.
            **options: `RunOptions`' fields in friendly types: env and ulimits as mappings, sizes as
                "256m".

        Raises:
            ImageNotFound: No such image.
            InvalidArgument: A value that can't be used; TypeError for an unknown keyword.
            LaunchError: It could not be started.
        """
        from fastbox.containers.container import Container
        from fastbox.containers.options import from_keywords

        wanted = from_keywords(image, argv, options).replace(volatile=True)
        session = self._own_session()
        record, conversation = self.containers.start_tied(wanted, session)
        return Container(self.containers, record, conversation, session)

    def _own_session(self) -> Session:
        from fastbox.runtime.session import Session

        with self._lock:
            if self._session is None:
                self._session = Session(self.root.run)
            return self._session

    def close(self) -> None:
        """End the session: the containers that `run` started are killed and released, and a later
        `run` is refused.
        """
        self._own_session().close()
        if self._containers is not None:
            self._containers.sweep_sealed()  # supervisors remove containers, not what they shared

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
