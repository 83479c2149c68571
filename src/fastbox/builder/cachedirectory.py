"""A cache as a directory: an OCI layout whose manifest has the packed layers as its layers and the
document of the steps as its configuration.

It is read as something of others': nothing in it is followed out of it, and every byte counts only
once its digest is checked. It is written so that a reader never sees a half of it: blobs appear by
renames, and the index last.
"""

from __future__ import annotations

import fcntl
import os
import stat

from fastbox import _bytes
from fastbox.builder import cachedocument
from fastbox.errors import DigestMismatch, InvalidSpec, ResourceExhausted, SizeMismatch
from fastbox.store.content import Content, Descriptor, digest_of, hex_of, verify
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from fastbox.store.buildcache import Step

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_NAME = "org.opencontainers.image.ref.name"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_MAX_INDEX = 4 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class CacheDirectory:
    """One such directory, for a `with` block, or until `close`."""

    __slots__ = ("_blobs", "_top", "path")

    def __init__(self, path: str, *, make: bool = False) -> None:
        """
        Args:
            path: The directory.
            make: Make what is missing of it, and keep others from writing it until `close`.

        Raises:
            OSError: It is not there, or the kernel said no.
        """
        self.path = path
        if make:
            os.makedirs(path, exist_ok=True)
        self._top = os.open(path, _DIRECTORY)
        try:
            if make:
                fcntl.flock(self._top, fcntl.LOCK_EX)
            self._blobs = _below(self._top, ("blobs", "sha256"), make)
        except BaseException:
            os.close(self._top)
            raise

    def __enter__(self) -> CacheDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._blobs)
        os.close(self._top)

    # Reading

    def steps(self, tag: str) -> dict[str, Step]:
        """What the cache of this name knows.

        Raises:
            InvalidSpec: There is none, or it breaks its form.
            IntegrityError: A document is not what its digest says.
            OSError: The kernel said no.
        """
        found = [entry for entry in self._entries() if _name_of(entry) == tag]
        if not found:
            raise InvalidSpec(f'no cache of the name "{tag}" in it')
        manifest = _object(self._document(_descriptor(found[0]), _MAX_INDEX), "the manifest")
        config = _descriptor(manifest.get("config"))
        if config.media_type != cachedocument.MEDIA_TYPE:
            raise InvalidSpec(f"a cache of another kind: {config.media_type[:100]!r}")
        return cachedocument.parse(self._document(config, cachedocument.MAX_DOCUMENT))

    def _entries(self) -> list[dict[str, Any]]:
        with open(_open(self._top, "index.json"), "rb") as file:
            data = file.read(_MAX_INDEX + 1)
        if len(data) > _MAX_INDEX:
            raise ResourceExhausted("an index of more than 4 MiB")
        entries = _object(_parse(data), "the index").get("manifests")
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise InvalidSpec("the index has no list of manifests")
        return entries

    def _document(self, wanted: Descriptor, limit: int) -> Any:
        if wanted.size > limit:
            raise SizeMismatch(f"{wanted.size} bytes, {limit} at most", where=wanted.digest)
        with open(_open(self._blobs, hex_of(wanted.digest)), "rb") as file:
            return _parse(verify(file.read(wanted.size + 1), wanted))

    def fetch(self, wanted: Descriptor, path: str) -> None:
        """Copy a blob to a new file, verified.

        Raises:
            IntegrityError: It is not what the descriptor says.
            OSError: It is missing, or the kernel said no.
        """
        source = _open(self._blobs, hex_of(wanted.digest))
        try:
            size = os.fstat(source).st_size
            if size != wanted.size:
                raise SizeMismatch(
                    f"{size} bytes where {wanted.size} were promised", where=wanted.digest
                )
            target = os.open(path, _NEW, 0o600)
            try:
                _copy(source, target, wanted)
            finally:
                os.close(target)
        finally:
            os.close(source)

    # Writing

    def write(self, content: Content, steps: Mapping[str, Step], tag: str) -> None:
        """Put these steps and their layers there; blobs that are there already stay.

        Raises:
            IntegrityError: A layer's packed bytes are not what their digest says.
            OSError: The kernel said no.
        """
        layers = list(_layers(steps.values()))
        for layer in layers:
            self._add(content, layer)
        config = self._put(json.dumps_bytes(cachedocument.document(steps)))
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": cachedocument.MEDIA_TYPE, **config},
            "layers": [layer.as_json() for layer in layers],
        }
        made = {"mediaType": _MANIFEST, **self._put(json.dumps_bytes(manifest))}
        made["annotations"] = {_NAME: tag}
        others = [entry for entry in self._others() if _name_of(entry) != tag]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [*others, made]}
        _bytes.sync_file_system(self._top)
        _write(self._top, "oci-layout", _LAYOUT)
        _write(self._top, "index.json", json.dumps_bytes(index))

    def _others(self) -> list[dict[str, Any]]:
        try:
            return self._entries()
        except (OSError, InvalidSpec, ResourceExhausted):  # none yet, or of no use
            return []

    def _put(self, data: bytes) -> dict[str, Any]:
        digest = digest_of(data)
        _write(self._blobs, hex_of(digest), data)
        return {"digest": digest, "size": len(data)}

    def _add(self, content: Content, layer: Descriptor) -> None:
        name = hex_of(layer.digest)
        try:
            there = os.stat(name, dir_fd=self._blobs, follow_symlinks=False)
            if stat.S_ISREG(there.st_mode) and there.st_size == layer.size:
                return
        except FileNotFoundError:
            pass
        source = os.open(content.path(layer.digest), _READ)
        try:
            _replace(self._blobs, name, lambda target: _copy(source, target, layer))
        finally:
            os.close(source)


