"""What layers a stage consists of: known from the start, or on their way (`layers.py`)."""

from __future__ import annotations

import _thread

from fastbox.store.content import Content, Descriptor
from fastbox.store.layers import Layers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.layers import Layer
    from fastbox.store.root import Root

# A tar with nothing in it: an image gets no layer of it, as docker's do not.
EMPTY = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
PACKED = "application/vnd.oci.image.layer.v1.tar+gzip"


class Made:
    """One layer: known from the start (of an image, or cached), or on its way.

    Attributes:
        tree: Its files; read it within `still()`.
        below: What it was made over.
        layer: Its digests and sizes, once it is packed.
        chain: Its chain id, once it is published; of one that changed nothing, that of what is
            below.
        media_type: How it is packed.
    """

    __slots__ = (
        "_done",
        "_error",
        "_settled",
        "below",
        "chain",
        "descriptor",
        "layer",
        "media_type",
        "tree",
    )

    def __init__(
        self, tree: str, below: Made | None, chain: str = "", layer: Layer | None = None
    ) -> None:
        self.tree, self.below, self.chain, self.layer = tree, below, chain, layer
        self.descriptor: Descriptor | None = None  # of an image's manifest
        self.media_type = PACKED
        self._done = _thread.allocate_lock()
        self._error: BaseException | None = None
        self._settled = bool(chain)
        if not chain:
            self._done.acquire()  # until it is settled

    def settle(self, error: BaseException | None = None) -> None:
        """It is published, or will never be."""
        self._error = error
        self._settled = True
        self._done.release()

    @property
    def settled(self) -> bool:
        """Whether all is known of it."""
        return self._settled

    @property
    def empty(self) -> bool:
        """Whether it changed nothing, and so is no layer of an image; False: not known yet."""
        return self.layer is not None and self.layer.diff_id == EMPTY

    @property
    def size(self) -> int:
        """Bytes of the files in it, as far as it is known."""
        return self.layer.size if self.layer else 0

    @property
    def packed(self) -> Descriptor:
        """Its packed bytes, as a manifest names them."""
        if self.descriptor is not None:
            return self.descriptor
        assert self.layer is not None
        layer = self.layer
        return Descriptor(media_type=self.media_type, digest=layer.digest, size=layer.packed_size)

    def wait(self) -> Made:
        """Until it is published.

        Raises:
            FastboxError: It could not be.
        """
        if not self._settled:
            with self._done:
                pass
        if self._error is not None:
            raise self._error
        return self


def stack(top: Made | None) -> list[Made]:
    """A layer and those below it, topmost first."""
    found = []
    while top is not None:
        found.append(top)
        top = top.below
    return found


def find_layer(root: Root, chain: str, below: Made | None, packed: Descriptor) -> Made | None:
    """A layer that the store has, over others; None when it or its packed bytes are missing.

    Args:
        root: The store.
        chain: Its chain id.
        below: The others.
        packed: Its packed bytes. The layer's own record may tell of others, which went with the
            image that brought it.
    """
    layers = Layers(root)
    layer = layers.get(chain)
    if layer is None or not Content(root).has(packed.digest):
        return None
    layer = layer.replace(digest=packed.digest, packed_size=packed.size)
    made = Made(layers.tree(chain), below, chain, layer)
    made.media_type = packed.media_type
    return made
