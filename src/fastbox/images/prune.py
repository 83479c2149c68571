"""`image prune`: images without a name, or without a container, go; then the sweep."""

from __future__ import annotations

from fastbox.errors import IntegrityError
from fastbox.images import listing
from fastbox.images.reference import familiar
from fastbox.images.sweep import find_live, sweep, tidy, used_images
from fastbox.store.refs import Refs
from fastbox.support.filters import Filters
from fastbox.types import Pruned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastbox.store.refs import Ref
    from fastbox.store.root import Root

FILTERS = ("dangling", "label", "label!", "until")


def prune(
    root: Root,
    labels_of: Callable[[Ref], Mapping[str, str]],
    *,
    all: bool,
    filters: Sequence[str],
    measure: bool,
) -> Pruned:
    """Remove what `Images.prune` describes."""
    wanted = Filters(filters, FILTERS)
    everything = all or wanted.truth("dangling") is False
    refs = Refs(root)
    images: dict[str, list[Ref]] = {}
    for ref in refs.all()[0]:
        images.setdefault(ref.config.digest, []).append(ref)
    # Without `dangling`: that filter only says which of the two prunes is meant.
    texts = [text for text in filters if not text.lower().startswith("dangling=")]
    chosen = Filters(texts, FILTERS)
    used = _used(root)
    doomed = [
        group
        for image, group in images.items()
        if image not in used
        and (everything or not any(ref.named for ref in group))
        and listing.select(group, chosen, _never, labels_of)
    ]
    names = [ref.reference for group in doomed for ref in group]
    if names:
        refs.drop(*names, familiar=familiar)
    lines = _lines(root, doomed)
    tidy(root)
    return Pruned(lines=tuple(lines), reclaimed=sweep(root, measure=measure))


def _used(root: Root) -> set[str]:
    try:
        return used_images(root)
    except ValueError as error:
        raise IntegrityError(
            f"a container's record is damaged, so what it needs is unknown: {error}",
            hint="`fastbox system check` says which; remove that container",
        ) from None


def _lines(root: Root, doomed: list[list[Ref]]) -> list[str]:
    live = find_live(root)
    lines: list[str] = []
    for group in doomed:
        lines += [f"untagged: {familiar(ref.reference)}" for ref in group if ref.named]
        lines.append(f"deleted: {group[0].config.digest}")
        if live is not None:
            gone = reversed(group[0].chains)
            lines += [f"deleted: {chain}" for chain in gone if chain not in live.chains]
    return list(dict.fromkeys(lines))


def _never(reference: str) -> Ref:
    raise AssertionError(reference)
