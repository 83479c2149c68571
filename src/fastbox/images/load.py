"""`load`: bring the images of an archive (docker's format, or an OCI layout) into the store, all of
them or none.

First everything that the archive says is read and validated (`plan_oci`, `plan_docker`); then
layers are verified and extracted into a work directory; then the file system is synced and renames
make it all appear; names come last.
"""

from __future__ import annotations

from fastbox.errors import (
    DigestMismatch,
    FastboxError,
    InvalidSpec,
    ResourceExhausted,
    Unsupported,
    os_error,
)
from fastbox.images import documents
from fastbox.images.archive import Archive, blob_name, no_archive
from fastbox.images.documents import Platform
from fastbox.images.publishing import publish, stage_manifest
from fastbox.images.reference import familiar, parse, parse_tagged
from fastbox.images.staging import Source, Staging
from fastbox.images.sweep import sweep, tidy
from fastbox.store.content import Content, Descriptor, is_hex64
from fastbox.store.extract import NewLayers
from fastbox.store.layers import chain_ids
from fastbox.store.lease import Work, hold
from fastbox.store.refs import Ref, Refs
from fastbox.support import clock
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from fastbox.images.documents import Config, IndexEntry
    from fastbox.store.layers import Layer
    from fastbox.store.root import Root
    from fastbox.types import Progress

MAX_IMAGES = 256
MAX_DEPTH = 8
_NAME = "io.containerd.image.name"
_REF_NAME = "org.opencontainers.image.ref.name"


class Plan(Record):
    """One image that an archive holds, validated but not yet extracted."""

    names: tuple[str, ...]  # normalised
    config: Descriptor  # staged
    created: str
    diff_ids: tuple[str, ...]
    layers: tuple[Source, ...]
    manifest: Descriptor | None  # staged; None: to be made


def load(
    root: Root,
    source: str | int | BinaryIO,
    progress: Callable[[Progress], None] | None,
    wanted: Platform | None = None,
) -> list[str]:
    """Load every image of an archive; see `Images.load`."""
    try:
        tidy(root)
        with hold(root), Work(root) as work:
            with Archive(work, source) as archive:
                loader = Loader(root, work, archive, progress, wanted)
                plans = loader.plan()
                refs = [loader.stage(plan) for plan in plans]
            publish(root, work)
            Refs(root).assign(*(ref for group in refs for ref in group), familiar=familiar)
        sweep(root)
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot load the archive", root.store) from error
    return [_line(ref) for group in refs for ref in group]


