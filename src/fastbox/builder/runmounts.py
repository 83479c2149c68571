"""`RUN --mount`: files of the context and of other stages, caches that outlive the build, tmpfs,
secrets, ssh agents. None of it gets into the layer, and no secret into the cache's key.
"""

from __future__ import annotations

import os
import posixpath

from fastbox import _bytes, _native
from fastbox.builder import sources
from fastbox.builder.place import open_view
from fastbox.builder.state import State, key_of
from fastbox.builder.stubs import Stubs
from fastbox.errors import InvalidArgument, NotFound
from fastbox.types import Mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.dockerfile.instructions import RunMount
    from fastbox.types import RunOptions

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_CACHE_MODE = 0o755
_SECRET_MODE = 0o400
_SOCKET_MODE = 0o600


class Mounts:
    """The mounts of one RUN, for a `with` block in which they exist.

    Attributes:
        mounts: What the container gets; images' layers come by `with_layers`.
        env: Variables that are secrets, by name.
        places: Where agents' sockets are, as "NAME=value".
    """

    __slots__ = (
        "_asked", "_build", "_course", "_fds", "_lazy", "_state", "_stubs", "env", "mounts",
        "places",
    )  # fmt: skip

    def __init__(
        self, build: Build, course: Course, state: State, asked: Sequence[RunMount]
    ) -> None:
        self._build, self._course, self._state, self._asked = build, course, state, asked
        self._fds: list[int] = []
        self._stubs: Stubs | None = None
        self._lazy: dict[int, State] = {}  # a mount's number: whose layers it shows
        self.mounts: tuple[Mount, ...] = ()
        self.env: dict[str, str] = {}
        self.places: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._fds:
            os.close(self._fds.pop())

    # The cache's key

    def keys(self) -> list[object]:
        """What the result depends on, of all mounts."""
        return [self._key(mount) for mount in self._asked]

    def _key(self, mount: RunMount) -> list[object]:
        found: list[object] = [mount.kind, mount.target, mount.env]
        if mount.kind == "bind":
            source = sources.source(self._build, self._course, mount.from_)
            found += [mount.source, source.key_of_tree(mount.source or "/")]
        elif mount.kind == "cache":
            found += [mount.id, mount.source, mount.uid, mount.gid, mount.mode, mount.read_only]
            found.append(self._origin(mount).key if mount.from_ else "")
        elif mount.kind == "tmpfs":
            found.append(mount.size)
        else:
            # Never what it holds.
            found += [mount.id, mount.required, mount.uid, mount.gid, mount.mode]
        return found

    def _origin(self, mount: RunMount) -> State:
        state = sources.source(self._build, self._course, mount.from_).state
        if state is None:
            raise InvalidArgument(
                "a cache mount begins with a stage or an image", where=mount.from_
            )
        return state

    # The mounts

    def prepare(self) -> None:
        """Make what is to be mounted."""
        found: list[Mount] = []
        places: list[str] = []
        for mount in self._asked:
            if mount.kind == "secret" and mount.env:
                value = self._secret(mount)
                if value is not None:
                    if b"\0" in value:
                        raise InvalidArgument(
                            f'secret "{mount.id}" has a byte 0: no variable can have it',
                            hint="take it as a file: leave out env=",
                        )
                    self.env[mount.env] = value.decode("utf-8", "surrogateescape")
                if not mount.target:
                    continue
            made = self._one(mount)
            if made is not None:
                if mount.kind == "ssh":
                    places.append(f"SSH_AUTH_SOCK={made.target}")
                if mount.kind == "bind" and made.kind == "image":
                    state = sources.source(self._build, self._course, mount.from_).state
                    assert state is not None
                    self._lazy[len(found)] = state
                found.append(made)
        self.mounts, self.places = tuple(found), tuple(places)
        self._stubs = self._traces()

    def add_script(self, target: str, script: str) -> None:
        """A document that is the command, for whatever its first line names."""
        path = self._build.layers.new_home() + "/script"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
        with open(fd, "wb") as file:
            file.write(script.encode("utf-8", "surrogateescape"))
            os.fchmod(fd, 0o755)
        self.mounts += (Mount(kind="bind", source=path, target=target, read_only=True),)

    def with_layers(self, options: RunOptions) -> RunOptions:
        """The container's options, with the layers where they are now; within `still()`."""
        if not self._lazy:
            return options
        mounts = list(options.mounts)
        for number, state in self._lazy.items():
            trees = tuple(self._build.layers.trees(state.top))
            mounts[number] = mounts[number].replace(layers=trees)
        return options.replace(mounts=tuple(mounts))

    def _one(self, mount: RunMount) -> Mount | None:
        target = self._target(mount)
        if mount.kind == "tmpfs":
            size = f"size={mount.size}" if mount.size else ""
            return Mount(kind="tmpfs", target=target, options=f"{size},exec".strip(","))
        if mount.kind == "cache":
            return self._cache(mount, target)
        if mount.kind == "secret":
            value = self._secret(mount)
            if value is None:
                return None
            mode = _SECRET_MODE if mount.mode is None else mount.mode
            path = self._build.secrets.file(value, mode, mount.uid or 0, mount.gid or 0)
            return Mount(kind="bind", source=path, target=target, read_only=True)
        if mount.kind == "ssh":
            return self._ssh(mount, target)
        return self._bind(mount, target)

    def _target(self, mount: RunMount) -> str:
        target = mount.target
        if not target and mount.kind == "secret":
            target = "/run/secrets/" + posixpath.basename(mount.id or mount.source)
        elif not target and mount.kind == "ssh":
            number = sum(each.kind == "ssh" for each in self._asked[: self._asked.index(mount)])
            target = f"/run/buildkit/ssh_agent.{number}"
        if not target:
            raise InvalidArgument(f"RUN --mount=type={mount.kind} needs a target")
        return posixpath.normpath(posixpath.join("/", self._state.workdir, target))

    def _secret(self, mount: RunMount) -> bytes | None:
        name = mount.id or posixpath.basename(mount.target)
        value = self._build.secrets.value(name)
        if value is None and mount.required:
            raise NotFound(
                f'secret "{name}": not found', hint=f"give it: --secret id={name},src=FILE"
            )
        return value

    def _ssh(self, mount: RunMount, target: str) -> Mount | None:
        path = self._build.secrets.agent(mount.id or "default")
        if path is None:
            if mount.required:
                raise NotFound("no ssh agent was given", hint="give one: --ssh default")
            return None
        return Mount(kind="bind", source=path, target=target)

    def _cache(self, mount: RunMount, target: str) -> Mount:
        build = self._build
        name = key_of("mount", mount.id or target)
        if mount.sharing == "private":
            name = self._free(name)
        else:
            build.cache.mount(name)
            self._hold(name, alone=mount.sharing == "locked")
        path = build.cache.mount(name)
        if not os.listdir(path):
            self._fill(mount, path)
        if mount.source:
            fd = os.open(path, _DIRECTORY)
            try:
                inner = _native.open_in_root(fd, mount.source, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                raise NotFound(
                    "the cache mount has no such directory", where=mount.source
                ) from None
            finally:
                os.close(fd)
            path = os.readlink(f"/proc/self/fd/{inner}")
            os.close(inner)
        return Mount(kind="bind", source=path, target=target, read_only=mount.read_only)

    def _hold(self, name: str, *, alone: bool) -> None:
        while True:
            fd = self._build.cache.hold_mount(name, alone=alone, wait=0.2)
            if fd >= 0:
                self._fds.append(fd)
                return
            self._build.stop.check()

    def _free(self, name: str) -> str:
        """The first of a cache's copies that nobody else has."""
        number = 0
        while True:
            copy = key_of("private", name, number) if number else name
            self._build.cache.mount(copy)
            fd = self._build.cache.hold_mount(copy, alone=True, wait=0)
            if fd >= 0:
                self._fds.append(fd)
                return copy
            number += 1

    def _fill(self, mount: RunMount, path: str) -> None:
        """A new one: its first content, its owner and mode."""
        if mount.from_:
            source = open_view(self._build, self._origin(mount))
            if source >= 0:
                target = os.open(path, _DIRECTORY)
                try:
                    _bytes.copy_tree(source, target, b".", xattrs=True)
                finally:
                    os.close(source)
                    os.close(target)
        os.chown(path, mount.uid or 0, mount.gid or 0)
        os.chmod(path, _CACHE_MODE if mount.mode is None else mount.mode)

    def _bind(self, mount: RunMount, target: str) -> Mount:
        source = sources.source(self._build, self._course, mount.from_)
        if source.state is not None and mount.read_only and source.is_directory(mount.source):
            inner = posixpath.normpath("/" + mount.source).lstrip("/")
            return Mount(kind="image", target=target, layers=("/",), subpath=inner, read_only=True)
        path = source.directory(mount.source or "/", writable=not mount.read_only)
        return Mount(kind="bind", source=path, target=target, read_only=mount.read_only)

    # Their places in the layer

    def _traces(self) -> Stubs:
        view = open_view(self._build, self._state)
        try:
            return Stubs(view, self.mounts)
        finally:
            if view >= 0:
                os.close(view)

    def remove_stubs(self, tree: str) -> None:
        """Take the mount points that the start has made out of the new tree, unless something is
        in them.
        """
        if self._stubs is not None:
            self._stubs.remove(tree)
