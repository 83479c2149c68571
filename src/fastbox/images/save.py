"""`save`: images as an archive that others read.

The default is what docker writes since version 25: a tar that is an OCI layout and has docker's
own manifest.json, which points to the same blobs, so that readers of either format find theirs. The
blobs are the store's own bytes, each verified on its way out; the same images give the same bytes.
"""

from __future__ import annotations

import errno
import os
import stat

from fastbox import _bytes
from fastbox.errors import (
    Conflict,
    DigestMismatch,
    FastboxError,
    IntegrityError,
    InvalidArgument,
    SizeMismatch,
    os_error,
)
from fastbox.images import documents
from fastbox.images.reference import familiar, parse
from fastbox.images.sweep import sweep
from fastbox.store.content import Content, hex_of
from fastbox.store.lease import hold
from fastbox.store.root import sync_directory
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastbox.images.documents import Config, Manifest
    from fastbox.store.content import Descriptor
    from fastbox.store.refs import Ref
    from fastbox.store.root import Root

FORMATS = ("docker-archive", "oci-archive", "oci-dir")
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_BLOBS = "blobs/sha256/"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Wanted(Record):
    """One image to save, and the names to save it under (normalised; none for an id)."""

    ref: Ref
    names: tuple[str, ...]


class Member(Record):
    """One file of the archive: bytes that we made, or a blob, perhaps to be unpacked."""

    name: str
    size: int
    data: bytes = b""
    digest: str = ""  # of the blob it is made from
    unpacked: str = ""  # the digest of what the blob is when unpacked, when that is the member


def save(
    root: Root,
    choose: Callable[[], list[Wanted]],
    target: str | int,
    form: str,
) -> None:
    """Write images out; see `Images.save`. `choose` is called once nothing can be swept."""
    if form not in FORMATS:
        raise InvalidArgument(f"unknown format {form!r}", hint="known: " + ", ".join(FORMATS))
    try:
        with hold(root):
            content = Content(root)
            members = _members(content, choose(), docker=form == "docker-archive")
            if form == "oci-dir":
                _write_directory(content, members, target)
            elif isinstance(target, int):
                _write_tar(content, members, target)
            else:
                _write_file(content, members, target)
        sweep(root)  # who held the sweeper away sweeps
    except FastboxError:
        raise
    except OSError as error:
        if error.errno == errno.EPIPE:  # nobody reads it any more: no failure of ours
            raise BrokenPipeError(error.errno, "broken pipe") from None
        where = target if isinstance(target, str) else "the output"
        raise os_error(error, "cannot save", where) from error


# What is in it.


def _members(content: Content, images: Sequence[Wanted], *, docker: bool) -> list[Member]:
    """Every member of the archive, by name; each blob once."""
    found: dict[str, Member] = {}
    entries: list[dict[str, object]] = []
    described: list[dict[str, object]] = []
    repositories: dict[str, dict[str, str]] = {}
    for image in images:
        manifest, config = _documents(content, image.ref)
        for blob in (image.ref.manifest, manifest.config, *manifest.layers):
            _put(found, Member(name=_blob_name(blob.digest), size=blob.size, digest=blob.digest))
        entries += _index_entries(image)
        if docker:
            layers = _plain_layers(content, found, manifest, config)
            described.append(_describe(image, layers))
            _note_repositories(repositories, image, layers)
    _put(found, _document("oci-layout", _LAYOUT))
    index = {"schemaVersion": 2, "mediaType": documents.OCI_INDEX, "manifests": entries}
    _put(found, _document("index.json", json.dumps_bytes(index)))
    if docker:
        _put(found, _document("manifest.json", json.dumps_bytes(described)))
        _put(found, _document("repositories", json.dumps_bytes(repositories, sort_keys=True)))
    return [found[name] for name in sorted(found)]


def _documents(content: Content, ref: Ref) -> tuple[Manifest, Config]:
    data = content.read(ref.manifest, documents.MAX_MANIFEST)
    manifest = documents.parse_manifest(data, ref.manifest.media_type)
    config = documents.parse_config(content.read(manifest.config, documents.MAX_CONFIG))
    if len(config.diff_ids) != len(manifest.layers):
        raise IntegrityError(
            "manifest and configuration differ in their number of layers", where=ref.config.digest
        )
    return manifest, config


