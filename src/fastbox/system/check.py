"""`system check`: is everything in the store what its records say? Nothing is changed.

What others do meanwhile is no finding: whoever adds content holds the lease, a work directory that
is locked has a living maker, a container that is made or removed is locked. Locks
come a moment after what they are on, so what seems free is looked at twice.
"""

from __future__ import annotations

import fcntl
import os
import time

from fastbox import _bytes
from fastbox.containers.mountpoints import mounts_of
from fastbox.errors import FastboxError, NotFound, os_error
from fastbox.images import documents
from fastbox.images.reference import familiar
from fastbox.images.sweep import find_live, sweep
from fastbox.runtime import state
from fastbox.store.containers import ContainerStore
from fastbox.store.content import Content, Descriptor, hex_of, is_hex64
from fastbox.store.layers import Layers, chain_ids, read_layer
from fastbox.store.lease import hold, try_sweep_lock
from fastbox.store.refs import Refs
from fastbox.store.sealed import named
from fastbox.support.record import Record
from fastbox.system.builds import below, check_builds, steps_with_layers
from fastbox.system.layer import compare_layer
from fastbox.system.volumes import check_volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastbox.images.documents import Manifest
    from fastbox.store.containers import ContainerRecord
    from fastbox.store.refs import Ref
    from fastbox.store.root import Root

    _Unneeded = set[tuple[str, str]]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_RELOAD = "load the image again"
_SWEEP = "`fastbox image prune` gives it back"
_FORGET = "`fastbox builder prune -a` removes it with all other steps"
_REMOVE = "remove it; nothing reads it"
_TO_LOCK = 0.2  # seconds from making a directory to its lock, or from a removal to its sweep


class Finding(Record):
    """One thing that is wrong: what, with which object or file, and what to do about it."""

    what: str
    where: str
    hint: str


def check(root: Root, *, quick: bool) -> Iterator[Finding]:
    """Everything; see `System.check`."""
    checker = _Checker(root)
    try:
        before = _lasting(checker.unneeded)
        with hold(root):
            yield from checker.images()
            checker.add_steps()
            yield from checker.blobs(quick=quick)
            yield from checker.layers(quick=quick)
        yield from checker.containers()
        for what, where, hint in (*check_volumes(root), *check_builds(root)):
            yield Finding(what=what, where=where, hint=hint)
        checker.sweep_for_others(before)
        yield from checker.orphans(before)
        yield from checker.leftovers()
    except FastboxError:
        raise
    except OSError as error:
        raise os_error(error, "cannot check the store", root.store) from error


class _Layer(Record):
    """What images say of one layer."""

    diff_id: str
    below: tuple[str, ...]  # chain ids, topmost first
    packed: tuple[str, ...]  # digests of the blobs it is in
    hint: str  # for when its tree is not what it should be


