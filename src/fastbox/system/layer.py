"""Does a layer's tree hold what its blob says? The blob is extracted anew, and the two compared."""

from __future__ import annotations

import os
import time

from fastbox import _bytes
from fastbox.errors import IntegrityError, Unsupported
from fastbox.store.extract import archive_error
from fastbox.store.lease import Work
from fastbox.store.trees import differences, list_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from fastbox.store.root import Root
    from fastbox.store.trees import Entry

    class Known(Protocol):
        """What is known of the layer."""

        @property
        def diff_id(self) -> str:
            """The digest of its tar."""


_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST = 20  # of a tree that is quite another, the first are enough


def compare_layer(
    root: Root, tree: str, blob: str, below: Sequence[str], known: Known
) -> Iterator[tuple[str, str]]:
    """(path, what is wrong there) of one layer.

    Args:
        root: The store, for a work directory.
        tree: What the layer was extracted to.
        blob: Its packed bytes.
        below: The trees of the layers below it, topmost first.
        known: What the configuration says of it.

    Raises:
        FastboxError: There is no room for a second tree, or the kernel said no.
    """
    with Work(root) as work:
        fresh = work.directory("tree")
        os.chmod(fresh, 0o755)
        began = time.time_ns()
        try:
            digest = _extract(blob, fresh, below)
        except OSError as error:
            failed = archive_error(error, "its blob can't be extracted", fresh)
            if isinstance(failed, IntegrityError | Unsupported):
                yield blob, str(failed)
                return
            raise failed from error
        if digest != known.diff_id:
            yield blob, f"its tar is {digest}, not {known.diff_id}"
            return
        theirs = list_tree(fresh)
        ours = _without_times(list_tree(tree), _made_now(theirs, began))
        theirs = _without_times(theirs, _made_now(theirs, began))
        for number, (path, what) in enumerate(differences(ours, theirs)):
            where = os.path.normpath(os.path.join(tree, path))
            if number == _MOST:
                yield tree, "differs in more entries than these"
                return
            yield where, what


def _extract(blob: str, fresh: str, below: Sequence[str]) -> str:
    lower = [os.open(path, _DIRECTORY) for path in below]
    target = os.open(fresh, _DIRECTORY)
    source = os.open(blob, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return "sha256:" + _bytes.extract(source, target, True, lower=lower)[1]
    finally:
        for fd in (source, target, *lower):
            os.close(fd)


def _made_now(entries: Sequence[Entry], began: int) -> set[str]:
    """What the archive gives no time: directories that it doesn't list, and whiteouts."""
    # The kernel's clock for files is coarser than ours.
    return {entry.path for entry in entries if entry.mtime > began - 100_000_000}


def _without_times(entries: Sequence[Entry], paths: set[str]) -> list[Entry]:
    return [entry.replace(mtime=0) if entry.path in paths else entry for entry in entries]
