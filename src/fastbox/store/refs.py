"""Names of images: refs/<escaped reference>, one record each, and index.json, which lets other
tools read the store by them.

A record names a manifest by its descriptor and repeats the facts that follow from it and never
change (configuration, chain of layers, size), so that a start reads one record and one blob. An
image without a name keeps a record under its id. Grammar is `images/reference.py`'s matter: here a
reference is text.
"""

from __future__ import annotations

import os

from fastbox.errors import IntegrityError, Unsupported, os_error
from fastbox.store.content import Descriptor, digest_of, hex_of
from fastbox.store.root import read_record, sync_directory, write_file, write_record
from fastbox.support import json
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastbox.store.root import Root

_LONGEST_NAME = 200  # a file's name has at most 255 bytes, and the temporary one is longer


class Ref(Record):
    """One name of one image; `reference` is normalised, or the image's id when it has no name."""

    reference: str
    manifest: Descriptor
    config: Descriptor  # its digest is the image's id
    chains: tuple[str, ...]  # bottom first
    size: int  # bytes of the extracted layers
    created: str  # what the configuration says
    time: str  # when the name was given

    @property
    def named(self) -> bool:
        """Whether this is more than a nameless image's id."""
        return not self.reference.startswith("sha256:")


def escape(reference: str) -> str:
    """The file's name: "/" is %2F, none ends as temporary files do; a long one is a digest."""
    name = reference.replace("/", "%2F")
    if name.endswith(".tmp"):
        name = name[:-4] + "%2Etmp"
    return name if len(name) <= _LONGEST_NAME else "%" + hex_of(digest_of(reference.encode()))


class Refs:
    """The names of one store. Changes hold a lock, so that index.json agrees with the records."""

    __slots__ = ("_directory", "_root")

    def __init__(self, root: Root) -> None:
        self._root = root
        self._directory = root.path("refs")

    def get(self, reference: str) -> Ref | None:
        """The record of a name.

        Raises:
            IntegrityError: It is damaged.
        """
        return self._read(escape(reference), reference)

    def all(self) -> tuple[list[Ref], list[str]]:
        """Every record, by name, and the files of those that are damaged or a newer version's."""
        refs, damaged = [], []
        for name in os.listdir(self._directory):
            if name.endswith(".tmp"):
                continue
            try:
                ref = self._read(name, name.replace("%2F", "/").replace("%2E", "."))
            except (IntegrityError, Unsupported):
                damaged.append(name)
            else:
                if ref is not None:  # None: removed since the directory was read
                    refs.append(ref)
        return sorted(refs, key=lambda ref: ref.reference), damaged

    def assign(self, *refs: Ref, familiar: Callable[[str], str]) -> None:
        """Give names to images. An image that loses its last name stays, under its id.

        Args:
            refs: What to write.
            familiar: How a reference reads in index.json.

        Raises:
            FastboxError: The kernel said no.
        """
        with self._lock():
            for ref in refs:
                self._assign_one(ref)
            self._write_index(familiar)

    def drop(self, *references: str, familiar: Callable[[str], str]) -> None:
        """Remove names, damaged records too; a missing one is fine.

        Raises:
            FastboxError: The kernel said no.
        """
        with self._lock():
            for reference in references:
                self._unlink(reference)
            sync_directory(self._directory)
            self._write_index(familiar)

    def tidy(self, *, familiar: Callable[[str], str]) -> None:
        """Mend what writers that were killed have left: temporary files, and an index.json from
        before the records that they wrote.

        Args:
            familiar: How a reference reads in index.json.

        Raises:
            FastboxError: The kernel said no.
        """
        with self._lock():
            self._unlink_temporary()
            try:
                with open(self._root.path("index.json"), "rb") as file:
                    agrees = file.read() == self.index(familiar)
            except FileNotFoundError:
                agrees = False
            if not agrees:
                self._write_index(familiar)

    def _unlink_temporary(self) -> None:
        """Writers hold the lock, so whoever made these is dead."""
        for directory in (self._root.store, self._directory):
            for name in os.listdir(directory):
                if name.endswith(".tmp"):
                    os.unlink(os.path.join(directory, name))

    def _assign_one(self, ref: Ref) -> None:
        try:
            old = self.get(ref.reference)
        except IntegrityError:
            old = None
        others, _ = self.all()
        if old is not None and old.config.digest != ref.config.digest:
            kept = any(o.config == old.config and o.reference != ref.reference for o in others)
            if not kept:  # before the name moves: at no instant is the image without a record
                self._write(old.replace(reference=old.config.digest))
        self._write(ref)
        if ref.named:
            self._unlink(ref.config.digest)

    def _lock(self) -> Any:
        from fastbox.store.lease import Lock

        return Lock(self._root.store)

    def _unlink(self, reference: str) -> None:
        try:
            os.unlink(os.path.join(self._directory, escape(reference)))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise os_error(error, "cannot remove a reference", self._directory) from error

    def _write(self, ref: Ref) -> None:
        record: dict[str, object] = {
            "reference": ref.reference,
            "descriptor": ref.manifest.as_json(),
            "time": ref.time,
            "image": {
                "config": ref.config.as_json(), "chains": list(ref.chains), "size": ref.size,
                "created": ref.created,
            },
        }  # fmt: skip
        write_record(os.path.join(self._directory, escape(ref.reference)), record, durable=True)

    def _read(self, name: str, reference: str) -> Ref | None:
        path = os.path.join(self._directory, name)
        try:
            record = read_record(path)
            ref = None if record is None else _parse(record)
            if ref is not None and escape(ref.reference) != name:
                raise ValueError("it belongs to another reference")
        except Unsupported:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise IntegrityError(
                f"the record of image {reference} is damaged: {error}",
                where=path,
                hint=f"remove it with: fastbox rmi {reference}",
            ) from None
        return ref

    def _write_index(self, familiar: Callable[[str], str]) -> None:
        self._unlink_temporary()
        write_file(self._root.path("index.json"), self.index(familiar), durable=True)

    def index(self, familiar: Callable[[str], str]) -> bytes:
        """What index.json says when it agrees with the records."""
        entries = []
        for ref in self.all()[0]:
            entry = ref.manifest.as_json()
            if ref.named:
                entry["annotations"] = {
                    "io.containerd.image.name": ref.reference,
                    "org.opencontainers.image.ref.name": familiar(ref.reference),
                }
            entries.append(entry)
        return json.dumps_bytes({"schemaVersion": 2, "manifests": entries})


def _parse(record: dict[str, Any]) -> Ref:
    image = record["image"]
    for digest in (record["descriptor"]["digest"], image["config"]["digest"], *image["chains"]):
        hex_of(digest)
    return Ref(
        reference=str(record["reference"]),
        manifest=_descriptor(record["descriptor"]),
        config=_descriptor(image["config"]),
        chains=tuple(image["chains"]),
        size=int(image["size"]),
        created=str(image["created"]),
        time=str(record["time"]),
    )


def _descriptor(value: dict[str, Any]) -> Descriptor:
    return Descriptor(
        media_type=str(value["mediaType"]), digest=value["digest"], size=int(value["size"])
    )
