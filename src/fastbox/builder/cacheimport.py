"""`--cache-from`: places that are asked for a step when the store doesn't know it.

Such a place says what came of a step, and it is trusted with that, as docker's caches are. It is
not trusted with anything else: a layer's bytes count by their digests, its chain id is computed
from what really lies below, and whatever doesn't hold is a miss with a warning.
"""

from __future__ import annotations

import os

from fastbox import _bytes
from fastbox.builder import cachedocument
from fastbox.builder.cachedirectory import CacheDirectory
from fastbox.builder.made import PACKED, find_layer, stack
from fastbox.builds import Event
from fastbox.errors import DiskFull, FastboxError, IntegrityError, InvalidSpec, Unsupported
from fastbox.store.content import Content, Descriptor, staged_path
from fastbox.store.extract import NewLayers
from fastbox.store.layers import Layers, chain_over
from fastbox.store.lease import Work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastbox.builder.build import Build
    from fastbox.builder.made import Made
    from fastbox.builds import CacheSource
    from fastbox.store.buildcache import Step

_GZIP = b"\x1f\x8b"


class Import:
    """One place to ask.

    Attributes:
        steps: What it says of steps, by their keys.
    """

    __slots__ = ("_bad", "_build", "_directory", "_image", "_name", "steps")

    def __init__(
        self,
        build: Build,
        name: str,
        steps: Mapping[str, Step],
        directory: CacheDirectory | None = None,
        image: Mapping[str, Descriptor] | None = None,
    ) -> None:
        """
        Args:
            build: Who asks.
            name: How people call the place.
            steps: What it says.
            directory: Where the layers are; the import closes it.
            image: Or the packed layers of an image of the store, by their chain ids.
        """
        self._build, self._name, self.steps = build, name, steps
        self._directory, self._image = directory, image or {}
        self._bad: set[str] = set()

    def close(self) -> None:
        """Ask no more."""
        if self._directory is not None:
            self._directory.close()

    def find(self, keys: Sequence[str], top: Made | None) -> tuple[Made | None, str, Step] | None:
        """The layer of a step over others, brought into the store, its key, and its record.

        Raises:
            DiskFull: There is no room for it.
        """
        for key in keys:
            step = self.steps.get(key)
            if step is not None and step.same:
                key, step = step.same, self.steps.get(step.same)
            if step is None or key in self._bad:
                continue
            if not step.chain:
                return None, key, step
            try:
                made = self._layer(step, top)
            except DiskFull:
                raise
            except (FastboxError, OSError) as error:
                self._bad.add(key)
                _warn(self._build, self._name, error)
                continue
            if made is not None:
                return made, key, _record(step, made)
        return None

    def _layer(self, step: Step, top: Made | None) -> Made | None:
        """
        Raises:
            FastboxError: It is not what was promised.
            OSError: The kernel said no.
        """
        below = top.wait().chain if top else ""
        if step.parent != below:
            return None  # what is below came out otherwise here
        chain = chain_over(below, step.diff_id)
        if step.chain != chain:
            raise IntegrityError("a step whose layer is not what it says", where=step.chain)
        if self._directory is None:
            packed = self._image.get(chain)
            return find_layer(self._build.root, chain, top, packed) if packed else None
        packed = Descriptor(media_type=PACKED, digest=step.digest, size=step.packed_size)
        known = Layers(self._build.root).get(chain)
        # Whose bytes a digest is, only the store's own record tells.
        if known is not None and (known.digest, known.packed_size) == (packed.digest, packed.size):
            made = find_layer(self._build.root, chain, top, packed)
            if made is not None and _is_gzip(Content(self._build.root).path(packed.digest)):
                return made
        self._bring(self._directory, chain, step.diff_id, packed, top)
        return find_layer(self._build.root, chain, top, packed)

    def _bring(
        self,
        directory: CacheDirectory,
        chain: str,
        diff_id: str,
        packed: Descriptor,
        top: Made | None,
    ) -> None:
        root = self._build.root
        lower = [made.wait().chain for made in stack(top) if not made.empty]
        with Work(root) as work:
            path = staged_path(work, packed.digest)
            directory.fetch(packed, path)
            if not _is_gzip(path):
                raise Unsupported("a layer that is not packed by gzip", where=packed.digest)
            layers = NewLayers(root, work)
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                layers.stage_over(chain, diff_id, fd, packed, lower)
            finally:
                os.close(fd)
            _bytes.sync_file_system(work.fd)
            Content(root).publish(work)
            layers.publish()


def _record(step: Step, made: Made) -> Step:
    """The step as the store remembers it: of the layer that is there, not of what was said."""
    layer = made.layer
    assert layer is not None
    return step.replace(
        chain=made.chain, diff_id=layer.diff_id, digest=layer.digest, size=layer.size,
        packed_size=layer.packed_size,
        media_type="" if made.media_type == PACKED else made.media_type,
    )  # fmt: skip


def _is_gzip(path: str) -> bool:
    with open(path, "rb", buffering=0) as file:
        return file.read(2) == _GZIP


def open_imports(build: Build) -> list[Import]:
    """The places that `--cache-from` names; one that can't be read is a warning."""
    found = []
    for source in build.options.cache_from if not build.options.no_cache else ():
        name = f"local:{source.path}" if source.kind == "local" else source.ref
        with build.teller.vertex(f"importing cache manifest from {name}"):
            try:
                opener = _directory if source.kind == "local" else _image
                found.append(opener(build, name, source))
            except (FastboxError, OSError) as error:
                _warn(build, name, error)
    return found


def _directory(build: Build, name: str, source: CacheSource) -> Import:
    directory = CacheDirectory(source.path)
    try:
        tag = (source.attributes or {}).get("tag", "latest")
        return Import(build, name, directory.steps(tag), directory)
    except BaseException:
        directory.close()
        raise


def _image(build: Build, name: str, source: CacheSource) -> Import:
    """An image of the store with `--cache-to type=inline`'s member in its configuration."""
    ref, packed, document = build.images.parts(source.ref, build.options.platform)
    if cachedocument.MEMBER not in document:
        raise InvalidSpec("no cache is in the image", hint="build it with: --cache-to type=inline")
    steps = cachedocument.parse(document[cachedocument.MEMBER])
    return Import(build, name, steps, image=dict(zip(ref.chains, packed, strict=True)))


def _warn(build: Build, name: str, error: FastboxError | OSError) -> None:
    text = str(error.strerror or error).lower() if isinstance(error, OSError) else str(error)
    if isinstance(error, FastboxError) and isinstance(error, OSError):
        text = str(error)
    build.teller.tell(Event(kind="warning", text=f"cache {name}: {text}"))
