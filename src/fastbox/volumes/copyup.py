"""What the image has where an empty volume is mounted becomes the volume's: files, owners, modes,
links as links, all found below the image's root and nowhere else.

Nothing is half-visible: the files come into `copying` beside the volume's own directory; when all
are there that is renamed to `copied`; then each is moved into place. Whoever finds `copying`
begins anew, whoever finds `copied` goes on. So a start has to look only whether the volume is
empty, and then whether `copied` is there: it takes a lock when it is one or the other.
"""

from __future__ import annotations

import errno
import os

from fastbox import _native
from fastbox.errors import InvalidArgument, NotFound
from fastbox.store.lease import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.types import Mount

_PATH = 0x200000  # O_PATH
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def fill(directory: str, mount: Mount, lower: Sequence[str]) -> None:
    """Fill a volume, if it is empty, with what the layers have at the mount's place.

    Args:
        directory: The volume's.
        mount: Which has the place, and perhaps a part of the volume.
        lower: The layers, topmost first.

    Raises:
        NotFound: The volume has no such part.
        InvalidArgument: The image has a file there.
        OSError: The kernel said no.
    """
    device = _device(mount)
    if device is None:
        return
    data = os.open(device or directory + "/_data", _DIRECTORY)
    try:
        empty = not os.listdir(data)  # asked first: what fills it is in `copied` until all is moved
        if not device and os.path.exists(directory + "/copied"):
            with Lock(directory):
                _go_on(directory, data)
            empty = False
        if mount.subpath:
            data, whole = _part(data, mount), data
            os.close(whole)
            empty = data >= 0 and not os.listdir(data)
        if mount.no_copy or not empty:
            return
        source = _source(mount.target, lower)
        if source < 0:
            return
        try:
            with Lock(directory):
                _copy(directory, source, data, in_place=bool(device or mount.subpath))
        finally:
            os.close(source)
    finally:
        if data >= 0:
            os.close(data)


def _device(mount: Mount) -> str | None:
    """The directory that the volume's options bind; "": they name none; None: another file system,
    which only the container mounts.
    """
    options = mount.driver_options
    if not options:
        return ""
    words = options.get("o", "").split(",")
    return options["device"] if "bind" in words or "rbind" in words else None


def _part(data: int, mount: Mount) -> int:
    """The part of the volume that is mounted; -1 when it is a file."""
    try:
        return _native.open_in_root(data, mount.subpath, _DIRECTORY)
    except NotADirectoryError:
        return -1
    except FileNotFoundError:
        raise NotFound(
            f'the volume has no "{mount.subpath}"', where=mount.name, hint="make it first"
        ) from None


def _source(target: str, lower: Sequence[str]) -> int:
    """The image's directory; -1 without one."""
    root = (
        os.open(lower[0], _DIRECTORY)
        if len(lower) == 1
        else _native.view_layers([os.fsencode(layer) for layer in lower])
    )
    try:
        return _native.open_in_root(root, target, _DIRECTORY)
    except FileNotFoundError:
        return -1
    except NotADirectoryError:
        raise InvalidArgument(
            "a volume can't be mounted over a file of the image", where=target
        ) from None
    finally:
        os.close(root)


def _copy(directory: str, source: int, data: int, *, in_place: bool) -> None:
    """`in_place` is for what does not lie beside `copying`."""
    if not in_place:
        _go_on(directory, data)
    if os.listdir(data):
        return  # another start was faster
    status = os.fstat(source)
    if os.listdir(source):
        if in_place:
            _pour_or_nothing(source, data)
        else:
            _stage(directory, source)
    # Before anything can be seen in it: who finds it filled does not come here any more.
    os.fchown(data, status.st_uid, status.st_gid)
    os.fchmod(data, status.st_mode & 0o7777)
    if not in_place:
        if os.path.exists(directory + "/copying"):
            os.rename(directory + "/copying", directory + "/copied")
        _go_on(directory, data)
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))


def _stage(directory: str, source: int) -> None:
    os.mkdir(directory + "/copying", 0o700)
    try:
        fd = os.open(directory + "/copying", _DIRECTORY)
        try:
            _pour(source, fd)
        finally:
            os.close(fd)
    except BaseException:
        _remove(directory, "copying")
        raise


def _pour_or_nothing(source: int, data: int) -> None:
    try:
        _pour(source, data)
    except BaseException:
        for name in os.listdir(data):
            _native.remove_tree(data, name)
        raise


def _go_on(directory: str, data: int) -> None:
    """What a start that was killed has left."""
    _remove(directory, "copying")
    try:
        names = os.listdir(directory + "/copied")
    except FileNotFoundError:
        return
    for name in names:
        os.rename(f"{directory}/copied/{name}", name, dst_dir_fd=data)
    os.rmdir(directory + "/copied")


def _remove(directory: str, name: str) -> None:
    fd = os.open(directory, _DIRECTORY)
    try:
        _native.remove_tree(fd, name)
    finally:
        os.close(fd)


def _pour(source: int, target: int) -> None:
    """Copy by a tar that never lies anywhere: written by one thread, extracted by this one."""
    import _thread

    from fastbox import _bytes

    reader, writer = os.pipe2(os.O_CLOEXEC)
    failed: list[OSError] = []
    done = _thread.allocate_lock()
    done.acquire()

    def write() -> None:
        try:
            _bytes.write_tree(source, writer)
        except OSError as error:
            failed.append(error)
        finally:
            os.close(writer)
            done.release()

    _thread.start_new_thread(write, ())
    try:
        _bytes.extract(reader, target, False, digests=False)
    finally:
        os.close(reader)
        done.acquire()
        if failed and failed[0].errno != errno.EPIPE:
            raise failed[0]