class _Checker:
    def __init__(self, root: Root) -> None:
        self._root = root
        self._content, self._layers, self._refs = Content(root), Layers(root), Refs(root)
        self._containers = ContainerStore(root)
        self._known: dict[str, _Layer] = {}  # by chain id

    # Images: records, documents, and that they agree.

    def images(self) -> Iterator[Finding]:
        """Every record, manifest and configuration; index.json."""
        refs, damaged = self._refs.all()
        for name in damaged:
            yield Finding(
                what="the record of an image is damaged, or a newer version's",
                where=self._root.path("refs", name),
                hint="remove it with `fastbox rmi` and load the image again",
            )
        for ref in refs:
            try:
                yield from self._image(ref)
            except (FastboxError, ValueError) as error:
                yield Finding(what=str(error), where=familiar(ref.reference), hint=_RELOAD)
        yield from self._index()

    def _image(self, ref: Ref) -> Iterator[Finding]:
        name = familiar(ref.reference)
        data = self._content.read(ref.manifest, documents.MAX_MANIFEST)
        manifest = documents.parse_manifest(data, ref.manifest.media_type)
        if manifest.config.digest != ref.config.digest:
            yield Finding(
                what="the manifest names another configuration than the record",
                where=name,
                hint=_RELOAD,
            )
        config = documents.parse_config(self._content.read(ref.config, documents.MAX_CONFIG))
        chains = chain_ids(config.diff_ids)
        if chains != ref.chains or len(chains) != len(manifest.layers):
            yield Finding(
                what="the record's layers do not follow from the configuration",
                where=name,
                hint=_RELOAD,
            )
            return
        yield from self._sizes(name, manifest)
        for number, (chain, diff_id) in enumerate(zip(chains, config.diff_ids, strict=True)):
            packed = manifest.layers[number].digest
            known = self._known.get(chain)
            others = known.packed if known else ()
            self._known[chain] = _Layer(
                diff_id=diff_id,
                below=chains[:number][::-1],
                packed=tuple(dict.fromkeys((*others, packed))),
                hint=f"remove {name} with the containers that use it, and load it again",
            )
            if not os.path.isdir(self._layers.path(chain)):
                yield Finding(what=f"layer {chain} is missing", where=name, hint=_RELOAD)

    def add_steps(self) -> None:
        """Layers that only the cache of builds knows."""
        steps = steps_with_layers(self._root)
        parents = {chain: (*layer.below, "")[0] for chain, layer in self._known.items()}
        parents |= {step.chain: step.parent for step in steps if step.chain not in parents}
        for step in steps:
            lower = below(step.chain, parents)
            if step.chain not in self._known and lower is not None:
                self._known[step.chain] = _Layer(
                    diff_id=step.diff_id, below=lower, packed=(step.digest,), hint=_FORGET
                )

    def _sizes(self, name: str, manifest: Manifest) -> Iterator[Finding]:
        for layer in manifest.layers:
            try:
                size = os.stat(self._content.path(layer.digest)).st_size
            except FileNotFoundError:
                yield Finding(what=f"blob {layer.digest} is missing", where=name, hint=_RELOAD)
                continue
            if size != layer.size:
                yield Finding(
                    what=f"a blob of {size} bytes where the manifest says {layer.size}",
                    where=layer.digest,
                    hint=_RELOAD,
                )

    def _index(self) -> Iterator[Finding]:
        """Under the lock of those who change it, so that it can't be caught in between."""
        from fastbox.store.lease import Lock

        path = self._root.path("index.json")
        with Lock(self._root.store):
            wanted = self._refs.index(familiar)
            try:
                with open(path, "rb") as file:
                    same = file.read() == wanted
            except OSError:
                same = False
        if not same:
            yield Finding(
                what="it does not agree with the images' records",
                where=path,
                hint="the next `fastbox load` or `image prune` writes it anew",
            )

    # Blobs and layers.

    def blobs(self, *, quick: bool) -> Iterator[Finding]:
        """That each is what its name says."""
        directory = self._root.path("blobs", "sha256")
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            if not is_hex64(name):
                yield Finding(what="not the name of a blob", where=path, hint=_REMOVE)
            elif os.path.islink(path) or not os.path.isfile(path):
                yield Finding(what="not a file", where=path, hint=_RELOAD)
            elif not quick and not _has_digest(path, name):
                yield Finding(
                    what="the content is not what its digest says",
                    where="sha256:" + name,
                    hint=_RELOAD,
                )

    def layers(self, *, quick: bool) -> Iterator[Finding]:
        """That each has its record and its tree, and that this is what its blob makes."""
        directory = self._root.path("layers")
        for name in sorted(os.listdir(directory)):
            if not is_hex64(name):
                where = os.path.join(directory, name)
                yield Finding(what="not the name of a layer", where=where, hint=_REMOVE)
                continue
            found = list(self._layer("sha256:" + name))
            yield from found
            if not found and not quick:
                yield from self._tree("sha256:" + name)

    def _layer(self, chain: str) -> Iterator[Finding]:
        home = self._layers.path(chain)
        try:
            layer = read_layer(home)
        except (ValueError, FastboxError, OSError) as error:
            yield Finding(what=f"a layer's record is damaged: {error}", where=home, hint=_RELOAD)
            return
        known = self._known.get(chain)
        if layer is None:
            yield Finding(what="a layer has no record", where=home, hint=_RELOAD)
        elif layer.chain_id != chain or (known and layer.diff_id != known.diff_id):
            yield Finding(what="a layer's record is of another", where=home, hint=_RELOAD)
        elif os.path.islink(f"{home}/tree") or not os.path.isdir(f"{home}/tree"):
            yield Finding(what="a layer has no tree", where=home, hint=_RELOAD)

    def _tree(self, chain: str) -> Iterator[Finding]:
        """Against the first of its blobs that is there: all are the same tar when unpacked."""
        known = self._known.get(chain)
        blobs = [self._content.path(digest) for digest in (known.packed if known else ())]
        blob = next((p for p in blobs if os.path.isfile(p) and not os.path.islink(p)), "")
        if known is None or not blob:  # only containers need it: its blob went with its image
            return
        below = [self._layers.tree(other) for other in known.below]
        if not all(os.path.isdir(tree) for tree in below):
            return  # told already
        for path, what in compare_layer(self._root, self._layers.tree(chain), blob, below, known):
            yield Finding(what=what, where=path, hint=known.hint)

    # Containers.

    def containers(self) -> Iterator[Finding]:
        """That each one's records can be read, its layers are there, and its name is its own."""
        for container in sorted(self._containers.ids()):
            try:
                record = self._containers.read(container)
                self._containers.read_exit(container)
                images = _images_of(record) if record else []
                layers = [chain for image in images for chain in self._layers_of(image)]
            except (ValueError, FastboxError, OSError) as error:
                if os.path.isdir(self._containers.directory(container)):
                    yield Finding(
                        what=f"a container's record is damaged: {error}",
                        where=container,
                        hint=f"remove it with `fastbox rm -f {container[:12]}`",
                    )
                continue
            if record is None:
                yield from self._half_made(container)
                continue
            missing = any(not os.path.isdir(self._layers.tree(chain)) for chain in layers)
            if missing and os.path.isdir(self._containers.directory(container)):
                yield Finding(
                    what="a layer that the container needs is missing",
                    where=container,
                    hint=f"load {record.image or 'its image'} again",
                )
            yield from self._sealed(record)
            yield from self._name(container, record.name)
        yield from self._names()
        yield from self._unneeded_sealed()

    def _sealed(self, record: ContainerRecord) -> Iterator[Finding]:
        """What forks and snapshots have left below it."""
        sealed = self._containers.sealed()
        try:
            missing = sealed.missing(named(record.sealed, record.snapshots))
        except ValueError as error:
            missing = [str(error)]
        again = self._containers.read(record.id) if missing else None
        if again is not None and again.sealed == record.sealed:
            yield Finding(
                what=f"a sealed layer that the container needs is missing: {missing[0]}",
                where=record.id,
                hint=f"remove it with `fastbox rm -f {record.id[:12]}`",
            )

    def _unneeded_sealed(self) -> Iterator[Finding]:
        sealed = self._containers.sealed()
        if not sealed.ids():
            return
        fd = sealed.hold(alone=True)  # nobody makes one now
        try:
            found = sealed.unneeded()
        finally:
            os.close(fd)
        for each in sorted(found):
            yield Finding(
                what="a sealed layer that no container needs",
                where=os.path.dirname(sealed.tree(each)),
                hint="the next `fastbox ps` removes it",
            )

    def _layers_of(self, image: str) -> tuple[str, ...] | list[str]:
        if not image:
            return []
        digest = "sha256:" + hex_of(image)
        try:
            size = os.stat(self._content.path(digest)).st_size
        except FileNotFoundError:
            raise NotFound(f"its image's configuration {digest} is missing") from None
        wanted = Descriptor(media_type=documents.OCI_CONFIG, digest=digest, size=size)
        data = self._content.read(wanted, documents.MAX_CONFIG)
        return chain_ids(documents.parse_config(data).diff_ids)

    def _half_made(self, container: str) -> Iterator[Finding]:
        for _ in range(2):
            held = self._containers.lock(container, wait=False, missing_ok=True)
            if held is None:
                return  # it is being made, or gone
            with held:
                if os.path.exists(held.directory + "/record.json"):
                    return
            time.sleep(_TO_LOCK)
        if os.path.isdir(self._containers.directory(container)):
            yield Finding(
                what="a container whose maker died before it was made",
                where=container,
                hint="the next `fastbox ps` removes it",
            )

    def _name(self, container: str, name: str) -> Iterator[Finding]:
        if self._target(name) == container:
            return
        record = self._containers.read(container)  # again: it may have been renamed or removed
        if record is None or self._target(record.name) == container:
            return
        yield Finding(
            what=f'the name "{record.name}" does not lead to its container',
            where=container,
            hint=f"`fastbox rename {container[:12]} NAME` gives it one",
        )

    def _target(self, name: str) -> str:
        try:
            return os.readlink(self._root.path("names", name)).rpartition("/")[2]
        except OSError:
            return ""

    def _names(self) -> Iterator[Finding]:
        for name in sorted(os.listdir(self._root.path("names"))):
            container = self._target(name)
            if not container or os.path.isdir(self._containers.directory(container)):
                continue
            # Who removes a container moves it away, releases its name, and then deletes it.
            moved = self._containers.trashed()
            if container not in moved and self._target(name) == container:
                yield Finding(
                    what="a name that leads to no container",
                    where=self._root.path("names", name),
                    hint="it is free: a container that takes it replaces it",
                )

    # What nobody needs.

    def orphans(self, before: _Unneeded | None) -> Iterator[Finding]:
        """Blobs and layers that nothing needs, and that nothing needed when we began."""
        for kind, digest in sorted((before or set()) & (self.unneeded() or set())):
            yield Finding(what=f"a {kind} that nothing needs", where=digest, hint=_SWEEP)

    def sweep_for_others(self, before: _Unneeded | None) -> None:
        """Who removed an image meanwhile could not sweep, since we held the lease: it is on us to
        delete what they would have deleted, and nothing else.
        """
        if before is not None and (self.unneeded() or set()) - before:
            sweep(self._root, spare={digest for _, digest in before})

    def unneeded(self) -> _Unneeded | None:
        """(blob or layer, digest); None while somebody adds content, or when a damaged record makes
        it unknowable.
        """
        lock = try_sweep_lock(self._root)
        if lock < 0:
            return None
        try:
            live = find_live(self._root)
            if live is None:
                return None
            blobs = set(self._content.digests()) - live.blobs
            layers = set(self._layers.chains()) - live.chains
        finally:
            os.close(lock)
        return {("blob", digest) for digest in blobs} | {("layer", chain) for chain in layers}

    def leftovers(self) -> Iterator[Finding]:
        """What the dead have left: work directories, trash, temporary files."""
        names = [name for name in os.listdir(self._root.path("tmp")) if self._is_left(name)]
        if names:
            time.sleep(_TO_LOCK)
        for name in sorted(names):
            if self._is_left(name) and not self._being_removed(name) and self._is_left(name):
                path = self._root.path("tmp", name)
                yield Finding(what="what a process that is gone left", where=path, hint=_SWEEP)
        # Who writes these holds the store's lock.
        for directory in (self._root.store, self._root.path("refs")):
            if _is_free(self._root.store):
                yield from _temporary(directory)
        for container in sorted(self._containers.ids()):
            directory = self._containers.directory(container)
            if _is_free(directory) and not state.is_live(self._root.run, container):
                yield from _temporary(directory)

    def _is_left(self, name: str) -> bool:
        return _is_free(self._root.path("tmp", name))

    def _being_removed(self, name: str) -> bool:
        """A container's trash is emptied by its supervisor, which holds no lock on it: as long as
        it shrinks, somebody is at it.
        """
        if not name.startswith("rm-") or not os.path.isdir(self._root.path("tmp", name)):
            return False
        fd = os.open(self._root.path("tmp"), _DIRECTORY)
        try:
            before = _bytes.DiskUsage().add(fd, name)
            for _ in range(20):
                if state.is_live(self._root.run, name[3:]):
                    return True
                time.sleep(0.05)
                now = _bytes.DiskUsage().add(fd, name)
                if now < before or not now:
                    return True
        finally:
            os.close(fd)
        return False


def _lasting(look: Callable[[], _Unneeded | None]) -> _Unneeded | None:
    """What is still unneeded a moment later: whoever has just removed an image sweeps at once."""
    found = look()
    if found:
        time.sleep(_TO_LOCK)
        found &= look() or set()
    return found


def _temporary(directory: str) -> Iterator[Finding]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        if name.endswith(".tmp"):
            path = os.path.join(directory, name)
            yield Finding(what="a file that was not written to its end", where=path, hint=_REMOVE)


def _is_free(path: str) -> bool:
    """Whether it is there and nobody holds a lock on it."""
    try:
        fd = os.open(path, _ANY)
    except OSError:
        return os.path.lexists(path)  # a link or a socket: nobody can lock it
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return os.path.lexists(path)


def _has_digest(path: str, name: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _bytes.digest_fd(fd)[0] == name
    finally:
        os.close(fd)


def _images_of(record: ContainerRecord) -> list[str]:
    """What it was made from, and what it mounts."""
    return [record.image_id, *(mount.image_id for mount in mounts_of(record) if mount.image_id)]