class Loader:
    """One archive on its way into the store."""

    def __init__(
        self,
        root: Root,
        work: Work,
        archive: Archive,
        progress: Callable[[Progress], None] | None,
        wanted: Platform | None = None,
    ) -> None:
        self._work, self._archive, self._content = work, archive, Content(root)
        self._staging = Staging(NewLayers(root, work), archive, progress)
        self._wanted = wanted  # None: what this machine runs
        self._seen: set[str] = set()
        self._descriptors = 0

    def plan(self) -> list[Plan]:
        """What the archive holds, validated.

        Raises:
            InvalidArgument: No image archive, or a name that the grammar refuses.
            InvalidSpec: A document breaks its specification.
            Unsupported: No image in it is for this machine.
        """
        if self._archive.has("index.json") and (plans := self._plan_oci()):
            return plans
        if self._archive.has("manifest.json"):
            return self._plan_docker()
        if self._archive.has("repositories"):
            raise Unsupported(
                "an archive of docker before 1.10",
                hint="load it there and save it with a newer docker",
            )
        raise no_archive("the archive")

    def stage(self, plan: Plan) -> list[Ref]:
        """Verify and extract one image's layers; what its names will be."""
        chains = chain_ids(plan.diff_ids)
        found = self._staging.run(plan.layers, chains, plan.diff_ids)
        staged = [
            (layer, self._keep(source, layer, packing, path))
            for source, (layer, packing, path) in zip(plan.layers, found, strict=True)
        ]
        manifest = plan.manifest
        if manifest is None:
            packed = [layer for _, layer in staged]
            manifest = stage_manifest(self._content, self._work, plan.config, packed)
        return [
            Ref(
                reference=name,
                manifest=manifest,
                config=plan.config,
                chains=chains,
                size=sum(layer.size for layer, _ in staged),
                created=plan.created,
                time=clock.now(),
            )
            for name in plan.names or (plan.config.digest,)
        ]

    def _keep(self, source: Source, layer: Layer, packing: str, path: str) -> Descriptor:
        """The packed bytes wait to become a blob."""
        if (_named_blob(source.member) or layer.digest) != layer.digest:
            raise DigestMismatch("the layer is not what its name says", where=source.member)
        self._archive.keep(path, layer.digest)
        return Descriptor(
            media_type=documents.OCI_LAYER + packing, digest=layer.digest, size=layer.packed_size
        )

    # docker's format: manifest.json names a configuration and layers by member.

    def _plan_docker(self) -> list[Plan]:
        data = self._archive.read("manifest.json", documents.MAX_MANIFEST)
        images = documents.parse_json(data, "manifest.json")
        if not isinstance(images, list) or not images:
            raise InvalidSpec("manifest.json is not a list of images")
        _check_count(len(images))
        present: list[Platform] = []
        plans = [self._plan_docker_image(image, present) for image in images]
        found = [plan for plan in plans if plan is not None]
        if not found:
            raise self._no_platform(present, "")
        return found

    def _plan_docker_image(self, image: object, present: list[Platform]) -> Plan | None:
        """One image; None when another platform is wanted than it has."""
        if not isinstance(image, dict) or not isinstance(image.get("Config"), str):
            raise InvalidSpec("manifest.json has an image without a Config")
        names = tuple(str(parse_tagged(name)) for name in documents.strings(image, "RepoTags"))
        members = documents.strings(image, "Layers")
        documents.check_layer_count(len(members))
        data = self._archive.read(image["Config"], documents.MAX_CONFIG)
        config = self._content.stage(self._work, data, documents.OCI_CONFIG)
        _check_name(image["Config"], config.digest)
        found = _checked_config(data, len(members))
        if self._wanted is not None and not found.platform.fits(self._wanted):
            present.append(found.platform)
            return None
        return Plan(
            names=names,
            config=config,
            created=found.created,
            diff_ids=found.diff_ids,
            layers=tuple(Source(member=member, packed=None) for member in members),
            manifest=None,
        )

    # OCI: index.json leads to manifests, by digest.

    def _plan_oci(self) -> list[Plan]:
        data = self._archive.read("index.json", documents.MAX_MANIFEST)
        entries = documents.parse_index(data, documents.OCI_INDEX)
        named = [(_names(entry), entry) for entry in entries]
        groups: dict[tuple[str, ...], list[IndexEntry]] = {}
        for number, (names, entry) in enumerate(named):
            groups.setdefault(names or (f"#{number}",), []).append(entry)
        _check_count(len(groups))
        plans: list[Plan] = []
        present: list[Platform] = []
        for names, group in groups.items():
            self._seen.clear()
            found = self._choose(group, 1, present)
            if found is not None:
                known = () if names[0].startswith("#") else names
                plans.append(self._plan_manifest(found, known))
            elif not names[0].startswith("#"):
                raise self._no_platform(present, familiar(names[0]))
        if entries and not plans:
            raise self._no_platform(present, "")
        return plans

    def _choose(
        self, entries: list[IndexEntry], depth: int, present: list[Platform]
    ) -> Descriptor | None:
        """The first manifest for this machine below an index; others' platforms go to `present`."""
        if depth > MAX_DEPTH:
            raise ResourceExhausted(f"indexes nested deeper than {MAX_DEPTH}")
        self._descriptors += len(entries)
        if self._descriptors > documents.MAX_DESCRIPTORS:
            raise ResourceExhausted(f"more than {documents.MAX_DESCRIPTORS} descriptors")
        for entry in entries:
            found = self._choose_entry(entry, depth, present)
            if found is not None:
                return found
        return None

    def _choose_entry(
        self, entry: IndexEntry, depth: int, present: list[Platform]
    ) -> Descriptor | None:
        descriptor = entry.descriptor
        if descriptor.digest in self._seen:
            return None
        self._seen.add(descriptor.digest)
        if entry.platform is not None and not entry.platform.fits(self._wanted):
            present.append(entry.platform)
            return None
        if descriptor.media_type in documents.INDEXES:
            data = self._archive.read_blob(descriptor, documents.MAX_MANIFEST)
            return self._choose(
                documents.parse_index(data, descriptor.media_type), depth + 1, present
            )
        if descriptor.media_type not in documents.MANIFESTS:
            raise InvalidSpec(
                f"an entry of unknown type {descriptor.media_type[:100]!r}", where=descriptor.digest
            )
        return descriptor if entry.platform is not None else self._if_fits(descriptor, present)

    def _if_fits(self, descriptor: Descriptor, present: list[Platform]) -> Descriptor | None:
        """A manifest whose index names no platform: its configuration decides."""
        data = self._archive.read_blob(descriptor, documents.MAX_MANIFEST)
        manifest = documents.parse_manifest(data, descriptor.media_type)
        config = self._archive.read_blob(manifest.config, documents.MAX_CONFIG)
        platform = documents.parse_config(config).platform
        if platform.fits(self._wanted) or not (platform.architecture or self._wanted):
            return descriptor
        present.append(platform)
        return None

    def _no_platform(self, present: list[Platform], name: str) -> Unsupported:
        wanted = self._wanted or f"linux/{documents.architecture()}"
        listed = ", ".join(sorted({str(platform) for platform in present})) or "none"
        return Unsupported(
            f"no image for {wanted} in the archive; present: {listed[:500]}", where=name
        )

    def _plan_manifest(self, descriptor: Descriptor, names: tuple[str, ...]) -> Plan:
        data = self._archive.read_blob(descriptor, documents.MAX_MANIFEST)
        manifest = documents.parse_manifest(data, descriptor.media_type)
        config = self._archive.read_blob(manifest.config, documents.MAX_CONFIG)
        found = _checked_config(config, len(manifest.layers))
        for layer in manifest.layers:
            self._archive.check(blob_name(layer.digest))
        self._content.stage(self._work, data, descriptor.media_type)
        self._content.stage(self._work, config, manifest.config.media_type)
        return Plan(
            names=names,
            config=manifest.config,
            created=found.created,
            diff_ids=found.diff_ids,
            layers=tuple(Source(member=blob_name(d.digest), packed=d) for d in manifest.layers),
            manifest=descriptor,
        )