def _index_entries(image: Wanted) -> list[dict[str, object]]:
    """An entry a name; the whole familiar name in OCI's annotation, too, though docker puts only
    the tag there: skopeo, umoci and podman choose and name images by it, and a bare tag would make
    two repositories one.
    """
    entry = image.ref.manifest.as_json()
    if not image.names:
        return [entry]
    return [
        entry
        | {
            "annotations": {
                "io.containerd.image.name": name,
                "org.opencontainers.image.ref.name": familiar(name),
            }
        }
        for name in image.names
    ]


def _plain_layers(
    content: Content, found: dict[str, Member], manifest: Manifest, config: Config
) -> list[str]:
    """The members that manifest.json calls the image's layers.

    docker before version 23 reads layers plain, or packed by gzip, but not by zstd. For such a
    layer its plain tar goes into the archive beside the blob, named by its digest as every other
    blob, and docker's readers are led there; OCI's readers get the blob itself.
    """
    names = []
    for layer, diff_id in zip(manifest.layers, config.diff_ids, strict=True):
        if not _is_zstd(content, layer):
            names.append(_blob_name(layer.digest))
            continue
        with open(os.open(content.path(layer.digest), _OPEN), "rb", buffering=0) as file:
            _, digest, size = _unpack(file.fileno(), -1, layer.digest)
        if "sha256:" + digest != diff_id:
            raise _mismatch(layer.digest)
        name = _blob_name(diff_id)
        _put(found, Member(name=name, size=size, digest=layer.digest, unpacked=diff_id))
        names.append(name)
    return names


def _is_zstd(content: Content, layer: Descriptor) -> bool:
    """Told by the first bytes: a media type may lie."""
    try:
        fd = os.open(content.path(layer.digest), _OPEN)
    except FileNotFoundError:
        raise _missing(layer.digest) from None
    try:
        return os.read(fd, 4) == b"\x28\xb5\x2f\xfd"
    finally:
        os.close(fd)


def _describe(image: Wanted, layers: list[str]) -> dict[str, object]:
    return {
        "Config": _blob_name(image.ref.config.digest),
        "RepoTags": [familiar(name) for name in image.names] or None,
        "Layers": layers,
    }


def _note_repositories(
    repositories: dict[str, dict[str, str]], image: Wanted, layers: list[str]
) -> None:
    """The oldest form of a list of names; an image without layers has no place in it."""
    for name in image.names if layers else ():
        parsed = parse(name)
        top = layers[-1].removeprefix(_BLOBS)
        repositories.setdefault(parsed.familiar_name, {})[parsed.tag] = top


def _document(name: str, data: bytes) -> Member:
    return Member(name=name, size=len(data), data=data)


def _put(found: dict[str, Member], member: Member) -> None:
    # The stored blob is preferred to the same bytes made by unpacking another.
    if member.name not in found or not member.unpacked:
        found[member.name] = member


def _blob_name(digest: str) -> str:
    return _BLOBS + hex_of(digest)


# How it is written.


