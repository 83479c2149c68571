"""`rmi`: names go first, and with the last of them the image."""

from __future__ import annotations

from fastbox.errors import Conflict, InUse
from fastbox.images.reference import familiar
from fastbox.images.sweep import find_live, sweep, tidy
from fastbox.store.lease import hold
from fastbox.store.refs import Refs
from fastbox.support.ids import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.store.refs import Ref
    from fastbox.store.root import Root


def remove(
    root: Root,
    ref: Ref,
    same: Sequence[Ref],
    users: Sequence[str],
    *,
    reference: str,
    by_name: bool,
    force: bool,
) -> list[str]:
    """Take a name away, and with the last name the image; see `Images.remove`.

    Args:
        root: The store.
        ref: The record that was asked for.
        same: Every record of that image.
        users: Ids of containers that stand in the way.
        reference: What was asked for, for errors.
        by_name: Whether that was a name.
        force: Whatever several names or stopped containers say.
    """
    refs = Refs(root)
    names = [other.reference for other in same]
    if by_name and len(names) > 1:
        refs.drop(ref.reference, familiar=familiar)
        return [f"Untagged: {familiar(ref.reference)}"]
    if users and force and by_name:
        with hold(root):  # a sweeper that reads the records now might see neither
            refs.assign(ref.replace(reference=ref.config.digest), familiar=familiar)
            refs.drop(*(set(names) - {ref.config.digest}), familiar=familiar)
        return [f"Untagged: {familiar(name)}" for name in names]
    _refuse(names, reference, users, force=force)
    refs.drop(*names, familiar=familiar)
    lines = [f"Untagged: {familiar(name)}" for name in names if not name.startswith("sha256:")]
    return lines + _delete(root, ref)


def _delete(root: Root, ref: Ref) -> list[str]:
    tidy(root)  # a removal that was killed had moved its image away, and not deleted it
    live = find_live(root)
    sweep(root)
    gone = [ref.config.digest]
    if live is not None:
        gone += [chain for chain in reversed(ref.chains) if chain not in live.chains]
    return [f"Deleted: {digest}" for digest in gone]


def _refuse(names: Sequence[str], reference: str, users: Sequence[str], *, force: bool) -> None:
    if users:
        listed = ", ".join(short(user) for user in users[:5])
        verb = "run from" if force else "use"
        raise InUse(
            f"cannot remove image {reference}: containers {verb} it: {listed}",
            hint="stop and remove them first" if force else "remove them first, or force it",
        )
    if len(names) > 1 and not force:
        listed = ", ".join(familiar(name) for name in names)
        raise Conflict(
            f"cannot remove image {reference}: it has several names: {listed}",
            hint="remove them one by one, or force it",
        )
