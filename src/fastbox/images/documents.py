"""The JSON documents of images: index, manifest, configuration. Each is validated whole, once, into
typed values; the bytes come verified.

Their text is an image author's: it never becomes a path, an option or a command of the engine.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, InvalidSpec, ResourceExhausted
from fastbox.store.content import MAX_SIZE, Descriptor, hex_of
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

MAX_MANIFEST = 4 << 20
MAX_CONFIG = 8 << 20
MAX_LAYERS = 512
MAX_DESCRIPTORS = 10_000
_SHOWN = 100  # characters of an author's text in a message

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DOCKER = "application/vnd.docker."
INDEXES = (OCI_INDEX, _DOCKER + "distribution.manifest.list.v2+json")
MANIFESTS = (OCI_MANIFEST, _DOCKER + "distribution.manifest.v2+json")
CONFIGS = (OCI_CONFIG, _DOCKER + "container.image.v1+json")
_LAYERS = frozenset(
    [
        start + packing
        for start in (OCI_LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar")
        for packing in ("", "+gzip", "+zstd")
    ]
    + [
        _DOCKER + "image.rootfs." + kind + packing
        for kind in ("diff.tar", "foreign.diff.tar")
        for packing in ("", ".gzip", ".zstd")
    ]
)
_MACHINES = {  # where OCI's word is another than the kernel's
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv6l": "arm",
    "armv7l": "arm",
    "armv8l": "arm",
    "i386": "386",
    "i686": "386",
    "loongarch64": "loong64",
}
_BASELINE = {"amd64": ("v1",), "arm64": ("v8",), "arm": ("v7", "v6", "v5")}
_NAME = "abcdefghijklmnopqrstuvwxyz0123456789._-"
_SYSTEMS = ("linux", "windows", "darwin", "freebsd")


class Platform(Record):
    """What an image is made for, in OCI's words; "" where it does not say."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        parts = [part for part in (self.os, self.architecture, self.variant) if part]
        return "/".join(parts)[:_SHOWN] or "unknown"

    def fits(self, wanted: Platform | None = None) -> bool:
        """Whether this machine runs it natively, whatever its generation; or, when a platform is
        wanted, whether it is that one.
        """
        if wanted is not None:
            return self._is(wanted)
        machine = os.uname().machine
        variants = ("", *_BASELINE.get(self.architecture, ()))
        if machine == "armv6l":
            variants = ("", "v6", "v5")
        return (
            self.os == "linux" and self.architecture == architecture() and self.variant in variants
        )

    def _is(self, wanted: Platform) -> bool:
        """A variant counts when it was given, and the oldest generation goes without one."""
        if (self.os or "linux", self.architecture) != (wanted.os, wanted.architecture):
            return False
        oldest = {"amd64": "v1", "arm64": "v8", "arm": "v7"}.get(self.architecture, "")
        return not wanted.variant or (self.variant or oldest) == wanted.variant


class IndexEntry(Record):
    """One line of an index."""

    descriptor: Descriptor
    platform: Platform | None
    annotations: Mapping[str, str]


class Manifest(Record):
    """One image: its configuration and its packed layers, bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Config(Record):
    """An image's configuration: the whole document, and the parts that were checked."""

    document: Mapping[str, Any]
    platform: Platform
    diff_ids: tuple[str, ...]
    created: str
    run: Mapping[str, Any]  # the "config" object


def parse_platform(text: str) -> Platform:
    """A platform as people write it: `os/arch[/variant]`, an architecture alone, or a system alone.

    Raises:
        InvalidArgument: Something else.

    Example:
        >>> str(parse_platform("aarch64"))
        'linux/arm64'
    """
    parts = text.lower().split("/")
    if not all(part and not part.strip(_NAME) for part in parts) or len(parts) > 3:
        raise InvalidArgument(
            f'invalid platform "{text[:100]}"', hint="write os/arch[/variant], as linux/arm64/v8"
        )
    if len(parts) == 1:
        parts = [parts[0], architecture()] if parts[0] in _SYSTEMS else ["linux", parts[0]]
    machine, variant = parts[1], (*parts, "")[2]
    if machine in ("armhf", "armel"):
        machine, variant = "arm", variant or ("v7" if machine == "armhf" else "v6")
    elif machine.startswith("armv") and not variant:
        machine, variant = "arm", "v" + machine[4:5]
    return Platform(os=parts[0], architecture=_MACHINES.get(machine, machine), variant=variant)


def architecture() -> str:
    """This machine's architecture in OCI's words."""
    machine = os.uname().machine
    return _MACHINES.get(machine, machine)