def _write_file(content: Content, members: list[Member], target: str) -> None:
    """A whole archive appears by a rename, or nothing; what is no file (a pipe) is written to."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise InvalidArgument(f"{target}: a directory", hint="give the name of a file")
    if not stat.S_ISREG(mode):
        fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_tar(content, members, fd)
        finally:
            os.close(fd)
        return
    directory, name = os.path.split(target)
    directory = directory or "."
    if not os.path.isdir(directory):
        raise InvalidArgument(f"{target}: there is no directory {directory}")
    temporary = os.path.join(directory, f".{name[:200]}.{os.urandom(4).hex()}.tmp")
    fd = _nameless(directory, temporary)
    try:
        _write_tar(content, members, fd)
        os.fsync(fd)
        if not os.fstat(fd).st_nlink:
            _give_name(fd, directory, os.path.basename(temporary))
        os.rename(temporary, target)
        sync_directory(directory)
    except BaseException:
        _unlink(temporary)
        raise
    finally:
        os.close(fd)


def _nameless(directory: str, temporary: str) -> int:
    """A file without a name, which even SIGKILL leaves nothing of; with the temporary name where
    the file system has no such files.
    """
    try:
        return os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            raise
    return os.open(temporary, _NEW, 0o600)


def _give_name(fd: int, directory: str, name: str) -> None:
    # Only with a directory's descriptor does Python call linkat, which can follow.
    where = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=where)
    finally:
        os.close(where)


def _write_directory(content: Content, members: list[Member], target: str | int) -> None:
    """A layout as a directory: made beside its place, then renamed; only an empty one is in the
    way of nobody.
    """
    if not isinstance(target, str) or not target:
        raise InvalidArgument(
            "the format oci-dir needs a directory to make", hint="name it with --output"
        )
    target = os.path.abspath(target)
    temporary = f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        os.makedirs(os.path.join(temporary, _BLOBS), mode=0o755)
        for member in members:
            fd = os.open(os.path.join(temporary, member.name), _NEW, 0o644)
            try:
                _write_member(content, member, fd)
            finally:
                os.close(fd)
        where = os.open(temporary, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _bytes.sync_file_system(where)
        finally:
            os.close(where)
        _rename_directory(temporary, target)
    except BaseException:
        _remove_directory(temporary, members)
        raise


def _rename_directory(temporary: str, target: str) -> None:
    try:
        os.rename(temporary, target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            raise Conflict(f"{target} exists", hint="name a directory that is not there") from None
        raise


def _remove_directory(path: str, members: list[Member]) -> None:
    """Take away what `_write_directory` made, by the names it used."""
    for member in members:
        _unlink(os.path.join(path, member.name))
    for name in (_BLOBS, "blobs", ""):
        try:
            os.rmdir(os.path.join(path, name))
        except FileNotFoundError:
            pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _write_tar(content: Content, members: Sequence[Member], fd: int) -> None:
    """Members in order of their names, with fixed times and owner; directories first, as tar has
    them.
    """
    for header, member in _headers(members):
        _write_all(fd, header)
        if member is not None:
            _write_member(content, member, fd)
            _write_all(fd, bytes(-member.size % 512))
    _write_all(fd, bytes(1024))


def _headers(members: Sequence[Member]) -> Iterator[tuple[bytes, Member | None]]:
    from tarfile import DIRTYPE, GNU_FORMAT, TarInfo

    for name in ("blobs", "blobs/sha256"):
        info = TarInfo(name + "/")
        info.type, info.mode = DIRTYPE, 0o755
        yield info.tobuf(GNU_FORMAT), None
    for member in members:
        info = TarInfo(member.name)
        info.size = member.size
        yield info.tobuf(GNU_FORMAT), member


def _write_member(content: Content, member: Member, fd: int) -> None:
    """The bytes of one member, verified while they are written."""
    if not member.digest:
        _write_all(fd, member.data)
        return
    try:
        source = os.open(content.path(member.digest), _OPEN)
    except FileNotFoundError:
        raise _missing(member.digest) from None
    try:
        if member.unpacked:
            packed, digest, size = _unpack(source, fd, member.digest)
            wanted = member.unpacked
        else:
            # Looked at first, so that a pipe's reader doesn't get a header with the wrong bytes.
            _check_size(os.fstat(source).st_size, member)
            digest, size = _bytes.copy_digest(source, fd, member.size)
            packed, wanted = digest, member.digest
    finally:
        os.close(source)
    _check_size(size, member)
    if "sha256:" + digest != wanted or "sha256:" + packed != member.digest:
        raise _mismatch(member.digest)


def _check_size(size: int, member: Member) -> None:
    if size != member.size:
        raise SizeMismatch(f"{size} bytes where {member.size} were promised", where=member.digest)


def _unpack(source: int, fd: int, digest: str) -> tuple[str, str, int]:
    try:
        return _bytes.unpack(source, fd)
    except OSError as error:
        if error.errno in (errno.EBADMSG, errno.EINVAL):
            raise IntegrityError(
                "a layer can't be unpacked", where=digest, hint="load the image again"
            ) from None
        raise


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _missing(digest: str) -> IntegrityError:
    return IntegrityError(
        "content is missing from the store", where=digest, hint="load the image again"
    )


def _mismatch(digest: str) -> DigestMismatch:
    return DigestMismatch(
        "the stored content is not what its digest says",
        where=digest,
        hint="load the image again; `fastbox system check` looks at all of them",
    )
