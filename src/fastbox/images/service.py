"""Images: what the engine and the commands call. Finding an image for a start reads one record and
one blob; all else is imported when used.
"""

from __future__ import annotations

import os

from fastbox.errors import ImageNotFound, IntegrityError, InvalidReference, Unsupported
from fastbox.images import documents
from fastbox.images.reference import Reference, familiar, parse, parse_tagged
from fastbox.store.content import Content, is_hex64
from fastbox.store.layers import Layers
from fastbox.store.refs import Refs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from fastbox.images.documents import Config, Platform
    from fastbox.store.refs import Ref
    from fastbox.store.root import Root
    from fastbox.types import Committed, HistoryEntry, ImageConfig, ImageInfo, Progress, Pruned

_HEX = "0123456789abcdef"
_Lines = list[str]  # within the class, `list` is the method


class Images:
    """The images of one store."""

    __slots__ = ("_content", "_layers", "_refs", "_root")

    def __init__(self, root: Root) -> None:
        self._root = root
        self._content, self._layers, self._refs = Content(root), Layers(root), Refs(root)

    def load(
        self,
        source: str | int | BinaryIO,
        *,
        progress: Callable[[Progress], None] | None = None,
        platform: str = "",
    ) -> _Lines:
        """Bring in the images of an archive: docker's, or an OCI layout; plain, gzip or zstd.

        Args:
            source: A path (of a directory too), a descriptor (a pipe will do) or a stream.
            progress: Is told how far each layer is, some ten times a second.
            platform: Take the images for os/arch[/variant]; "" for this machine's.

        Returns:
            One line per name, as docker prints them.

        Raises:
            IntegrityError: Bytes that are not what they are said to be; nothing was changed.
            InvalidArgument: Not an image archive, or a document or name in it breaks its rules.
            DiskFull: No space; nothing was changed.
        """
        from fastbox.images.load import load

        return load(self._root, source, progress, _wanted(platform))

    def import_tar(
        self,
        source: str | int | BinaryIO,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
        progress: Callable[[Progress], None] | None = None,
    ) -> str:
        """Make an image of one layer from the tar of a root file system.

        Args:
            source: A path, a descriptor (a pipe will do) or a binary stream.
            reference: The name to give, or "".
            changes: Dockerfile instructions, such as "CMD echo hi".
            message: The comment in its history.
            platform: What it is for, os/arch[/variant]; "" for this machine.
            progress: Is told how far it is, some ten times a second.

        Returns:
            Its id.

        Raises:
            IntegrityError: The tar is damaged or reaches outside itself.
            InvalidArgument: A change or the reference is malformed.
        """
        from fastbox.images.importer import import_tar

        return import_tar(
            self._root, source, reference, changes, message, _wanted(platform), progress
        )

    def save(
        self,
        references: Sequence[str],
        target: str | int,
        *,
        format: str = "docker-archive",
        platform: str = "",
    ) -> None:
        """Write images as an archive; the same images give the same bytes.

        Args:
            references: Names, ids, name@digest; a repository without a tag for all its images.
            target: A path, which appears by a rename when all is written, or a descriptor.
            format: "docker-archive" (an OCI layout with docker's manifest.json in a tar),
                "oci-archive" (without it), or "oci-dir" (a directory, made at the path).
            platform: What the images have to be for, or "".

        Raises:
            ImageNotFound: There is none, or none for the platform; nothing was written.
            IntegrityError: A blob is missing or not what its digest says; there is no file then.
            InvalidArgument: An unknown format.
            BrokenPipeError: The target is a pipe that nobody reads any more.
        """
        from fastbox.images.save import save

        save(self._root, lambda: self._to_save(references, _wanted(platform)), target, format)

    def history(self, reference: str, *, platform: str = "") -> _History:
        """How an image came to be, newest step first.

        Raises:
            ImageNotFound: There is none, or it is for another platform.
        """
        from fastbox.images.history import history

        ref = self.find(reference, platform)
        layers = [self._layers.get(chain) for chain in ref.chains]
        sizes = [layer.size if layer else 0 for layer in layers]
        return history(ref.config.digest, self._config(ref), sizes)

    def commit(
        self,
        made: Committed,
        reference: str = "",
        *,
        changes: Sequence[str] = (),
        author: str = "",
        message: str = "",
    ) -> str:
        """Make an image of a container: its image with one more layer.

        Args:
            made: What the container has become.
            reference: The name to give, or "".
            changes: Dockerfile instructions, such as "CMD echo hi".
            author: Who made it.
            message: The comment in its history.

        Returns:
            Its id.

        Raises:
            ImageNotFound: The container's image was removed.
            InvalidArgument: A change or the reference is malformed.
            DiskFull: No space; nothing was changed.
        """
        from fastbox.images.commit import commit

        return commit(
            self._root, self._find, made, reference, changes, author=author, message=message
        )

    def resolve(self, reference: str) -> ImageConfig:
        """Find an image and say how to run it.

        Args:
            reference: name[:tag][@digest], an id, or the start of one that no other image shares.

        Raises:
            ImageNotFound: There is none.
            InvalidReference: Neither a name nor an id, or the start of several.
            IntegrityError: A part of it is missing or damaged.
        """
        try:
            return self._how_to_run(self._find(reference))
        except IntegrityError:  # or it was removed just now: its name goes first, and comes last
            return self._how_to_run(self._find(reference))

    def pinned(self, image_id: str) -> ImageConfig:
        """The image that a container was made of, also when it has no name any more.

        Args:
            image_id: sha256:<hex>, of a container's record.

        Raises:
            IntegrityError: A part of it is missing or damaged.
        """
        from fastbox.images.pinned import pinned

        return self._how_to_run(pinned(self._root, image_id))

    def _how_to_run(self, ref: Ref) -> ImageConfig:
        from fastbox.types import ImageConfig

        run = self._config(ref).run
        return ImageConfig(
            id=ref.config.digest,
            env=documents.strings(run, "Env"),
            entrypoint=documents.strings(run, "Entrypoint"),
            cmd=documents.strings(run, "Cmd"),
            workdir=run.get("WorkingDir") or "",
            user=run.get("User") or "",
            stop_signal=run.get("StopSignal") or "",
            labels=run.get("Labels") or {},
            exposed_ports=tuple(run.get("ExposedPorts") or ()),
            volumes=tuple(run.get("Volumes") or ()),
            health=run.get("Healthcheck"),
            shell=documents.strings(run, "Shell"),
            layers=self._trees(ref),
        )

    def list(
        self,
        pattern: str = "",
        *,
        all: bool = False,  # noqa: ARG002
        filters: Sequence[str] = (),
    ) -> list[ImageInfo]:
        """The images, one line per name, newest first.

        Args:
            pattern: A repository, `repository:tag`, or either with * ? [ ]; "" for every image.
            all: Intermediate images too (this store has none).
            filters: Docker's: dangling, label, before, since, reference and until, as key=value.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
            ImageNotFound: A filter names an image that isn't there.
        """
        from fastbox.images import listing
        from fastbox.support.filters import Filters

        found = Filters(filters, listing.FILTERS)
        refs = self._refs.all()[0]
        if filters:
            refs = listing.select(refs, found, self._find, self._labels)
        patterns = [*([pattern] if pattern else []), *found.values("reference")]
        return listing.list_images(refs, patterns)

    def inspect(self, reference: str, *, platform: str = "") -> dict[str, object]:
        """Docker's image object.

        Raises:
            ImageNotFound: There is none, or it is for another platform.
        """
        from fastbox.images.listing import describe

        ref = self.find(reference, platform)
        return describe(ref, self._same(ref), self._config(ref), self._trees(ref))

    def tag(self, source: str, target: str) -> None:
        """Give an image one more name, taking it from whichever image had it.

        Raises:
            ImageNotFound: There is no source.
            InvalidReference: The target breaks the grammar.
        """
        from fastbox.store.lease import hold
        from fastbox.support import clock

        name = str(parse_tagged(target))
        with hold(self._root):  # what was found can't be swept before it has the name
            ref = self._find(source).replace(reference=name, time=clock.now())
            self._refs.assign(ref, familiar=familiar)

    def remove(
        self,
        reference: str,
        *,
        force: bool = False,
        in_use: Callable[[str], _Lines] | None = None,
        running: Callable[[str], _Lines] | None = None,
        platform: str = "",
    ) -> _Lines:
        """Take a name away, and with the last name the image.

        What containers still need of it stays on disk until they are gone.

        Args:
            reference: A name takes that name away; an id takes the image away.
            force: Even when stopped containers use it, or an id has several names. An image that a
                container runs from only loses the name, and by its id it can't be removed.
            in_use: Ids of the containers that use an image, by its id.
            running: Those of them that run.
            platform: What it has to be for, or "".

        Returns:
            What was done, as docker prints it.

        Raises:
            ImageNotFound: There is none, or it is for another platform.
            InUse: Containers use it.
            Conflict: An id with several names.
        """
        from fastbox.images.removal import remove

        damaged = self._drop_damaged(reference)
        if damaged:
            return damaged
        ref, by_name = self._find_how(reference)
        self._check_platform(ref, reference, _wanted(platform))
        users = (running if force else in_use) or (lambda _: [])
        return remove(
            self._root,
            ref,
            self._same(ref),
            users(ref.config.digest),
            reference=reference,
            by_name=by_name,
            force=force,
        )

    def prune(
        self, *, all: bool = False, filters: Sequence[str] = (), measure: bool = True
    ) -> Pruned:
        """Remove images without a name, or all that no container was made from, and whatever else
        in the store nothing needs.

        Args:
            all: Those with a name, too.
            filters: Docker's: dangling, label, label! and until, as key=value.
            measure: Count the bytes given back.

        Raises:
            InvalidArgument: An unknown filter, or a value it can't have.
            IntegrityError: A container's record is damaged: what it needs can't be known.
        """
        from fastbox.images.prune import prune

        return prune(self._root, self._labels, all=all, filters=filters, measure=measure)

    def sweep(self) -> None:
        """Delete what neither an image nor a container needs.

        Raises:
            FastboxError: The kernel said no.
        """
        from fastbox.images.sweep import sweep

        sweep(self._root)

    def _drop_damaged(self, reference: str) -> _Lines:
        """A name whose record can't be read can still be removed."""
        try:
            name = str(parse(reference).with_tag())
            self._refs.get(name)
        except InvalidReference:
            return []
        except (IntegrityError, Unsupported):
            self._refs.drop(name, familiar=familiar)
            return [f"Untagged: {familiar(name)}"]
        return []

    def _to_save(self, references: Sequence[str], wanted: Platform | None) -> _Wanted:
        """Each image once, in the order asked for, with the names it was asked for by: docker's
        rule.
        """
        from fastbox.images.save import Wanted

        chosen: dict[tuple[str, str], tuple[Ref, dict[str, None]]] = {}
        for reference in references:
            for ref, named in self._meant(reference):
                self._check_platform(ref, reference, wanted)
                key = (ref.config.digest, ref.manifest.digest)
                _, names = chosen.setdefault(key, (ref, {}))
                if named:
                    names[ref.reference] = None
        return [Wanted(ref=ref, names=tuple(names)) for ref, names in chosen.values()]

    def _meant(self, reference: str) -> Iterator[tuple[Ref, bool]]:
        """The records a reference stands for, and whether their names go with them: all tags of a
        repository, one tag, or an image without a name.
        """
        try:
            name = parse(reference)
        except InvalidReference:
            yield self._find(reference), False
            return
        if not name.tag and not name.digest:
            tags = [
                ref
                for ref in self._refs.all()[0]
                if ref.named and parse(ref.reference).name == name.name
            ]
            yield from ((ref, True) for ref in tags)
            if tags:
                return
        ref, by_name = self._find_how(reference)
        yield ref, by_name and not name.digest

    def find(self, reference: str, platform: str = "") -> Ref:
        """An image's record.

        Raises:
            ImageNotFound: There is none, or it is for another platform.
        """
        ref = self._find(reference)
        self._check_platform(ref, reference, _wanted(platform))
        return ref

    def _check_platform(self, ref: Ref, reference: str, wanted: Platform | None) -> None:
        if wanted is None:
            return
        platform = self._config(ref).platform
        if not platform.fits(wanted):
            raise ImageNotFound(
                f"image {reference} is for {platform}, not for {wanted}",
                hint="load the one for that platform with: fastbox load --platform",
            )

    def _labels(self, ref: Ref) -> Mapping[str, str]:
        return self._config(ref).run.get("Labels") or {}

    def _find(self, reference: str) -> Ref:
        return self._find_how(reference)[0]

    def _find_how(self, reference: str) -> tuple[Ref, bool]:
        """An image's record, and whether a name led to it (else an id)."""
        hexadecimal = reference.removeprefix("sha256:")
        if is_hex64(hexadecimal):
            return self._find_id(reference, hexadecimal), False
        try:
            found = self._find_name(parse(reference))
        except InvalidReference:
            if hexadecimal == reference:
                raise
            found = None
        if found is not None:
            return found, True
        if not hexadecimal or hexadecimal.strip(_HEX):
            raise _missing(reference)
        return self._find_id(reference, hexadecimal), False

    def _find_name(self, name: Reference) -> Ref | None:
        if not name.digest:
            return self._refs.get(str(name.with_tag()))
        for ref in self._refs.all()[0]:
            same = ref.named and parse(ref.reference).name == name.name
            if same and ref.manifest.digest == name.digest:
                return ref
        return None

    def _find_id(self, reference: str, start: str) -> Ref:
        found = {
            ref.config.digest: ref
            for ref in self._refs.all()[0]
            if ref.config.digest.startswith("sha256:" + start)
        }
        if len(found) > 1:
            raise InvalidReference(
                f"{reference} is the start of {len(found)} images' ids", hint="give more digits"
            )
        if not found:
            raise _missing(reference)
        return next(iter(found.values()))

    def _same(self, ref: Ref) -> _Refs:
        return [r for r in self._refs.all()[0] if r.config.digest == ref.config.digest]

    def _config(self, ref: Ref) -> Config:
        return documents.parse_config(self._content.read(ref.config, documents.MAX_CONFIG))

    def _trees(self, ref: Ref) -> tuple[str, ...]:
        trees = tuple(self._layers.tree(chain) for chain in reversed(ref.chains))
        for tree in trees:
            if not os.path.isdir(tree):  # a sweeper that was killed may have moved it away
                from fastbox.images.sweep import recover

                recover(self._root)
            if not os.path.isdir(tree):
                raise IntegrityError(
                    f"a layer of image {familiar(ref.reference)} is missing",
                    where=os.path.dirname(tree),
                    hint="load the image again",
                )
        return trees


if TYPE_CHECKING:
    from fastbox.images.save import Wanted

    _Refs = list[Ref]
    _History = list[HistoryEntry]
    _Wanted = list[Wanted]


def _wanted(platform: str) -> Platform | None:
    return documents.parse_platform(platform) if platform else None


def _missing(reference: str) -> ImageNotFound:
    return ImageNotFound(f"no such image: {reference}", hint="bring it in with: fastbox load")