def parse_json(data: bytes, what: str) -> Any:
    """Parse outside JSON within bounds.

    Raises:
        InvalidSpec: It isn't JSON, too deep, or has a member twice.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise InvalidSpec(f"{what} is not valid: {str(error)[:200]}") from None


def parse_index(data: bytes, media_type: str) -> list[IndexEntry]:
    """Parse an index or a manifest list.

    Raises:
        InvalidSpec: It breaks its specification.
        ResourceExhausted: More than 10,000 descriptors.
    """
    document = _document(data, "the index", media_type, INDEXES)
    if "layers" in document or "config" in document:
        raise InvalidSpec("the index is a manifest as well: one of the two only")
    entries = _list(document, "manifests", "the index")
    if len(entries) > MAX_DESCRIPTORS:
        raise ResourceExhausted(f"an index of more than {MAX_DESCRIPTORS} descriptors")
    return [_index_entry(entry) for entry in entries]


def parse_manifest(data: bytes, media_type: str) -> Manifest:
    """Parse an image's manifest, OCI's or docker's schema 2.

    Raises:
        InvalidSpec: It breaks its specification, or isn't an image's.
        ResourceExhausted: More than 512 layers.
    """
    document = _document(data, "the manifest", media_type, MANIFESTS)
    if "manifests" in document:
        raise InvalidSpec("the manifest is an index as well: one of the two only")
    layers = _list(document, "layers", "the manifest")
    check_layer_count(len(layers))
    config = parse_descriptor(document.get("config"), "the manifest's config")
    if config.media_type not in CONFIGS:
        raise InvalidSpec(f"not an image: its configuration is of type {config.media_type[:100]!r}")
    found = tuple(parse_descriptor(layer, "a layer of the manifest") for layer in layers)
    for layer in found:
        if layer.media_type not in _LAYERS:
            raise InvalidSpec(
                f"a layer of unknown type {layer.media_type[:100]!r}", where=layer.digest
            )
    return Manifest(config=config, layers=found)


def parse_config(data: bytes) -> Config:
    """Parse an image's configuration; what `run` uses of it is checked: it can't fail later.

    Raises:
        InvalidSpec: It breaks its specification.
        ResourceExhausted: More than 512 layers.
    """
    document = _object(parse_json(data, "the configuration"), "the configuration")
    rootfs = _object(document.get("rootfs"), "the configuration's rootfs")
    if rootfs.get("type") != "layers":
        raise InvalidSpec("the configuration's rootfs is not of type layers")
    diff_ids = rootfs.get("diff_ids")
    diff_ids = [] if diff_ids is None else diff_ids
    if not isinstance(diff_ids, list):
        raise InvalidSpec("the configuration's diff_ids is not a list")
    check_layer_count(len(diff_ids))
    run = document.get("config")
    return Config(
        document=document,
        platform=_platform(document),
        diff_ids=tuple("sha256:" + hex_of(diff_id) for diff_id in diff_ids),
        created=_text(document, "created"),
        run=_checked_run({} if run is None else _object(run, "the configuration's config")),
    )


def packing_of(start: bytes) -> str:
    """The suffix of a layer's media type, told by its first four bytes."""
    if start[:2] == b"\x1f\x8b":
        return "+gzip"
    skippable = len(start) == 4 and start[0] & 0xF0 == 0x50 and start[1:] == b"\x2a\x4d\x18"
    return "+zstd" if skippable or start == b"\x28\xb5\x2f\xfd" else ""


def check_layer_count(count: int) -> None:
    """Refuse more layers than a mount can stack.

    Raises:
        ResourceExhausted: More than 512.
    """
    if count > MAX_LAYERS:
        raise ResourceExhausted(f"an image of {count} layers: at most {MAX_LAYERS}")


def parse_descriptor(value: object, what: str) -> Descriptor:
    """Check a descriptor.

    Raises:
        InvalidSpec: A member is missing or of the wrong type or form.
    """
    found = _object(value, what)
    size = found.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise InvalidSpec(f"{what} has no valid size")
    digest = "sha256:" + hex_of(found.get("digest"))
    return Descriptor(media_type=_text(found, "mediaType"), digest=digest, size=size)


def strings(run: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A member that is a list of strings, one string, or absent.

    Raises:
        InvalidSpec: Something else.
    """
    value = run.get(key)
    if value is None:
        return ()
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(i, str) and "\0" not in i for i in items):
        raise InvalidSpec(f"the configuration's {key} is not a list of strings")
    return tuple(items)


def _checked_run(run: dict[str, Any]) -> dict[str, Any]:
    for key in ("Env", "Entrypoint", "Cmd"):
        strings(run, key)
    for key in ("WorkingDir", "User", "StopSignal"):
        _text(run, key)
    for key in ("Labels", "ExposedPorts", "Volumes"):
        _object(run.get(key) or {}, f"the configuration's {key}")
    _string_map(run.get("Labels"), "the configuration's Labels")
    if not all(entry.find("=") > 0 for entry in strings(run, "Env")):
        raise InvalidSpec("the configuration's Env has an entry without a name and =")
    return run


def _document(data: bytes, what: str, media_type: str, allowed: tuple[str, ...]) -> dict[str, Any]:
    document = _object(parse_json(data, what), what)
    stated = document.get("mediaType", media_type)
    if media_type not in allowed or stated != media_type:
        raise InvalidSpec(
            f"{what} says it is {str(stated)[:100]!r} where {media_type[:100]!r} was promised"
        )
    version = document.get("schemaVersion")
    if version != 2 or isinstance(version, bool):
        raise InvalidSpec(f"{what} is not of schema version 2")
    return document


def _index_entry(value: object) -> IndexEntry:
    descriptor = parse_descriptor(value, "an entry of the index")
    entry = _object(value, "an entry of the index")
    platform = entry.get("platform")
    return IndexEntry(
        descriptor=descriptor,
        platform=None if platform is None else _platform(_object(platform, "a platform")),
        annotations=_string_map(entry.get("annotations"), "an entry's annotations"),
    )


def _platform(value: Mapping[str, Any]) -> Platform:
    return Platform(
        os=_text(value, "os"),
        architecture=_text(value, "architecture"),
        variant=_text(value, "variant"),
    )


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidSpec(f"{what} is not an object")
    return value


def _list(document: Mapping[str, Any], key: str, what: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise InvalidSpec(f"{what} has no list {key}")
    return value


def _text(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise InvalidSpec(f"{key} is not a string")
    return value


def _string_map(value: object, what: str) -> Mapping[str, str]:
    found = _object({} if value is None else value, what)
    if not all(isinstance(item, str) for item in found.values()):
        raise InvalidSpec(f"{what} has a value that is not a string")
    return found