def _checked_config(data: bytes, layers: int) -> Config:
    config = documents.parse_config(data)
    if len(config.diff_ids) != layers:
        raise InvalidSpec(
            f"{layers} layers, but the configuration has {len(config.diff_ids)} diff ids"
        )
    if config.platform.os not in ("", "linux"):
        raise Unsupported(
            f"an image for {config.platform}: this is linux/{documents.architecture()}"
        )
    return config


def _check_count(count: int) -> None:
    if count > MAX_IMAGES:
        raise ResourceExhausted(f"{count} images in one archive: at most {MAX_IMAGES}")


def _named_blob(member: str) -> str:
    """The digest that a member's own name promises, or ""."""
    directory, _, name = member.rpartition("/")
    return "sha256:" + name if directory == "blobs/sha256" and is_hex64(name) else ""


def _check_name(member: str, digest: str) -> None:
    promised = _named_blob(member) or "sha256:" + member.removesuffix(".json")
    if is_hex64(promised[7:]) and promised != digest:
        raise DigestMismatch("the configuration is not what its name says", where=member)


def _names(entry: IndexEntry) -> tuple[str, ...]:
    """The name that an entry's annotations give it; a bare word is a repository's."""
    name = entry.annotations.get(_NAME) or entry.annotations.get(_REF_NAME) or ""
    if not name:
        return ()
    found = parse(name).with_tag()
    return (str(found.replace(digest="")),) if found.tag else ()


def _line(ref: Ref) -> str:
    return (
        f"Loaded image: {familiar(ref.reference)}"
        if ref.named
        else f"Loaded image ID: {ref.reference}"
    )
