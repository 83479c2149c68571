"""What `fork`, `snapshot` and `rollback` do to a container's layers: its files as they are now are
kept, for others or for later.

Nothing is copied: while no mount uses it, the container's upper directory is *sealed*, which means
that it changes places with the empty tree of a new sealed layer and is one more lower layer from
then on. The order keeps a container whole at every instant (ARCHITECTURE.md, "Sealed layers"): its
record names what it needs before its bundle does, and the bundle alone says what its root is.
"""

from __future__ import annotations

import fcntl
import os

from fastbox import _native
from fastbox.containers import heal
from fastbox.containers.exec import MAX_BUNDLE
from fastbox.errors import InvalidArgument, NotFound, ResourceExhausted, StateConflict, os_error
from fastbox.runtime import supervisor
from fastbox.store.merge import merge, take_attributes
from fastbox.store.root import write_file
from fastbox.store.sealed import Sealed
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from fastbox.containers.heal import View
    from fastbox.store.containers import ContainerRecord, ContainerStore, Held
    from fastbox.store.root import Root

# The kernel takes 500 layers, and every one costs a start and each look-up a little.
MAX_SEALED = 100
MAX_LOWER = 400
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class Source:
    """A container whose file system is wanted, for a `with` block: locked, and sweepers kept away.

    Attributes:
        record: Its record; changes as layers are sealed.
        sealed: The store's sealed layers.
    """

    __slots__ = ("_held", "_hold", "_let_go", "_root", "_store", "record", "sealed", "view")

    def __init__(
        self, root: Root, store: ContainerStore, reference: str, *, live: bool = False
    ) -> None:
        container = store.find(reference)
        self._root, self._store, self.sealed = root, store, Sealed(root)
        self._held: Held | None = None
        self._hold = -1
        self._let_go = False
        try:
            self.view: View = heal.view(store, root.run, container)
            if not self.view.up:
                self._held = store.hold(container)
                self.view = heal.view(store, root.run, container, self._held)
            self.record: ContainerRecord = self._check(live)
            # After the container's own lock: whoever removes one has that, and wants this alone.
            self._hold = self.sealed.hold()
        except BaseException:
            self.close()
            raise

    def _check(self, live: bool) -> ContainerRecord:
        view = self.view
        if view.record is None:
            raise StateConflict(
                f"container {view.id[:12]} is damaged: {view.error}", hint="remove it"
            )
        if self._held is None:
            if view.state == "restarting":  # its supervisor may mount its upper at any instant
                raise StateConflict(
                    f"container {view.id[:12]} is about to start again: its files are in use",
                    hint="stop it first",
                )
            if not live:
                raise StateConflict(
                    f"container {view.id[:12]} is running: its files are in use",
                    hint="stop it first, or fork it with --live, which copies what it has written",
                )
        elif view.live is not None:  # its end is told before its mounts are gone
            supervisor.sync(self._root.run, view.live.supervisor)
        return view.record

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._let_go:
            self.sealed.sweep()

    def close(self) -> None:
        """Let go."""
        if self._hold >= 0:
            os.close(self._hold)
            self._hold = -1
        if self._held is not None:
            self._held.close()

    # What it consists of

    def seal(self) -> str:
        """Its file system as it is now: the id of the topmost sealed layer, "" when it has written
        nothing.

        Raises:
            StateConflict: Somebody writes to it.
            FastboxError: No space, or the kernel said no; it is as it was.
        """
        bundle = self._bundle()
        overlay = bundle["fastbox"]["overlay"]
        chain, rest = self.sealed.split(overlay["lower"])
        top = chain[0] if chain else ""
        upper = overlay.get("upper")
        if not upper or self._is_unchanged(upper, top):
            return top
        try:
            if self._held is None:
                return self._copied(upper, chain)
            with _Unused(upper):
                return self._seal(bundle, upper, chain, rest)
        except OSError as error:
            raise os_error(error, "cannot seal the container's files", upper) from error

    def _bundle(self) -> dict[str, Any]:
        directory = self._store.directory(self.view.id)
        try:
            with open(directory + "/config.json", "rb") as file:
                bundle = json.loads_own(file.read(MAX_BUNDLE))
            bundle["fastbox"]["overlay"]["lower"]
        except (OSError, ValueError, KeyError) as error:
            raise StateConflict(
                f"container {self.view.id[:12]} is damaged: {error}", hint="remove it"
            ) from None
        return bundle

    def _write_bundle(self, bundle: dict[str, Any]) -> None:
        path = self._store.directory(self.view.id) + "/config.json"
        write_file(path, json.dumps_bytes(bundle))

    def _write(self, **changes: Any) -> None:
        self.record = self.record.replace(**changes)
        self._store.write(self.record)

    def _is_unchanged(self, upper: str, top: str) -> bool:
        if os.listdir(upper):
            return False
        now = os.stat(upper)
        if not top:
            return (now.st_mode & 0o7777, now.st_uid, now.st_gid) == (0o755, 0, 0)
        was = os.stat(self.sealed.tree(top))
        return (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)

    def _seal(
        self, bundle: dict[str, Any], upper: str, chain: tuple[str, ...], rest: Sequence[str]
    ) -> str:
        below = self._shortened(upper, chain, rest)
        sealed = self.sealed.make(upper, below)
        tree = self.sealed.tree(sealed)
        take_root(upper, tree)
        merged = chain[:1] if below != chain else ()
        # A rollback that was killed named the layers before it and those after it.
        self._let_go |= bool(merged) or not set(self.record.sealed or ()).issubset(chain)
        self._write(sealed=(sealed, *merged))
        lower = [self.sealed.tree(each) for each in (sealed, *below)]
        bundle["fastbox"]["overlay"]["lower"] = [*lower, *rest]
        self._write_bundle(bundle)
        _native.exchange(upper, tree)
        if merged:
            self._write(sealed=(sealed,))
        return sealed

    def _shortened(
        self, beside: str, chain: tuple[str, ...], rest: Sequence[str]
    ) -> tuple[str, ...]:
        """The chain, or one layer that stands for all of a long one."""
        if len(chain) + len(rest) >= MAX_LOWER + MAX_SEALED:
            raise ResourceExhausted("the image has too many layers for one more")
        if len(chain) < 2 or (len(chain) < MAX_SEALED and len(chain) + len(rest) < MAX_LOWER):
            return chain
        merged = self.sealed.make(beside, ())
        merge([self.sealed.tree(each) for each in chain], self.sealed.tree(merged))
        return (merged,)

    def _copied(self, upper: str, chain: tuple[str, ...]) -> str:
        """Of one that runs: its upper stays where it is, a copy of it is sealed."""
        from fastbox.containers.commit import paused

        sealed = self.sealed.make(upper, chain)
        with paused(self._root.run, self.view):
            merge([upper], self.sealed.tree(sealed), copy=True)
        if not os.path.isdir(self._store.directory(self.view.id)):
            raise StateConflict(f"container {self.view.id[:12]} was removed meanwhile")
        return sealed

    def make_durable(self, sealed: str) -> None:
        """Write out a sealed layer whose files were written without a sync, for a container that
        is to last.
        """
        if sealed and (self.record.options.get("volatile") or self.record.remove):
            from fastbox import _bytes

            fd = os.open(self.sealed.tree(sealed), _DIRECTORY)
            try:
                _bytes.sync_file_system(fd)
            finally:
                os.close(fd)

    # Snapshots

    def snapshot(self, name: str) -> str:
        """Seal it under a name; the name, a number when "" is given."""
        known = dict(self.record.snapshots or {})
        if not name:
            number = len(known) + 1
            while str(number) in known:
                number += 1
            name = str(number)
        _check_name(name)
        if name in known:
            raise InvalidArgument(
                f'there is a snapshot "{name}" already', hint="`fastbox snapshot --rm` removes it"
            )
        sealed = self.seal()
        self._write(snapshots=known | {name: sealed})
        return name

    def forget(self, name: str) -> None:
        """Remove a snapshot; its layers go when nothing else needs them."""
        known = dict(self.record.snapshots or {})
        self._snapshot(name)
        del known[name]
        self._write(snapshots=known)
        self._let_go = True

    def _snapshot(self, name: str) -> tuple[str, str]:
        known = self.record.snapshots or {}
        if not known:
            raise NotFound(
                f"container {self.view.id[:12]} has no snapshot",
                hint="`fastbox snapshot` makes one",
            )
        name = name or list(known)[-1]
        if name not in known:
            raise NotFound(f'no such snapshot "{name}"', hint=f"there are: {', '.join(known)}")
        return name, known[name]

    def rollback(self, name: str) -> str:
        """Go back to a snapshot, the newest for "": what was written since is gone; its name."""
        name, target = self._snapshot(name)
        bundle = self._bundle()
        overlay = bundle["fastbox"]["overlay"]
        chain, rest = self.sealed.split(overlay["lower"])
        try:
            trees = [self.sealed.tree(each) for each in self.sealed.chain(target)]
        except ValueError as error:
            raise StateConflict(str(error), hint="remove the snapshot") from None
        overlay["lower"] = [*trees, *rest]
        if "upper" not in overlay:
            return name
        scratch = os.path.dirname(overlay["upper"])
        with _Unused(overlay["upper"]):
            try:
                self._fresh(overlay, scratch, trees)
                self._write(sealed=tuple(dict.fromkeys(x for x in (target, *chain[:1]) if x)))
                self._write_bundle(bundle)
                self._write(sealed=(target,) if target else ())
                self._let_go = True
                _tidy(scratch, overlay)
            except OSError as error:
                raise os_error(error, "cannot roll back", scratch) from error
        return name

    def _fresh(self, overlay: dict[str, Any], scratch: str, trees: Sequence[str]) -> None:
        mark = os.urandom(4).hex()
        for key, mode in (("upper", 0o755), ("work", 0o700)):
            path = f"{scratch}/{key}-{mark}"
            os.mkdir(path, mode)
            os.chmod(path, mode)
            overlay[key] = path
        if trees:
            take_root(trees[0], overlay["upper"])


