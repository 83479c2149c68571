"""Layers as directories: layers/<chain id hex>/ is tree/ and record.json, there complete or not at
all (`store/extract.py` brings them).
"""

from __future__ import annotations

import os

from fastbox.store.content import digest_of, hex_of, is_hex64
from fastbox.store.root import read_record
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from fastbox.store.root import Root


class Layer(Record):
    """What is known of an extracted layer: digests with algorithm, sizes in bytes."""

    chain_id: str
    diff_id: str
    digest: str  # of the packed bytes
    packed_size: int
    size: int  # of the files' data
    entries: int


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The chain id of each layer, bottom first, by OCI's formula."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(chain_over(chains[-1] if chains else "", diff_id))
    return tuple(chains)


def chain_over(below: str, diff_id: str) -> str:
    """The chain id of a layer over others; `below` is theirs, "" for none."""
    return digest_of(f"{below} {diff_id}".encode()) if below else diff_id


class Layers:
    """The layers of one store."""

    __slots__ = ("_directory",)

    def __init__(self, root: Root) -> None:
        self._directory = root.path("layers")

    def path(self, chain_id: str) -> str:
        """A layer's directory."""
        return os.path.join(self._directory, hex_of(chain_id))

    def tree(self, chain_id: str) -> str:
        """A layer's files."""
        return os.path.join(self._directory, hex_of(chain_id), "tree")

    def chains(self) -> list[str]:
        """Every layer's chain id."""
        return ["sha256:" + name for name in os.listdir(self._directory) if is_hex64(name)]

    def get(self, chain_id: str) -> Layer | None:
        """What is known of a layer; None when it is absent, or damaged and so as good as absent."""
        try:
            layer = read_layer(self.path(chain_id))
        except (ValueError, NotADirectoryError):
            return None
        return layer if os.path.isdir(self.tree(chain_id)) else None


def read_layer(home: str) -> Layer | None:
    """The record in a layer's directory, or None.

    Raises:
        ValueError: It is damaged.
    """
    record: dict[str, Any] | None = read_record(os.path.join(home, "record.json"))
    if record is None:
        return None
    record.pop("schema")
    try:
        return Layer(**record)
    except TypeError as error:
        raise ValueError(str(error)) from None
