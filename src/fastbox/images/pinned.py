"""An image by the id that a container's record has: by its configuration alone, since names may
have moved on.
"""

from __future__ import annotations

import os

from fastbox.errors import IntegrityError
from fastbox.images import documents
from fastbox.store.content import Content, Descriptor
from fastbox.store.layers import chain_ids
from fastbox.store.refs import Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.root import Root


def pinned(root: Root, image_id: str) -> Ref:
    """As much of the record of a name as its configuration tells: no manifest, no times.

    Raises:
        IntegrityError: The configuration is missing or damaged.
    """
    content = Content(root)
    path = content.path(image_id)
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        raise IntegrityError("the image's configuration is missing", where=path) from None
    wanted = Descriptor(media_type=documents.OCI_CONFIG, digest=image_id, size=size)
    config = documents.parse_config(content.read(wanted, documents.MAX_CONFIG))
    return Ref(
        reference=image_id, manifest=wanted, config=wanted,
        chains=chain_ids(config.diff_ids), size=0, created="", time="",
    )  # fmt: skip
