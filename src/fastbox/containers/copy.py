"""`cp`: files between a container and the host, by docker's rules of where they go; and tar
streams.

What is copied is held by a descriptor, and so is the directory that it goes into; the copy itself
is native and goes by descriptors too (`copy_tree.c`, `tar_write.c`, `tar_extract.c`).
"""

from __future__ import annotations

import os
import posixpath
import stat

from fastbox import _bytes
from fastbox.containers.reach import Reached
from fastbox.errors import FastboxError, InvalidArgument, NotFound, StateConflict, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, TypedDict

    from fastbox.store.containers import ContainerStore

    class CopyKeywords(TypedDict, total=False):
        """How files are copied."""

        follow: bool  # copy what a source that is a link leads to
        archive: bool  # owners as they are, extended attributes too
        owned: bool  # into a container: all belongs to its user, if it names one; `docker cp -a`


_PATH = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Named:
    """A path as docker reads it: what it is called, and whether it must be a directory, or means a
    directory's content.
    """

    __slots__ = ("content", "directory", "name", "path")

    def __init__(self, path: str) -> None:
        last = path.rstrip("/").rpartition("/")[2] if path != "/" else ""
        self.path = path
        self.content = last in ("", ".", "..")
        self.directory = self.content or path.endswith("/")
        self.name = last


def copy_out(
    store: ContainerStore,
    run: str,
    reference: str,
    source: str,
    target: str,
    wishes: CopyKeywords,
) -> int:
    """Copy from a container to a path of the host; see `Containers.copy_out`."""
    there, here = _Named(_absolute(source)), _Named(target)
    with Reached(store, run, reference) as container:
        held = container.hold(there.path, follow=wishes.get("follow", False) or there.directory)
        kind = _kind(held, there)
        parent, name = _host_target(here, there, kind)
        try:
            fd = os.open(parent, _DIRECTORY)
        except OSError as error:
            raise os_error(error, "cannot open the directory", parent) from error
        try:
            own = None if wishes.get("archive") else (os.geteuid(), os.getegid())
            done = _bytes.copy_tree(
                held, fd, os.fsencode(name), owner=own, xattrs=wishes.get("archive", False)
            )
        except OSError as error:
            raise _failure(error) from error
        finally:
            os.close(fd)
        container.check()
    return done[1]


def copy_in(
    store: ContainerStore,
    run: str,
    reference: str,
    source: str,
    target: str,
    wishes: CopyKeywords,
) -> int:
    """Copy a path of the host into a container; see `Containers.copy_in`."""
    here, there = _Named(source), _Named(_absolute(target))
    follow = wishes.get("follow", False) or here.directory
    try:
        held = os.open(source, _PATH if follow else _PATH | os.O_NOFOLLOW)
    except NotADirectoryError:
        raise StateConflict("not a directory", where=source) from None
    except OSError as error:
        text = f"lstat {os.path.abspath(source)}: {os.strerror(error.errno or 0).lower()}"
        raise NotFound(text) from error
    try:
        kind = _kind(held, here)
        with Reached(store, run, reference, write=True) as container:
            fd, name = _container_target(container, there, here, kind)
            owner = container.user() if wishes.get("owned") else None
            try:
                done = _bytes.copy_tree(
                    held, fd, os.fsencode(name), owner=owner, xattrs=wishes.get("archive", False)
                )
            except OSError as error:
                raise container.refused(error, fd) from error
    finally:
        os.close(held)
    return done[1]


def copy_from(
    store: ContainerStore,
    run: str,
    reference: str,
    source: str,
    output: int | BinaryIO,
    follow: bool,
) -> None:
    """Write a path of a container as a tar stream; see `Containers.copy_from`."""
    there = _Named(_absolute(source))
    with Reached(store, run, reference) as container:
        held = container.hold(there.path, follow=follow or there.directory)
        _kind(held, there)
        name = "." if there.content else there.name
        try:
            with _Writing(output) as fd:
                _bytes.write_item(held, os.fsencode(name), fd)
        except OSError as error:
            container.check()
            raise os_error(error, "cannot write the archive") from error
        container.check()


def copy_to(
    store: ContainerStore, run: str, reference: str, target: str, archive: int | BinaryIO
) -> None:
    """Extract a tar stream in a directory of a container; see `Containers.copy_to`."""
    path = _absolute(target)
    with Reached(store, run, reference, write=True) as container:
        try:
            fd = container.directory(path)
        except (NotFound, StateConflict):
            raise StateConflict(f'destination "{reference}:{target}" must be a directory') from None
        try:
            with _Reading(archive) as source:
                _bytes.extract(source, fd, False, digests=False, merge=True)
        except FastboxError:
            raise
        except OSError as error:
            raise container.refused(error, fd) from error


