"""`--mount type=image`: which directories of the image's layers make up what is mounted."""

from __future__ import annotations

import os
import stat

from fastbox.errors import InvalidArgument, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastbox.containers.needs import ImageService
    from fastbox.types import Mount, RunOptions

_PATH = 0x200000  # O_PATH


def with_layers(options: RunOptions, images: ImageService) -> RunOptions:
    """The options with each image that is mounted found; the layers that a fork's source has stay.

    Raises:
        ImageNotFound: No such image.
        InvalidArgument: A subpath that is not below the image's root, or an image without files.
        NotFound: The image has no such subpath.
    """
    return options.replace(mounts=tuple(_found(mount, images) for mount in options.mounts))


def _found(mount: Mount, images: ImageService) -> Mount:
    if mount.kind != "image" or mount.layers:
        return mount
    if not mount.source:
        raise InvalidArgument("the mount of an image needs a source", where=mount.target)
    subpath = os.path.normpath(mount.subpath) if mount.subpath else ""
    if subpath.startswith("/") or subpath.split("/")[0] == ".." or "\0" in subpath:
        raise InvalidArgument(
            "subpath must be a relative path within the image", where=mount.subpath
        )
    image = images.resolve(mount.source)
    if not image.layers:
        raise InvalidArgument("the image has no files to mount", where=mount.source)
    layers = below(image.layers, mount) if subpath else image.layers
    return mount.replace(image_id=image.id, layers=layers)


def below(layers: Sequence[str], mount: Mount) -> tuple[str, ...]:
    """What the layers have at the subpath, topmost first: directories to be stacked, or one file.

    By overlayfs's rules: what is no directory, a whiteout too, hides all that lies lower, and so
    does a directory marked opaque.
    """
    parts = [part for part in _place(layers, mount).split("/") if part]
    found: list[str] = []
    for layer in layers:
        path, opaque = layer, False
        for part in parts:
            path = f"{path}/{part}"
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                break
            if not stat.S_ISDIR(mode):
                return tuple(found) or (path,)
            opaque = opaque or _is_opaque(path)
        else:
            found.append(path)
        if opaque:
            break
    return tuple(found)


def _place(layers: Sequence[str], mount: Mount) -> str:
    """The subpath without the links on its way, which lead nowhere but into the image."""
    from fastbox import _native

    root = (
        os.open(layers[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if len(layers) == 1
        else _native.view_layers([os.fsencode(layer) for layer in layers])
    )
    try:
        fd = _native.open_in_root(root, mount.subpath, _PATH | os.O_CLOEXEC)
        try:
            top, place = (os.readlink(f"/proc/self/fd/{each}") for each in (root, fd))
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f'the image has no "{mount.subpath}"', where=mount.source) from None
    finally:
        os.close(root)
    return os.path.relpath(place, top) if place != top else ""


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