def snapshot(root: Root, store: ContainerStore, reference: str, name: str, live: bool) -> str:
    """Keep a container's files as they are; see `Containers.snapshot`."""
    with Source(root, store, reference, live=live) as source:
        return source.snapshot(name)


def snapshots(store: ContainerStore, reference: str) -> tuple[str, ...]:
    """The names of a container's snapshots, oldest first."""
    record = store.read(store.find(reference))
    return tuple(record.snapshots or ()) if record else ()


def forget(root: Root, store: ContainerStore, reference: str, name: str) -> None:
    """Remove a snapshot; also of a container that runs, since nothing of its root changes."""
    with Source(root, store, reference, live=True) as source:
        source.forget(name)


def rollback(root: Root, store: ContainerStore, reference: str, name: str) -> str:
    """Put a container's files back; see `Containers.rollback`."""
    with Source(root, store, reference) as source:
        return source.rollback(name)


def take_root(source: str, target: str) -> None:
    """Give an empty upper directory the attributes of the root that lies below it."""
    opened = [os.open(path, _DIRECTORY) for path in (source, target)]
    try:
        take_attributes(*opened)
    finally:
        for fd in opened:
            os.close(fd)


def _tidy(scratch: str, overlay: dict[str, Any]) -> None:
    """Delete uppers and work directories that the bundle does not name, those of a rollback that
    was killed, too.
    """
    kept = {os.path.basename(overlay[key]) for key in ("upper", "work")}
    fd = os.open(scratch, _DIRECTORY)
    try:
        for name in os.listdir(fd):
            if name.partition("-")[0] in ("upper", "work") and name not in kept:
                _native.remove_tree(fd, name)
    finally:
        os.close(fd)


class _Unused:
    """The upper directory, which nobody else has: `cp` holds a shared lock on it as long as it
    writes to a container that ran when it began.
    """

    def __init__(self, upper: str) -> None:
        self._fd = os.open(upper, _DIRECTORY)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._fd)
            raise StateConflict("somebody copies files into the container") from None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _check_name(name: str) -> None:
    plain = name.replace("_", "").replace("-", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum() and name[0].isalnum() and len(name) <= 128):
        raise InvalidArgument(
            f'invalid snapshot name "{name}"', hint="letters, digits, _ . - are allowed"
        )
