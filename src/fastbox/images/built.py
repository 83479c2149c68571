"""Images of builds: what a build begins with, and what it makes of layers that the store has."""

from __future__ import annotations

from fastbox.errors import FastboxError, IntegrityError, os_error
from fastbox.images import documents
from fastbox.images.publishing import manifest_data, oci_layer
from fastbox.images.reference import familiar, parse_tagged
from fastbox.store.content import Content, descriptor_of
from fastbox.store.lease import Work
from fastbox.store.refs import Ref, Refs
from fastbox.support import clock, json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any

    from fastbox.images.service import Images
    from fastbox.store.content import Descriptor
    from fastbox.store.root import Root


class BuiltImages:
    """What builds need of one store's images."""

    __slots__ = ("_images", "_root")

    def __init__(self, root: Root, images: Images) -> None:
        self._root, self._images = root, images

    def parts(
        self, reference: str, platform: str = ""
    ) -> tuple[Ref, Sequence[Descriptor], Mapping[str, Any]]:
        """What a build needs of an image: its record, its packed layers bottom first, by OCI's
        names of their types, and its configuration.

        Raises:
            ImageNotFound: There is none, or none for the platform.
        """
        ref, content = self._images.find(reference, platform), Content(self._root)
        data = content.read(ref.manifest, documents.MAX_MANIFEST)
        layers = documents.parse_manifest(data, ref.manifest.media_type).layers
        config = documents.parse_config(content.read(ref.config, documents.MAX_CONFIG))
        return ref, [oci_layer(layer) for layer in layers], config.document

    def check_names(self, names: Sequence[str]) -> Sequence[str]:
        """References that an image is to get, normalised.

        Raises:
            InvalidReference: One is malformed.
        """
        return list(dict.fromkeys(str(parse_tagged(name)) for name in names))

    def save(self, references: Sequence[str], target: str | int, *, format: str) -> None:
        """Write images as an archive."""
        self._images.save(references, target, format=format)

    def tidy(self) -> None:
        """Remove what processes that were killed have left."""
        from fastbox.images.sweep import tidy

        tidy(self._root)
        self._images.sweep()

    def sweep(self) -> None:
        """Give back what nothing needs."""
        self._images.sweep()

    def needed(self) -> AbstractSet[str]:
        """Chain ids and digests that images and containers need.

        Raises:
            IntegrityError: A damaged record makes that unknowable.
        """
        from fastbox.images.sweep import find_live

        live = find_live(self._root, builds=False)
        if live is None:
            raise IntegrityError(
                "a record is damaged, so what images and containers need is unknown",
                hint="`fastbox system check` says which",
            )
        return live.chains | live.blobs

    def publish_built(
        self,
        document: Mapping[str, Any],
        layers: Sequence[tuple[Descriptor, str]],
        size: int,
        names: Sequence[str],
    ) -> Ref:
        """Make an image of layers that the store has: each packed, and its chain id, bottom first.
        The caller keeps the sweeper away.

        Raises:
            InvalidReference: A name is malformed.
            FastboxError: The kernel said no; nothing was changed.
        """
        references = self.check_names(names)
        documents.check_layer_count(len(layers))
        data = json.dumps_bytes(document)
        documents.parse_config(data)  # whoever reads it later does the same
        config = descriptor_of(data, documents.OCI_CONFIG)
        manifest = manifest_data(config, [packed for packed, _ in layers])
        ref = Ref(
            reference=config.digest, manifest=descriptor_of(manifest, documents.OCI_MANIFEST),
            config=config, chains=tuple(chain for _, chain in layers), size=size,
            created=str(document["created"]), time=clock.now(),
        )  # fmt: skip
        wanted = [ref.replace(reference=name) for name in references or [config.digest]]
        try:
            if not all(_is_there(Refs(self._root), each) for each in wanted):
                self._store(wanted, data, manifest)
        except FastboxError:
            raise
        except OSError as error:
            raise os_error(error, "cannot store the image", self._root.store) from error
        return wanted[0]

    def _store(self, wanted: Sequence[Ref], config: bytes, manifest: bytes) -> None:
        from fastbox.images.publishing import publish

        root, content = self._root, Content(self._root)
        with Work(root) as work:
            content.stage(work, config, documents.OCI_CONFIG)
            content.stage(work, manifest, documents.OCI_MANIFEST)
            publish(root, work)
            Refs(root).assign(*wanted, familiar=familiar)


def _is_there(refs: Refs, ref: Ref) -> bool:
    """Whether the name leads to this very image already."""
    try:
        found = refs.get(ref.reference)
    except FastboxError:
        return False
    if found is None and not ref.named:
        named = [each for each in refs.all()[0] if each.config.digest == ref.config.digest]
        found = named[0].replace(reference=ref.reference) if named else None
    return found is not None and (found.manifest, found.chains) == (ref.manifest, ref.chains)
