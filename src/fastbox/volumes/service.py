"""All that can be done with volumes: what the command line, the Engine and containers call."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastbox.store.root import Root
    from fastbox.types import Mount, Pruned, VolumeInfo
    from fastbox.volumes.volume import Volume


class Volumes:
    """The volumes of one store."""

    __slots__ = ("_root",)

    def __init__(self, root: Root) -> None:
        self._root = root

    def create(
        self,
        name: str = "",
        *,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume; one of that name that is there already is returned as it is.

        Args:
            name: Its name; "" for 64 random hex digits, and then it is anonymous.
            driver: "local", or "" for the same.
            options: The driver's: type, device and o, for mount(2).
            labels: Its labels.

        Raises:
            InvalidArgument: A name or an option that can't be used.
            Conflict: The volume is there, with other options.
        """
        from fastbox.volumes.manage import create

        return create(self, self._root, name, driver, options or {}, labels or {})

    def get(self, name: str) -> Volume:
        """One volume.

        Raises:
            NotFound: There is none of that name.
        """
        from fastbox.volumes.manage import get

        return get(self, self._root, name)

    def list(self, *, filters: Sequence[str] = ()) -> list[VolumeInfo]:
        """All volumes by name, with the containers that use them.

        Args:
            filters: Docker's: dangling, driver, label and name, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.volumes.manage import listing

        return listing(self._root, filters)

    def inspect(self, name: str) -> dict[str, object]:
        """One volume as docker's inspect object.

        Raises:
            NotFound: There is none of that name.
        """
        from fastbox.volumes.manage import inspect

        return inspect(self._root, name)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Delete a volume with all in it.

        Args:
            name: Its name.
            force: One that does not exist is no error.

        Raises:
            NotFound: There is none of that name.
            InUse: A container has it, running or not.
        """
        from fastbox.volumes.manage import remove

        remove(self._root, name, force=force)

    def prune(self, *, all: bool = False, filters: Sequence[str] = ()) -> Pruned:
        """Remove the volumes that no container has: anonymous ones, or with `all` every one.

        Args:
            all: Those with a name, too.
            filters: Docker's: label, label! and all, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
        """
        from fastbox.volumes.manage import prune

        return prune(self._root, all=all, filters=filters)

    # For containers

    def attach(
        self,
        asked: Iterable[Mount],
        inherited: Iterable[Mount],
        image: Iterable[str],
        container: str,
        directory: str,
        driver: str,
    ) -> tuple[Mount, ...]:
        """Choose a container's mounts, and make the volumes among them: see `attach.py`."""
        from fastbox.volumes import attach

        chosen = attach.choose(asked, inherited, image)
        return attach.make(self._root, chosen, container, directory, driver)

    def settle(self, mounts: Sequence[Mount], container: str, lower: Sequence[str]) -> None:
        """After the container is recorded: see that its volumes are there, and fill new ones."""
        from fastbox.volumes.attach import settle

        settle(self._root, mounts, container, lower)