def _absolute(path: str) -> str:
    if not path:
        raise InvalidArgument("a path in the container is missing", hint="write CONTAINER:PATH")
    return path if path.startswith("/") else "/" + path


def _kind(held: int, named: _Named) -> int:
    kind = stat.S_IFMT(os.fstat(held).st_mode)
    if named.directory and kind != stat.S_IFDIR:
        raise StateConflict("not a directory", where=named.path)
    if kind == stat.S_IFSOCK:
        raise InvalidArgument("a socket can't be copied", where=named.path)
    return kind


def _host_target(target: _Named, source: _Named, kind: int) -> tuple[str, str]:
    """The directory of the host and the name in it that become the copy."""
    directory = kind == stat.S_IFDIR
    path = os.path.realpath(target.path) if os.path.islink(target.path) else target.path
    if os.path.isdir(path):
        return path, "." if source.content else source.name
    if os.path.lexists(path.rstrip("/")):
        _check_file(target, directory)
    elif target.directory and not directory:
        raise StateConflict("no such directory", where=target.path)
    parent, name = os.path.split(path.rstrip("/"))
    if not os.path.isdir(parent or "."):
        text = f'invalid output path: directory "{os.path.abspath(parent)}" does not exist'
        raise NotFound(text)
    return parent or ".", name


def _container_target(
    container: Reached, target: _Named, source: _Named, kind: int
) -> tuple[int, str]:
    directory = kind == stat.S_IFDIR
    path, there = container.target(target.path.rstrip("/") or "/")
    if there >= 0 and stat.S_ISDIR(os.fstat(there).st_mode):
        return container.directory(path), "." if source.content else source.name
    if there >= 0:
        _check_file(target, directory)
    elif target.directory and not directory:
        raise StateConflict("no such directory", where=target.path)
    parent, name = posixpath.split(path.rstrip("/"))
    if name in ("", ".", ".."):
        raise StateConflict("no such directory", where=target.path)
    return container.directory(parent or "/"), name


def _check_file(target: _Named, directory: bool) -> None:
    if directory:
        raise StateConflict("cannot copy directory", where=target.path)
    if target.directory:
        raise StateConflict("not a directory", where=target.path)


def _failure(error: OSError) -> FastboxError:
    detail = getattr(error, "detail", "")
    if detail:
        return StateConflict(detail, where=getattr(error, "path", ""))
    return os_error(error, "cannot copy", getattr(error, "path", ""))


class _Stream:
    """A stream that may be no file of the kernel's, as a descriptor: by a pipe and a thread."""

    __slots__ = ("_fd", "_fds", "_stream", "_thread")

    def __init__(self, stream: int | BinaryIO) -> None:
        self._stream = stream
        self._fds: list[int] = []
        self._fd = stream if isinstance(stream, int) else -1
        if not isinstance(stream, int):
            try:
                self._fd = stream.fileno()
            except OSError:
                pass

    def _start(self, pump: object, *args: object) -> None:
        import threading

        self._thread = threading.Thread(target=pump, args=args, daemon=True)  # type: ignore[arg-type]
        self._thread.start()


class _Writing(_Stream):
    def __enter__(self) -> int:
        if self._fd >= 0:
            if not isinstance(self._stream, int):
                self._stream.flush()
            return self._fd
        source, fd = os.pipe()
        self._fds = [fd]
        self._start(_pump_out, source, self._stream)
        return fd

    def __exit__(self, *_: object) -> None:
        if self._fds:
            os.close(self._fds[0])
            self._thread.join()


class _Reading(_Stream):
    def __enter__(self) -> int:
        if self._fd >= 0:
            return self._fd
        fd, target = os.pipe()
        self._fds = [fd]
        self._start(_pump_in, self._stream, target)
        return fd

    def __exit__(self, *_: object) -> None:
        if self._fds:
            os.close(self._fds[0])  # a pump that still writes ends by EPIPE
            self._thread.join()


def _pump_out(fd: int, stream: BinaryIO) -> None:
    with open(fd, "rb", buffering=0) as source:
        try:
            while data := source.read(1 << 20):
                stream.write(data)
        except (OSError, ValueError):
            pass  # closed: the writer gets EPIPE


def _pump_in(stream: BinaryIO, fd: int) -> None:
    with open(fd, "wb", buffering=0) as target:
        try:
            while data := stream.read(1 << 20):
                view = memoryview(data)
                while view:
                    view = view[target.write(view) :]
        except (OSError, ValueError):
            pass
