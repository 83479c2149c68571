"""What is asked of the store as a whole; the command line and the Engine call it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastbox.containers.service import Containers
    from fastbox.images.service import Images
    from fastbox.networks.service import Networks
    from fastbox.store.root import Root
    from fastbox.system.check import Finding
    from fastbox.system.usage import Usage
    from fastbox.volumes.service import Volumes


class System:
    """One store, with its images, containers and volumes."""

    __slots__ = ("_containers", "_images", "_networks", "_root", "_volumes")

    def __init__(
        self,
        root: Root,
        images: Images,
        containers: Containers,
        volumes: Volumes,
        networks: Networks,
    ) -> None:
        self._root, self._images, self._containers = root, images, containers
        self._volumes, self._networks = volumes, networks

    def usage(self) -> Usage:
        """How much of the disk everything takes, as du counts: the sum is the store's.

        Raises:
            FastboxError: The kernel said no.
        """
        from fastbox.system.usage import measure

        return measure(
            self._root,
            self._images.list(all=True),
            self._containers.list(all=True),
            self._volumes.list(),
        )

    def check(self, *, quick: bool = False) -> Iterator[Finding]:
        """Look at everything in the store, and tell what is wrong; nothing is changed.

        Args:
            quick: Leave out what reads all the content: the blobs' digests, the layers' files.

        Raises:
            FastboxError: The kernel said no.
        """
        from fastbox.system.check import Finding, check

        yield from check(self._root, quick=quick)
        for what, where, hint in self._networks.check():
            yield Finding(what=what, where=where, hint=hint)