def _layers(steps: Iterable[Step]) -> Iterable[Descriptor]:
    seen = set()
    for step in steps:
        if step.digest and step.digest not in seen:
            seen.add(step.digest)
            yield Descriptor(
                media_type=step.media_type or "application/vnd.oci.image.layer.v1.tar+gzip",
                digest=step.digest,
                size=step.packed_size,
            )


def _copy(source: int, target: int, wanted: Descriptor) -> None:
    digest, size = _bytes.copy_digest(source, target, wanted.size)
    if (f"sha256:{digest}", size) != (wanted.digest, wanted.size):
        raise DigestMismatch("the content is not what its digest says", where=wanted.digest)


def _below(top: int, names: Iterable[str], make: bool) -> int:
    found = os.dup(top)
    for name in names:
        try:
            if make:
                try:
                    os.mkdir(name, 0o755, dir_fd=found)
                except FileExistsError:
                    pass
            below = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=found)
        finally:
            os.close(found)
        found = below
    return found


def _open(directory: int, name: str) -> int:
    """A regular file, told before anything is read of it."""
    fd = os.open(name, _READ, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise InvalidSpec("not a regular file", where=name)
    return fd


def _write(directory: int, name: str, data: bytes) -> None:
    def fill(target: int) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        os.fsync(target)

    _replace(directory, name, fill)


def _replace(directory: int, name: str, fill: Any) -> None:
    temporary = f"{name}.{os.urandom(4).hex()}.tmp"
    fd = os.open(temporary, _NEW, 0o644, dir_fd=directory)
    try:
        try:
            fill(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise InvalidSpec(f"not valid: {str(error)[:200]}") from None


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSpec(f"{what} is not an object")
    return value


def _descriptor(value: object) -> Descriptor:
    found = _object(value, "a descriptor")
    kind, size = found.get("mediaType"), found.get("size")
    if not isinstance(kind, str) or not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidSpec("a descriptor without a type or a size")
    digest = "sha256:" + hex_of(found.get("digest"))
    return Descriptor(media_type=kind, digest=digest, size=size)


def _name_of(entry: Mapping[str, Any]) -> str:
    notes = entry.get("annotations")
    name = notes.get(_NAME) if isinstance(notes, dict) else None
    return name if isinstance(name, str) else ""
